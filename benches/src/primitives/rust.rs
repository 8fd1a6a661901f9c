//! The crates in Rust.

use std::hint::black_box;
use std::sync::OnceLock;

use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _, Nonce};
use curve25519_dalek::montgomery::MontgomeryPoint;
use libcrux_ml_dsa::ml_dsa_87::{self, MLDSA87KeyPair};
use libcrux_ml_kem::mlkem1024;

use super::{Tag, random};

pub(super) fn seal(key: &[u8; 32], ad: &[u8], text: &mut [u8]) -> Tag {
    let sealed = ChaCha20Poly1305::new(key.into()).encrypt_inout_detached(<&Nonce>::from(&[0; 12]), ad, text.into());
    sealed.expect("short enough").into()
}

pub(super) fn open(key: &[u8; 32], ad: &[u8], text: &mut [u8], tag: &Tag) {
    let cipher = ChaCha20Poly1305::new(key.into());
    let opened = cipher.decrypt_inout_detached(<&Nonce>::from(&[0; 12]), ad, text.into(), tag.into());
    opened.expect("authentic");
}

/// Two ephemeral keys; ee, es and se on both sides; one encapsulation.
pub(super) fn key_exchange() {
    let (mut initiator, mut responder) = (random(), random());
    let public = MontgomeryPoint::mul_base_clamped(initiator);
    black_box(MontgomeryPoint::mul_base_clamped(responder));
    for _ in 0..3 {
        black_box(public.mul_clamped(black_box(initiator)));
        black_box(public.mul_clamped(black_box(responder)));
        initiator[0] ^= 8;
        responder[0] ^= 8;
    }
    let pair = mlkem1024::generate_key_pair(random());
    assert!(mlkem1024::validate_public_key(pair.public_key()), "our own key");
    let (ciphertext, _) = mlkem1024::encapsulate(pair.public_key(), random());
    black_box(mlkem1024::decapsulate(pair.private_key(), &ciphertext));
}

/// Each side signs, and verifies the other's signature.
pub(super) fn signatures() {
    static PAIR: OnceLock<MLDSA87KeyPair> = OnceLock::new();
    let pair = PAIR.get_or_init(|| ml_dsa_87::generate_key_pair(random()));
    for _ in 0..2 {
        let message: [u8; 64] = random();
        let signature = ml_dsa_87::sign(&pair.signing_key, &message, b"", random()).expect("a short context");
        ml_dsa_87::verify(&pair.verification_key, &message, b"", &signature).expect("our own signature");
    }
}
