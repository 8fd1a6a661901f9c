//! Groups of cells, `period` apart, and silence between them: for devices that sleep.
//!
//! Group `n` begins at `n · period` from the driver's origin. It has `cells` rounds, so that every session has as many
//! slots, `interval` apart, in orders drawn in advance. Who takes part is settled when its first slot is handed out, a
//! lead before it begins: whoever joins later waits for the next group, and whoever leaves has had all its slots.

use super::round::Round;
use crate::secret::Secret;

pub(super) struct Burst {
    period: u64,
    interval: u64,
    cells: u32,
    round: Round,
    /// The group that is under way or comes next, counted from the origin.
    group: u64,
    /// The next slot of the group. With the first one handed out, the group is under way.
    slot: u64,
    /// Sessions that take part in it.
    members: usize,
    /// Rounds of it that have not begun.
    rounds: u32,
    skipped: u64,
}

impl Burst {
    pub(super) fn new(period: u64, interval: u64, cells: u32, key: Secret<32>) -> Self {
        let round = Round::new(key);
        Self { period, interval, cells, round, group: 0, slot: 0, members: 0, rounds: 0, skipped: 0 }
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    pub(super) fn gap(&self) -> u64 {
        self.period / u64::from(self.cells)
    }

    fn is_under_way(&self) -> bool {
        self.slot > 0
    }

    fn is_running(&self) -> bool {
        self.is_under_way() || self.round.sessions() > 0
    }

    fn start(&self) -> Option<u64> {
        self.group.checked_mul(self.period).filter(|_| self.is_running())
    }

    /// When the next slot is; never, past the end of time.
    pub(super) fn time(&self) -> Option<u64> {
        self.start()?.checked_add(self.slot.checked_mul(self.interval)?)
    }

    pub(super) fn is_after_rest(&self) -> bool {
        !self.is_under_way()
    }

    /// Whether the slot handed out last was its owner's last in its group.
    pub(super) fn is_last_round(&self) -> bool {
        self.rounds == 0
    }

    /// Gives a session slots, from the next group on. Without others, that is the next to begin.
    pub(super) fn join(&mut self, session: u32, from: Option<u64>) {
        if !self.is_running() {
            self.group = from.map_or(u64::MAX, |from| from / self.period + 1);
        }
        self.round.join(session);
    }

    pub(super) fn leave(&mut self, session: u32) {
        if self.is_last_round() {
            self.round.leave(session);
        }
    }

    pub(super) fn clear(&mut self) {
        self.round.clear();
        (self.slot, self.rounds) = (0, 0);
    }

    pub(super) fn step(&mut self, until: u64) -> Option<(u32, u64)> {
        loop {
            let at = self.time().filter(|&at| at <= until)?;
            self.begin();
            self.slot += 1;
            let owner = self.round.draw();
            self.end();
            if let Some(owner) = owner {
                return Some((owner, at));
            }
        }
    }

    /// Passes over the slots whose successor is due already, as on the grid. Owners are drawn for what is skipped of a
    /// round that is not over; the number of draws is bounded by a round.
    pub(super) fn skip_late(&mut self, armed: u64) {
        while let Some(start) = self.start() {
            let late = (armed.saturating_sub(start) / self.interval).saturating_sub(self.slot);
            if late == 0 {
                return;
            }
            if self.is_under_way() {
                self.skip_slots(late);
            } else {
                let slots = u64::from(self.cells) * Round::len_of(self.round.sessions()) as u64;
                // Groups whose successor has begun are over: a group fits into a period.
                let over = (armed / self.period - self.group).max(u64::from(late >= slots));
                if over == 0 {
                    self.begin();
                    self.skip_slots(late);
                } else {
                    let each = u64::from(self.cells) * self.round.sessions() as u64;
                    self.skipped = self.skipped.saturating_add(over.saturating_mul(each));
                    self.group += over;
                }
            }
        }
    }

    /// Passes over up to `late` slots, at most to the end of the round.
    fn skip_slots(&mut self, late: u64) {
        let (left, len) = (self.round.left() as u64, self.round.len() as u64);
        if left == 0 && late >= len {
            self.rounds -= 1;
            self.skipped += self.members as u64;
            self.slot += len;
        } else {
            self.begin();
            let slots = late.min(self.round.left() as u64);
            self.skipped += self.round.skip(slots);
            self.slot += slots;
        }
        self.end();
    }

    /// Begins a group, or a round of it, if the next slot is the first of one.
    fn begin(&mut self) {
        if self.round.left() > 0 {
            return;
        }
        if self.is_under_way() {
            self.rounds -= 1;
        } else {
            self.members = self.round.sessions();
            self.rounds = self.cells - 1;
        }
        self.round.begin(self.members);
    }

    /// Ends the group, if the last slot was its last.
    fn end(&mut self) {
        if self.round.left() == 0 && self.rounds == 0 {
            self.group += 1;
            self.slot = 0;
        }
    }

    #[cfg(b4ae_mutants)]
    pub(super) fn draw_once_more(&mut self) {
        self.round.draw_once_more();
    }

    /// A group that is in its first round gets another one, once.
    #[cfg(b4ae_mutants)]
    pub(super) fn stretch(&mut self) {
        if self.is_under_way() && self.rounds == self.cells - 1 {
            self.rounds += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use super::*;

    const PERIOD: u64 = 1_000_000_000;
    const INTERVAL: u64 = 10_000_000;
    const CELLS: u32 = 4;
    const LEAD: u64 = 2_000_000;

    fn started(key: u8, sessions: u32) -> Burst {
        let mut burst = Burst::new(PERIOD, INTERVAL, CELLS, Secret::new([key; 32]));
        (0..sessions).for_each(|session| burst.join(session, Some(LEAD)));
        burst
    }

    /// The slots handed out to a driver that comes every millisecond.
    fn run(burst: &mut Burst, from: u64, until: u64) -> Vec<(u32, u64)> {
        let mut slots = Vec::new();
        for now in (from..=until).step_by(1_000_000) {
            burst.skip_late(now);
            slots.extend(core::iter::from_fn(|| burst.step(now + LEAD)));
        }
        slots
    }

    fn groups(slots: &[(u32, u64)]) -> BTreeMap<u64, Vec<(u32, u64)>> {
        let mut groups = BTreeMap::<u64, Vec<(u32, u64)>>::new();
        slots.iter().for_each(|&(owner, at)| groups.entry(at / PERIOD).or_default().push((owner, at % PERIOD)));
        groups
    }

    #[test]
    fn each_session_has_exactly_as_many_cells_a_group_and_none_between() {
        for sessions in [1_u32, 2, 3, 5, 8, 13] {
            let len = u64::from(CELLS * sessions.next_power_of_two()) * INTERVAL;
            let slots = run(&mut started(1, sessions), 0, 20 * PERIOD + len);
            let groups = groups(&slots);
            assert_eq!(groups.keys().copied().collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
            for group in groups.values() {
                assert!(group.iter().all(|(_, at)| at % INTERVAL == 0 && *at < len), "{group:?}");
                assert!(group.windows(2).all(|pair| pair[0].1 < pair[1].1), "{group:?}");
                for session in 0..sessions {
                    assert_eq!(group.iter().filter(|(owner, _)| *owner == session).count(), CELLS as usize);
                }
            }
            assert!(sessions == 1 || groups[&1] != groups[&2], "every group has the same order");
        }
    }

    #[test]
    fn joins_wait_for_the_next_group() {
        for late in [0, INTERVAL, 7 * INTERVAL, 15 * INTERVAL, PERIOD / 2] {
            let (mut burst, mut undisturbed) = (started(2, 3), started(2, 3));
            let mut slots = run(&mut burst, 0, PERIOD + late);
            burst.join(3, Some(PERIOD + late + LEAD));
            slots.extend(run(&mut burst, PERIOD + late, 3 * PERIOD - 1_000_000));
            let (with, without) = (groups(&slots), groups(&run(&mut undisturbed, 0, 2 * PERIOD - 1_000_000)));
            assert_eq!(with[&1], without[&1], "{late}");
            assert_eq!(with[&2].iter().filter(|(owner, _)| *owner == 3).count(), CELLS as usize, "{late}");
        }
    }

    #[test]
    fn one_that_leaves_has_had_all_its_cells_and_takes_nobodys() {
        for leaver in 0..5 {
            for joins in 0..3 {
                let (mut burst, mut undisturbed) = (started(3, 5), started(3, 5));
                let mut slots = Vec::new();
                while let Some((owner, at)) = burst.step(2 * PERIOD - 1) {
                    slots.push((owner, at));
                    if slots.len() == 3 {
                        (0..joins).for_each(|n| burst.join(100 + n, Some(at + LEAD)));
                    }
                    if owner == leaver && burst.is_last_round() {
                        burst.leave(owner);
                    }
                }
                assert_eq!(slots, run(&mut undisturbed, 0, 2 * PERIOD - INTERVAL));
                let next = groups(&run(&mut burst, 2 * PERIOD - LEAD, 3 * PERIOD - INTERVAL)).remove(&2).unwrap();
                let stay = (0..5).filter(|&n| n != leaver).chain(100..100 + joins);
                let count = |session| next.iter().filter(|(owner, _)| *owner == session).count();
                assert!(stay.clone().all(|session| count(session) == CELLS as usize));
                assert_eq!(next.len(), stay.count() * CELLS as usize);
            }
        }
    }

    #[test]
    fn a_group_that_passed_is_skipped_and_counted_and_changes_nothing_of_the_next() {
        let mut burst = started(4, 3);
        run(&mut burst, 0, PERIOD + PERIOD / 2);
        let back = 7 * PERIOD + PERIOD / 2;
        burst.skip_late(back);
        assert_eq!(burst.step(back + LEAD), None);
        assert_eq!(burst.skipped(), 6 * 3 * u64::from(CELLS));
        assert_eq!(burst.time(), Some(8 * PERIOD));
        let next = groups(&run(&mut burst, back, 9 * PERIOD - INTERVAL));
        assert_eq!(next[&8].len(), 3 * CELLS as usize);
    }

    #[test]
    fn of_a_group_that_is_partly_late_the_rest_is_sent_and_nothing_together() {
        for sessions in [1, 3, 8] {
            let slots = u64::from(CELLS * u32::next_power_of_two(sessions));
            for late in 0..slots + 2 {
                for before in 0..3 {
                    let (mut burst, mut punctual) = (started(5, sessions), started(5, sessions));
                    let mut sent = Vec::new();
                    if before > 0 {
                        sent = run(&mut burst, 0, PERIOD + (before - 1) * INTERVAL);
                    }
                    let back = PERIOD + late.max(before) * INTERVAL;
                    burst.skip_late(back);
                    let at_once: Vec<_> = core::iter::from_fn(|| burst.step(back)).collect();
                    assert!(at_once.len() <= 1, "{at_once:?}");
                    sent.extend(at_once);
                    sent.extend(run(&mut burst, back, 2 * PERIOD - INTERVAL));
                    let all = run(&mut punctual, 0, 2 * PERIOD - INTERVAL);
                    assert_eq!(sent.len() as u64 + burst.skipped(), all.len() as u64, "{sessions} {late} {before}");
                    assert_eq!((burst.group, burst.slot), (2, 0));
                    // Nothing is passed over that is not late.
                    let rest = sent.iter().filter(|(_, at)| *at >= back).count() as u64;
                    let in_time = slots.saturating_sub(late.max(before));
                    assert!(!sessions.is_power_of_two() || rest == in_time, "{sessions} {late} {before}");
                    // What is left of a round that has begun has the owners it had.
                    let same = sent.iter().filter(|slot| all.contains(slot)).count();
                    assert!(late > before + slots / 4 || same == sent.len(), "{sessions} {late} {before}");
                }
            }
        }
    }

    #[test]
    fn a_suspension_of_a_year_costs_no_more_than_a_round() {
        let (mut burst, mut other) = (started(6, 16), started(6, 16));
        run(&mut burst, 0, PERIOD + 5 * INTERVAL);
        run(&mut other, 0, PERIOD + 5 * INTERVAL);
        let year = 31_536_000 * PERIOD;
        burst.skip_late(year);
        let slots = core::iter::from_fn(|| burst.step(year + LEAD)).count();
        assert_eq!(slots, 1);
        // The rest of that round, and the slot that is sent.
        (0..other.round.left()).for_each(|_| _ = other.round.draw());
        other.round.begin(16);
        other.round.draw();
        assert_eq!(burst.round.peek(), other.round.peek());
    }

    #[test]
    fn a_group_of_those_who_have_all_left_ends_and_the_next_has_who_joined() {
        let mut burst = started(7, 3);
        while let Some((owner, at)) = burst.step(2 * PERIOD - 1) {
            if burst.is_last_round() {
                burst.leave(owner);
            }
            if burst.round.sessions() == 0 {
                burst.join(9, Some(at + LEAD));
            }
        }
        let next = groups(&run(&mut burst, 2 * PERIOD - LEAD, 4 * PERIOD - INTERVAL));
        assert_eq!(next.keys().copied().collect::<Vec<_>>(), [2, 3]);
        assert!(next.values().flatten().all(|(owner, _)| *owner == 9));
    }
}
