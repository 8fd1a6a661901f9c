//! Randomness as data: a seed comes in, independent streams come out.

use core::fmt;

use zeroize::Zeroize;

/// Thirty-two bytes of entropy from the driver, wiped on drop.
pub struct Seed([u8; 32]);

impl Seed {
    /// Takes the bytes over. The caller's own copy is the caller's to wipe.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}
