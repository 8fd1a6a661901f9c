//! The engine: every session of one socket.

use core::fmt;

use crate::config::Config;
use crate::error::{CloseReason, ConfigError, ConnectError, UnknownSession};
use crate::identity::{Identity, PeerId};
use crate::job::{Completion, Job};
use crate::metrics::Metrics;
use crate::mode::ModePolicy;
use crate::random::Seed;
use crate::session::{MessageId, Session, SessionId};
use crate::time::{Instant, UnixTime};
use crate::transmit::{Path, Transmit, TxBuf};

/// Something the application may want to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A peer opened this session; it is open.
    Incoming(SessionId),
    /// The session that `connect` began is open, and the peer has proved to hold its keys.
    Established(SessionId),
    /// A message can be taken. Comes once; take messages until `RecvError::Empty`.
    Readable(SessionId),
    /// There is room again after `SendError::Full`.
    Writable(SessionId),
    /// The peer has this message.
    Delivered(SessionId, MessageId),
    /// The session's cells go to another address, which has proved to be the peer's.
    PathChanged(SessionId),
    /// The session has ended. Comes once, last; messages without a `Delivered` may not have arrived.
    Closed(SessionId, CloseReason),
}

/// How to shut down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shutdown {
    /// Close every session gracefully; what is not confirmed by the deadline is abandoned.
    Flush(Instant),
    /// Drop everything at once.
    Now,
}

/// Every session of one socket. See the [crate page](crate) for how it is driven.
pub struct Engine {}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine(..)")
    }
}

#[allow(unused_variables, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
impl Engine {
    /// An engine with no sessions.
    pub fn new(
        config: &Config,
        identity: Identity,
        seed: &Seed,
        now: Instant,
        wall: UnixTime,
    ) -> Result<Self, ConfigError> {
        todo!()
    }

    /// Our own fingerprint.
    pub fn peer_id(&self) -> PeerId {
        todo!()
    }

    /// Takes in a datagram, decrypting in place. Bounded work; junk is counted, never an error; never sends.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, datagram: &mut [u8]) {
        todo!()
    }

    /// Lets time pass: seals the cells that are due and acts on deadlines. Extra calls do no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }

    /// Takes back a finished job.
    pub fn handle_completion(&mut self, now: Instant, done: Completion) {
        todo!()
    }

    /// Tells the wall clock, for expiry only.
    pub fn handle_wall_clock(&mut self, wall: UnixTime) {
        todo!()
    }

    /// Mixes fresh entropy in.
    pub fn reseed(&mut self, seed: &Seed) {
        todo!()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next. O(1).
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// The next datagram to send, written into `buf`; hold it until [`Transmit::due`].
    pub fn poll_transmit(&mut self, buf: TxBuf<'_>) -> Option<Transmit> {
        todo!()
    }

    /// The next event. O(1) when there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// The next piece of slow work. Run it anywhere, or at once with [`run_inline`](Self::run_inline).
    pub fn poll_job(&mut self) -> Option<Job> {
        todo!()
    }

    /// Runs every waiting job on this thread, for those who do not mind the pause.
    pub fn run_inline(&mut self, now: Instant) {
        while let Some(job) = self.poll_job() {
            self.handle_completion(now, job.run());
        }
    }

    /// Opens a session with `peer` at `path`, offering `modes` in order of preference.
    pub fn connect(
        &mut self,
        now: Instant,
        path: Path,
        peer: &PeerId,
        modes: ModePolicy,
    ) -> Result<SessionId, ConnectError> {
        todo!()
    }

    /// A session by its id.
    pub fn session(&mut self, id: SessionId) -> Result<Session<'_>, UnknownSession> {
        todo!()
    }

    /// Ends every session, and accepts no more.
    pub fn shutdown(&mut self, now: Instant, how: Shutdown) {
        todo!()
    }

    /// Whether a shutdown is complete: nothing more will be sent.
    pub fn is_drained(&self) -> bool {
        todo!()
    }

    /// Counters, as one copy.
    pub fn metrics(&self) -> Metrics {
        todo!()
    }
}
