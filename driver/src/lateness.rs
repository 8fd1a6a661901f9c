//! How late cells are handed to the system: a histogram anybody may read while the loop writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets per doubling: a bucket is at most an eighth of its value wide.
const PER_OCTAVE: usize = 8;
/// Octaves above the first eight nanoseconds, up to 2^40 ns (18 minutes).
const BUCKETS: usize = PER_OCTAVE * 38;

/// Log-bucketed durations.
#[derive(Debug)]
pub(crate) struct Lateness {
    buckets: Box<[AtomicU64]>,
    max: AtomicU64,
}

impl Lateness {
    pub(crate) fn new() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), max: AtomicU64::new(0) }
    }

    pub(crate) fn record(&self, late: Duration) {
        let nanos = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.max.fetch_max(nanos, Ordering::Relaxed);
    }

    /// The worst so far.
    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.max.load(Ordering::Relaxed))
    }

    /// The value below which `share` (0.0 to 1.0) of the records lie, to within an eighth; zero without records.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank among fewer than 2^52 records"
    )]
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return Duration::ZERO;
        }
        let rank = ((total as f64 * share).ceil() as u64).clamp(1, total);
        let mut below = 0;
        for (index, count) in counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return Duration::from_nanos(upper_edge(index)).min(self.max());
            }
        }
        self.max()
    }
}

fn bucket(nanos: u64) -> usize {
    let index = match nanos.checked_ilog2() {
        None | Some(0..=2) => nanos,
        Some(exponent) => u64::from(exponent - 2) * PER_OCTAVE as u64 + ((nanos >> (exponent - 3)) & 7),
    };
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// The largest value of a bucket.
fn upper_edge(index: usize) -> u64 {
    let (octave, step) = (index / PER_OCTAVE, index as u64 % PER_OCTAVE as u64);
    match octave {
        0 => step,
        _ => ((PER_OCTAVE as u64 + step + 1) << (octave - 1)) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_at_most_an_eighth_wide() {
        for exponent in 0..39 {
            for offset in [0, 1, 3, 7] {
                let value = (1_u64 << exponent) + offset * (1 << exponent) / 8;
                let edge = upper_edge(bucket(value));
                assert!(edge >= value && edge - value <= value / 8, "{value} in a bucket up to {edge}");
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_records() {
        let lateness = Lateness::new();
        assert_eq!(lateness.quantile(0.5), Duration::ZERO);
        for micros in 1..=1000 {
            lateness.record(Duration::from_micros(micros));
        }
        let near = |got: Duration, want: f64| (got.as_secs_f64() * 1e6 / want - 1.0).abs() < 0.13;
        assert!(near(lateness.quantile(0.5), 500.0));
        assert!(near(lateness.quantile(0.99), 990.0));
        assert_eq!(lateness.max(), Duration::from_millis(1));
        assert_eq!(lateness.quantile(1.0), Duration::from_millis(1));
    }
}
