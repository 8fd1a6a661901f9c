//! The grid: which session owns which slot, decided before any queue is looked at.
//!
//! Slots are `interval` apart, for all sessions together, counted from the driver's origin. A round has as many slots
//! as there are sessions, rounded up to a power of two so that a peer learns from its own rate no more than that; the
//! slots beyond the sessions are silent. Each round is a permutation of owners and silences, drawn a slot at a time
//! (Fisher and Yates's shuffle, a step a slot) from a key that nothing else uses: one draw a slot, whatever its owner
//! does with it, so that no slot costs more than another and a round is settled by the key alone. Sessions join between
//! rounds; one that leaves has no slot from the next round on.

use alloc::vec::Vec;

use crate::config::Traffic;
use crate::random::Stream;
use crate::secret::Secret;
use crate::time::{Instant, nanos};

pub(crate) struct Grid {
    interval: u64,
    lead: u64,
    /// Sessions: first those whose slot of this round is still to come, then those that have had it or that joined since
    /// the round began. Where one stands follows from joins, leaves and draws alone.
    owners: Vec<u32>,
    /// How many still have their slot of this round to come.
    waiting: usize,
    /// Slots of this round, and those still to come.
    len: usize,
    left: usize,
    /// The next slot, counted from the origin. Meaningless while the grid stands still.
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
            owners: Vec::new(),
            waiting: 0,
            len: 0,
            left: 0,
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
        self.len
    }

    pub(crate) fn arm(&mut self, now: Instant) {
        self.armed = self.armed.max(now.as_nanos());
    }

    fn is_running(&self) -> bool {
        self.len > 0
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

    /// Gives a session slots, from the next round on. A grid that stood still starts with it, at the first slot that can
    /// be sealed in time.
    pub(crate) fn join(&mut self, session: u32, now: Instant) {
        self.owners.push(session);
        if !self.is_running() {
            self.begin_round();
            // At the end of time there is no such slot.
            let from = now.as_nanos().checked_add(self.lead);
            self.slot = from.map_or(u64::MAX, |from| from / self.interval + 1);
        }
    }

    /// Takes the slots of later rounds from `session`, whose slot was the last one handed out. Those that wait for theirs
    /// stay where they are: no slot of this round gets another owner for it.
    pub(crate) fn leave(&mut self, session: u32) {
        if self.owners.get(self.waiting) == Some(&session) {
            self.owners.swap_remove(self.waiting);
        }
    }

    /// Stops, without sessions.
    pub(crate) fn clear(&mut self) {
        self.owners.clear();
        self.begin_round();
    }

    /// The next step that is due.
    pub(crate) fn step(&mut self) -> Step {
        self.skip_late();
        while self.is_running() {
            if self.left == 0 {
                self.begin_round();
                continue;
            }
            let Some(at) = self.time().filter(|&at| at <= self.armed.saturating_add(self.lead)) else { break };
            self.slot += 1;
            if let Some(owner) = self.draw() {
                return Step::Slot(owner, Instant::from_nanos(at));
            }
        }
        Step::Wait
    }

    /// The owner of the next slot, if it has one: a place among those left in the round, each as likely as any other.
    fn draw(&mut self) -> Option<u32> {
        let place = if self.left > 1 { self.permutation.below(self.left as u64) as usize } else { 0 };
        self.left -= 1;
        if place >= self.waiting {
            return None;
        }
        self.waiting -= 1;
        self.owners.swap(place, self.waiting);
        Some(self.owners[self.waiting])
    }

    #[cfg(b4ae_mutants)]
    pub(crate) fn draw_once_more(&mut self) {
        self.permutation.below(2);
    }

    /// Passes over the slots whose successor is due already: sent now, they would be a burst, and its length would
    /// tell how long the driver was away. The owners of those of this round are drawn, so that the others' do not
    /// depend on how late the driver was; of later rounds that passed whole, nothing is left to depend on it.
    fn skip_late(&mut self) {
        #[cfg(b4ae_mutants)]
        if self.burst_catch_up {
            return;
        }
        if !self.is_running() {
            return;
        }
        let late = (self.armed / self.interval).saturating_sub(self.slot);
        if late == 0 {
            return;
        }
        let in_round = self.left as u64;
        for _ in 0..late.min(in_round) {
            self.skipped += u64::from(self.draw().is_some());
        }
        self.slot += late;
        if late > in_round {
            self.skipped += (late - in_round) / self.len as u64 * self.owners.len() as u64;
        }
    }

    /// Begins a round for all that are there, or stops if nobody is.
    fn begin_round(&mut self) {
        self.waiting = self.owners.len();
        self.len = if self.owners.is_empty() { 0 } else { self.owners.len().next_power_of_two() };
        self.left = self.len;
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeMap, BTreeSet};

    use super::*;

    const INTERVAL: u64 = 10_000_000;
    const LEAD: u64 = 2_000_000;

    fn at(slots: u64) -> Instant {
        Instant::from_nanos(slots * INTERVAL)
    }

    /// A grid that so many sessions have joined together.
    fn started(key: u8, sessions: u32) -> Grid {
        let mut grid = Grid::new(&Traffic::balanced(), Secret::new([key; 32]));
        join_all(&mut grid, 0..sessions);
        grid
    }

    /// Joins that none of which begins a round of its own.
    fn join_all(grid: &mut Grid, sessions: impl Iterator<Item = u32>) {
        sessions.for_each(|session| grid.join(session, Instant::ORIGIN));
        grid.begin_round();
    }

    /// Runs the grid to `until`, in steps of a millisecond; the slots in order.
    fn run(grid: &mut Grid, from: u64, until: u64) -> Vec<(u32, u64)> {
        let mut slots = Vec::new();
        for now in (from..=until).step_by(1_000_000) {
            grid.arm(Instant::from_nanos(now));
            while let Step::Slot(owner, at) = grid.step() {
                slots.push((owner, at.as_nanos()));
            }
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

    /// Chi-squared over the 24 orders of three owners and a silence: 23 degrees of freedom, and a limit that one key in
    /// ten thousand exceeds.
    #[test]
    fn every_order_is_as_likely_as_any_other() {
        const ROUNDS: u32 = 24_000;
        let mut seen = BTreeMap::<Vec<Option<u32>>, u32>::new();
        let mut grid = started(2, 3);
        for _ in 0..ROUNDS {
            let round: Vec<_> = (0..4).map(|_| grid.draw()).collect();
            *seen.entry(round).or_default() += 1;
            grid.begin_round();
        }
        assert_eq!(seen.len(), 24);
        let expected = f64::from(ROUNDS) / 24.0;
        let chi_squared: f64 = seen.values().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        assert!(chi_squared < 56.0, "{chi_squared}");
    }

    #[test]
    fn owners_follow_from_the_key_alone() {
        let run = |key, sessions| run(&mut started(key, sessions), 0, 100 * INTERVAL);
        assert_eq!(run(3, 5), run(3, 5));
        assert_ne!(run(3, 5), run(4, 5));
    }

    #[test]
    fn joins_wait_for_the_next_round() {
        let mut grid = started(3, 4);
        let (before, mut undisturbed) = (owners(&mut grid, 2), started(3, 4));
        (4..7).for_each(|session| grid.join(session, Instant::ORIGIN));
        assert_eq!([before, owners(&mut grid, 2)].concat(), owners(&mut undisturbed, 4));
        let mut round = owners(&mut grid, 8);
        round.sort_unstable();
        assert_eq!(round, [&[None], &[0, 1, 2, 3, 4, 5, 6].map(Some)[..]].concat());
    }

    #[test]
    fn one_that_leaves_has_no_slot_from_the_next_round_on_and_takes_nobodys() {
        for sessions in 1..7 {
            for leaver in 0..sessions {
                for joins in 0..3 {
                    let (mut grid, mut undisturbed) = (started(4, sessions), started(4, sessions));
                    (0..joins).for_each(|n| grid.join(100 + n, Instant::ORIGIN));
                    let round = sessions.next_power_of_two();
                    for _ in 0..round {
                        let owner = grid.draw();
                        assert_eq!(owner, undisturbed.draw());
                        if owner == Some(leaver) {
                            grid.leave(leaver);
                        }
                    }
                    grid.begin_round();
                    let stay: BTreeSet<_> = (0..sessions).filter(|&n| n != leaver).chain(100..100 + joins).collect();
                    let slots = stay.len().checked_next_power_of_two().filter(|_| !stay.is_empty()).unwrap_or(0);
                    assert_eq!(grid.round_len(), slots);
                    let next: Vec<_> = (0..slots).filter_map(|_| grid.draw()).collect();
                    assert!(next.len() == stay.len() && next.into_iter().collect::<BTreeSet<_>>() == stay);
                }
            }
        }
    }

    #[test]
    fn only_the_owner_of_the_last_slot_leaves() {
        let mut grid = started(4, 2);
        grid.leave(0);
        let first = grid.draw().unwrap();
        grid.leave(1 - first);
        assert_eq!(grid.draw(), Some(1 - first));
        grid.begin_round();
        assert_eq!(grid.round_len(), 2);
    }

    #[test]
    fn a_slot_is_sealed_a_lead_ahead_and_never_before() {
        let mut grid = started(5, 1);
        assert_eq!(grid.next_seal(), Some(Instant::from_nanos(INTERVAL - LEAD)));
        grid.arm(Instant::from_nanos(INTERVAL - LEAD - 1));
        assert_eq!(grid.step(), Step::Wait);
        grid.arm(Instant::from_nanos(INTERVAL - LEAD));
        assert_eq!(grid.step(), Step::Slot(0, at(1)));
        assert_eq!(grid.step(), Step::Wait);
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
                late.arm(at(next));
                late.skip_late();
                assert_eq!(late.slot, next);
                slots.extend((next..=round).map(|_| late.draw()));
                let missed = expected.drain(from.max(1) as usize..(next - 1) as usize).flatten().count();
                assert_eq!((slots, late.skipped()), (expected, missed as u64));
            }
        }
    }

    #[test]
    fn a_suspension_of_a_year_costs_no_more_than_a_round() {
        let mut grid = started(7, 64);
        run(&mut grid, 0, 10 * INTERVAL);
        let mut other = started(7, 64);
        run(&mut other, 0, 10 * INTERVAL);
        grid.arm(Instant::from_nanos(31_536_000 * 1_000_000_000));
        let slots = core::iter::from_fn(|| (grid.step() != Step::Wait).then_some(())).count();
        assert!(slots <= 1, "{slots} slots");
        // Of the rest of that round, and of the slot that is sent.
        (0..other.left).for_each(|_| _ = other.draw());
        other.begin_round();
        other.draw();
        assert_eq!(grid.permutation.bytes::<8>(), other.permutation.bytes::<8>());
    }

    #[test]
    fn a_grid_without_sessions_stands_still() {
        let mut grid = started(8, 2);
        grid.clear();
        let now = Instant::from_nanos(1 << 40);
        grid.arm(now);
        assert_eq!((grid.step(), grid.next_seal()), (Step::Wait, None));
        grid.join(0, now);
        assert!(grid.next_seal().is_some_and(|at| at > now));
        // The last one to leave stops it.
        let due = grid.next_seal().unwrap();
        grid.arm(due);
        assert!(matches!(grid.step(), Step::Slot(0, _)));
        grid.leave(0);
        assert_eq!((grid.step(), grid.next_seal()), (Step::Wait, None));
    }

    #[test]
    fn a_grid_that_begins_at_the_end_of_time_has_no_slot() {
        let traffic = Traffic::balanced();
        for back in [0, 1, nanos(traffic.lead) / 2, nanos(traffic.lead), nanos(traffic.interval) * 2] {
            let mut grid = Grid::new(&traffic, Secret::new([1; 32]));
            let now = Instant::from_nanos(u64::MAX - back);
            grid.arm(now);
            grid.join(0, now);
            assert!(grid.next_seal().is_none_or(|at| at > now), "{back} ns before the end");
        }
    }
}
