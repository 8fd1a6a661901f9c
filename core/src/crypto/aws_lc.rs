//! The provider of the feature `aws-lc`: AWS-LC, in C and assembly, by way of `aws-lc-rs` and `b4ae-aws-lc`.
//!
//! What AWS-LC lacks, keyed and personalised BLAKE2b and XEdDSA, is the default provider's here too, and so is the
//! keystream, of which a cell takes one block.
//!
//! AWS-LC overwrites whatever it frees, and most of what it has on the stack. Found not to be zero afterwards, in a
//! release build for x86-64: 0.6 KiB below X25519's frame, 29 KiB below ML-KEM's, 113 KiB below ML-DSA's. Somewhat more
//! than that is burnt.

pub(super) mod aead;
pub(super) mod ml_dsa;
pub(super) mod ml_kem;
pub(super) mod x25519;
