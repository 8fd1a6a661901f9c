//! What is done to datagrams going one way.

use std::fmt;
use std::time::Duration;

/// What is done to the datagrams of each client in one direction. The default does nothing.
///
/// Probabilities are shares between 0.0 and 1.0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// Added to every datagram.
    pub delay: Duration,
    /// At most this much more, uniformly. Does not reorder: a datagram waits for the one before it.
    pub jitter: Duration,
    /// The share of datagrams lost.
    pub loss: f64,
    /// The mean number of datagrams lost in a row, at least 1.0. `None` loses each independently of the others.
    /// Within a burst everything is lost; `loss` stays the share in the long run.
    pub burst: Option<f64>,
    /// The share sent twice, each copy with a jitter of its own.
    pub duplicate: f64,
    /// The share held back by `reorder_by`, so that later ones overtake.
    pub reorder: f64,
    /// How long a reordered datagram is held back. Default 20 ms.
    pub reorder_by: Duration,
    /// The share with one bit flipped.
    pub corrupt: f64,
    /// Bits per second, payload only. What exceeds it queues, and is dropped once the queue is full.
    pub rate: Option<u64>,
}

impl Default for Impairment {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: None,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by: Duration::from_millis(20),
            corrupt: 0.0,
            rate: None,
        }
    }
}

impl Impairment {
    /// Whether the settings make sense together.
    pub fn check(&self) -> Result<(), Invalid> {
        let shares =
            [("loss", self.loss), ("duplicate", self.duplicate), ("reorder", self.reorder), ("corrupt", self.corrupt)];
        for (name, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(Invalid::Share(name));
            }
        }
        if [self.delay, self.jitter, self.reorder_by].iter().any(|&d| d > MAX_DELAY) {
            return Err(Invalid::Delay);
        }
        if let Some(length) = self.burst {
            // Bursts of a mean length L at least one datagram apart lose at most L / (L + 1).
            if !(1.0..=1e6).contains(&length) || self.loss > length / (length + 1.0) {
                return Err(Invalid::Burst);
            }
        }
        if self.rate.is_some_and(|rate| rate < 8) {
            return Err(Invalid::Rate);
        }
        Ok(())
    }
}

const MAX_DELAY: Duration = Duration::from_secs(3600);

/// Why an [`Impairment`] makes no sense.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Invalid {
    /// The named share is not within 0.0 to 1.0.
    Share(&'static str),
    /// A delay is above an hour.
    Delay,
    /// The burst length is below 1, or too short for the loss asked.
    Burst,
    /// The rate is below one byte a second.
    Rate,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(name) => write!(f, "{name} must be between 0 and 1 (or 0% and 100%)"),
            Self::Delay => f.write_str("delay, jitter and reorder-by may be an hour at most"),
            Self::Burst => f.write_str("burst must be at least 1, and loss at most burst / (burst + 1)"),
            Self::Rate => f.write_str("rate must be at least 8 bits a second"),
        }
    }
}

impl std::error::Error for Invalid {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let check = |change: fn(&mut Impairment)| {
            let mut settings = Impairment::default();
            change(&mut settings);
            settings.check()
        };
        assert_eq!(check(|_| ()), Ok(()));
        assert_eq!(check(|s| s.loss = 1.01), Err(Invalid::Share("loss")));
        assert_eq!(check(|s| s.corrupt = f64::NAN), Err(Invalid::Share("corrupt")));
        assert_eq!(check(|s| s.burst = Some(0.5)), Err(Invalid::Burst));
        assert_eq!(check(|s| (s.burst, s.loss) = (Some(2.0), 0.7)), Err(Invalid::Burst));
        assert_eq!(check(|s| s.rate = Some(7)), Err(Invalid::Rate));
        assert_eq!(check(|s| s.delay = Duration::MAX), Err(Invalid::Delay));
    }
}
