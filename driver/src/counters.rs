//! Counters of the loop, read by whoever asks for statistics.

use std::sync::atomic::{AtomicU64, Ordering};

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
}
