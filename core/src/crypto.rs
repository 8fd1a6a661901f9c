//! Every primitive the protocol uses, behind types of our own that wipe themselves.
//!
//! This module is the one seam at which another provider can be compiled in: nothing outside it names a
//! cryptographic crate.

pub(crate) mod aead;
pub(crate) mod hash;
pub(crate) mod ml_dsa;
pub(crate) mod ml_kem;
pub(crate) mod siphash;
pub(crate) mod stream;
#[cfg(test)]
pub(crate) mod vectors;
pub(crate) mod x25519;

use zeroize::Zeroize as _;

/// Overwrites the part of the stack below the caller's frame that a call just used.
///
/// The primitives' crates leave copies of secrets in dead frames. `WORDS` is in units of eight bytes. As a slice they are
/// overwritten all at once, as wide as the processor can.
#[inline(never)]
pub(crate) fn burn_stack<const WORDS: usize>() {
    let mut dead = [0_u64; WORDS];
    dead.as_mut_slice().zeroize();
}
