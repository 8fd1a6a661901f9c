//! Work too slow for a turn: key exchange, signatures, puzzles.
//!
//! The engine hands out a [`Job`], the driver runs it where blocking is allowed and feeds the [`Completion`] back.
//! A job draws its randomness when it is made, so runs replay whatever order jobs finish in.

use core::fmt;

use crate::secret::Secret;

/// Length of an ML-DSA-87 public key in bytes (FIPS 204, table 2).
pub const ML_DSA_PUBLIC_KEY_LEN: usize = 2592;
/// Length of an ML-DSA-87 signature in bytes (FIPS 204, table 2).
pub const ML_DSA_SIGNATURE_LEN: usize = 4627;

/// Signs with a long-term ML-DSA-87 key (FIPS 204, pure, empty context). Called from [`Job::run`], never by the
/// engine itself, so it may block: a hardware token is just a slow signer.
pub trait Signer: Send + Sync {
    /// The public key.
    fn public_key(&self) -> &[u8; ML_DSA_PUBLIC_KEY_LEN];

    /// Signs `message`, a domain-separated hash, into `signature`. `randomness` hedges the signature where the
    /// signer has no better source.
    fn sign(
        &self,
        message: &[u8; 64],
        randomness: &[u8; 32],
        signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
    ) -> Result<(), SignError>;
}

/// The signer could not sign: absent, locked or broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignError;

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signer did not sign")
    }
}

impl core::error::Error for SignError {}

/// An ML-DSA-87 key held in memory, as its seed.
pub struct SoftwareSigner {
    _seed: Secret<32>,
}

impl SoftwareSigner {
    /// The key of a FIPS 204 seed.
    pub fn new(seed: &Secret<32>) -> Self {
        Self { _seed: seed.duplicate() }
    }
}

impl fmt::Debug for SoftwareSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SoftwareSigner(..)")
    }
}

impl Signer for SoftwareSigner {
    fn public_key(&self) -> &[u8; ML_DSA_PUBLIC_KEY_LEN] {
        todo!()
    }

    fn sign(
        &self,
        _message: &[u8; 64],
        _randomness: &[u8; 32],
        _signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
    ) -> Result<(), SignError> {
        todo!()
    }
}

/// One unit of slow work. `Send`, owns all it needs, runs anywhere; it takes tens of microseconds to a millisecond,
/// or as long as a [`Signer`] takes, and up to 256 KiB of stack.
#[must_use = "a handshake waits for this job"]
pub struct Job {}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job(..)")
    }
}

/// A finished job, for [`Engine::handle_completion`](crate::Engine::handle_completion).
#[must_use = "a handshake waits for this completion"]
pub struct Completion {}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Completion(..)")
    }
}

impl Job {
    /// Does the work, on the calling thread.
    pub fn run(self) -> Completion {
        todo!()
    }
}
