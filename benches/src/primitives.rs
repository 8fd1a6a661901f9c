//! The primitives by themselves, called through the same crates in the same run: what no engine could do without.
//!
//! Those that the core's feature `aws-lc` replaces are in `rust.rs` and `aws_lc.rs`.

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(not(feature = "aws-lc"))]
mod rust;

use std::hash::Hasher as _;
use std::hint::black_box;

use b4ae_core::{DATAGRAM_LEN, Mode};
use blake2::Blake2b512;
use blake2::digest::{Digest as _, KeyInit as _, Mac as _};
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
use hmac::SimpleHmac;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

#[cfg(feature = "aws-lc")]
use self::aws_lc::{key_exchange, open, seal, signatures};
#[cfg(not(feature = "aws-lc"))]
use self::rust::{key_exchange, open, seal, signatures};
use crate::measure::Work;

/// A tag of ChaCha20-Poly1305.
type Tag = [u8; 16];

/// A cell's plaintext.
pub(crate) const TEXT_LEN: usize = 1168;
/// What a sealed handshake fragment seals.
const FRAGMENT_LEN: usize = 1164;

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fastrand::fill(&mut bytes);
    bytes
}

/// `ChaCha20-Poly1305` over a cell's text with a cell's associated data, under another key each time.
pub(crate) struct SealCell(pub(crate) usize);

impl Work for SealCell {
    fn run(&mut self) -> usize {
        let (mut key, mut text) = ([0; 32], [0; TEXT_LEN]);
        for _ in 0..self.0 {
            black_box(seal(black_box(&key), &[0; 16], black_box(&mut text)));
            key[0] = key[0].wrapping_add(1);
        }
        self.0
    }
}

/// The same, opened.
#[derive(Default)]
pub(crate) struct OpenCell(usize, Vec<([u8; TEXT_LEN], Tag)>);

impl OpenCell {
    /// So many at a time.
    pub(crate) fn new(batch: usize) -> Self {
        Self(batch, Vec::new())
    }
}

impl Work for OpenCell {
    fn prepare(&mut self) {
        self.1.clear();
        for n in 0..self.0 {
            let mut text = [0; TEXT_LEN];
            let tag = seal(&[n as u8; 32], &[0; 16], &mut text);
            self.1.push((text, tag));
        }
    }

    fn run(&mut self) -> usize {
        for (n, (text, tag)) in self.1.iter_mut().enumerate() {
            open(black_box(&[n as u8; 32]), &[0; 16], black_box(text), tag);
        }
        self.0
    }
}

/// Everything that a handshake in `mode` has both sides compute, and nothing else.
pub(crate) struct Handshake {
    pub(crate) mode: Mode,
    pub(crate) batch: usize,
}

impl Work for Handshake {
    fn run(&mut self) -> usize {
        for _ in 0..self.batch {
            key_exchange();
            if self.mode == Mode::B {
                signatures();
            }
            symmetric(self.mode);
        }
        self.batch
    }
}

/// AEAD, hashes and keystream over what the handshake's messages and datagrams are long.
fn symmetric(mode: Mode) {
    let proof = if mode == Mode::B { 2592 + 4627 } else { 0 };
    let mut buffer = [0; 16 * 1024];
    let key = random();

    // Init, Response and Finish, whole.
    let (init, response, finish) = (96 + 32 + 1568, 32 + 1584 + 144 + 32 + proof, 144 + 32 + proof);
    // The transcript's encrypted fields: ciphertext, identity, answer; identity, proof.
    let fields = [1568, 128, 16 + proof, 128, 16 + proof];
    // Prologue, e, e1, the empty payload, e; and those fields with their tags.
    let hashed = [152, 32, 1568, 0, 32].into_iter().chain(fields.map(|len| len + 16));
    let fragments = |len: usize| len.div_ceil(FRAGMENT_LEN - 16);
    // Sealed datagrams: a Challenge, Response and Finish fragments, the first cell.
    let sealed = std::iter::once(96)
        .chain(std::iter::repeat_n(FRAGMENT_LEN, fragments(response) + fragments(finish)))
        .chain([TEXT_LEN]);

    for len in fields.into_iter().chain(sealed) {
        let tag = seal(&key, &[0; 64], &mut buffer[..len]);
        open(&key, &[0; 64], &mut buffer[..len], &tag);
    }
    // Both sides hash the same.
    for _ in 0..2 {
        hashed.clone().for_each(|len| hash(&buffer[..64 + len]));
        // Four keys mixed in, three HMACs each; keys of fragments; the root.
        for _ in 0..4 {
            [64, 1, 65].into_iter().for_each(|len| hmac(&buffer[..len]));
        }
        [86, 83, 64, 43].into_iter().for_each(|len| hmac(&buffer[..len]));
        // Messages are put together by their hashes.
        [init, response, finish].into_iter().for_each(|len| hash(&buffer[..len]));
        // mac1 of the Hello and of two Init fragments, and mac2.
        [108, 108, 108].into_iter().for_each(|len| short_mac(&buffer[..len]));
        [1184, 1184].into_iter().for_each(|len| hash(&buffer[..len]));
        if mode == Mode::B {
            hash(&buffer[..2592]);
        }
        // Masks of the Hello and of two Init fragments.
        [96, DATAGRAM_LEN, DATAGRAM_LEN].into_iter().for_each(|len| keystream(&key, &mut buffer[..len]));
    }
    // What of a Hello and of a Challenge is random.
    keystream(&key, &mut buffer[..DATAGRAM_LEN]);
    keystream(&key, &mut buffer[..DATAGRAM_LEN - 132]);
    black_box(&buffer);
}

fn hash(data: &[u8]) {
    black_box(Blake2b512::digest(black_box(data)));
}

fn short_mac(data: &[u8]) {
    let mut mac = SipHasher24::new();
    mac.write(black_box(data));
    black_box(mac.finish128());
}

fn hmac(data: &[u8]) {
    let mut mac = SimpleHmac::<Blake2b512>::new_from_slice(&[0; 64]).expect("any length will do");
    mac.update(black_box(data));
    black_box(mac.finalize());
}

fn keystream(key: &[u8; 32], out: &mut [u8]) {
    chacha20::ChaCha20::new(key.into(), (&[0; 12]).into()).apply_keystream(black_box(out));
}
