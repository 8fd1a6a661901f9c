//! BLAKE2b: the reference implementation's known answers, and `blake2b_simd` for every form the core has; HMAC and
//! HKDF as `snow` builds them on `blake2b_simd`.

use alloc::vec;
use alloc::vec::Vec;

use blake2b_simd::{Params, State};
use data_encoding::HEXLOWER;
use fastrand::Rng;
use snow::types::Hash;

use super::Tally;
use crate::crypto::hash;
use crate::secret::Secret;

const CASES: usize = 300;

pub(super) fn tallies() -> Vec<Tally> {
    vec![known_answers(), plain(), personalised(), keyed(), macs(), hmac()]
}

/// `blake2-kat.json`: the digests of the first 0 to 255 bytes of 00 01 02 …
fn known_answers() -> Tally {
    let mut tally = Tally::new("BLAKE2b", "reference blake2-kat, unkeyed");
    let message: [u8; 256] = core::array::from_fn(|i| i as u8);
    for (len, digest) in include_str!("../../../vectors/blake2b_kat.txt").lines().enumerate() {
        let message = &message[..len];
        let mut agrees = HEXLOWER.encode(&hash::digest_64(&[0; 16], &[message])) == digest;
        if let Some((head, rest)) = message.split_first_chunk() {
            agrees &= HEXLOWER.encode(&hash::blake2b_512_after(head, &[rest])) == digest;
        }
        tally.valid(len, agrees);
    }
    tally.skip("keyed with 64 bytes: keys here have 32", 256);
    tally.of(512)
}

/// A message of up to some blocks, and the same in pieces.
fn message(random: &mut Rng) -> (Vec<u8>, usize) {
    let len = random.usize(..700);
    let bytes: Vec<u8> = core::iter::repeat_with(|| random.u8(..)).take(len).collect();
    (bytes, random.usize(..=len))
}

fn bytes<const N: usize>(random: &mut Rng) -> [u8; N] {
    core::array::from_fn(|_| random.u8(..))
}

fn reference(len: usize, key: &[u8], label: &[u8; 16], message: &[u8]) -> Vec<u8> {
    Params::new().hash_length(len).key(key).personal(label).hash(message).as_bytes().to_vec()
}

fn plain() -> Tally {
    let mut tally = Tally::new("BLAKE2b", "blake2b_simd: plain");
    let mut random = Rng::with_seed(1);
    for case in 0..CASES {
        let (head, (message, cut)) = (bytes::<64>(&mut random), message(&mut random));
        let ours = hash::blake2b_512_after(&head, &[&message[..cut], &message[cut..]]);
        tally.valid(case, ours[..] == blake2b_simd::blake2b(&[&head, &message[..]].concat()).as_bytes()[..]);
    }
    tally
}

fn personalised() -> Tally {
    let mut tally = Tally::new("BLAKE2b", "blake2b_simd: personalised");
    let mut random = Rng::with_seed(2);
    for case in 0..CASES {
        let (label, (message, cut)) = (bytes(&mut random), message(&mut random));
        let parts = [&message[..cut], &message[cut..]];
        let short = hash::digest(&label, &parts)[..] == reference(32, &[], &label, &message);
        tally.valid(case, short && hash::digest_64(&label, &parts)[..] == reference(64, &[], &label, &message));
    }
    tally
}

fn keyed() -> Tally {
    let mut tally = Tally::new("BLAKE2b", "blake2b_simd: keyed (PRF, step)");
    let mut random = Rng::with_seed(3);
    for case in 0..CASES {
        let (key, label) = (bytes::<32>(&mut random), bytes(&mut random));
        let (message, cut) = message(&mut random);
        let prf = hash::prf(&key, &label, &[&message[..cut], &message[cut..]]);
        let (mut state, mut out) = (Secret::new(key), Secret::zero());
        hash::step(state.as_mut(), &label, out.as_mut());
        let step = [&state.expose()[..], &out.expose()[..]].concat();
        let agrees = prf.expose()[..] == reference(32, &key, &label, &message);
        tally.valid(case, agrees && step == reference(64, &key, &label, &[]));
    }
    tally
}

fn macs() -> Tally {
    let mut tally = Tally::new("BLAKE2b", "blake2b_simd: 128-bit MAC");
    let mut random = Rng::with_seed(4);
    for case in 0..CASES {
        let (key, label) = (bytes(&mut random), bytes(&mut random));
        let (message, cut) = message(&mut random);
        let parts = [&message[..cut], &message[cut..]];
        let mut tag: [u8; 16] = reference(16, &key, &label, &message).try_into().unwrap();
        tally.valid(case, hash::mac(&key, &label, &parts) == tag && hash::verify_mac(&key, &label, &parts, &tag));
        tag[random.usize(..16)] ^= 1 << random.u8(..8);
        tally.invalid(case, !hash::verify_mac(&key, &label, &parts, &tag));
    }
    tally
}

fn hmac() -> Tally {
    let mut tally = Tally::new("HMAC, HKDF-BLAKE2b", "snow over blake2b_simd");
    let mut random = Rng::with_seed(5);
    for case in 0..CASES {
        let (chaining_key, (message, cut)) = (bytes::<64>(&mut random), message(&mut random));
        let (key, mut told) = (bytes(&mut random), [0; 64]);
        Simd::default().hmac(&key, &message, &mut told);
        let mut tag = [0; 64];
        hash::hmac(&key, &[&message[..cut], &message[cut..]], &mut tag);

        let (mut first, mut second) = ([0; 64], [0; 64]);
        Simd::default().hkdf(&chaining_key, &message, 2, &mut first, &mut second, &mut []);
        let (mut one, mut two) = (chaining_key, [0; 64]);
        hash::hkdf2(&mut one, &message, &mut two);
        tally.valid(case, tag == told && one == first && two == second);
    }
    tally
}

/// `blake2b_simd` as a hash of Noise's.
pub(crate) struct Simd(State);

impl Default for Simd {
    fn default() -> Self {
        Self(State::new())
    }
}

impl Hash for Simd {
    fn name(&self) -> &'static str {
        "BLAKE2b"
    }

    fn block_len(&self) -> usize {
        128
    }

    fn hash_len(&self) -> usize {
        64
    }

    fn reset(&mut self) {
        self.0 = State::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        out[..64].copy_from_slice(self.0.finalize().as_bytes());
    }
}
