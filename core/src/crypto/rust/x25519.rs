//! X25519 of the crate `curve25519-dalek`.

use curve25519_dalek::montgomery::MontgomeryPoint;
use zeroize::Zeroize as _;

use crate::crypto::burn_stack;
use crate::secret::{Secret, same};

/// The public key of `private`.
pub(crate) fn public_key(private: &Secret<32>) -> [u8; 32] {
    #[inline(never)]
    fn multiply(private: &Secret<32>) -> [u8; 32] {
        MontgomeryPoint::mul_base_clamped(*private.expose()).to_bytes()
    }
    let public = multiply(private);
    burn_stack::<1024>();
    public
}

/// The shared secret, or nothing where the peer's point is of low order (RFC 7748, section 6.1).
pub(crate) fn shared_secret(private: &Secret<32>, public: &[u8; 32]) -> Option<Secret<32>> {
    #[inline(never)]
    fn multiply(private: &Secret<32>, public: &[u8; 32], shared: &mut Secret<32>) {
        let mut point = MontgomeryPoint(*public).mul_clamped(*private.expose());
        shared.as_mut().copy_from_slice(point.as_bytes());
        point.zeroize();
    }
    let mut shared = Secret::zero();
    multiply(private, public, &mut shared);
    burn_stack::<1024>();
    let contributory = !same(shared.expose(), &[0; 32]);
    contributory.then_some(shared)
}
