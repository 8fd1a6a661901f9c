//! The primitives as the core calls them.

use super::{Case, classify, declassify, flipped, opened, secret};
use crate::crypto::siphash::SipKey;
use crate::crypto::{aead, hash, ml_kem, stream, x25519, xeddsa};
use crate::random::Stream;
use crate::secret::Secret;

pub(super) const CASES: &[Case] = &[
    Case { name: "Secret ==", run: equality, planted: true },
    Case { name: "ChaCha20-Poly1305: seal and open", run: aead, planted: true },
    Case { name: "ChaCha20: masks", run: masks, planted: false },
    Case { name: "BLAKE2b: PRF, HMAC, HKDF", run: hashes, planted: false },
    Case { name: "BLAKE2b and SipHash: MACs and their verification", run: mac, planted: true },
    Case { name: "X25519: public key, shared secret, low order", run: x25519, planted: true },
    Case { name: "XEdDSA: sign", run: xeddsa, planted: true },
    Case { name: "ML-KEM-1024: encapsulate", run: encapsulate, planted: false },
    Case { name: "ML-KEM-1024: decapsulate", run: decapsulate, planted: false },
    Case { name: "random streams", run: random, planted: false },
];

fn equality() -> u64 {
    let (a, b) = (secret::<32>(1), secret::<32>(1));
    assert!(a == b, "the same");
    for at in [0, 15, 31] {
        let mut other = Secret::new(flipped([1; 32], at));
        classify(other.as_mut());
        assert!(a != other, "another");
    }
    0
}

fn aead() -> u64 {
    let key = secret(1);
    let nonce = aead::nonce(0);
    let mut text = [7; 1168];
    classify(&mut text);
    let mut tag = aead::seal(&key, &nonce, b"clear", &mut text);
    // As they are on the wire.
    declassify(&mut text);
    declassify(&mut tag);
    for at in [0, 7, 15] {
        assert!(!aead::open(&key, &nonce, b"clear", &mut text, &flipped(tag, at)), "another tag");
    }
    assert!(aead::open(&key, &nonce, b"clear", &mut text, &tag), "the right tag");
    4
}

fn masks() -> u64 {
    let key = secret(1);
    let mut bytes = [7; 1168];
    classify(&mut bytes);
    stream::mask(key.expose(), &[0; 12], &mut [&mut bytes]);
    declassify(&mut bytes);
    0
}

fn hashes() -> u64 {
    let key = secret::<32>(1);
    let derived = hash::prf(key.expose(), b"B4AE2-cookie-tag", &[secret::<16>(2).expose(), b"public"]);
    let (mut long, mut second) = ([0; 64], [0; 64]);
    hash::hmac(secret::<64>(3).expose(), &[derived.expose()], &mut long);
    hash::hkdf2(&mut long, derived.expose(), &mut second);
    opened(&second);
    0
}

fn mac() -> u64 {
    let (key, short) = (secret::<32>(1), SipKey::new(&secret(2)));
    let mut tags = [hash::mac(key.expose(), b"B4AE2-mac2......", &[&[7; 108]]), short.tag(&[&[7; 108]])];
    tags.iter_mut().for_each(|tag| declassify(tag));
    let right = |[long, sip]: [[u8; 16]; 2]| {
        let verified = hash::verify_mac(key.expose(), b"B4AE2-mac2......", &[&[7; 108]], &long);
        [verified, short.verify(&[&[7; 108]], &sip)]
    };
    assert_eq!(right(tags), [true, true], "the right tags");
    for at in [0, 7, 15] {
        assert_eq!(right(tags.map(|tag| flipped(tag, at))), [false, false], "other tags");
    }
    0
}

fn x25519() -> u64 {
    let private = secret(1);
    let mut public = x25519::public_key(&private);
    declassify(&mut public);
    let peer = x25519::public_key(&Secret::new([2; 32]));
    assert!(x25519::shared_secret(&private, &peer).is_some(), "a point of high order");
    assert!(x25519::shared_secret(&private, &[0; 32]).is_none(), "a point of low order");
    0
}

/// Under keys of either sign.
fn xeddsa() -> u64 {
    for n in 1..=4 {
        let mut signature = xeddsa::sign(&secret(n), &[7; 64], &secret(n));
        declassify(&mut signature);
        let public = x25519::public_key(&Secret::new([n; 32]));
        assert!(xeddsa::verify(&public, &[7; 64], &signature), "a signature");
    }
    0
}

fn encapsulate() -> u64 {
    let (_, ek) = ml_kem::key_pair(&Secret::new([1; 64]));
    let Some((mut ct, shared)) = ml_kem::encapsulate(&ek, &secret(2)) else { panic!("a good key") };
    declassify(&mut *ct);
    opened(shared.expose());
    0
}

fn decapsulate() -> u64 {
    let (mut key, ek) = ml_kem::key_pair(&Secret::new([1; 64]));
    let Some((ct, shared)) = ml_kem::encapsulate(&ek, &Secret::new([2; 32])) else { return 0 };
    for part in key.secret_parts() {
        classify(part);
    }
    assert_eq!(opened(ml_kem::decapsulate(&key, &ct).expose()), opened(shared.expose()), "the right ciphertext");
    for at in [0, 1500, ml_kem::CT_LEN - 1] {
        assert_ne!(
            opened(ml_kem::decapsulate(&key, &flipped(*ct, at)).expose()),
            opened(shared.expose()),
            "another ciphertext"
        );
    }
    0
}

fn random() -> u64 {
    let mut stream = Stream::new(secret(1));
    declassify(&mut stream.bytes::<1000>());
    declassify(&mut stream.below(1 << 20).to_le_bytes());
    0
}
