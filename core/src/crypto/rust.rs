//! The default provider: crates in Rust, for any machine, with or without `std`.

pub(super) mod aead;
pub(crate) mod ml_dsa;
pub(super) mod ml_kem;
pub(super) mod x25519;
