//! AWS-LC (C and assembly) against the core, both ways, on random inputs.

use alloc::vec;
use alloc::vec::Vec;

use aws_lc_rs::aead::quic::{self, HeaderProtectionKey};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::kem::{DecapsulationKey, EncapsulationKey, ML_KEM_1024};
use aws_lc_rs::signature::{self, KeyPair as _, ML_DSA_87, ML_DSA_87_SIGNING, PqdsaKeyPair};
use fastrand::Rng;

use super::Tally;
use crate::crypto::{aead, ml_dsa, ml_kem, stream, x25519};
use crate::job::ML_DSA_SIGNATURE_LEN;
use crate::secret::Secret;

pub(super) fn tallies() -> Vec<Tally> {
    vec![exchange(), sealed(), keystream(), kem(), signatures()]
}

/// X25519's public key of `private`.
pub(crate) fn public_key(private: &[u8; 32]) -> [u8; 32] {
    let private = PrivateKey::from_private_key(&agreement::X25519, private).unwrap();
    private.compute_public_key().unwrap().as_ref().try_into().unwrap()
}

/// X25519's shared secret.
pub(crate) fn shared_secret(private: &[u8; 32], public: &[u8]) -> Option<[u8; 32]> {
    let private = PrivateKey::from_private_key(&agreement::X25519, private).unwrap();
    let public = UnparsedPublicKey::new(&agreement::X25519, public);
    agreement::agree(&private, public, (), |shared| shared.try_into().map_err(drop)).ok()
}

/// ChaCha20-Poly1305's ciphertext and tag.
pub(crate) fn seal(key: &[u8; 32], nonce: &[u8; 12], ad: &[u8], text: &[u8]) -> Vec<u8> {
    let mut buffer = text.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    aead_key(key).seal_in_place_append_tag(nonce, Aad::from(ad), &mut buffer).unwrap();
    buffer
}

/// ChaCha20-Poly1305's text, if the tag is right.
pub(crate) fn open(key: &[u8; 32], nonce: &[u8; 12], ad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = sealed.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    Some(aead_key(key).open_in_place(nonce, Aad::from(ad), &mut buffer).ok()?.to_vec())
}

fn aead_key(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).unwrap())
}

fn bytes<const N: usize>(random: &mut Rng) -> [u8; N] {
    core::array::from_fn(|_| random.u8(..))
}

fn some_bytes(random: &mut Rng, below: usize) -> Vec<u8> {
    let len = random.usize(..below);
    core::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

fn exchange() -> Tally {
    let mut tally = Tally::new("X25519", "AWS-LC");
    let mut random = Rng::with_seed(11);
    for case in 0..300 {
        // A peer's public key, or any 32 bytes: half of those are on the twist.
        let (ours, theirs) = (bytes(&mut random), bytes(&mut random));
        let public = if case % 2 == 0 { public_key(&theirs) } else { bytes(&mut random) };
        let private = Secret::new(ours);
        let shared = x25519::shared_secret(&private, &public).map(|shared| *shared.expose());
        tally.valid(case, x25519::public_key(&private) == public_key(&ours) && shared == shared_secret(&ours, &public));
    }
    tally
}

fn sealed() -> Tally {
    let mut tally = Tally::new("ChaCha20-Poly1305", "AWS-LC");
    let mut random = Rng::with_seed(12);
    for case in 0..300 {
        let (key, nonce) = (bytes(&mut random), bytes(&mut random));
        let (ad, text) = (some_bytes(&mut random, 200), some_bytes(&mut random, 2000));
        let told = seal(&key, &nonce, &ad, &text);
        let secret = Secret::new(key);
        let mut buffer = text.clone();
        let mut tag = aead::seal(&secret, &nonce, &ad, &mut buffer);
        let sealed = told == [&buffer[..], &tag].concat();
        let opened = aead::open(&secret, &nonce, &ad, &mut buffer, &tag) && buffer == text;
        tally.valid(case, sealed && opened);

        let mut ciphertext = told[..text.len()].to_vec();
        let bit = random.usize(..8 * told.len());
        let place = ciphertext.get_mut(bit / 8).unwrap_or_else(|| &mut tag[bit / 8 - text.len()]);
        *place ^= 1 << (bit % 8);
        let whole = [&ciphertext[..], &tag].concat();
        let refused = !aead::open(&secret, &nonce, &ad, &mut ciphertext, &tag);
        tally.invalid(case, refused && open(&key, &nonce, &ad, &whole).is_none());
    }
    tally
}

fn keystream() -> Tally {
    let mut tally = Tally::new("ChaCha20", "AWS-LC");
    let mut random = Rng::with_seed(13);
    for case in 0..300 {
        let (key, nonce) = (bytes(&mut random), bytes(&mut random));
        let mut out = vec![0xff; 64 + random.usize(..2000)];
        stream::keystream(&key, &nonce, &mut out);
        // Five bytes of block zero, as QUIC protects headers, and from block one on what a zero text is sealed to.
        let sample = [&[0; 4][..], &nonce].concat();
        let mask = HeaderProtectionKey::new(&quic::CHACHA20, &key).unwrap().new_mask(&sample).unwrap();
        let sealed = seal(&key, &nonce, &[], &vec![0; out.len() - 64]);
        tally.valid(case, out[..5] == mask && out[64..] == sealed[..out.len() - 64]);
    }
    tally
}

fn kem() -> Tally {
    let mut tally = Tally::new("ML-KEM-1024", "AWS-LC");
    let mut random = Rng::with_seed(14);
    for case in 0..100 {
        let (ours, ek) = ml_kem::key_pair(&Secret::new(bytes(&mut random)));
        let theirs = DecapsulationKey::new(&ML_KEM_1024, &*ours.expanded()).unwrap();
        let decapsulate = |ct: &[u8]| theirs.decapsulate(ct.into()).unwrap();

        let (ct, shared) = EncapsulationKey::new(&ML_KEM_1024, &*ek).unwrap().encapsulate().unwrap();
        let opened = ml_kem::decapsulate(&ours, ct.as_ref().try_into().unwrap());
        let (mut ct, told) = ml_kem::encapsulate(&ek, &Secret::new(bytes(&mut random))).unwrap();
        let agrees = opened.expose() == shared.as_ref() && told.expose() == decapsulate(&*ct).as_ref();
        tally.valid(case, agrees);

        // Implicit rejection gives the same unrelated secret.
        ct[random.usize(..ml_kem::CT_LEN)] ^= 1 << random.u8(..8);
        let rejected = ml_kem::decapsulate(&ours, &ct);
        tally.invalid(case, rejected != told && rejected.expose() == decapsulate(&*ct).as_ref());
    }
    tally
}

fn signatures() -> Tally {
    let mut tally = Tally::new("ML-DSA-87", "AWS-LC");
    let mut random = Rng::with_seed(15);
    for case in 0..100 {
        let (seed, message) = (bytes(&mut random), bytes::<64>(&mut random));
        let theirs = PqdsaKeyPair::from_seed(&ML_DSA_87_SIGNING, &seed).unwrap();
        let (private, key) = ml_dsa::key_pair(&Secret::new(seed));
        let verifier = signature::UnparsedPublicKey::new(&ML_DSA_87, &key[..]);

        let mut signature = [0; ML_DSA_SIGNATURE_LEN];
        let signed = ml_dsa::sign(&private, &message, &bytes(&mut random), &mut signature)
            && verifier.verify(&message, &signature).is_ok();
        theirs.sign(&message, &mut signature).unwrap();
        let accepted = ml_dsa::verify(&key, &message, &signature);
        tally.valid(case, theirs.public_key().as_ref() == &key[..] && signed && accepted);

        signature[random.usize(..ML_DSA_SIGNATURE_LEN)] ^= 1 << random.u8(..8);
        let refused = !ml_dsa::verify(&key, &message, &signature);
        tally.invalid(case, refused && verifier.verify(&message, &signature).is_err());
    }
    tally
}
