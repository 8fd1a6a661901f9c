//! What an endpoint tells its operator. Aggregates only: per-peer numbers are metadata.

use std::fmt;
use std::time::Duration;

use b4ae_core::Metrics;

use crate::LatenessHistogram;

/// How the slots of an endpoint are kept in time, and why so.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Pacing {
    /// A thread of its own at real-time priority.
    RealTime {
        /// The `SCHED_FIFO` priority; on Windows 15, which is `THREAD_PRIORITY_TIME_CRITICAL`.
        priority: i32,
    },
    /// A thread of its own at normal priority.
    Normal {
        /// Why not at real-time priority.
        why: String,
    },
    /// A task of the application's runtime.
    Runtime,
}

/// What the system calls it.
const REAL_TIME: &str = if cfg!(windows) { "time-critical" } else { "SCHED_FIFO" };

impl fmt::Display for Pacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RealTime { priority } => write!(f, "own thread, {REAL_TIME} priority {priority}"),
            Self::Normal { why } => write!(f, "own thread, normal priority: {why}"),
            Self::Runtime => f.write_str("a task of the application's runtime: slots wait for it when it is busy"),
        }
    }
}

/// What has become of the wish that the kernel send cells when they are due
/// ([`EndpointConfig::launch_times`](crate::EndpointConfig::launch_times)).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum LaunchTimes {
    /// Not asked for.
    #[default]
    Off,
    /// The kernel takes launch times; whether it keeps them shows with the first cells.
    Trying,
    /// The kernel keeps them: cells are handed over ahead of their slots.
    Kernel {
        /// How long ahead.
        ahead: Duration,
    },
    /// The loop sends cells in their slots itself.
    Refused {
        /// Why.
        why: String,
    },
}

impl fmt::Display for LaunchTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Trying => f.write_str("on trial"),
            Self::Kernel { ahead } => write!(f, "kept by the kernel, which has cells {ahead:?} ahead"),
            Self::Refused { why } => write!(f, "not in force: {why}"),
        }
    }
}

/// An endpoint's numbers since it was made.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// The engine's counters, at most a few tenths of a second old, and all there is to count once the endpoint has
    /// stopped.
    pub metrics: Metrics,
    /// How late cells were handed to the system: the median, to within an eighth.
    pub lateness_p50: Duration,
    /// As above, the 99th percentile.
    pub lateness_p99: Duration,
    /// As above, the worst.
    pub lateness_max: Duration,
    /// All of that, as a histogram.
    pub lateness: LatenessHistogram,
    /// Cells handed to the system in their slot.
    pub slots_sent: u64,
    /// Slots that passed unused because the loop was late: their cells were sealed too late to be sent, or not at all.
    pub slots_skipped: u64,
    /// How slots are kept in time.
    pub pacing: Pacing,
    /// On a fine grid, how far apart the groups are in which cells leave.
    pub tick: Option<Duration>,
    /// How long before a cell is due the loop's own thread watches the clock instead of sleeping.
    pub spin: Duration,
    /// Whether the kernel sends cells when they are due. If so, lateness is that of handing them over too late.
    pub launch_times: LaunchTimes,
    /// Datagrams the system refused to send. Each is lost, as if by the network.
    pub send_errors: u64,
    /// Errors the system reported instead of a datagram: unreachable ports and the like. All survived.
    pub receive_errors: u64,
    /// Slow jobs that panicked, as in a broken signer.
    pub job_panics: u64,
    /// How often a call of the application woke the loop. Where traffic is protected no `send` is among them.
    pub wakes: u64,
}
