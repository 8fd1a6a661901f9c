//! X25519 (RFC 7748).

use curve25519_dalek::montgomery::MontgomeryPoint;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use super::burn_stack;
use crate::secret::Secret;

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
    let contributory = !bool::from(shared.expose().ct_eq(&[0; 32]));
    contributory.then_some(shared)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn hex(text: &str) -> [u8; 32] {
        HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
    }

    /// RFC 7748, section 5.2.
    #[test]
    fn the_function_is_rfc_7748s() {
        let vectors = [
            (
                "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
                "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
                "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
            ),
            (
                "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
                "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
                "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
            ),
        ];
        for (scalar, point, product) in vectors {
            let shared = shared_secret(&Secret::new(hex(scalar)), &hex(point)).unwrap();
            assert_eq!(HEXLOWER.encode(shared.expose()), product);
        }
    }

    /// RFC 7748, section 6.1.
    #[test]
    fn the_exchange_is_rfc_7748s() {
        let alice = Secret::new(hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
        let bob = Secret::new(hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
        let shared = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        let (a, b) = (public_key(&alice), public_key(&bob));
        assert_eq!(a, hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
        assert_eq!(b, hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
        assert_eq!(shared_secret(&alice, &b).unwrap().expose(), &shared);
        assert_eq!(shared_secret(&bob, &a).unwrap().expose(), &shared);
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
