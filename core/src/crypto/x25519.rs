//! X25519 (RFC 7748).

use curve25519_dalek::montgomery::MontgomeryPoint;
use zeroize::Zeroize as _;

use super::burn_stack;
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

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn hex(text: &str) -> [u8; 32] {
        HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    #[test]
    fn points_of_low_order_are_refused() {
        let points = [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            // p - 1, p and p + 1, and the same with the bit that is ignored.
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        ];
        for point in points {
            assert!(shared_secret(&Secret::new([0x42; 32]), &hex(point)).is_none(), "{point}");
        }
    }
}
