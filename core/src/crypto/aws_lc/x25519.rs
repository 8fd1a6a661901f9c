//! X25519 of AWS-LC.

use crate::crypto::burn_stack;
use crate::secret::Secret;

/// The public key of `private`.
pub(crate) fn public_key(private: &Secret<32>) -> [u8; 32] {
    let public = b4ae_aws_lc::x25519_public_key(private.expose());
    burn_stack::<256>();
    public
}

/// The shared secret, or nothing where the peer's point is of low order (RFC 7748, section 6.1).
pub(crate) fn shared_secret(private: &Secret<32>, public: &[u8; 32]) -> Option<Secret<32>> {
    let mut shared = Secret::zero();
    let contributory = b4ae_aws_lc::x25519(private.expose(), public, shared.as_mut());
    burn_stack::<256>();
    contributory.then_some(shared)
}
