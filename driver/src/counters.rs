//! Counters of the loop, read by whoever asks for statistics.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::LaunchTimes;
use crate::launch::Launch;

/// A count that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.add_many(1);
    }

    pub(crate) fn add_many(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What [`EndpointStats`](crate::EndpointStats) reports beside the engine's metrics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) slots_sent: Counter,
    pub(crate) slots_skipped: Counter,
    pub(crate) send_errors: Counter,
    pub(crate) receive_errors: Counter,
    pub(crate) job_panics: Counter,
    pub(crate) wakes: Counter,
    pub(crate) timing: Timing,
}

/// How slots are kept in time, beside the thread. Each is said once; the loop never waits for a reader.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    pub(crate) tick: OnceLock<Duration>,
    pub(crate) spin: OnceLock<Duration>,
    /// At the beginning, and once the trial is over.
    pub(crate) launch: [OnceLock<LaunchTimes>; 2],
}

impl Timing {
    /// What is known before the loop begins.
    pub(crate) fn begin(&self, tick: Option<Duration>, spin: Duration, launch: Option<&Result<Launch, String>>) {
        let launch = launch.map(|launch| match launch {
            Ok(_) => LaunchTimes::Trying,
            Err(why) => LaunchTimes::Refused { why: why.clone() },
        });
        let _ = tick.map(|tick| self.tick.set(tick));
        let _ = self.spin.set(spin);
        let _ = launch.map(|launch| self.launch[0].set(launch));
    }

    pub(crate) fn launch_times(&self) -> LaunchTimes {
        let [begun, settled] = &self.launch;
        settled.get().or_else(|| begun.get()).cloned().unwrap_or_default()
    }
}
