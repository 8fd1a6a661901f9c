//! Points in time that have no memory: the gaps between the cells of a session are exponentially distributed.
//!
//! Each session has a process of its own, whose points follow from the key, from how many sessions joined before it,
//! and from when it did. Sessions do not know of one another: a peer does not even learn from its cells how many there
//! are.

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;

use crate::crypto::{burn_stack, stream};
use crate::secret::Secret;

/// A mean gap this long, in nanoseconds, is rare.
const RARE: u64 = 1_000_000_000;
/// Points missed one by one, in mean gaps. After a longer absence a process begins anew: the future is the same either
/// way, since the past does not matter to it, and the work is bounded.
const MISSED: u64 = 8;
/// The natural logarithm of two, in units of 2^-32.
const LN_2: u64 = 2_977_044_472;
/// The time of a point that never comes.
const NEVER: u64 = u64::MAX;

/// The next point of a session. In the order of time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Point {
    at: u64,
    /// Sessions that joined before this one, and gaps drawn before this one: together they name a draw.
    joined: u64,
    drawn: u64,
    session: u32,
}

pub(super) struct Poisson {
    mean: u64,
    tolerance: u64,
    key: Secret<32>,
    /// Every session's next point, but for `next`.
    points: BinaryHeap<Reverse<Point>>,
    /// The next point of the session whose point was the last one handed out.
    next: Option<Point>,
    joined: u64,
    skipped: u64,
}

impl Poisson {
    /// Points `mean` apart, of which those later than `tolerance` are skipped.
    pub(super) fn new(mean: u64, tolerance: u64, key: Secret<32>) -> Self {
        Self { mean, tolerance, key, points: BinaryHeap::new(), next: None, joined: 0, skipped: 0 }
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    pub(super) fn gap(&self) -> u64 {
        self.mean
    }

    /// When the next point is; never, past the end of time.
    pub(super) fn time(&self) -> Option<u64> {
        let others = self.points.peek().map(|Reverse(point)| point.at);
        let at = [others, self.next.map(|point| point.at)].into_iter().flatten().min()?;
        Some(at).filter(|&at| at != NEVER)
    }

    pub(super) fn is_after_rest(&self) -> bool {
        self.mean >= RARE
    }

    /// Gives a session points, the first a gap from now. Room for them is made here: no point allocates.
    pub(super) fn join(&mut self, session: u32, from: Option<u64>) {
        self.put_back();
        let point = Point { at: from.unwrap_or(NEVER), joined: self.joined, drawn: 0, session };
        self.joined += 1;
        let point = self.successor(point, point.at);
        self.points.push(Reverse(point));
    }

    /// Takes out `session`, if the last point handed out was its own.
    pub(super) fn leave(&mut self, session: u32) {
        self.next = self.next.filter(|point| point.session != session);
    }

    pub(super) fn clear(&mut self) {
        self.points.clear();
        self.next = None;
    }

    pub(super) fn step(&mut self, until: u64) -> Option<(u32, u64)> {
        self.put_back();
        let Reverse(point) = *self.points.peek()?;
        if point.at > until || point.at == NEVER {
            return None;
        }
        self.points.pop();
        self.next = Some(self.successor(point, point.at));
        Some((point.session, point.at))
    }

    /// Passes over the points that are later than a fixed time. Two points may be as close as chance has it, so no
    /// point's successor says that it is late; and what a driver that was away still sends are the points of that
    /// fixed time, however long it was.
    pub(super) fn skip_late(&mut self, armed: u64) {
        self.put_back();
        while let Some(&Reverse(point)) = self.points.peek() {
            let late = armed.saturating_sub(point.at);
            if late < self.tolerance {
                return;
            }
            self.points.pop();
            let missed = late / self.mean;
            let next = if missed < MISSED {
                self.skipped += 1;
                self.successor(point, point.at)
            } else {
                self.skipped += missed;
                self.successor(point, armed)
            };
            self.points.push(Reverse(next));
        }
    }

    fn put_back(&mut self) {
        if let Some(point) = self.next.take() {
            // Where it was taken from: there is room.
            self.points.push(Reverse(point));
        }
    }

    /// The point after `point`, a gap from `from`.
    fn successor(&self, point: Point, from: u64) -> Point {
        // At least a nanosecond, so that time goes on.
        let gap = exponential(self.mean, self.bits(point)).max(1);
        burn_stack::<256>();
        Point { at: from.checked_add(gap).unwrap_or(NEVER), drawn: point.drawn + 1, ..point }
    }

    /// The random bits of a session's next gap: no other draw has the same name, nor depends on how many were made.
    #[inline(never)]
    fn bits(&self, point: Point) -> u64 {
        let mut nonce = [0; 12];
        nonce[..6].copy_from_slice(&point.joined.to_le_bytes()[..6]);
        nonce[6..].copy_from_slice(&point.drawn.to_le_bytes()[..6]);
        let mut bits = [0; 8];
        stream::keystream(self.key.expose(), &nonce, &mut bits);
        u64::from_le_bytes(bits)
    }

    /// From now on another draw's gaps.
    #[cfg(b4ae_mutants)]
    pub(super) fn draw_once_more(&mut self) {
        if let Some(point) = &mut self.next {
            point.drawn += 1;
        }
    }

    /// The next point comes sooner.
    #[cfg(b4ae_mutants)]
    pub(super) fn hasten(&mut self) {
        let mean = self.mean;
        if let Some(point) = &mut self.next {
            point.at -= (mean / 4).min(exponential(mean, self.joined) / 2);
        }
    }
}

/// An exponentially distributed number with this mean, from uniform bits: `-mean · ln(bits / 2^64)`, in whole numbers,
/// so that every machine computes the same. At most 45 times the mean.
fn exponential(mean: u64, bits: u64) -> u64 {
    let bits = bits.max(1);
    // bits / 2^64 = (mantissa / 2^63) · 2^-(zeros + 1), the mantissa's quotient in [1, 2).
    let zeros = bits.leading_zeros();
    let mut mantissa = bits << zeros;
    let mut log = 0_u64;
    for _ in 0..32 {
        // A square has twice the logarithm: whether it reaches two is the next binary digit.
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        let reaches = square >> 64 != 0;
        log = log << 1 | u64::from(reaches);
        mantissa = (if reaches { square >> 1 } else { square }) as u64;
    }
    let negative = (u64::from(zeros + 1) << 32) - log;
    let natural = (u128::from(negative) * u128::from(LN_2)) >> 32;
    u64::try_from((natural * u128::from(mean)) >> 32).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use super::*;

    const MEAN: u64 = 100_000_000;
    const TOLERANCE: u64 = 5_000_000;
    const LEAD: u64 = 2_000_000;

    fn started(key: u8, sessions: u32) -> Poisson {
        let mut poisson = Poisson::new(MEAN, TOLERANCE, Secret::new([key; 32]));
        (0..sessions).for_each(|session| poisson.join(session, Some(LEAD)));
        poisson
    }

    /// The points of each session up to `until`.
    fn points(poisson: &mut Poisson, until: u64) -> BTreeMap<u32, Vec<u64>> {
        let mut points = BTreeMap::<u32, Vec<u64>>::new();
        while let Some((session, at)) = poisson.step(until) {
            points.entry(session).or_default().push(at);
        }
        points
    }

    fn gaps(points: &[u64]) -> Vec<f64> {
        points.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect()
    }

    /// The greatest distance between the distribution of these gaps and the exponential one, times the root of their
    /// number (Kolmogorov and Smirnov).
    fn distance(mut gaps: Vec<f64>, mean: f64) -> f64 {
        gaps.sort_by(f64::total_cmp);
        let n = gaps.len() as f64;
        let apart = |(rank, gap): (usize, &f64)| {
            let expected = 1.0 - libm::exp(-gap / mean);
            (expected - rank as f64 / n).abs().max((expected - (rank + 1) as f64 / n).abs())
        };
        gaps.iter().enumerate().map(apart).fold(0.0, f64::max) * n.sqrt()
    }

    /// Of two rows of numbers, times the root of their number: a standard normal variable if they have nothing to do
    /// with each other.
    fn correlation(a: &[f64], b: &[f64]) -> f64 {
        let n = a.len().min(b.len());
        let mean = |x: &[f64]| x[..n].iter().sum::<f64>() / n as f64;
        let (mean_a, mean_b) = (mean(a), mean(b));
        let product = |x: &[f64], mx: f64, y: &[f64], my: f64| -> f64 {
            x[..n].iter().zip(&y[..n]).map(|(x, y)| (x - mx) * (y - my)).sum()
        };
        let both = product(a, mean_a, a, mean_a) * product(b, mean_b, b, mean_b);
        product(a, mean_a, b, mean_b) / both.sqrt() * (n as f64).sqrt()
    }

    /// A distance that one key in a thousand exceeds.
    const FAR: f64 = 1.95;
    /// A correlation that one key in a thousand exceeds, either way.
    const RELATED: f64 = 3.3;

    #[test]
    fn gaps_are_exponential_and_have_no_memory() {
        let all = points(&mut started(1, 3), 4000 * MEAN);
        assert_eq!(all.len(), 3);
        for points in all.values() {
            assert!((3700..4300).contains(&points.len()), "{} points of 4000", points.len());
            let gaps = gaps(points);
            let far = distance(gaps.clone(), MEAN as f64);
            assert!(far < FAR, "{far}");
            // Each gap against the next, and against the one after it.
            for later in [1, 2] {
                let related = correlation(&gaps, &gaps[later..]);
                assert!(related.abs() < RELATED, "{related}");
            }
        }
    }

    #[test]
    fn sessions_are_independent_of_one_another() {
        let all = points(&mut started(2, 4), 4000 * MEAN);
        let gaps: Vec<_> = all.values().map(|points| gaps(points)).collect();
        for (n, one) in gaps.iter().enumerate() {
            for other in &gaps[n + 1..] {
                let related = correlation(one, other);
                assert!(related.abs() < RELATED, "{related}");
            }
        }
        // All together are a process of the same kind, four times as fast: that takes both.
        let mut together: Vec<_> = all.into_values().flatten().collect();
        together.sort_unstable();
        let far = distance(self::gaps(&together), MEAN as f64 / 4.0);
        assert!(far < FAR, "{far}");
    }

    /// What others do does not move a session's points.
    #[test]
    fn a_session_has_the_same_points_whoever_else_is_there() {
        let alone = points(&mut started(3, 1), 500 * MEAN).remove(&0).unwrap();
        let mut crowd = started(3, 1);
        let mut own = Vec::new();
        for until in (1..=500).map(|n| n * MEAN) {
            if until % (7 * MEAN) == 0 {
                crowd.join((until / MEAN) as u32, Some(until));
            }
            while let Some((session, at)) = crowd.step(until) {
                if session == 0 {
                    own.push(at);
                } else if at % 3 == 0 {
                    crowd.leave(session);
                }
            }
        }
        assert_eq!(own, alone);
    }

    #[test]
    fn the_numbers_are_those_of_the_logarithm() {
        let mean = 1_000_000_007_u64;
        let exactly = |bits: u64| -libm::log(bits as f64 / 2_f64.powi(64)) * mean as f64;
        for bits in (1..64).map(|n| u64::MAX >> n).chain((0..1000).map(|n| n * 0x0041_8937_4bc6_a7ef + 1)) {
            let (got, want) = (exponential(mean, bits) as f64, exactly(bits));
            assert!((got - want).abs() < 4.0, "{bits}: {got}, and it is {want}");
        }
        assert_eq!(exponential(mean, u64::MAX), 0);
        assert_eq!(exponential(mean, 0), exponential(mean, 1));
        assert!(exponential(mean, 0) < 45 * mean);
        assert_eq!(exponential(u64::MAX, 0), u64::MAX);
    }

    /// The same on every machine: computed once, by another program (Python's `decimal`, to 50 digits).
    #[test]
    fn the_numbers_are_the_same_everywhere() {
        let mean = 600_000_000_000;
        let known =
            [(1_u64 << 63, 415_888_308_336), (1 << 62, 831_776_616_672), (0xdead_beef_dead_beef, 83_668_525_727)];
        for (bits, gap) in known {
            assert!(exponential(mean, bits).abs_diff(gap) <= 1_000, "{bits}: {}", exponential(mean, bits));
        }
    }

    #[test]
    fn late_points_are_skipped_and_what_is_sent_does_not_tell_how_late() {
        let mut most = 0;
        for away in [10, 100, 1000, 100_000] {
            let mut poisson = started(4, 64);
            points(&mut poisson, 10 * MEAN);
            let armed = 10 * MEAN + away * 10_000_000;
            poisson.skip_late(armed);
            let sent: Vec<_> = core::iter::from_fn(|| poisson.step(armed)).map(|(_, at)| at).collect();
            assert!(sent.iter().all(|&at| armed - at < TOLERANCE));
            most = most.max(sent.len());
            assert!(poisson.skipped() as f64 > 64.0 * away as f64 * 0.1 * 0.8, "{} skipped", poisson.skipped());
        }
        // Of 640 a second, those of five milliseconds.
        assert!(most < 16, "{most} at once");
    }

    #[test]
    fn a_point_is_late_from_its_tolerance_on() {
        for (late, skipped) in [(TOLERANCE - 1, 0), (TOLERANCE, 1)] {
            let mut poisson = started(9, 1);
            poisson.skip_late(poisson.time().unwrap() + late);
            assert_eq!(poisson.skipped(), skipped, "{late} ns late");
        }
    }

    #[test]
    fn a_short_absence_changes_no_later_point_and_a_long_one_not_their_distribution() {
        let (mut late, mut punctual) = (started(5, 3), started(5, 3));
        points(&mut late, 10 * MEAN);
        let all = points(&mut punctual, 100 * MEAN);
        let armed = 13 * MEAN;
        late.skip_late(armed);
        let after = points(&mut late, 100 * MEAN);
        for (session, points) in after {
            let expected = all[&session].iter().copied().filter(|&at| at + TOLERANCE > armed);
            assert_eq!(points, expected.collect::<Vec<_>>());
        }

        // Back again and again: from each return to the next point.
        let mut poisson = started(6, 1);
        let mut first = Vec::new();
        for back in (1..4000).map(|n| n * 100 * MEAN) {
            poisson.skip_late(back);
            let (_, at) = poisson.step(back + 90 * MEAN).unwrap();
            first.push((at - back) as f64);
        }
        let far = distance(first, MEAN as f64);
        assert!(far < FAR, "{far}");
    }

    #[test]
    fn a_suspension_of_a_year_costs_a_few_draws() {
        let mut poisson = started(7, 3);
        points(&mut poisson, 10 * MEAN);
        let drawn = |poisson: &Poisson| poisson.points.iter().map(|Reverse(point)| point.drawn).sum::<u64>();
        let before = drawn(&poisson);
        let year = 31_536_000 * 1_000_000_000;
        poisson.skip_late(year);
        assert!(drawn(&poisson) - before <= 6, "{} draws", drawn(&poisson) - before);
        let expected = (year - 10 * MEAN) / MEAN * 3;
        assert!(poisson.skipped().abs_diff(expected) < 200, "{} of {expected}", poisson.skipped());
    }

    #[test]
    fn no_point_allocates_and_places_are_used_again() {
        let mut poisson = started(8, 100);
        let room = poisson.points.capacity();
        assert!(room <= 128);
        points(&mut poisson, 100 * MEAN);
        for n in 0..1000 {
            let (session, _) = poisson.step(u64::MAX - 1).unwrap();
            poisson.leave(session);
            poisson.join(1000 + n, Some(100 * MEAN));
        }
        assert_eq!((poisson.points.capacity(), poisson.points.len()), (room, 100));
    }
}
