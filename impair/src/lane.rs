//! One client's datagrams in one direction, waiting for their release.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::time::Instant;

use crate::dice::{Dice, Direction};
use crate::impairment::Impairment;
use crate::record::Totals;

/// Takes datagrams in, decides their fate, gives them back when they are due.
pub(crate) struct Lane {
    settings: Impairment,
    dice: Dice,
    waiting: BinaryHeap<Waiting>,
    /// Bytes waiting, and how many there may be.
    bytes: usize,
    capacity: usize,
    /// When the link has sent all that came before, under a rate.
    link_free: Instant,
    /// When the last datagram that was not reordered is released.
    last_release: Instant,
    next: u64,
}

struct Waiting {
    release: Instant,
    number: u64,
    datagram: Vec<u8>,
}

impl Lane {
    pub(crate) fn new(
        settings: &Impairment,
        seed: u64,
        client: u32,
        direction: Direction,
        capacity: usize,
        now: Instant,
    ) -> Self {
        Self {
            settings: *settings,
            dice: Dice::new(settings, seed, client, direction),
            waiting: BinaryHeap::new(),
            bytes: 0,
            capacity,
            link_free: now,
            last_release: now,
            next: 0,
        }
    }

    /// Takes one datagram in and returns what was done to it.
    pub(crate) fn push(&mut self, now: Instant, datagram: &[u8]) -> Totals {
        let mut done = Totals { received: 1, received_bytes: datagram.len() as u64, ..Totals::default() };
        let fate = self.dice.roll();
        if fate.lost {
            done.lost = 1;
            return done;
        }
        let mut datagram = datagram.to_vec();
        if let (Some(bit), bits @ 1..) = (fate.corrupted, datagram.len() * 8) {
            let bit = bit as usize % bits;
            datagram[bit / 8] ^= 1 << (bit % 8);
            done.corrupted = 1;
        }
        let copy = fate.duplicated.then(|| datagram.clone());
        if self.enqueue(now, datagram, fate.jitter[0], fate.reordered) {
            done.reordered = u64::from(fate.reordered);
        } else {
            done.overflowed += 1;
        }
        if let Some(copy) = copy {
            if self.enqueue(now, copy, fate.jitter[1], fate.reordered) {
                done.duplicated = 1;
            } else {
                done.overflowed += 1;
            }
        }
        done
    }

    fn enqueue(&mut self, now: Instant, datagram: Vec<u8>, jitter: Duration, reordered: bool) -> bool {
        // An empty datagram takes room too, else their number would have no bound.
        let room = datagram.len() + OVERHEAD;
        if self.bytes + room > self.capacity {
            return false;
        }
        self.bytes += room;
        let sent = match self.settings.rate {
            None => now,
            Some(rate) => {
                let nanos = (datagram.len() as u64 * 8 * 1_000_000_000).div_ceil(rate);
                self.link_free = self.link_free.max(now) + Duration::from_nanos(nanos);
                self.link_free
            }
        };
        let mut release = sent + self.settings.delay + jitter;
        if reordered {
            release += self.settings.reorder_by;
        } else {
            release = release.max(self.last_release);
            self.last_release = release;
        }
        self.waiting.push(Waiting { release, number: self.next, datagram });
        self.next += 1;
        true
    }

    /// When the next datagram is due.
    pub(crate) fn next_release(&self) -> Option<Instant> {
        self.waiting.peek().map(|w| w.release)
    }

    /// The next datagram that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.next_release()? > now {
            return None;
        }
        let datagram = self.waiting.pop()?.datagram;
        self.bytes -= datagram.len() + OVERHEAD;
        Some(datagram)
    }
}

/// What a datagram is taken to occupy beside its bytes.
const OVERHEAD: usize = 64;

impl Ord for Waiting {
    /// Earliest release first, in order of arrival where equal: reversed, as the heap gives its greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.release, other.number).cmp(&(self.release, self.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn lane(settings: &Impairment, capacity: usize) -> (Lane, Instant) {
        let now = Instant::now();
        (Lane::new(settings, 1, 0, Direction::Up, capacity, now), now)
    }

    /// Everything waiting, with the delay after `start` at which it is released.
    fn drain(lane: &mut Lane, start: Instant) -> Vec<(Duration, Vec<u8>)> {
        let mut out = Vec::new();
        while let Some(at) = lane.next_release() {
            assert_eq!(lane.pop(at - Duration::from_nanos(1)), None, "released too early");
            out.push((at - start, lane.pop(at).expect("due now")));
        }
        out
    }

    #[test]
    fn nothing_asked_nothing_changed() {
        let (mut lane, start) = lane(&Impairment::default(), 1 << 20);
        for i in 0..100u8 {
            lane.push(start + MS * u32::from(i), &[i; 100]);
        }
        let expected: Vec<_> = (0..100u8).map(|i| (MS * u32::from(i), vec![i; 100])).collect();
        assert_eq!(drain(&mut lane, start), expected);
    }

    #[test]
    fn jitter_stays_in_bounds_and_keeps_order() {
        let settings = Impairment { delay: 50 * MS, jitter: 5 * MS, ..Impairment::default() };
        let (mut lane, start) = lane(&settings, 1 << 20);
        for i in 0..200u8 {
            lane.push(start + MS * u32::from(i), &[i]);
        }
        let mut longest = Duration::ZERO;
        for (i, (delay, datagram)) in (0u8..).zip(drain(&mut lane, start)) {
            assert_eq!(datagram, [i]);
            let least = MS * u32::from(i) + 50 * MS;
            assert!(delay >= least && delay < least + 5 * MS, "{delay:?}, asked at least {least:?}");
            longest = longest.max(delay.saturating_sub(least));
        }
        assert!(longest > 4 * MS, "no jitter above {longest:?} in 200 datagrams");
    }

    #[test]
    fn a_rate_spaces_datagrams() {
        let settings = Impairment { rate: Some(800_000), ..Impairment::default() };
        let (mut lane, start) = lane(&settings, 1 << 20);
        for i in 0..10u8 {
            lane.push(start, &[i; 100]);
        }
        let delays: Vec<_> = drain(&mut lane, start).into_iter().map(|(delay, _)| delay).collect();
        assert_eq!(delays, (1..=10).map(|i| MS * i).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_queue_drops_what_comes_and_recovers() {
        let settings = Impairment { delay: 10 * MS, ..Impairment::default() };
        let (mut lane, start) = lane(&settings, 3 * (100 + OVERHEAD));
        let done: Vec<u64> = (0..5u8).map(|i| lane.push(start, &[i; 100]).overflowed).collect();
        assert_eq!(done, [0, 0, 0, 1, 1]);
        assert_eq!(drain(&mut lane, start).len(), 3);
        assert_eq!(lane.push(start + 20 * MS, &[9; 100]).overflowed, 0);
    }

    #[test]
    fn empty_datagrams_are_bounded_too() {
        let settings = Impairment { delay: 10 * MS, corrupt: 1.0, ..Impairment::default() };
        let (mut lane, start) = lane(&settings, 4 * OVERHEAD);
        for _ in 0..100 {
            lane.push(start, &[]);
        }
        assert_eq!(drain(&mut lane, start).len(), 4);
    }

    #[test]
    fn a_reordered_datagram_is_overtaken() {
        let settings = Impairment { reorder: 0.1, reorder_by: 10 * MS, ..Impairment::default() };
        let (mut lane, start) = lane(&settings, 1 << 20);
        let held: u64 = (0..200u8).map(|i| lane.push(start + MS * u32::from(i), &[i]).reordered).sum();
        let order: Vec<u8> = drain(&mut lane, start).into_iter().map(|(_, datagram)| datagram[0]).collect();
        let overtaken = order.windows(2).filter(|w| w[0] > w[1]).count();
        assert!(held > 0 && overtaken > 0, "{held} held back, {overtaken} overtaken");
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..200u8).collect::<Vec<_>>());
    }

    #[test]
    fn corruption_flips_exactly_one_bit() {
        let (mut lane, start) = lane(&Impairment { corrupt: 1.0, ..Impairment::default() }, 1 << 20);
        for _ in 0..100 {
            lane.push(start, &[0; 100]);
        }
        for (_, datagram) in drain(&mut lane, start) {
            assert_eq!(datagram.iter().map(|b| b.count_ones()).sum::<u32>(), 1);
        }
    }
}
