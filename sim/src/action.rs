//! What can be done to a world.

use std::net::SocketAddr;
use std::time::Duration;

use b4ae_core::{ModePolicy, Shutdown, UnixTime};

use crate::attacker::Forged;
use crate::fault::Faults;
use crate::job::Latency;
use crate::link::LinkConfig;
use crate::world::HostId;

/// Something that is done to a world, now or at a time: [`World::act`](crate::World::act),
/// [`World::at`](crate::World::at).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Action {
    /// Opens a session from one host to another.
    Connect {
        /// The initiator.
        from: HostId,
        /// The responder, by its address and fingerprint.
        to: HostId,
        /// The offer.
        modes: ModePolicy,
    },
    /// Closes every session of a host.
    CloseAll(HostId),
    /// Sets how links treat datagrams, everywhere.
    Network(LinkConfig),
    /// Sets the faults of every link.
    Faults(Faults),
    /// Stops everything from one host to another; the other way is not affected.
    Block(HostId, HostId),
    /// Ends every block and every fault.
    Heal,
    /// Moves a host to another address.
    Rebind(HostId, SocketAddr),
    /// Ends the address mapping of a host: nothing gets in until it sends, from a new port.
    Expire(HostId),
    /// Gives a host no turns for a while; its socket keeps 256 datagrams.
    Suspend(HostId, Duration),
    /// Sets how late a host's timers fire.
    Lateness(HostId, Latency),
    /// Ends a host without a word.
    Crash(HostId),
    /// Starts a host again, with its identity and nothing else.
    Restart(HostId),
    /// Makes every signature of a host take this much longer.
    SlowSigner(HostId, Duration),
    /// Makes a host's signer fail, or work again.
    FailSigner(HostId, bool),
    /// Shuts a host's engine down.
    Shutdown(HostId, Shutdown),
    /// Tells a host the wall clock.
    Wall(HostId, UnixTime),
    /// Delivers a datagram to whoever has the address `to`.
    Inject(Forged),
}
