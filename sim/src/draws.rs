//! Randomness of a simulated world: everything is drawn from one seed, by name.
//!
//! A draw that belongs to a moment (how late a timer fires, how long a job takes) is a function of the seed, the host
//! and that moment, not of how many draws came before: what one application does shifts nothing elsewhere.

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};

/// A tree of named random streams under a 32-byte root.
#[derive(Clone, Debug)]
pub(crate) struct Draws([u8; 32]);

impl Draws {
    pub(crate) const fn new(root: [u8; 32]) -> Self {
        Self(root)
    }

    /// The 32 bytes of this name and index.
    pub(crate) fn bytes(&self, name: &str, index: u64) -> [u8; 32] {
        let mut hash = Blake2b::<U32>::new();
        hash.update(self.0);
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(index.to_le_bytes());
        hash.finalize().into()
    }

    /// The tree under this name and index.
    pub(crate) fn child(&self, name: &str, index: u64) -> Self {
        Self(self.bytes(name, index))
    }

    /// The stream of this name and index.
    pub(crate) fn stream(&self, name: &str, index: u64) -> fastrand::Rng {
        let bytes = self.bytes(name, index);
        let head: [u8; 8] = std::array::from_fn(|i| bytes[i]);
        fastrand::Rng::with_seed(u64::from_le_bytes(head))
    }
}

/// Whether an event of `permille` in a thousand happens. Always takes exactly one draw.
pub(crate) fn chance(rng: &mut fastrand::Rng, permille: u16) -> bool {
    rng.u16(0..1000) < permille
}

/// A value up to `nanos`, inclusive.
pub(crate) fn up_to(rng: &mut fastrand::Rng, nanos: u64) -> u64 {
    rng.u64(0..=nanos)
}
