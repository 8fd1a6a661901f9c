//! The grid: slots `interval` apart, for all sessions together, each with its owner.
//!
//! Slots are counted from the driver's origin. Round follows round; sessions join between rounds, and one that leaves
//! has no slot from the next round on.

use super::round::Round;
use crate::secret::Secret;

/// Slots this far apart, in nanoseconds, are rare.
const RARE: u64 = 1_000_000_000;

pub(super) struct Grid {
    interval: u64,
    round: Round,
    /// The next slot, counted from the origin. Meaningless while the grid stands still.
    slot: u64,
    skipped: u64,
}

impl Grid {
    pub(super) fn new(interval: u64, key: Secret<32>) -> Self {
        Self { interval, round: Round::new(key), slot: 0, skipped: 0 }
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    pub(super) fn gap(&self) -> u64 {
        self.interval.saturating_mul(self.round.len().max(1) as u64)
    }

    fn is_running(&self) -> bool {
        self.round.len() > 0
    }

    /// When the next slot is; never, past the end of time.
    pub(super) fn time(&self) -> Option<u64> {
        self.slot.checked_mul(self.interval).filter(|_| self.is_running())
    }

    pub(super) fn is_after_rest(&self) -> bool {
        self.interval >= RARE
    }

    /// Gives a session slots, from the next round on. A grid that stood still starts with it.
    pub(super) fn join(&mut self, session: u32, from: Option<u64>) {
        self.round.join(session);
        if !self.is_running() {
            self.begin_round();
            self.slot = from.map_or(u64::MAX, |from| from / self.interval + 1);
        }
    }

    pub(super) fn leave(&mut self, session: u32) {
        self.round.leave(session);
    }

    pub(super) fn clear(&mut self) {
        self.round.clear();
    }

    pub(super) fn step(&mut self, until: u64) -> Option<(u32, u64)> {
        while self.is_running() {
            if self.round.left() == 0 {
                self.begin_round();
                continue;
            }
            let at = self.time().filter(|&at| at <= until)?;
            self.slot += 1;
            if let Some(owner) = self.round.draw() {
                return Some((owner, at));
            }
        }
        None
    }

    /// Passes over the slots whose successor is due already: sent now, they would be a burst, and its length would tell
    /// how long the driver was away. Of later rounds that passed whole nothing is drawn: nothing depends on it.
    pub(super) fn skip_late(&mut self, armed: u64) {
        if !self.is_running() {
            return;
        }
        let late = (armed / self.interval).saturating_sub(self.slot);
        if late == 0 {
            return;
        }
        let in_round = self.round.left() as u64;
        self.skipped += self.round.skip(late);
        self.slot += late;
        if late > in_round {
            self.skipped += (late - in_round) / self.round.len() as u64 * self.round.sessions() as u64;
        }
    }

    /// Begins a round for all that are there, or stops if nobody is.
    fn begin_round(&mut self) {
        self.round.begin(self.round.sessions());
    }

    #[cfg(b4ae_mutants)]
    pub(super) fn draw_once_more(&mut self) {
        self.round.draw_once_more();
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use super::*;

    const INTERVAL: u64 = 10_000_000;
    const LEAD: u64 = 2_000_000;

    /// A grid that so many sessions have joined together.
    fn started(key: u8, sessions: u32) -> Grid {
        let mut grid = Grid::new(INTERVAL, Secret::new([key; 32]));
        (0..sessions).for_each(|session| grid.join(session, Some(LEAD)));
        grid.begin_round();
        grid
    }

    /// The slots handed out to a driver that comes every millisecond.
    fn run(grid: &mut Grid, from: u64, until: u64) -> Vec<(u32, u64)> {
        let mut slots = Vec::new();
        for now in (from..=until).step_by(1_000_000) {
            grid.skip_late(now);
            slots.extend(core::iter::from_fn(|| grid.step(now + LEAD)));
        }
        slots
    }

    /// The owners of the next `slots` slots, silences included.
    fn owners(grid: &mut Grid, slots: u64) -> Vec<Option<u32>> {
        let first = grid.slot;
        let mut owners = alloc::vec![None; slots as usize];
        for (owner, time) in run(grid, first * INTERVAL, (first + slots - 1) * INTERVAL) {
            if let Some(place) = owners.get_mut((time / INTERVAL - first) as usize) {
                *place = Some(owner);
            }
        }
        owners
    }

    #[test]
    fn each_session_has_exactly_one_slot_a_round() {
        for sessions in [1_u32, 2, 3, 5, 8, 13] {
            let round = u64::from(sessions.next_power_of_two());
            let slots = run(&mut started(1, sessions), 0, 40 * round * INTERVAL);
            let mut rounds = BTreeMap::<u64, Vec<u32>>::new();
            for (owner, at) in slots {
                assert_eq!(at % INTERVAL, 0);
                rounds.entry((at / INTERVAL - 1) / round).or_default().push(owner);
            }
            rounds.pop_last();
            assert!(rounds.len() >= 39);
            for owners in rounds.values_mut() {
                owners.sort_unstable();
                assert_eq!(*owners, (0..sessions).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn joins_wait_for_the_next_round() {
        let mut grid = started(3, 4);
        let (before, mut undisturbed) = (owners(&mut grid, 2), started(3, 4));
        (4..7).for_each(|session| grid.join(session, Some(LEAD)));
        assert_eq!([before, owners(&mut grid, 2)].concat(), owners(&mut undisturbed, 4));
        let mut round = owners(&mut grid, 8);
        round.sort_unstable();
        assert_eq!(round, [&[None], &[0, 1, 2, 3, 4, 5, 6].map(Some)[..]].concat());
    }

    #[test]
    fn late_slots_are_skipped_and_never_sent_together() {
        let mut grid = started(6, 4);
        let before = run(&mut grid, 0, 100 * INTERVAL).len() as u64;
        let back = 137 * INTERVAL + INTERVAL / 2;
        // The slot whose successor is not due yet is still sent.
        let burst = run(&mut grid, back, back);
        assert_eq!(burst.iter().map(|&(_, at)| at / INTERVAL).collect::<Vec<_>>(), [137]);
        let after = run(&mut grid, back, 200 * INTERVAL);
        assert!(after.windows(2).all(|pair| pair[1].1 - pair[0].1 == INTERVAL));
        assert_eq!(before + grid.skipped() + 1 + after.len() as u64, 200);
    }

    #[test]
    fn skipping_changes_no_owner_of_the_round() {
        for sessions in [5_u32, 13, 16] {
            let round = u64::from(sessions.next_power_of_two());
            for (from, skipped) in [(1, 1), (2, 3), (0, round - 1), (round - 2, 1)] {
                let (mut late, mut punctual) = (started(7, sessions), started(7, sessions));
                let (mut slots, mut expected) = (owners(&mut late, from.max(1)), owners(&mut punctual, round));
                let next = late.slot + skipped;
                late.skip_late(next * INTERVAL);
                assert_eq!(late.slot, next);
                slots.extend((next..=round).map(|_| late.round.draw()));
                let missed = expected.drain(from.max(1) as usize..(next - 1) as usize).flatten().count();
                assert_eq!((slots, late.skipped()), (expected, missed as u64));
            }
        }
    }

    #[test]
    fn a_suspension_of_a_year_costs_no_more_than_a_round() {
        let (mut grid, mut other) = (started(7, 64), started(7, 64));
        run(&mut grid, 0, 10 * INTERVAL);
        run(&mut other, 0, 10 * INTERVAL);
        let year = 31_536_000 * 1_000_000_000;
        grid.skip_late(year);
        let slots = core::iter::from_fn(|| grid.step(year + LEAD)).count();
        assert!(slots <= 1, "{slots} slots");
        // Of the rest of that round, and of the slot that is sent.
        (0..other.round.left()).for_each(|_| _ = other.round.draw());
        other.begin_round();
        other.round.draw();
        assert_eq!(grid.round.peek(), other.round.peek());
    }
}
