//! What an endpoint is made from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use b4ae_core::{Config, Identity, ModePolicy};

/// Where the loop runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Placement {
    /// On a thread of its own, at real-time priority where the system permits it: what the application computes does
    /// not move a slot.
    #[default]
    OwnThread,
    /// As a task of the caller's runtime: no extra thread, but a busy runtime delays slots, and whoever watches the
    /// link can see that it is busy.
    Runtime,
}

/// What an endpoint is made from: who we are, the checked configuration, and how it runs on this machine.
#[derive(Clone, Debug)]
#[must_use]
pub struct EndpointConfig {
    pub(crate) identity: Identity,
    pub(crate) config: Config,
    pub(crate) listen: SocketAddr,
    pub(crate) offer: ModePolicy,
    pub(crate) placement: Placement,
    pub(crate) real_time: bool,
    pub(crate) tick: Duration,
    pub(crate) spin: Duration,
    pub(crate) launch_times: bool,
    pub(crate) job_threads: usize,
    pub(crate) flush_on_drop: Duration,
}

impl EndpointConfig {
    /// An endpoint on a port of the system's choice, on every address of the machine.
    ///
    /// It offers mode B before A when the identity can sign, else A alone, and runs on its own thread.
    pub fn new(identity: Identity, config: Config) -> Self {
        let offer = if identity.can_sign() { ModePolicy::B_THEN_A } else { ModePolicy::A };
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            identity,
            config,
            listen: SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
            offer,
            placement: Placement::default(),
            real_time: true,
            tick: Duration::from_micros(200),
            spin: Duration::ZERO,
            launch_times: false,
            job_threads: threads.min(4),
            flush_on_drop: Duration::from_secs(5),
        }
    }

    /// The local address to bind. Default `[::]:0`, which serves IPv4 as well; where there is no IPv6, `0.0.0.0`.
    pub const fn listen(mut self, addr: SocketAddr) -> Self {
        self.listen = addr;
        self
    }

    /// The modes `connect` offers, preferred first.
    pub const fn offer(mut self, modes: ModePolicy) -> Self {
        self.offer = modes;
        self
    }

    /// Where the loop runs. Default: on its own thread.
    pub const fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Whether the loop's own thread asks for real-time priority (`SCHED_FIFO`). Default: yes; where the system
    /// refuses, the loop runs at normal priority and the statistics say why.
    pub const fn real_time(mut self, ask: bool) -> Self {
        self.real_time = ask;
        self
    }

    /// On a grid with four slots or more in this, cells leave in groups: all that were due since the last multiple of
    /// `tick`, counted from the origin of the endpoint's clock, at the next one. Default 200 µs; zero for no groups.
    ///
    /// A thread cannot be woken every ten microseconds, and a system call for each cell costs as much as sealing it.
    /// With groups the loop wakes once a tick, and cells to one address leave in one call where the system can do
    /// that. Which cells leave together follows from the grid and its owners, never from what there is to say. The
    /// tick in force is a multiple of the interval of at most 32 slots, and no longer than half of the traffic's
    /// `lead`.
    pub const fn tick(mut self, tick: Duration) -> Self {
        self.tick = tick;
        self
    }

    /// How long before a slot the loop's own thread stops sleeping and watches the clock instead, at most half a
    /// millisecond and half of what slots are apart. Default: zero, it sleeps.
    ///
    /// A cell then leaves within a microsecond or two of its slot, where a thread that is woken takes some tens. It
    /// costs a processor the time spun: `spin` times slots a second, so that 50 µs are 0.5 % of one at 100 slots a
    /// second and 5 % at 1,000. Without real-time priority most of the lateness is waiting for a processor, which
    /// no spinning shortens.
    pub const fn spin(mut self, spin: Duration) -> Self {
        self.spin = spin;
        self
    }

    /// Whether to hand cells to the kernel some time before their slots, for it to send them in time (`SO_TXTIME`).
    /// Default: no.
    ///
    /// On Linux, and where the queueing discipline of the interface that they leave by is `fq`, which few are: the
    /// first cells show whether it is, and if it is not, the loop sends cells in their slots itself, as ever. The
    /// statistics say which ([`EndpointStats::launch_times`](crate::EndpointStats::launch_times)). Should the
    /// discipline or the route be changed later, all cells leave early by the same half of a millisecond.
    pub const fn launch_times(mut self, ask: bool) -> Self {
        self.launch_times = ask;
        self
    }

    /// Threads for slow work, 1 to 64: so many for key exchange and puzzles, and, where the identity can sign, as many
    /// more for signatures, each with a queue of its own. Default: one a core, at most four.
    ///
    /// A signer that takes its time, as a hardware token does, keeps other signatures waiting and nothing else: no
    /// handshake in mode A, and no session. One that takes for ever keeps its thread until the process ends, and
    /// hinders the endpoint neither in closing nor in being dropped.
    pub fn job_threads(mut self, threads: usize) -> Self {
        self.job_threads = threads.clamp(1, 64);
        self
    }

    /// How long queued messages may still take to be confirmed when the last handle of the endpoint is dropped.
    /// Default 5 s.
    pub const fn flush_on_drop(mut self, limit: Duration) -> Self {
        self.flush_on_drop = limit;
        self
    }

    /// The placement asked for.
    pub const fn asked_placement(&self) -> Placement {
        self.placement
    }

    /// Whether real-time priority is asked for.
    pub const fn asked_real_time(&self) -> bool {
        self.real_time
    }

    /// The modes `connect` offers.
    pub const fn offered(&self) -> ModePolicy {
        self.offer
    }
}
