//! A round: every member has one slot, in an order drawn a slot at a time.

use alloc::vec::Vec;

use crate::random::Stream;
use crate::secret::Secret;

/// A round has as many slots as it has members, rounded up to a power of two so that a peer learns from its own rate no
/// more than that; the slots beyond the members are silent. Owners and silences are permuted by Fisher and Yates's
/// shuffle, a step a slot: one draw a slot, whatever its owner does with it, so that no slot costs more than another
/// and a round is settled by the key alone.
pub(super) struct Round {
    /// Sessions: first those whose slot of this round is still to come, then those that have had it or that joined
    /// since the round began. Where one stands follows from joins, leaves and draws alone.
    owners: Vec<u32>,
    /// How many still have their slot of this round to come.
    waiting: usize,
    /// Slots of this round, and those still to come.
    len: usize,
    left: usize,
    permutation: Stream,
}

impl Round {
    /// Nobody's.
    pub(super) fn new(key: Secret<32>) -> Self {
        Self { owners: Vec::new(), waiting: 0, len: 0, left: 0, permutation: Stream::new(key) }
    }

    /// How many sessions there are, those included that wait for a round of theirs.
    pub(super) fn sessions(&self) -> usize {
        self.owners.len()
    }

    /// Slots of this round.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Slots of this round still to come.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// How many slots a round of so many members has.
    pub(super) fn len_of(members: usize) -> usize {
        if members == 0 { 0 } else { members.next_power_of_two() }
    }

    /// Begins a round of the first `members` sessions.
    pub(super) fn begin(&mut self, members: usize) {
        self.waiting = members.min(self.owners.len());
        self.len = Self::len_of(self.waiting);
        self.left = self.len;
    }

    /// Adds a session, to a later round.
    pub(super) fn join(&mut self, session: u32) {
        self.owners.push(session);
    }

    /// Takes out `session`, if the last slot drawn was its own. Those that wait for theirs stay where they are: no slot
    /// of this round gets another owner for it.
    pub(super) fn leave(&mut self, session: u32) {
        if self.owners.get(self.waiting) == Some(&session) {
            self.owners.swap_remove(self.waiting);
        }
    }

    /// Takes out everybody.
    pub(super) fn clear(&mut self) {
        self.owners.clear();
        self.begin(0);
    }

    /// The owner of the next slot, if it has one: a place among those left in the round, each as likely as any other.
    pub(super) fn draw(&mut self) -> Option<u32> {
        let place = if self.left > 1 { self.permutation.below(self.left as u64) as usize } else { 0 };
        self.left = self.left.saturating_sub(1);
        if place >= self.waiting {
            return None;
        }
        self.waiting -= 1;
        self.owners.swap(place, self.waiting);
        Some(self.owners[self.waiting])
    }

    /// Draws the owners of the next `slots` slots, which pass unused, so that the others' do not depend on how late the
    /// driver was. Returns how many of them had one.
    pub(super) fn skip(&mut self, slots: u64) -> u64 {
        (0..slots.min(self.left as u64)).map(|_| u64::from(self.draw().is_some())).sum()
    }

    #[cfg(b4ae_mutants)]
    pub(super) fn draw_once_more(&mut self) {
        self.permutation.below(2);
    }

    /// What the stream gives next.
    #[cfg(test)]
    pub(super) fn peek(&mut self) -> [u8; 8] {
        self.permutation.bytes()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn started(key: u8, sessions: u32) -> Round {
        let mut round = Round::new(Secret::new([key; 32]));
        (0..sessions).for_each(|session| round.join(session));
        round.begin(sessions as usize);
        round
    }

    fn drawn(round: &mut Round) -> Vec<Option<u32>> {
        (0..round.left()).map(|_| round.draw()).collect()
    }

    #[test]
    fn each_member_has_exactly_one_slot() {
        for members in [1_u32, 2, 3, 5, 8, 13] {
            let mut round = started(1, members);
            for _ in 0..40 {
                round.begin(members as usize);
                assert_eq!(round.len(), members.next_power_of_two() as usize);
                let mut owners: Vec<_> = drawn(&mut round).into_iter().flatten().collect();
                owners.sort_unstable();
                assert_eq!(owners, (0..members).collect::<Vec<_>>());
            }
        }
    }

    /// Chi-squared over the 24 orders of three owners and a silence: 23 degrees of freedom, and a limit that one key in
    /// ten thousand exceeds.
    #[test]
    fn every_order_is_as_likely_as_any_other() {
        const ROUNDS: u32 = 24_000;
        let mut seen = BTreeMap::<Vec<Option<u32>>, u32>::new();
        let mut round = started(2, 3);
        for _ in 0..ROUNDS {
            round.begin(3);
            *seen.entry(drawn(&mut round)).or_default() += 1;
        }
        assert_eq!(seen.len(), 24);
        let expected = f64::from(ROUNDS) / 24.0;
        let chi_squared: f64 = seen.values().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        assert!(chi_squared < 56.0, "{chi_squared}");
    }

    #[test]
    fn joins_change_nothing_in_a_round_that_has_begun() {
        let (mut round, mut undisturbed) = (started(3, 4), started(3, 4));
        let before: Vec<_> = (0..2).map(|_| round.draw()).collect();
        (4..7).for_each(|session| round.join(session));
        assert_eq!([before, drawn(&mut round)].concat(), drawn(&mut undisturbed));
        round.begin(7);
        let mut next = drawn(&mut round);
        next.sort_unstable();
        assert_eq!(next, [&[None], &[0, 1, 2, 3, 4, 5, 6].map(Some)[..]].concat());
    }

    #[test]
    fn one_that_leaves_has_no_slot_in_the_next_round_and_takes_nobodys() {
        for members in 1..7 {
            for leaver in 0..members {
                for joins in 0..3 {
                    let (mut round, mut undisturbed) = (started(4, members), started(4, members));
                    (0..joins).for_each(|n| round.join(100 + n));
                    for _ in 0..members.next_power_of_two() {
                        let owner = round.draw();
                        assert_eq!(owner, undisturbed.draw());
                        if owner == Some(leaver) {
                            round.leave(leaver);
                        }
                    }
                    let stay: BTreeSet<_> = (0..members).filter(|&n| n != leaver).chain(100..100 + joins).collect();
                    round.begin(round.sessions());
                    assert_eq!(round.len(), Round::len_of(stay.len()));
                    let next: Vec<_> = drawn(&mut round).into_iter().flatten().collect();
                    assert!(next.len() == stay.len() && next.into_iter().collect::<BTreeSet<_>>() == stay);
                }
            }
        }
    }

    #[test]
    fn what_is_skipped_is_drawn() {
        for members in [5, 13, 16] {
            let expected = drawn(&mut started(7, members));
            for (from, skipped) in [(0, 1), (1, 3)] {
                let mut late = started(7, members);
                (0..from).for_each(|_| _ = late.draw());
                let missed = expected[from..from + skipped].iter().flatten().count() as u64;
                assert_eq!(late.skip(skipped as u64), missed);
                assert_eq!(drawn(&mut late), expected[from + skipped..]);
            }
        }
    }
}
