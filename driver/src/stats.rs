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
        /// The `SCHED_FIFO` priority.
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

impl fmt::Display for Pacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RealTime { priority } => write!(f, "own thread, SCHED_FIFO priority {priority}"),
            Self::Normal { why } => write!(f, "own thread, normal priority: {why}"),
            Self::Runtime => f.write_str("a task of the application's runtime: slots wait for it when it is busy"),
        }
    }
}

/// An endpoint's numbers since it was made.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// The engine's counters, at most a few tenths of a second old.
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
    /// Datagrams the system refused to send. Each is lost, as if by the network.
    pub send_errors: u64,
    /// Errors the system reported instead of a datagram: unreachable ports and the like. All survived.
    pub receive_errors: u64,
    /// Slow jobs that panicked, as in a broken signer.
    pub job_panics: u64,
    /// How often a call of the application woke the loop. On a constant grid no `send` is among them.
    pub wakes: u64,
}
