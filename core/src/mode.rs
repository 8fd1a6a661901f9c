//! The handshake modes and which of them are offered or accepted.

use core::fmt;

/// How a session is authenticated. The modes are incomparable: A gives deniability, B gives authentication that
/// outlives a quantum computer; each takes what the other gives.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Mode {
    /// Deniable: X25519 authenticates both sides, and anybody could have made the transcript.
    A,
    /// Post-quantum, non-repudiable: as A, and both sides sign the transcript with ML-DSA-87.
    B,
}

impl Mode {
    pub(crate) const fn to_byte(self) -> u8 {
        match self {
            Self::A => 1,
            Self::B => 2,
        }
    }

    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::A),
            2 => Some(Self::B),
            _ => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}

/// Modes in order of preference: what an initiator offers, or what a responder accepts (where the order is the
/// initiator's).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ModePolicy {
    modes: [Option<Mode>; 2],
}

impl ModePolicy {
    /// Mode A alone.
    pub const A: Self = Self { modes: [Some(Mode::A), None] };
    /// Mode B alone.
    pub const B: Self = Self { modes: [Some(Mode::B), None] };
    /// A, else B.
    pub const A_THEN_B: Self = Self { modes: [Some(Mode::A), Some(Mode::B)] };
    /// B, else A.
    pub const B_THEN_A: Self = Self { modes: [Some(Mode::B), Some(Mode::A)] };

    /// `mode` alone: never settles for another.
    pub const fn only(mode: Mode) -> Self {
        Self { modes: [Some(mode), None] }
    }

    /// The modes, preferred first.
    pub fn iter(&self) -> impl Iterator<Item = Mode> + '_ {
        self.modes.iter().flatten().copied()
    }

    /// Whether `mode` is among them.
    pub fn contains(&self, mode: Mode) -> bool {
        self.iter().any(|m| m == mode)
    }
}
