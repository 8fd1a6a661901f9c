//! The grid: which session owns which slot, decided before any queue is looked at.
//!
//! Slots are `interval` apart, for all sessions together, counted from the driver's origin. A round has as many slots
//! as there are sessions, rounded up to a power of two so that a peer learns from its own rate no more than that; the
//! slots beyond the sessions are silent. Each round permutes its owners by a key that nothing else uses. Sessions join
//! and leave between rounds.

use alloc::vec::Vec;

use crate::config::Traffic;
use crate::random::Stream;
use crate::secret::Secret;
use crate::time::{Instant, nanos};

/// A slot that nobody owns.
const SILENT: u32 = u32::MAX;

pub(crate) struct Grid {
    interval: u64,
    lead: u64,
    /// Owners of this round's slots.
    round: Vec<u32>,
    /// The next slot's place in the round.
    place: usize,
    /// The next slot, counted from the origin. Meaningless while the round is empty.
    slot: u64,
    permutation: Stream,
    /// The time of the last `handle_timeout`: nothing else brings a cell forth.
    armed: u64,
    skipped: u64,
    #[cfg(b4ae_mutants)]
    pub(crate) burst_catch_up: bool,
}

/// What to do at this point of the grid.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// The round is over: begin the next with [`Grid::begin_round`].
    Round,
    /// This session owns the slot at this time.
    Slot(u32, Instant),
    /// Nothing is due yet.
    Wait,
}

impl Grid {
    pub(crate) fn new(traffic: &Traffic, key: Secret<32>) -> Self {
        Self {
            interval: nanos(traffic.interval),
            lead: nanos(traffic.lead),
            round: Vec::new(),
            place: 0,
            slot: 0,
            permutation: Stream::new(key),
            armed: 0,
            skipped: 0,
            #[cfg(b4ae_mutants)]
            burst_catch_up: false,
        }
    }

    /// Slots that passed while the driver was away, and had an owner.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Slots of a round.
    pub(crate) fn round_len(&self) -> usize {
        self.round.len()
    }

    pub(crate) fn arm(&mut self, now: Instant) {
        self.armed = self.armed.max(now.as_nanos());
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.round.is_empty()
    }

    /// When the next slot is; never, past the end of time.
    fn time(&self) -> Option<u64> {
        self.slot.checked_mul(self.interval)
    }

    /// When the next slot is to be sealed.
    pub(crate) fn next_seal(&self) -> Option<Instant> {
        let at = self.time().filter(|_| self.is_running())?;
        Some(Instant::from_nanos(at.saturating_sub(self.lead)))
    }

    /// The next step that is due.
    pub(crate) fn step(&mut self) -> Step {
        if !self.is_running() {
            return Step::Wait;
        }
        self.skip_late();
        while let Some(&owner) = self.round.get(self.place) {
            let Some(at) = self.time().filter(|&at| at <= self.armed.saturating_add(self.lead)) else {
                return Step::Wait;
            };
            self.place += 1;
            self.slot += 1;
            if owner != SILENT {
                return Step::Slot(owner, Instant::from_nanos(at));
            }
        }
        Step::Round
    }

    /// Passes over the slots whose successor is due already: sent now, they would be a burst, and its length would
    /// tell how long the driver was away.
    fn skip_late(&mut self) {
        #[cfg(b4ae_mutants)]
        if self.burst_catch_up {
            return;
        }
        let late = (self.armed / self.interval).saturating_sub(self.slot);
        if late == 0 {
            return;
        }
        let in_round = (self.round.len() - self.place) as u64;
        let passed = usize::try_from(late.min(in_round)).unwrap_or(usize::MAX);
        let owned = |owners: &[u32]| owners.iter().filter(|&&owner| owner != SILENT).count() as u64;
        self.skipped += owned(&self.round[self.place..self.place + passed]);
        self.place += passed;
        self.slot += late;
        if late > in_round {
            let rounds = (late - in_round) / self.round.len() as u64;
            self.skipped += rounds * owned(&self.round);
        }
    }

    /// Begins a round for `owners`, or stops the grid if there are none. A grid that stood still starts at the first
    /// slot that can be sealed in time.
    pub(crate) fn begin_round(&mut self, owners: impl Iterator<Item = u32>, now: Instant) {
        let was_running = self.is_running();
        self.round.clear();
        self.round.extend(owners);
        self.place = 0;
        if self.round.is_empty() {
            return;
        }
        self.round.resize(self.round.len().next_power_of_two(), SILENT);
        for i in (1..self.round.len()).rev() {
            let j = self.permutation.below(i as u64 + 1) as usize;
            self.round.swap(i, j);
        }
        if !was_running {
            // At the end of time there is no such slot.
            let from = now.as_nanos().checked_add(self.lead);
            self.slot = from.map_or(u64::MAX, |from| from / self.interval + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    const INTERVAL: u64 = 10_000_000;
    const LEAD: u64 = 2_000_000;

    fn grid(key: u8) -> Grid {
        Grid::new(&Traffic::balanced(), Secret::new([key; 32]))
    }

    /// Runs the grid to `until`, in steps of a millisecond, for `sessions`; the slots in order.
    fn run(grid: &mut Grid, sessions: u32, from: u64, until: u64) -> Vec<(u32, u64)> {
        let mut slots = Vec::new();
        for now in (from..=until).step_by(1_000_000) {
            let now = Instant::from_nanos(now);
            grid.arm(now);
            loop {
                match grid.step() {
                    Step::Wait => break,
                    Step::Round => grid.begin_round(0..sessions, now),
                    Step::Slot(owner, at) => slots.push((owner, at.as_nanos())),
                }
            }
        }
        slots
    }

    fn started(key: u8, sessions: u32) -> Grid {
        let mut grid = grid(key);
        grid.begin_round(0..sessions, Instant::ORIGIN);
        grid
    }

    #[test]
    fn each_session_has_exactly_one_slot_a_round() {
        for sessions in [1_u32, 2, 3, 5, 8, 13] {
            let round = u64::from(sessions.next_power_of_two());
            let slots = run(&mut started(1, sessions), sessions, 0, 40 * round * INTERVAL);
            let first = slots.iter().map(|&(_, at)| at).min().unwrap() / INTERVAL;
            let mut rounds = alloc::collections::BTreeMap::<u64, Vec<u32>>::new();
            for (owner, at) in slots {
                assert_eq!(at % INTERVAL, 0);
                rounds.entry((at / INTERVAL - 1) / round).or_default().push(owner);
            }
            assert_eq!(first.min(round), first);
            rounds.pop_last();
            assert!(rounds.len() >= 39);
            for owners in rounds.values_mut() {
                owners.sort_unstable();
                assert_eq!(*owners, (0..sessions).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn every_order_of_three_owners_and_a_silence_comes_up() {
        let mut seen = BTreeSet::new();
        let mut grid = started(2, 3);
        for _ in 0..400 {
            seen.insert(grid.round.clone());
            grid.begin_round(0..3, Instant::ORIGIN);
        }
        assert_eq!(seen.len(), 24);
    }

    #[test]
    fn owners_follow_from_the_key_alone() {
        let run = |key, sessions| run(&mut started(key, sessions), sessions, 0, 100 * INTERVAL);
        assert_eq!(run(3, 5), run(3, 5));
        assert_ne!(run(3, 5), run(4, 5));
    }

    #[test]
    fn a_slot_is_sealed_a_lead_ahead_and_never_before() {
        let mut grid = started(5, 1);
        assert_eq!(grid.next_seal(), Some(Instant::from_nanos(INTERVAL - LEAD)));
        grid.arm(Instant::from_nanos(INTERVAL - LEAD - 1));
        assert_eq!(grid.step(), Step::Wait);
        grid.arm(Instant::from_nanos(INTERVAL - LEAD));
        assert_eq!(grid.step(), Step::Slot(0, Instant::from_nanos(INTERVAL)));
        assert_eq!(grid.step(), Step::Round);
    }

    #[test]
    fn late_slots_are_skipped_and_never_sent_together() {
        let mut grid = started(6, 4);
        let before = run(&mut grid, 4, 0, 100 * INTERVAL).len() as u64;
        let back = 137 * INTERVAL + INTERVAL / 2;
        // The slot whose successor is not due yet is still sent.
        let burst = run(&mut grid, 4, back, back);
        assert_eq!(burst.iter().map(|&(_, at)| at / INTERVAL).collect::<Vec<_>>(), [137]);
        let after = run(&mut grid, 4, back, 200 * INTERVAL);
        assert!(after.windows(2).all(|pair| pair[1].1 - pair[0].1 == INTERVAL));
        assert_eq!(before + grid.skipped() + 1 + after.len() as u64, 200);
    }

    #[test]
    fn a_suspension_of_a_year_costs_no_more_than_a_round() {
        let mut grid = started(7, 64);
        run(&mut grid, 64, 0, 10 * INTERVAL);
        grid.arm(Instant::from_nanos(31_536_000 * 1_000_000_000));
        let (mut rounds, mut slots) = (0, 0);
        loop {
            match grid.step() {
                Step::Wait => break,
                Step::Round => {
                    rounds += 1;
                    grid.begin_round(0..64, Instant::ORIGIN);
                }
                Step::Slot(..) => slots += 1,
            }
        }
        assert!(rounds <= 2 && slots <= 1, "{rounds} rounds, {slots} slots");
    }

    #[test]
    fn a_grid_without_sessions_stands_still() {
        let mut grid = started(8, 2);
        grid.begin_round(0..0, Instant::ORIGIN);
        grid.arm(Instant::from_nanos(1 << 40));
        assert_eq!((grid.step(), grid.next_seal()), (Step::Wait, None));
        let now = Instant::from_nanos(1 << 40);
        grid.begin_round(0..2, now);
        assert!(grid.next_seal().is_some_and(|at| at > now));
    }

    #[test]
    fn a_grid_that_begins_at_the_end_of_time_has_no_slot() {
        let traffic = Traffic::balanced();
        for back in [0, 1, nanos(traffic.lead) / 2, nanos(traffic.lead), nanos(traffic.interval) * 2] {
            let mut grid = Grid::new(&traffic, Secret::new([1; 32]));
            let now = Instant::from_nanos(u64::MAX - back);
            grid.arm(now);
            grid.begin_round([0].into_iter(), now);
            assert!(grid.next_seal().is_none_or(|at| at > now), "{back} ns before the end");
        }
    }
}
