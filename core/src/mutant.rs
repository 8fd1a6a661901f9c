//! Engines broken on purpose, so that the tests of the wire rule can show that they notice. Never in a build without
//! `--cfg b4ae_mutants`.

use crate::config::{Pattern, Traffic};
use crate::engine::Engine;
use crate::time::Instant;

/// A way to break the wire rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mutant {
    /// A slot goes to the session whose message has waited longest.
    FifoOwner,
    /// A session with nothing to say stays silent in its slot.
    WorkConserving,
    /// Slots that passed while the driver was away are sent late.
    BurstCatchUp,
    /// `send` makes a cell leave at once.
    WakeOnSend,
    /// A cell with a message is longer than a cover cell.
    LongerCell,
    /// A slot whose owner has nothing to say goes to a session that has.
    LendIdleSlots,
    /// A slot that carries a message takes one draw more, so that the owners of later ones follow from what is said.
    DrawOnPayload,
    /// A session that was closed leaves once its peer has been told, and not at the boundary.
    LeaveAtOnce,
    /// Poisson: a session with a message has its next point sooner.
    ShortenedGap,
    /// Groups: one with a message is a round longer.
    StretchedGroup,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::FifoOwner,
        Self::WorkConserving,
        Self::BurstCatchUp,
        Self::WakeOnSend,
        Self::LongerCell,
        Self::LendIdleSlots,
        Self::DrawOnPayload,
        Self::LeaveAtOnce,
        Self::ShortenedGap,
        Self::StretchedGroup,
    ];

    /// Whether it changes anything for this traffic.
    pub fn applies_to(self, traffic: &Traffic) -> bool {
        match self {
            Self::ShortenedGap => traffic.pattern == Pattern::Poisson,
            Self::StretchedGroup => matches!(traffic.pattern, Pattern::Burst { .. }),
            _ => traffic.is_protected(),
        }
    }
}

impl Engine {
    fn is(&self, mutant: Mutant) -> bool {
        self.config().mutant == Some(mutant)
    }

    /// Who gets the slot that belongs to `owner`; nobody if the mutant keeps it empty.
    pub(crate) fn mutant_owner(&self, owner: u32) -> Option<u32> {
        let now = self.now();
        let wants = |slot: u32| self.slot_entry(slot).is_some_and(|entry| entry.queue.wants_slot(now));
        let longest = || {
            let waiting = self.slots().filter(|&slot| wants(slot));
            waiting.max_by_key(|&slot| self.slot_entry(slot).map(|entry| entry.queue.waited(now)))
        };
        if self.is(Mutant::FifoOwner) || self.is(Mutant::LendIdleSlots) && !wants(owner) {
            return Some(longest().unwrap_or(owner));
        }
        // Not from the start: a session needs some of its peer's cells before it knows that it may send.
        let young = || {
            let link = self.slot_entry(owner).and_then(|entry| entry.link.as_deref());
            link.is_some_and(|link| link.cells_received < 5)
        };
        (!self.is(Mutant::WorkConserving) || wants(owner) || young()).then_some(owner)
    }

    /// Does for the slot of `owner` what no slot should.
    pub(crate) fn mutant_draw(&mut self, owner: u32) {
        let wants = self.slot_entry(owner).is_some_and(|entry| entry.queue.wants_slot(self.now()));
        if self.is(Mutant::DrawOnPayload) && wants {
            self.draw_once_more();
        }
        if self.is(Mutant::ShortenedGap) && wants {
            self.hasten();
        }
        if self.is(Mutant::StretchedGroup) && wants {
            self.stretch();
        }
    }

    /// When a session that has just had its slot at `at` thinks that it is.
    pub(crate) fn mutant_leave_time(&self, at: Instant) -> Instant {
        if self.is(Mutant::LeaveAtOnce) { Instant::LAST } else { at }
    }

    /// The length of the cell that is about to be sealed for `slot`.
    pub(crate) fn mutant_len(&self, slot: u32, len: usize) -> usize {
        let payload = self.slot_entry(slot).is_some_and(|entry| entry.queue.wants_slot(self.now()));
        if self.is(Mutant::LongerCell) && !payload { len - 16 } else { len }
    }

    /// Whether `send` makes a cell leave at once.
    pub(crate) fn mutant_wakes(&self) -> bool {
        self.is(Mutant::WakeOnSend)
    }
}
