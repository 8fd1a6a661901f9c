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

    fn time_of(&self, slot: u64) -> u64 {
        slot.saturating_mul(self.interval)
    }

    /// When the next slot is to be sealed.
    pub(crate) fn next_seal(&self) -> Option<Instant> {
        self.is_running().then(|| Instant::from_nanos(self.time_of(self.slot).saturating_sub(self.lead)))
    }

    /// The next step that is due.
    pub(crate) fn step(&mut self) -> Step {
        if !self.is_running() {
            return Step::Wait;
        }
        self.skip_late();
        while let Some(&owner) = self.round.get(self.place) {
            let at = self.time_of(self.slot);
            if at > self.armed.saturating_add(self.lead) {
                return Step::Wait;
            }
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
            self.slot = (now.as_nanos().saturating_add(self.lead) / self.interval).saturating_add(1);
        }
    }
}
