//! Every primitive the protocol uses, behind types of our own that wipe themselves.
//!
//! This module is the one seam at which another provider is compiled in: nothing outside it names a cryptographic
//! crate. The feature `aws-lc` chooses here, for the whole core; tests have both.

#[cfg(any(test, feature = "aws-lc"))]
mod aws_lc;
#[cfg(test)]
mod both;
#[cfg(any(test, not(feature = "aws-lc")))]
pub(crate) mod rust;

#[cfg(feature = "aws-lc")]
use aws_lc as provider;
#[cfg(not(feature = "aws-lc"))]
use rust as provider;

pub(crate) mod aead;
pub(crate) mod hash;
pub(crate) mod ml_dsa;
pub(crate) mod ml_kem;
pub(crate) mod siphash;
pub(crate) mod stream;
#[cfg(test)]
pub(crate) mod vectors;
pub(crate) mod x25519;
pub(crate) mod xeddsa;

use zeroize::Zeroize as _;

/// Whose code computes X25519, ML-KEM-1024, ML-DSA-87 and ChaCha20-Poly1305 in this build: `"rust"`, `"aws-lc"` or
/// `"aws-lc-fips"`, after the features. For versions and logs.
pub const PROVIDER: &str = if cfg!(feature = "aws-lc-fips") {
    "aws-lc-fips"
} else if cfg!(feature = "aws-lc") {
    "aws-lc"
} else {
    "rust"
};

/// Overwrites the part of the stack below the caller's frame that a call just used.
///
/// The primitives' crates leave copies of secrets in dead frames. `WORDS` is in units of eight bytes. As a slice they
/// are overwritten all at once, as wide as the processor can.
#[inline(never)]
pub(crate) fn burn_stack<const WORDS: usize>() {
    let mut dead = [0_u64; WORDS];
    dead.as_mut_slice().zeroize();
}
