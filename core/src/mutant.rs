//! Engines broken on purpose, so that the tests of the wire rule can show that they notice. Never in a build without
//! `--cfg b4ae_mutants`.

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
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::FifoOwner,
        Self::WorkConserving,
        Self::BurstCatchUp,
        Self::WakeOnSend,
        Self::LongerCell,
        Self::LendIdleSlots,
    ];
}
