//! How late cells are handed to the system: a histogram anybody may read while the loop writes.

use std::fmt;
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

    /// So many cells were this late.
    pub(crate) fn record(&self, late: Duration, cells: usize) {
        let nanos = nanos(late);
        self.buckets[bucket(nanos)].fetch_add(cells as u64, Ordering::Relaxed);
        self.max.fetch_max(nanos, Ordering::Relaxed);
    }

    /// The worst so far.
    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.max.load(Ordering::Relaxed))
    }

    /// A copy of what has been recorded so far.
    pub(crate) fn snapshot(&self) -> LatenessHistogram {
        LatenessHistogram {
            counts: self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect(),
            max: self.max(),
        }
    }
}

/// How late cells were, as a histogram: buckets at most an eighth of their value wide, from a nanosecond to 18 minutes.
#[derive(Clone, Eq, PartialEq)]
pub struct LatenessHistogram {
    counts: Box<[u64]>,
    max: Duration,
}

impl LatenessHistogram {
    /// Cells recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The worst, exactly.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The value that `share` (0.0 to 1.0) of the records do not exceed, to within an eighth; zero without records.
    pub fn quantile(&self, share: f64) -> Duration {
        let total = self.count();
        if total == 0 {
            return Duration::ZERO;
        }
        let rank = ((total as f64 * share).ceil() as u64).clamp(1, total);
        let mut below = 0;
        for (index, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return Duration::from_nanos(upper_edge(index)).min(self.max);
            }
        }
        self.max
    }

    /// Records that do not exceed `limit`, to within the width of its bucket: what a cumulative bucket of a monitoring
    /// system counts.
    pub fn at_most(&self, limit: Duration) -> u64 {
        let last = bucket(nanos(limit));
        self.counts.iter().take(last + 1).sum()
    }

    /// What was recorded since `earlier`, a copy of the same histogram. The worst of that is known to within an eighth.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let pairs = self.counts.iter().zip(&earlier.counts);
        let counts: Box<[u64]> = pairs.map(|(now, then)| now.saturating_sub(*then)).collect();
        let last = counts.iter().rposition(|&count| count > 0);
        let max = last.map_or(Duration::ZERO, |index| Duration::from_nanos(upper_edge(index)).min(self.max));
        Self { counts, max }
    }
}

/// Limits of the line that `Display` writes: a decade in three steps, as far as slots are apart.
const LINE_MICROS: [u64; 10] = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

/// A line for a log: quantiles, and which share of the cells was no later than some round figures.
impl fmt::Display for LatenessHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99) = (self.quantile(0.5), self.quantile(0.99));
        write!(f, "p50 {p50:.1?}, p99 {p99:.1?}, max {:.1?}", self.max)?;
        let total = self.count();
        for micros in LINE_MICROS {
            let limit = Duration::from_micros(micros);
            let within = self.at_most(limit);
            write!(f, "; {limit:?} {:.2} %", within as f64 / total.max(1) as f64 * 100.0)?;
            if within == total {
                break;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for LatenessHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LatenessHistogram({self})")
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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
        assert_eq!(lateness.snapshot().quantile(0.5), Duration::ZERO);
        for micros in 1..=1000 {
            lateness.record(Duration::from_micros(micros), 1);
        }
        let near = |got: Duration, want: f64| (got.as_secs_f64() * 1e6 / want - 1.0).abs() < 0.13;
        let seen = lateness.snapshot();
        assert!(near(seen.quantile(0.5), 500.0));
        assert!(near(seen.quantile(0.99), 990.0));
        assert_eq!((seen.count(), seen.max()), (1000, Duration::from_millis(1)));
        assert_eq!(seen.quantile(1.0), Duration::from_millis(1));
        assert!(near(Duration::from_micros(seen.at_most(Duration::from_micros(250))), 250.0));
        assert_eq!(seen.at_most(Duration::from_millis(1)), 1000);
    }

    #[test]
    fn what_came_since_is_told_apart_from_what_was() {
        let lateness = Lateness::new();
        lateness.record(Duration::from_millis(80), 1);
        let warm = lateness.snapshot();
        lateness.record(Duration::from_micros(30), 100);
        let since = lateness.snapshot().since(&warm);
        assert_eq!(since.count(), 100);
        assert!(since.max() >= Duration::from_micros(30) && since.max() < Duration::from_micros(34));
        assert_eq!(warm.since(&warm), Lateness::new().snapshot());
    }

    #[test]
    fn a_line_for_a_log_says_quantiles_and_shares_up_to_the_whole() {
        let lateness = Lateness::new();
        for micros in [5, 5, 5, 70] {
            lateness.record(Duration::from_micros(micros), 1);
        }
        let line = lateness.snapshot().to_string();
        assert!(line.starts_with("p50 5"), "{line}");
        assert!(line.ends_with("max 70.0µs; 10µs 75.00 %; 20µs 75.00 %; 50µs 75.00 %; 100µs 100.00 %"), "{line}");
    }
}
