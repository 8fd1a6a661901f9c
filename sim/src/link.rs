//! One direction of one link: delay, jitter, loss, duplication, reordering, a rate.
//!
//! The emulator is our own: the published ones keep time in `std::time::Instant`, which cannot be made up.

use std::time::Duration;

use b4ae_core::Instant;

use crate::draws::{chance, up_to};

/// How datagrams get lost.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Loss {
    /// Not at all.
    #[default]
    None,
    /// Each by itself, this many in a thousand.
    Independent(u16),
    /// In bursts (Gilbert-Elliott): a good and a bad state, each with its own loss.
    Burst {
        /// Chance in a thousand, per datagram, of going from good to bad.
        enter: u16,
        /// Chance in a thousand, per datagram, of going from bad to good.
        leave: u16,
        /// Losses in a thousand while good.
        good: u16,
        /// Losses in a thousand while bad.
        bad: u16,
    },
}

/// How one direction of a link treats datagrams.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LinkConfig {
    /// Time on the way, at least.
    pub delay: Duration,
    /// Up to this much more, evenly; by itself it does not reorder.
    pub jitter: Duration,
    /// How datagrams get lost.
    pub loss: Loss,
    /// Datagrams in a thousand that arrive twice, the second with a delay of its own.
    pub duplicate: u16,
    /// Datagrams in a thousand that may overtake or be overtaken.
    pub reorder: u16,
    /// Bytes per second; `None` for as many as come.
    pub rate: Option<u64>,
    /// How long a datagram may wait for its turn at `rate` before it is dropped instead.
    pub buffer: Duration,
}

/// Networks by name, from the plainest up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Network {
    /// One millisecond, nothing else.
    #[default]
    Perfect,
    /// 0.3 to 0.4 ms.
    Lan,
    /// 40 to 50 ms, 0.5 % loss, a little reordering.
    Wan,
    /// 60 to 100 ms, loss in bursts, some duplicates and reordering.
    Mobile,
    /// 20 to 60 ms, 30 % loss, 30 % reordered, 10 % doubled.
    Lossy30,
    /// 300 to 320 ms, bursts of loss, 250 kB/s.
    Satellite,
}

impl Network {
    /// Every named network.
    pub const ALL: [Self; 6] = [Self::Perfect, Self::Lan, Self::Wan, Self::Mobile, Self::Lossy30, Self::Satellite];

    /// What the name stands for, in each direction.
    pub const fn config(self) -> LinkConfig {
        let plain = LinkConfig {
            delay: Duration::from_millis(1),
            jitter: Duration::ZERO,
            loss: Loss::None,
            duplicate: 0,
            reorder: 0,
            rate: None,
            buffer: Duration::from_millis(500),
        };
        match self {
            Self::Perfect => plain,
            Self::Lan => LinkConfig { delay: Duration::from_micros(300), jitter: Duration::from_micros(100), ..plain },
            Self::Wan => LinkConfig {
                delay: Duration::from_millis(40),
                jitter: Duration::from_millis(10),
                loss: Loss::Independent(5),
                reorder: 10,
                ..plain
            },
            Self::Mobile => LinkConfig {
                delay: Duration::from_millis(60),
                jitter: Duration::from_millis(40),
                loss: Loss::Burst { enter: 10, leave: 150, good: 2, bad: 600 },
                duplicate: 5,
                reorder: 20,
                ..plain
            },
            Self::Lossy30 => LinkConfig {
                delay: Duration::from_millis(20),
                jitter: Duration::from_millis(40),
                loss: Loss::Independent(300),
                duplicate: 100,
                reorder: 300,
                ..plain
            },
            Self::Satellite => LinkConfig {
                delay: Duration::from_millis(300),
                jitter: Duration::from_millis(20),
                loss: Loss::Burst { enter: 5, leave: 200, good: 1, bad: 500 },
                rate: Some(250_000),
                ..plain
            },
        }
    }
}

/// The state of one direction.
#[derive(Debug)]
pub(crate) struct Link {
    config: LinkConfig,
    rng: fastrand::Rng,
    bad: bool,
    last: Instant,
    free: Instant,
}

impl Link {
    pub(crate) const fn new(config: LinkConfig, rng: fastrand::Rng) -> Self {
        Self { config, rng, bad: false, last: Instant::ORIGIN, free: Instant::ORIGIN }
    }

    pub(crate) const fn set(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// When a datagram of `len` bytes that enters now arrives: not at all, once or twice.
    pub(crate) fn carry(&mut self, now: Instant, len: usize) -> [Option<Instant>; 2] {
        let lost = self.loses();
        let doubled = chance(&mut self.rng, self.config.duplicate);
        let (first, second) = (self.delay(), self.delay());
        let overtakes = chance(&mut self.rng, self.config.reorder);
        let Some(out) = self.leaves_queue(now, len).filter(|_| !lost) else { return [None, None] };
        let arrival = out + first;
        let arrival = if overtakes { arrival } else { arrival.max(self.last) };
        if !overtakes {
            self.last = arrival;
        }
        [Some(arrival), doubled.then_some(out + second)]
    }

    fn delay(&mut self) -> Duration {
        let jitter = u64::try_from(self.config.jitter.as_nanos()).unwrap_or(u64::MAX);
        self.config.delay + Duration::from_nanos(up_to(&mut self.rng, jitter))
    }

    fn loses(&mut self) -> bool {
        match self.config.loss {
            Loss::None => false,
            Loss::Independent(permille) => chance(&mut self.rng, permille),
            Loss::Burst { enter, leave, good, bad } => {
                let turns = chance(&mut self.rng, if self.bad { leave } else { enter });
                self.bad ^= turns;
                chance(&mut self.rng, if self.bad { bad } else { good })
            }
        }
    }

    /// When the last byte is on the line, or `None` when the buffer is full.
    fn leaves_queue(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate) = self.config.rate else { return Some(now) };
        let start = self.free.max(now);
        if start - now > self.config.buffer {
            return None;
        }
        self.free = start + Duration::from_nanos((len as u64).saturating_mul(1_000_000_000) / rate.max(1));
        Some(self.free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(config: LinkConfig) -> Link {
        Link::new(config, fastrand::Rng::with_seed(1))
    }

    #[test]
    fn thirty_percent_loss_loses_thirty_percent() {
        let mut link = link(Network::Lossy30.config());
        let arrived = (0..10_000).filter(|_| link.carry(Instant::ORIGIN, 1200)[0].is_some()).count();
        assert!((6_800..7_200).contains(&arrived), "{arrived}");
    }

    #[test]
    fn burst_loss_comes_in_bursts() {
        let config =
            LinkConfig { loss: Loss::Burst { enter: 10, leave: 100, good: 0, bad: 1000 }, ..LinkConfig::default() };
        let mut link = link(config);
        let lost: Vec<bool> = (0..100_000).map(|_| link.carry(Instant::ORIGIN, 1200)[0].is_none()).collect();
        let losses = lost.iter().filter(|lost| **lost).count();
        let runs = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        assert!(losses > 6 * runs, "{losses} losses in {runs} runs; the mean run is ten");
    }

    #[test]
    fn jitter_alone_keeps_the_order_and_reordering_does_not() {
        let ordered = |reorder| {
            let mut link = link(LinkConfig { jitter: Duration::from_millis(50), reorder, ..LinkConfig::default() });
            let times: Vec<_> =
                (0..1000).filter_map(|n| link.carry(Instant::from_nanos(n * 1_000_000), 1200)[0]).collect();
            times.is_sorted()
        };
        assert!(ordered(0));
        assert!(!ordered(300));
    }

    #[test]
    fn a_rate_spaces_datagrams_and_a_full_buffer_drops_them() {
        let config = LinkConfig { rate: Some(120_000), buffer: Duration::from_millis(100), ..LinkConfig::default() };
        let mut link = link(config);
        let times: Vec<_> = (0..50).filter_map(|_| link.carry(Instant::ORIGIN, 1200)[0]).collect();
        assert_eq!(times.len(), 11, "ten wait up to 100 ms, one is on the line");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == Duration::from_millis(10)));
    }
}
