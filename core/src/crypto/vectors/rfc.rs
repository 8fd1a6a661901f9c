//! The vectors of the RFCs themselves.

use alloc::vec;
use alloc::vec::Vec;

use super::{Tally, fixed, hex};
use crate::crypto::{aead, hash, stream, x25519};
use crate::secret::Secret;

pub(super) fn tallies() -> Vec<Tally> {
    vec![blake2b(), exchange(), keystream(), encryption(), sealed()]
}

/// RFC 7693, appendix A: an all-zero personalisation is none.
fn blake2b() -> Tally {
    let mut tally = Tally::new("BLAKE2b", "RFC 7693, appendix A");
    let abc = fixed(
        "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1\
         7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
    );
    tally.valid("abc", hash::digest_64(&[0; 16], &[b"a", b"bc"]) == abc);
    tally.skip("the self-test of appendix E: its lengths of key and digest are not the core's", 1);
    tally
}

fn exchange() -> Tally {
    let mut tally = Tally::new("X25519", "RFC 7748, sections 5.2 and 6.1");
    let products = [
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
    for (scalar, point, product) in products {
        let shared = x25519::shared_secret(&Secret::new(fixed(scalar)), &fixed(point)).unwrap();
        tally.valid(scalar, *shared.expose() == fixed(product));
    }

    // Section 5.2: scalar and point become result and scalar, time and again.
    let mut base = [0; 32];
    base[0] = 9;
    let (mut scalar, mut point) = (base, base);
    for round in 1..=1000 {
        let product = x25519::shared_secret(&Secret::new(scalar), &point).unwrap();
        (scalar, point) = (*product.expose(), scalar);
        if round == 1 {
            let told = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079";
            tally.valid("1 iteration", scalar == fixed(told));
        }
    }
    let told = "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51";
    tally.valid("1,000 iterations", scalar == fixed(told));
    tally.skip("1,000,000 iterations take minutes in a debug build", 1);

    let alice = Secret::new(fixed("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
    let bob = Secret::new(fixed("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    let shared = fixed("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    let (a, b) = (x25519::public_key(&alice), x25519::public_key(&bob));
    tally.valid("alice", a == fixed("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
    tally.valid("bob", b == fixed("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
    tally.valid("alice's", *x25519::shared_secret(&alice, &b).unwrap().expose() == shared);
    tally.valid("bob's", *x25519::shared_secret(&bob, &a).unwrap().expose() == shared);
    tally
}

/// Key, nonce, block, keystream: section 2.3.2 and the five of appendix A.1.
const BLOCKS: [(&str, &str, usize, &str); 6] = [
    (
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "000000090000004a00000000",
        1,
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e\
         d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        0,
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7\
         da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        1,
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
         29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000001",
        "000000000000000000000000",
        1,
        "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a\
         8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0",
    ),
    (
        "00ff000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        2,
        "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca\
         13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096",
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000002",
        0,
        "c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7\
         8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d",
    ),
];

fn keystream() -> Tally {
    let mut tally = Tally::new("ChaCha20", "RFC 8439, section 2.3.2 and appendix A.1");
    for (number, (key, nonce, block, told)) in BLOCKS.into_iter().enumerate() {
        let mut out = [0xff; 192];
        stream::keystream(&fixed(key), &fixed(nonce), &mut out);
        tally.valid(number, out[64 * block..][..64] == hex(told));
    }
    tally.of(6)
}

const SUNSCREEN: &[u8; 114] = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
    future, sunscreen would be it.";

fn encryption() -> Tally {
    let mut tally = Tally::new("ChaCha20", "RFC 8439, section 2.4.2 and appendix A.2");
    let key = core::array::from_fn(|i| i as u8);
    // The RFC begins at block one, a mask at block zero.
    let (mut zero, mut text) = ([0; 64], *SUNSCREEN);
    stream::mask(&key, &fixed("000000000000004a00000000"), &mut [&mut zero, &mut text]);
    let told = "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0bf91b65c5524733ab8f593dabcd62b357\
        1639d624e65152ab8f530c359f0861d807ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab77937365af90bbf74\
        a35be6b40b8eedf2785e42874d";
    tally.valid("2.4.2", text[..] == hex(told));
    tally.skip("appendix A.2: the blocks of A.1 over long texts, and one from block 42 on", 3);
    tally.of(4)
}

fn sealed() -> Tally {
    let mut tally = Tally::new("ChaCha20-Poly1305", "RFC 8439, section 2.8.2 and appendix A.5");
    let internet_drafts = "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, \
        replaced, or obsoleted by other documents at any time. It is inappropriate to use Internet-Drafts as reference \
        material or to cite them other than as /\u{201c}work in progress./\u{201d}";
    let vectors = [
        (
            "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
            "070000004041424344454647",
            "50515253c0c1c2c3c4c5c6c7",
            &SUNSCREEN[..],
            "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de\
             0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b\
             7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
        ),
        (
            "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
            "000000000102030405060708",
            "f33388860000000000004e91",
            internet_drafts.as_bytes(),
            "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0bdb7b7\
             3c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c8559797a06ef4f0\
             ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee2\
             82a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a0bb2316053fa76991955ebd6\
             3159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c\
             29a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38",
        ),
    ];
    for (key, nonce, ad, text, told) in vectors {
        let (key, nonce, ad) = (Secret::new(fixed(key)), fixed(nonce), hex(ad));
        let mut buffer = text.to_vec();
        let tag = aead::seal(&key, &nonce, &ad, &mut buffer);
        let sealed = hex(told) == [&buffer[..], &tag].concat();
        tally.valid(told, sealed && aead::open(&key, &nonce, &ad, &mut buffer, &tag) && buffer == text);
    }
    tally.of(2)
}
