//! XEdDSA on Curve25519 (Signal, "The XEdDSA and `VXEdDSA` Signature Schemes", revision 1): signatures under the key
//! pair that X25519 has. They are Ed25519's (RFC 8032), under the one of the key's two Edwards points whose sign is
//! zero.
//!
//! What is signed here outlives every session, and is evidence to anybody: nothing but statements about an identity
//! itself may be.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use curve25519_dalek::traits::IsIdentity as _;
use sha2::{Digest as _, Sha512};
use subtle::{Choice, ConditionallyNegatable as _};
use zeroize::Zeroize as _;

use super::burn_stack;
use crate::secret::Secret;

/// Length of a signature in bytes: `R`, and `s`.
pub(crate) const SIGNATURE_LEN: usize = 64;

/// How deep signing may go, in words of the stack below a call from here: it takes 2.8 KB.
pub(crate) const SIGN_STACK: usize = 1024;

/// What the specification's `hash_1` begins with: 2^256 - 2, which begins no encoding of a point.
const HASH_1: [u8; 32] = {
    let mut prefix = [0xff; 32];
    prefix[0] = 0xfe;
    prefix
};

/// Signs with an X25519 private key, clamped or not. `random` is the specification's `Z`: a signature under one that is
/// repeated or known is as good, since the nonce is a hash of the key and the message too.
pub(crate) fn sign(private: &Secret<32>, message: &[u8], random: &Secret<64>) -> [u8; SIGNATURE_LEN] {
    #[inline(never)]
    fn compute(private: &Secret<32>, message: &[u8], random: &Secret<64>) -> [u8; SIGNATURE_LEN] {
        let (mut a, public) = key_pair(private);
        let signature = complete(&a, a.as_bytes(), &public, message, random);
        a.zeroize();
        signature
    }
    let signature = compute(private, message, random);
    burn_stack::<SIGN_STACK>();
    signature
}

/// The scalar and the encoded point of `calculate_key_pair`.
fn key_pair(private: &Secret<32>) -> (Scalar, [u8; 32]) {
    let mut clamped = clamp_integer(*private.expose());
    let mut k = Scalar::from_bytes_mod_order(clamped);
    clamped.zeroize();
    let mut public = EdwardsPoint::mul_base(&k).compress().to_bytes();
    #[cfg(b4ae_leaks)]
    crate::constant_time::leaks::for_a_sign(public[31] >> 7);
    // The sign is a secret: X25519's public key does not tell it.
    k.conditional_negate(Choice::from(public[31] >> 7));
    public[31] &= 0x7f;
    (k, public)
}

/// The signature under the scalar `a`, which `hashed` spells for the nonce.
fn complete(
    a: &Scalar,
    hashed: &[u8; 32],
    public: &[u8; 32],
    message: &[u8],
    random: &Secret<64>,
) -> [u8; SIGNATURE_LEN] {
    let mut r = hash(&[&HASH_1, hashed, message, random.expose()]);
    let commitment = EdwardsPoint::mul_base(&r).compress();
    let h = hash(&[commitment.as_bytes(), public, message]);
    let s = h * a + r;
    r.zeroize();
    let mut signature = [0; SIGNATURE_LEN];
    signature[..32].copy_from_slice(commitment.as_bytes());
    signature[32..].copy_from_slice(s.as_bytes());
    signature
}

/// SHA-512 as a number modulo the group's order.
fn hash(parts: &[&[u8]]) -> Scalar {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    let mut digest: [u8; 64] = hash.finalize().into();
    let scalar = Scalar::from_bytes_mod_order_wide(&digest);
    digest.as_mut_slice().zeroize();
    scalar
}

/// Whether `signature` is that of the X25519 public key `public` over `message`.
///
/// Stricter than the specification: the key is a reduced coordinate of a point in the group of prime order, `s` is
/// reduced, `R` is not the identity and is compared as encoded. So whatever is accepted here every Ed25519 verifier
/// accepts, while some accept more; and nobody without the key can make a second spelling of a signature.
pub(crate) fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
    let Some(key) = edwards(public) else { return false };
    let (commitment, s) = signature.split_first_chunk::<32>().expect("64 bytes");
    let s = s.try_into().expect("the other 32 of 64");
    let Some(s) = Scalar::from_canonical_bytes(s).into_option() else { return false };
    let h = hash(&[commitment, key.compress().as_bytes(), message]);
    let computed = EdwardsPoint::vartime_double_scalar_mul_basepoint(&h, &-key, &s);
    !computed.is_identity() && computed.compress().as_bytes() == commitment
}

/// The point of sign zero of an X25519 public key that [`verify`] allows.
fn edwards(public: &[u8; 32]) -> Option<EdwardsPoint> {
    let point = MontgomeryPoint(*public).to_edwards(0)?;
    // Back again, a coordinate that was not reduced is another; the small orders are none of the prime's.
    let reduced = point.to_montgomery().as_bytes() == public;
    (reduced && point.is_torsion_free()).then_some(point)
}

/// The Ed25519 public key of an X25519 one.
#[cfg(test)]
pub(super) fn ed25519_key(public: &[u8; 32]) -> [u8; 32] {
    edwards(public).unwrap().compress().to_bytes()
}

/// What a signature is made with and nobody may find: the clamped key, its scalar, and the nonce.
#[cfg(all(test, feature = "std", target_os = "linux"))]
#[inline(never)]
pub(crate) fn secrets(private: &Secret<32>, message: &[u8], random: &Secret<64>) -> [Secret<32>; 3] {
    let (a, _) = key_pair(private);
    let r = hash(&[&HASH_1, a.as_bytes(), message, random.expose()]);
    [clamp_integer(*private.expose()), a.to_bytes(), r.to_bytes()].map(Secret::new)
}

/// [`sign`] as Signal's own code has it: where the key's sign is zero as it is, the nonce's hash is fed the clamped
/// key, which the specification has reduced. Verifiers cannot tell.
#[cfg(test)]
pub(super) fn sign_unreduced(private: &Secret<32>, message: &[u8], random: &Secret<64>) -> [u8; SIGNATURE_LEN] {
    let (a, public) = key_pair(private);
    let clamped = clamp_integer(*private.expose());
    let hashed = if a == Scalar::from_bytes_mod_order(clamped) { clamped } else { a.to_bytes() };
    complete(&a, &hashed, &public, message, random)
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::EIGHT_TORSION;

    use super::*;
    use crate::crypto::x25519;

    const MESSAGE: &[u8] = b"a statement";

    fn key(n: u8) -> (Secret<32>, [u8; 32]) {
        let private = Secret::new([n; 32]);
        let public = x25519::public_key(&private);
        (private, public)
    }

    fn random(n: u8) -> Secret<64> {
        Secret::new([n; 64])
    }

    #[test]
    fn keys_of_either_sign_sign_and_a_flipped_bit_anywhere_is_refused() {
        let mut signs = [0; 2];
        for n in 0..8 {
            let (private, public) = key(n);
            let clamped = Scalar::from_bytes_mod_order(clamp_integer(*private.expose()));
            signs[usize::from(EdwardsPoint::mul_base(&clamped).compress().to_bytes()[31] >> 7)] += 1;
            let signature = sign(&private, MESSAGE, &random(n));
            assert!(verify(&public, MESSAGE, &signature));
            for bit in 0..512 {
                let mut wrong = signature;
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert!(!verify(&public, MESSAGE, &wrong), "bit {bit} of the signature");
            }
            for bit in 0..256 {
                let mut wrong = public;
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert!(!verify(&wrong, MESSAGE, &signature), "bit {bit} of the key");
            }
            assert!(!verify(&public, b"another statement", &signature));
        }
        assert!(signs[0] > 0 && signs[1] > 0, "{signs:?}");
    }

    #[test]
    fn randomness_changes_the_signature_and_a_repeated_one_gives_no_two_messages_the_same_nonce() {
        let (private, public) = key(1);
        let (one, other) = (sign(&private, MESSAGE, &random(1)), sign(&private, MESSAGE, &random(2)));
        assert!(one[..32] != other[..32] && verify(&public, MESSAGE, &other));
        assert_ne!(one[..32], sign(&private, b"another statement", &random(1))[..32]);
        assert_ne!(one[..32], sign(&key(2).0, MESSAGE, &random(1))[..32]);
    }

    /// `s` and `s` plus the order are the same number, and both fit into 32 bytes.
    #[test]
    fn a_signature_has_one_spelling() {
        let (private, public) = key(3);
        let mut signature = sign(&private, MESSAGE, &random(3));
        let order_less_one = -Scalar::ONE;
        let mut carry = 1;
        for (byte, more) in signature[32..].iter_mut().zip(order_less_one.as_bytes()) {
            let sum = u16::from(*byte) + u16::from(*more) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        let s: [u8; 32] = signature[32..].try_into().unwrap();
        assert!(carry == 0 && verify_modulo_the_order(&public, &signature, &Scalar::from_bytes_mod_order(s)));
        assert!(!verify(&public, MESSAGE, &signature));
    }

    fn verify_modulo_the_order(public: &[u8; 32], signature: &[u8; SIGNATURE_LEN], s: &Scalar) -> bool {
        let mut reduced = *signature;
        reduced[32..].copy_from_slice(s.as_bytes());
        verify(public, MESSAGE, &reduced)
    }

    /// X25519 itself ignores the highest bit.
    #[test]
    fn a_key_has_one_spelling() {
        let (private, mut public) = key(4);
        let signature = sign(&private, MESSAGE, &random(4));
        public[31] |= 0x80;
        assert!(MontgomeryPoint(public).to_edwards(0).is_some());
        assert!(!verify(&public, MESSAGE, &signature));
    }

    /// The equation that makes a signature holds for these keys too, if the hash is a multiple of their order: whoever
    /// tries a few nonces signs for a key that has no private half.
    #[test]
    fn keys_of_small_order_and_with_a_part_of_small_order_are_refused() {
        for (a, torsion) in [Scalar::ZERO, Scalar::from(5_u8)].into_iter().flat_map(|a| EIGHT_TORSION.map(|t| (a, t))) {
            let point = EdwardsPoint::mul_base(&a) + torsion;
            let public = point.to_montgomery().to_bytes();
            let key = MontgomeryPoint(public).to_edwards(0).expect("a point of the curve");
            // If it is the other of the two points, so is its scalar.
            let a = if key == point { a } else { -a };
            let (mut holds, mut taken) = (false, false);
            for r in (1..100_u8).map(Scalar::from) {
                let nonce = EdwardsPoint::mul_base(&r);
                let commitment = nonce.compress();
                let h = hash(&[commitment.as_bytes(), key.compress().as_bytes(), MESSAGE]);
                let s = r + h * a;
                let mut signature = [0; SIGNATURE_LEN];
                signature[..32].copy_from_slice(commitment.as_bytes());
                signature[32..].copy_from_slice(s.as_bytes());
                holds |= EdwardsPoint::vartime_double_scalar_mul_basepoint(&h, &-key, &s) == nonce;
                taken |= verify(&public, MESSAGE, &signature);
            }
            let allowed = point.is_torsion_free() && !point.is_identity();
            assert!(holds && taken == allowed, "{public:02x?}");
        }
    }

    /// A nonce of zero tells the key to everybody: no signer means it.
    #[test]
    fn a_commitment_to_nothing_is_refused() {
        let (private, public) = key(5);
        let (a, key) = key_pair(&private);
        let mut signature = [0; SIGNATURE_LEN];
        signature[0] = 1;
        let h = hash(&[&signature[..32], &key, MESSAGE]);
        signature[32..].copy_from_slice((h * a).as_bytes());
        assert!(!verify(&public, MESSAGE, &signature));
    }

    #[test]
    fn a_coordinate_of_the_twist_is_no_key() {
        let (private, _) = key(6);
        let signature = sign(&private, MESSAGE, &random(6));
        let mut twist = [0; 32];
        twist[0] = 2;
        // And -1, which the specification takes for a point of order 4.
        let mut minus_one = [0xff; 32];
        (minus_one[0], minus_one[31]) = (0xec, 0x7f);
        for public in [twist, minus_one] {
            assert!(MontgomeryPoint(public).to_edwards(0).is_none());
            assert!(!verify(&public, MESSAGE, &signature));
        }
    }
}
