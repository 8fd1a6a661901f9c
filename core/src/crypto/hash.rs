//! BLAKE2b (RFC 7693): transcript hash, personalised digests, keyed MACs, and HKDF as the Noise specification has it.

use core::slice;

use blake2::Blake2bVarCore;
use blake2::digest::block_api::{Block, Buffer, UpdateCore as _, VariableOutputCore as _};
use zeroize::Zeroize as _;

use crate::secret::{InPlace, Secret, same};

/// A personalisation: exactly sixteen bytes, so that no two labels can collide by zero padding.
pub(crate) type Label = [u8; 16];

const NO_SALT: &[u8; 16] = &[0; 16];

/// BLAKE2b with `len` bytes out, which begin `out`; the label of zeros is none.
///
/// One function for all forms, at the level of blocks: between key exchanges whatever code is used is no longer in the
/// processor's cache, so that six copies of it would be waited for six times.
#[inline(never)]
fn blake2b(key: Option<&[u8; 32]>, label: &Label, parts: &[&[u8]], len: usize, out: &mut [u8; 64]) {
    let mut state = Blake2bVarCore::new_with_params(NO_SALT, label, key.map_or(0, |key| key.len()), len);
    let mut buffer = key.map_or_else(Buffer::<Blake2bVarCore>::default, key_block);
    complete(&mut state, &mut buffer, parts, out);
}

/// A key is a block of its own, and comes first.
fn key_block(key: &[u8; 32]) -> Buffer<Blake2bVarCore> {
    let mut block = [0; 128];
    block[..32].copy_from_slice(key);
    let buffer = Buffer::<Blake2bVarCore>::new(&block);
    block.as_mut_slice().zeroize();
    buffer
}

/// Hashes `parts` and ends the hash. Leaves the buffer empty, and nothing of what was in it.
#[inline(never)]
fn complete(state: &mut Blake2bVarCore, buffer: &mut Buffer<Blake2bVarCore>, parts: &[&[u8]], out: &mut [u8; 64]) {
    for part in parts {
        buffer.digest_blocks(part, |blocks| state.update_blocks(blocks));
    }
    state.finalize_variable_core(buffer, out.into());
    buffer.zeroize();
}

/// Plain BLAKE2b-512 over `head` and then `parts`.
pub(crate) fn blake2b_512_after(head: &[u8; 64], parts: &[&[u8]]) -> [u8; 64] {
    let mut out = [0; 64];
    complete(&mut plain(), &mut Buffer::<Blake2bVarCore>::new(head), parts, &mut out);
    out
}

/// Plain BLAKE2b-512, begun.
fn plain() -> Blake2bVarCore {
    Blake2bVarCore::new_with_params(NO_SALT, &[0; 16], 0, 64)
}

/// BLAKE2b-256 personalised with `label`, unkeyed.
pub(crate) fn digest(label: &Label, parts: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 64];
    blake2b(None, label, parts, 32, &mut out);
    *out.first_chunk().expect("32 of 64")
}

/// BLAKE2b-512 personalised with `label`, unkeyed.
pub(crate) fn digest_64(label: &Label, parts: &[&[u8]]) -> [u8; 64] {
    let mut out = [0; 64];
    blake2b(None, label, parts, 64, &mut out);
    out
}

/// A PRF: BLAKE2b-256 keyed with `key`, personalised with `label`.
pub(crate) fn prf(key: &[u8; 32], label: &Label, parts: &[&[u8]]) -> Secret<32> {
    let mut out = Secret::zero();
    prf_into(key, label, parts, out.as_mut());
    out
}

/// A [`prf`] whose output stands within something larger.
pub(crate) fn prf_into(key: &[u8; 32], label: &Label, parts: &[&[u8]], out: &mut [u8; 32]) {
    let mut whole = InPlace::zero();
    blake2b(Some(key), label, parts, 32, whole.as_mut());
    out.copy_from_slice(&whole.expose()[..32]);
}

/// A PRF with two outputs, in one compression: BLAKE2b-512 keyed with `state` over the empty message. The first half
/// replaces `state`, the second is written to `out`. In place, and by itself, since this is what a session does for
/// every cell.
pub(crate) fn step(state: &mut [u8; 32], label: &Label, out: &mut [u8; 32]) {
    let mut both = [0; 64];
    let mut buffer = key_block(state);
    let mut hash = Blake2bVarCore::new_with_params(NO_SALT, label, 32, 64);
    hash.finalize_variable_core(&mut buffer, (&mut both).into());
    state.copy_from_slice(&both[..32]);
    out.copy_from_slice(&both[32..]);
    both.as_mut_slice().zeroize();
    buffer.zeroize();
}

/// A 128-bit MAC: BLAKE2b with 16 bytes out, keyed with `key`, personalised with `label`.
pub(crate) fn mac(key: &[u8; 32], label: &Label, parts: &[&[u8]]) -> [u8; 16] {
    let mut out = [0; 64];
    blake2b(Some(key), label, parts, 16, &mut out);
    *out.first_chunk().expect("16 of 64")
}

/// Compares a [`mac`] in constant time.
#[must_use]
pub(crate) fn verify_mac(key: &[u8; 32], label: &Label, parts: &[&[u8]], tag: &[u8; 16]) -> bool {
    same(&mac(key, label, parts), tag)
}

/// HMAC-BLAKE2b-512 (RFC 2104, block length 128) under one key, for several messages: the two blocks that hashes begin
/// with under it are compressed once. All keys here are hashes themselves.
pub(crate) struct Hmac<'k> {
    key: &'k [u8; 64],
    /// Both wipe themselves.
    inner: Blake2bVarCore,
    outer: Blake2bVarCore,
}

const INNER: u8 = 0x36;
const OUTER: u8 = 0x5c;

/// An HMAC key as the block that a hash begins with.
fn block(key: &[u8; 64], pad: u8) -> [u8; 128] {
    let mut block = [pad; 128];
    block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    block
}

impl<'k> Hmac<'k> {
    #[inline(never)]
    pub(crate) fn new(key: &'k [u8; 64]) -> Self {
        let mut this = Self { key, inner: plain(), outer: plain() };
        for (state, pad) in [(&mut this.inner, INNER), (&mut this.outer, OUTER)] {
            let mut block = Block::<Blake2bVarCore>::from(block(key, pad));
            state.update_blocks(slice::from_ref(&block));
            block.as_mut_slice().zeroize();
        }
        this
    }

    /// Writes the tag to `out`: what is derived from it stands on the stack, or in a transcript that is there already.
    #[inline(never)]
    pub(crate) fn tag(&self, parts: &[&[u8]], out: &mut [u8; 64]) {
        let (mut inner, mut outer) = (self.inner.clone(), self.outer.clone());
        let mut buffer = Buffer::<Blake2bVarCore>::default();
        if parts.iter().all(|part| part.is_empty()) {
            // Nothing follows the key's block, and BLAKE2b does not compress its last block as the others.
            let mut block = block(self.key, INNER);
            (inner, buffer) = (plain(), Buffer::<Blake2bVarCore>::new(&block));
            block.as_mut_slice().zeroize();
        }
        let mut digest = InPlace::zero();
        complete(&mut inner, &mut buffer, parts, digest.as_mut());
        complete(&mut outer, &mut buffer, &[digest.expose()], out);
    }
}

/// One message's [`Hmac`].
pub(crate) fn hmac(key: &[u8; 64], parts: &[&[u8]], out: &mut [u8; 64]) {
    Hmac::new(key).tag(parts, out);
}

/// HKDF with two outputs (Noise specification, section 4.3): the first replaces the chaining key.
pub(crate) fn hkdf2(chaining_key: &mut [u8; 64], input: &[u8], second: &mut [u8; 64]) {
    let mut temporary = InPlace::zero();
    hmac(chaining_key, &[input], temporary.as_mut());
    let expand = Hmac::new(temporary.expose());
    expand.tag(&[&[1]], chaining_key);
    expand.tag(&[chaining_key, &[2]], second);
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    const LABEL: &Label = b"B4AE2-root-test.";

    fn counting<const N: usize>() -> [u8; N] {
        core::array::from_fn(|i| i as u8)
    }

    /// Against Python's `hashlib.blake2b` with `person`, `key` and `digest_size`.
    #[test]
    fn personalised_and_keyed_forms_are_hashlibs() {
        assert_eq!(
            HEXLOWER.encode(&digest(b"B4AE2-peer-id...", &[b"abc", b"def"])),
            "ea626430d420291da7d4a1d452accf8204eed657f2873cfe5b3d1c8409ac5501"
        );
        assert_eq!(
            HEXLOWER.encode(&digest_64(b"B4AE2-B-sign-hs.", &[b"abc"])),
            "56ccaf55d9c8f449a3d01a3a87309702fd66fe233fa33c06da45acccc9d25602\
             cb51541d2cba02916ae314296a3c612a711ef1c180f129701ddb1eae0293bac7"
        );
        assert_eq!(
            HEXLOWER.encode(prf(&counting(), LABEL, &[b"ab", b"c"]).expose()),
            "247513088272fc476a65afb6e2ecd2c585dd5fcc67d59f6ff51a482e5c9b5c56"
        );
        assert_eq!(
            HEXLOWER.encode(&blake2b_512_after(&counting(), &[b"abc", b"def"])),
            "8fdafb570539f56d9fd1bab0bb7abb76a41275802f635fec4c423a34bf8fcbef\
             354ec025791e6928ed4198aad646ae18ede86144737fe12459f57429786607ad"
        );
    }

    #[test]
    fn a_step_is_the_two_halves_of_one_hash() {
        let (mut first, mut second) = (Secret::new(counting()), Secret::zero());
        step(first.as_mut(), b"B4AE2-cell-key..", second.as_mut());
        assert_eq!(HEXLOWER.encode(first.expose()), "39576449ec3f3d9475275405a0c5274d020cd7aefeb6e295da12263badd0a656");
        assert_eq!(
            HEXLOWER.encode(second.expose()),
            "0f4d55f9ba387ce9ab232a0fc2411fa456ea0976f6db8864dd3c60304a42557d"
        );
    }

    #[test]
    fn a_mac_is_hashlibs_and_no_other_tag_will_do() {
        let verify = |label: &Label, tag: &[u8; 16]| verify_mac(&counting(), label, &[b"abc"], tag);
        let tag = mac(&counting(), b"B4AE2-mac2......", &[b"a", b"bc"]);
        assert_eq!(HEXLOWER.encode(&tag), "11399a813c22153d23b595ddc7b1de27");
        assert!(verify(b"B4AE2-mac2......", &tag));
        for bit in 0..128 {
            let mut wrong = tag;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(b"B4AE2-mac2......", &wrong));
        }
        assert!(!verify(b"B4AE2-mac3......", &tag));
    }

    /// Against Python's `hmac` with `hashlib.blake2b`.
    #[test]
    fn hmac_and_hkdf_are_pythons() {
        let tags: [(&[&[u8]], &str); 3] = [
            (
                &[b"a", b"bc"],
                "cfb7fadba5986a2320ddff615fe9386cf3927144d40c77320914b152bb06ab8e\
                04e835035bab5ff0f4518528fe5ce4a190d75b7b4cc03337b78f8c9d8a0761e5",
            ),
            // The key's block is the last that the inner hash compresses.
            (
                &[b"", b""],
                "ea1896ab7c8319a824482f757c038b70089765501b1f8bdb78153d195915bd33\
                0bde7a8c0fb6dbf3de09277662ba661fde80017dc277309eedfe05bdf5b27e18",
            ),
            (
                &[&[7; 200]],
                "c4d364e00bb48a4d393cdcfeaa21fc6c9050f4d3715e3d7ad6d88f8fd5874060\
                47f9ef62fd08eff9e3cb15d12441f1aee95094d5a7f27ce323756d73cd9ae16f",
            ),
        ];
        for (parts, told) in tags {
            let mut tag = [0; 64];
            hmac(&counting(), parts, &mut tag);
            assert_eq!(HEXLOWER.encode(&tag), told);
        }
        let (mut first, mut second) = (counting(), [0; 64]);
        hkdf2(&mut first, &[0x0b; 32], &mut second);
        assert_eq!(
            HEXLOWER.encode(&first),
            "839b4fa9779b8c32020776a8c4aaa228b2e706ba929fbac13da91141146ec723\
             bb13890c9b3b1e6ffa86aafb8c3fbb79f1b67fb4cd65e5e303a16d0984bdf147"
        );
        assert_eq!(
            HEXLOWER.encode(&second),
            "ff2ce8289371433328e8e4f3d4a7c6106b4a90fba995df4d6c7e73b2b8be8df7\
             0c439c2800fc3b09aeae1b33bec3fb31e68f0e1567a1e4b11716b9952d381caf"
        );
    }
}
