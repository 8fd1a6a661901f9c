//! Every primitive the protocol uses, behind types of our own that wipe themselves.
//!
//! This module is the one seam at which another provider is compiled in: nothing outside it names a cryptographic crate.
//! The feature `aws-lc` chooses here, for the whole core; tests have both.

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(all(test, feature = "aws-lc"))]
mod both;
#[cfg(any(test, not(feature = "aws-lc")))]
mod rust;

#[cfg(feature = "aws-lc")]
use aws_lc as provider;
#[cfg(not(feature = "aws-lc"))]
use rust as provider;

pub(crate) mod aead;
pub(crate) mod hash;
pub(crate) mod ml_dsa;
pub(crate) mod ml_kem;
pub(crate) mod stream;
#[cfg(test)]
pub(crate) mod vectors;
pub(crate) mod x25519;

use zeroize::Zeroize as _;

/// Overwrites the part of the stack below the caller's frame that a call just used.
///
/// The primitives' crates leave copies of secrets in dead frames. `WORDS` is in units of eight bytes.
#[inline(never)]
pub(crate) fn burn_stack<const WORDS: usize>() {
    let mut dead = [0_u64; WORDS];
    dead.zeroize();
    core::hint::black_box(&dead);
}
