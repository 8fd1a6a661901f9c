//! X25519 (RFC 7748).

use curve25519_dalek::montgomery::MontgomeryPoint;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use super::burn_stack;
use crate::secret::Secret;

/// The public key of `private`.
pub(crate) fn public_key(private: &Secret<32>) -> [u8; 32] {
    let public = MontgomeryPoint::mul_base_clamped(*private.expose()).to_bytes();
    burn_stack::<1024>();
    public
}

/// The shared secret, or nothing where the peer's point is of low order (RFC 7748, section 6.1).
pub(crate) fn shared_secret(private: &Secret<32>, public: &[u8; 32]) -> Option<Secret<32>> {
    let mut point = MontgomeryPoint(*public).mul_clamped(*private.expose());
    let shared = Secret::new(point.to_bytes());
    point.zeroize();
    burn_stack::<1024>();
    let contributory = !bool::from(shared.expose().ct_eq(&[0; 32]));
    contributory.then_some(shared)
}
