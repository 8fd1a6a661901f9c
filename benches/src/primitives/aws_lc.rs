//! AWS-LC.

use std::hint::black_box;
use std::sync::OnceLock;

use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, ML_KEM_1024};
use aws_lc_rs::signature::{KeyPair as _, ML_DSA_87, ML_DSA_87_SIGNING, PqdsaKeyPair, UnparsedPublicKey};

use super::{Tag, random};

pub(super) fn seal(key: &[u8; 32], ad: &[u8], text: &mut [u8]) -> Tag {
    b4ae_aws_lc::seal(key, &[0; 12], ad, text)
}

pub(super) fn open(key: &[u8; 32], ad: &[u8], text: &mut [u8], tag: &Tag) {
    assert!(b4ae_aws_lc::open(key, &[0; 12], ad, text, tag), "authentic");
}

/// Two ephemeral keys; ee, es and se on both sides; one encapsulation, which checks the key.
pub(super) fn key_exchange() {
    let (mut initiator, mut responder) = (random(), random());
    let public = b4ae_aws_lc::x25519_public_key(&initiator);
    black_box(b4ae_aws_lc::x25519_public_key(&responder));
    let mut shared = [0; 32];
    for _ in 0..3 {
        assert!(b4ae_aws_lc::x25519(black_box(&initiator), &public, &mut shared), "a point of high order");
        assert!(b4ae_aws_lc::x25519(black_box(&responder), &public, &mut shared), "a point of high order");
        initiator[0] ^= 8;
        responder[0] ^= 8;
    }
    let (mut dk, mut ek, mut ct) = ([0; 3168], [0; 1568], [0; 1568]);
    b4ae_aws_lc::ml_kem_key_pair(&random(), &mut dk, &mut ek).expect("memory");
    let key = DecapsulationKey::new(&ML_KEM_1024, &dk).expect("our own key");
    b4ae_aws_lc::ml_kem_encapsulate(&ek, &random(), &mut ct, &mut shared).expect("our own key");
    black_box(key.decapsulate(Ciphertext::from(&ct[..])).expect("memory"));
}

/// Each side signs, and verifies the other's signature.
pub(super) fn signatures() {
    static PAIR: OnceLock<PqdsaKeyPair> = OnceLock::new();
    let pair = PAIR.get_or_init(|| PqdsaKeyPair::generate(&ML_DSA_87_SIGNING).expect("memory"));
    let mut signature = [0; 4627];
    for _ in 0..2 {
        let message: [u8; 64] = random();
        pair.sign(&message, &mut signature).expect("memory");
        let verifier = UnparsedPublicKey::new(&ML_DSA_87, pair.public_key());
        verifier.verify(&message, &signature).expect("our own signature");
    }
}
