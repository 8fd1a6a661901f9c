//! The two providers against each other: what one makes the other takes, and what one refuses so does the other.

use alloc::vec;
use alloc::vec::Vec;

use fastrand::Rng;

use super::ml_kem::{CT_LEN, EK_LEN};
use super::{aws_lc, rust};
use crate::job::ML_DSA_SIGNATURE_LEN;
use crate::secret::Secret;

fn bytes<const N: usize>(random: &mut Rng) -> [u8; N] {
    core::array::from_fn(|_| random.u8(..))
}

#[test]
fn one_seed_is_one_key() {
    let mut random = Rng::with_seed(31);
    for _ in 0..50 {
        let (seed, private) = (Secret::new(bytes(&mut random)), Secret::new(bytes(&mut random)));
        let ((ours, ek), (theirs, told)) = (rust::ml_kem::key_pair(&seed), aws_lc::ml_kem::key_pair(&seed));
        assert!(ek == told && ours.expanded() == theirs.expanded());
        assert_eq!(rust::ml_dsa::key_pair(&private).1, aws_lc::ml_dsa::key_pair(&private).1);
        assert_eq!(rust::x25519::public_key(&private), aws_lc::x25519::public_key(&private));
    }
}

#[test]
fn a_secret_is_agreed_across() {
    let mut random = Rng::with_seed(32);
    for _ in 0..200 {
        let (a, b) = (Secret::new(bytes(&mut random)), Secret::new(bytes(&mut random)));
        let ours = rust::x25519::shared_secret(&a, &aws_lc::x25519::public_key(&b));
        assert!(ours.is_some() && ours == aws_lc::x25519::shared_secret(&b, &rust::x25519::public_key(&a)));
        // A point on the twist is no reason to refuse, and no reason to differ.
        let any = bytes(&mut random);
        assert!(rust::x25519::shared_secret(&a, &any) == aws_lc::x25519::shared_secret(&a, &any));
    }
}

#[test]
fn encapsulations_are_opened_across_and_are_the_same() {
    let mut random = Rng::with_seed(33);
    for _ in 0..50 {
        let (seed, m) = (Secret::new(bytes(&mut random)), Secret::new(bytes(&mut random)));
        let ((ours, ek), (theirs, _)) = (rust::ml_kem::key_pair(&seed), aws_lc::ml_kem::key_pair(&seed));
        let (mut ct, shared) = rust::ml_kem::encapsulate(&ek, &m).unwrap();
        assert!(aws_lc::ml_kem::encapsulate(&ek, &m).unwrap() == (ct.clone(), shared.duplicate()));
        assert!(aws_lc::ml_kem::decapsulate(&theirs, &ct) == shared);
        assert!(rust::ml_kem::decapsulate(&ours, &ct) == shared);
        let kept = rust::ml_kem::DecapsulationKey::from_expanded(&theirs.expanded());
        assert!(rust::ml_kem::decapsulate(&kept, &ct) == shared);
        ct[random.usize(..CT_LEN)] ^= 1 << random.u8(..8);
        let rejected = aws_lc::ml_kem::decapsulate(&theirs, &ct);
        assert!(rejected != shared && rejected == rust::ml_kem::decapsulate(&ours, &ct));
    }
}

#[test]
fn signatures_are_verified_across() {
    let mut random = Rng::with_seed(34);
    for _ in 0..20 {
        let (seed, message) = (Secret::new(bytes(&mut random)), bytes::<64>(&mut random));
        let ((ours, key), (theirs, _)) = (rust::ml_dsa::key_pair(&seed), aws_lc::ml_dsa::key_pair(&seed));
        let mut signature = [0; ML_DSA_SIGNATURE_LEN];
        assert!(rust::ml_dsa::sign(&ours, &message, &bytes(&mut random), &mut signature));
        assert!(aws_lc::ml_dsa::verify(&key, &message, &signature));
        assert!(aws_lc::ml_dsa::sign(&theirs, &message, &[0; 32], &mut signature));
        assert!(rust::ml_dsa::verify(&key, &message, &signature));
        signature[random.usize(..ML_DSA_SIGNATURE_LEN)] ^= 1 << random.u8(..8);
        assert!(
            !aws_lc::ml_dsa::verify(&key, &message, &signature) && !rust::ml_dsa::verify(&key, &message, &signature)
        );
    }
}

/// Lengths about those of blocks, of a cell and of the longest field, texts longer than a datagram included.
#[test]
fn what_is_sealed_here_is_opened_there_and_a_wrong_tag_leaves_it_alone() {
    let mut random = Rng::with_seed(35);
    for len in (0..200).chain([1167, 1168, 1169, 1199, 1200, 1201, 4096, 7235]) {
        let (key, nonce) = (Secret::new(bytes(&mut random)), bytes(&mut random));
        let ad: Vec<u8> = vec![random.u8(..); random.usize(..80)];
        let text: Vec<u8> = core::iter::repeat_with(|| random.u8(..)).take(len).collect();
        let (mut ours, mut theirs) = (text.clone(), text.clone());
        let mut tag = rust::aead::seal(&key, &nonce, &ad, &mut ours);
        assert_eq!(tag, aws_lc::aead::seal(&key, &nonce, &ad, &mut theirs));
        assert_eq!(ours, theirs);
        assert!(aws_lc::aead::open(&key, &nonce, &ad, &mut ours, &tag) && ours == text);

        tag[random.usize(..16)] ^= 1 << random.u8(..8);
        let sealed = theirs.clone();
        assert!(!aws_lc::aead::open(&key, &nonce, &ad, &mut theirs, &tag) && theirs == sealed);
        assert!(!rust::aead::open(&key, &nonce, &ad, &mut theirs, &tag) && theirs == sealed);
    }
}

/// Every place of the key that can hold a coefficient of q or more (FIPS 203, section 7.2), one after the other.
#[test]
fn a_key_that_is_not_reduced_is_refused_by_both_wherever_it_is_not() {
    let (_, ek) = rust::ml_kem::key_pair(&Secret::new([7; 64]));
    let m = Secret::new([1; 32]);
    for coefficient in 0..1024 {
        for (value, refused) in [(3328_u16, false), (3329, true), (4095, true)] {
            let mut ek = ek.clone();
            put(&mut ek, coefficient, value);
            let told = rust::ml_kem::encapsulate(&ek, &m);
            assert_eq!(told.is_none(), refused);
            assert!(aws_lc::ml_kem::encapsulate(&ek, &m) == told, "coefficient {coefficient} is {value}");
        }
    }
}

/// Writes a coefficient of twelve bits.
fn put(ek: &mut [u8; EK_LEN], coefficient: usize, value: u16) {
    let at = coefficient / 2 * 3;
    let [low, high] = value.to_le_bytes();
    if coefficient.is_multiple_of(2) {
        ek[at] = low;
        ek[at + 1] = ek[at + 1] & 0xf0 | high;
    } else {
        ek[at + 1] = ek[at + 1] & 0x0f | low << 4;
        ek[at + 2] = low >> 4 | high << 4;
    }
}

/// The same ten points as in `x25519`'s own test, and a private key that is not the one there.
#[test]
fn points_of_low_order_are_refused_by_both() {
    let private = Secret::new([0x24; 32]);
    for point in super::x25519::LOW_ORDER {
        let point = data_encoding::HEXLOWER.decode(point.as_bytes()).unwrap().try_into().unwrap();
        assert!(rust::x25519::shared_secret(&private, &point).is_none());
        assert!(aws_lc::x25519::shared_secret(&private, &point).is_none());
    }
}

/// What the feature `aws-lc-fips` is for.
#[test]
#[cfg(feature = "aws-lc-fips")]
fn this_is_the_fips_module_and_its_self_tests_have_passed() {
    assert_eq!(aws_lc_rs::try_fips_mode(), Ok(()));
    assert_eq!(crate::PROVIDER, "aws-lc-fips");
}
