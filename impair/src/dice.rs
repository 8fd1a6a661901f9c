//! What happens to each datagram, decided by its number.

use std::time::Duration;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use crate::impairment::Impairment;

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// From a client to the server.
    Up,
    /// From the server to a client.
    Down,
}

/// What happens to one datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fate {
    /// It is dropped; the rest then says what would have happened.
    pub lost: bool,
    /// It is sent twice.
    pub duplicated: bool,
    /// It is held back so that others overtake.
    pub reordered: bool,
    /// A bit to flip, to be taken modulo the datagram's bits.
    pub corrupted: Option<u32>,
    /// Jitter of the datagram and of its copy.
    pub jitter: [Duration; 2],
}

/// The fates of one client's datagrams in one direction: a function of seed, client and direction.
///
/// Every datagram draws from a block of its own of a `ChaCha8` stream, the same draws whatever the settings, so turning
/// one impairment on does not change what the others do.
#[derive(Debug)]
pub struct Dice {
    settings: Impairment,
    rng: ChaCha8Rng,
    next: u64,
    in_burst: bool,
}

impl Dice {
    /// The fates under `settings`, from datagram number zero on.
    pub fn new(settings: &Impairment, seed: u64, client: u32, direction: Direction) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(client) << 1 | u64::from(direction == Direction::Down));
        Self { settings: *settings, rng, next: 0, in_burst: false }
    }

    /// The next datagram's fate.
    pub fn roll(&mut self) -> Fate {
        self.rng.set_block_pos(self.next);
        self.next += 1;
        let s = self.settings;
        let [loss, duplicate, reorder, corrupt] = [(); 4].map(|()| unit(self.rng.next_u32()));
        let bit = self.rng.next_u32();
        let jitter = [(); 2].map(|()| s.jitter.mul_f64(unit(self.rng.next_u32())));
        Fate {
            lost: self.lose(loss),
            duplicated: duplicate < s.duplicate,
            reordered: reorder < s.reorder,
            corrupted: (corrupt < s.corrupt).then_some(bit),
            jitter,
        }
    }

    /// Gilbert's model: a chain of two states, of which the bad one loses everything.
    fn lose(&mut self, draw: f64) -> bool {
        let Impairment { loss, burst: Some(length), .. } = self.settings else {
            return draw < self.settings.loss;
        };
        let leave = 1.0 / length;
        let enter = if loss < 1.0 { leave * loss / (1.0 - loss) } else { 1.0 };
        self.in_burst = if self.in_burst { draw >= leave } else { draw < enter };
        self.in_burst
    }
}

/// `draw` as a share in [0, 1).
fn unit(draw: u32) -> f64 {
    f64::from(draw) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: u32 = 100_000;

    fn fates(settings: &Impairment, seed: u64, client: u32, direction: Direction) -> Vec<Fate> {
        let mut dice = Dice::new(settings, seed, client, direction);
        (0..N).map(|_| dice.roll()).collect()
    }

    fn count(fates: &[Fate], what: fn(&Fate) -> bool) -> f64 {
        f64::from(u32::try_from(fates.iter().filter(|f| what(f)).count()).unwrap())
    }

    /// Six standard deviations of a binomial: one seed in a billion falls outside.
    fn assert_share(count: f64, share: f64) {
        let (mean, deviation) = (f64::from(N) * share, (f64::from(N) * share * (1.0 - share)).sqrt());
        assert!((count - mean).abs() < 6.0 * deviation, "{count} of {N}, expected {mean} ± {deviation}");
    }

    fn all() -> Impairment {
        Impairment {
            jitter: Duration::from_millis(8),
            loss: 0.05,
            duplicate: 0.01,
            reorder: 0.02,
            corrupt: 0.03,
            ..Impairment::default()
        }
    }

    #[test]
    fn fates_depend_on_seed_client_and_direction() {
        let one = fates(&all(), 1, 0, Direction::Up);
        assert_eq!(one, fates(&all(), 1, 0, Direction::Up));
        assert_ne!(one, fates(&all(), 2, 0, Direction::Up));
        assert_ne!(one, fates(&all(), 1, 1, Direction::Up));
        assert_ne!(one, fates(&all(), 1, 0, Direction::Down));
    }

    /// A seed in a bug report must mean the same tomorrow.
    #[test]
    fn a_seed_means_the_same_for_good() {
        let lost = |client, direction| {
            let fates = fates(&all(), 42, client, direction);
            fates.iter().enumerate().filter(|(_, f)| f.lost).map(|(i, _)| i).take(4).collect::<Vec<_>>()
        };
        assert_eq!(lost(0, Direction::Up), [21, 34, 49, 139]);
        assert_eq!(lost(7, Direction::Down), [47, 75, 94, 114]);
        assert_eq!(fates(&all(), 42, 0, Direction::Up).iter().filter(|f| f.lost).count(), 5071);
    }

    #[test]
    fn shares_are_what_was_asked() {
        let fates = fates(&all(), 7, 3, Direction::Down);
        assert_share(count(&fates, |f| f.lost), 0.05);
        assert_share(count(&fates, |f| f.duplicated), 0.01);
        assert_share(count(&fates, |f| f.reordered), 0.02);
        assert_share(count(&fates, |f| f.corrupted.is_some()), 0.03);
        assert_share(count(&fates, |f| f.jitter[0] < Duration::from_millis(2)), 0.25);
        assert!(fates.iter().flat_map(|f| f.jitter).all(|j| j <= Duration::from_millis(8)));
    }

    #[test]
    fn one_impairment_does_not_change_another() {
        let loss_only = Impairment { loss: 0.05, ..Impairment::default() };
        let lost = |settings| fates(settings, 9, 0, Direction::Up).iter().map(|f| f.lost).collect::<Vec<_>>();
        assert_eq!(lost(&loss_only), lost(&all()));
    }

    #[test]
    fn bursts_keep_the_share_and_have_the_length_asked() {
        let settings = Impairment { loss: 0.05, burst: Some(8.0), ..Impairment::default() };
        let lost: Vec<bool> = fates(&settings, 11, 0, Direction::Up).iter().map(|f| f.lost).collect();
        let total = lost.iter().filter(|&&l| l).count();
        let bursts = lost.windows(2).filter(|w| !w[0] && w[1]).count();
        // Losses in a row are not independent, so the bound is wider than a binomial's: 15 %.
        assert!((4250..=5750).contains(&total), "{total} lost");
        assert!((68..=92).contains(&(10 * total / bursts)), "{total} lost in {bursts} bursts");
    }

    #[test]
    fn certain_and_impossible_shares_are_exact() {
        let never = Impairment::default();
        let always = Impairment { loss: 1.0, duplicate: 1.0, reorder: 1.0, corrupt: 1.0, ..never };
        assert!(fates(&never, 5, 0, Direction::Up).iter().all(|f| {
            !f.lost && !f.duplicated && !f.reordered && f.corrupted.is_none() && f.jitter == [Duration::ZERO; 2]
        }));
        assert!(
            fates(&always, 5, 0, Direction::Up)
                .iter()
                .all(|f| f.lost && f.duplicated && f.reordered && f.corrupted.is_some())
        );
    }
}
