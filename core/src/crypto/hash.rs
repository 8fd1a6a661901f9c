//! BLAKE2b (RFC 7693): transcript hash, personalised digests, keyed MACs, and HKDF as the Noise specification has it.

use blake2::digest::consts::{U16, U32, U64};
use blake2::digest::{FixedOutput as _, KeyInit as _, Mac as _};
use blake2::{Blake2b512, Blake2bMac, Digest as _};
use hmac::SimpleHmac;
use zeroize::Zeroize as _;

use crate::secret::Secret;

/// A personalisation: exactly sixteen bytes, so that no two labels can collide by zero padding.
pub(crate) type Label = [u8; 16];

/// Plain BLAKE2b-512 over `head` and then `parts`.
pub(crate) fn blake2b_512_after(head: &[u8; 64], parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Blake2b512::new_with_prefix(head);
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// BLAKE2b-256 personalised with `label`, unkeyed.
pub(crate) fn digest(label: &Label, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Blake2bMac::<U32>::new_with_salt_and_personal(None, b"", label).expect("lengths are static");
    for part in parts {
        hash.update(part);
    }
    hash.finalize_fixed().into()
}

/// BLAKE2b-512 personalised with `label`, unkeyed.
pub(crate) fn digest_64(label: &Label, parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Blake2bMac::<U64>::new_with_salt_and_personal(None, b"", label).expect("lengths are static");
    for part in parts {
        hash.update(part);
    }
    hash.finalize_fixed().into()
}

/// A PRF: BLAKE2b-256 keyed with `key`, personalised with `label`.
pub(crate) fn prf(key: &[u8; 32], label: &Label, parts: &[&[u8]]) -> Secret<32> {
    let mut mac = Blake2bMac::<U32>::new_with_salt_and_personal(Some(key), b"", label).expect("lengths are static");
    for part in parts {
        mac.update(part);
    }
    let mut out = Secret::zero();
    mac.finalize_into(out.as_mut().into());
    out
}

/// A PRF with two outputs, in one compression: BLAKE2b-512 keyed with `state` over the empty message. The first half
/// replaces `state`, the second is written to `out`. In place, since this is what a session does for every cell.
pub(crate) fn step(state: &mut Secret<32>, label: &Label, out: &mut Secret<32>) {
    let mac =
        Blake2bMac::<U64>::new_with_salt_and_personal(Some(state.expose()), b"", label).expect("lengths are static");
    let mut both = [0; 64];
    mac.finalize_into((&mut both).into());
    state.as_mut().copy_from_slice(&both[..32]);
    out.as_mut().copy_from_slice(&both[32..]);
    both.as_mut_slice().zeroize();
}

/// A 128-bit MAC under a key that is used often: the key block is laid out once. It is compressed with each message,
/// since BLAKE2b has to know whether a block is the last.
#[derive(Clone)]
pub(crate) struct MacKey(Blake2bMac<U16>);

impl MacKey {
    pub(crate) fn new(key: &[u8; 32], label: &Label) -> Self {
        Self(Blake2bMac::new_with_salt_and_personal(Some(key), b"", label).expect("lengths are static"))
    }

    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize_fixed().into()
    }

    /// Compares in constant time.
    pub(crate) fn verify(&self, parts: &[&[u8]], tag: &[u8; 16]) -> bool {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.verify(tag.into()).is_ok()
    }
}

/// HMAC-BLAKE2b-512 (RFC 2104, block length 128).
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Secret<64> {
    let mut mac = SimpleHmac::<Blake2b512>::new_from_slice(key).expect("any key length will do");
    for part in parts {
        mac.update(part);
    }
    let mut out = Secret::zero();
    let mut tag = mac.finalize_fixed();
    out.as_mut().copy_from_slice(&tag);
    tag.as_mut_slice().zeroize();
    out
}

/// HKDF with two outputs (Noise specification, section 4.3).
pub(crate) fn hkdf2(chaining_key: &Secret<64>, input: &[u8]) -> (Secret<64>, Secret<64>) {
    let temporary = hmac(chaining_key.expose(), &[input]);
    let first = hmac(temporary.expose(), &[&[1]]);
    let second = hmac(temporary.expose(), &[first.expose(), &[2]]);
    (first, second)
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
        step(&mut first, b"B4AE2-cell-key..", &mut second);
        assert_eq!(HEXLOWER.encode(first.expose()), "39576449ec3f3d9475275405a0c5274d020cd7aefeb6e295da12263badd0a656");
        assert_eq!(
            HEXLOWER.encode(second.expose()),
            "0f4d55f9ba387ce9ab232a0fc2411fa456ea0976f6db8864dd3c60304a42557d"
        );
    }

    #[test]
    fn a_mac_is_hashlibs_and_no_other_tag_will_do() {
        let key = MacKey::new(&counting(), b"B4AE2-mac1......");
        let tag = key.tag(&[b"a", b"bc"]);
        assert_eq!(HEXLOWER.encode(&tag), "dc0c614a1ddef79d12548d99a5feb305");
        assert!(key.verify(&[b"abc"], &tag));
        for bit in 0..128 {
            let mut wrong = tag;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(&[b"abc"], &wrong));
        }
        assert!(!MacKey::new(&counting(), b"B4AE2-mac2......").verify(&[b"abc"], &tag));
    }

    /// Against Python's `hmac` with `hashlib.blake2b`.
    #[test]
    fn hmac_and_hkdf_are_pythons() {
        assert_eq!(
            HEXLOWER.encode(hmac(&counting::<32>(), &[b"a", b"bc"]).expose()),
            "af6aef48e9a5a5e6a63b9f4703f032b5e42905477afec4d14f45d2d85e43dd19\
             3e96ba6432d7f7be1186083a09e71894f83dcf65fcf5a88b585529ef4928833d"
        );
        // A key longer than a block is hashed first.
        assert_eq!(
            HEXLOWER.encode(hmac(&counting::<200>(), &[b"abc"]).expose()),
            "feb09eb5b1c557085c0a53bdf39ef7bc9af291f21d7c917cd1cf09542aab9536\
             2de79b3925fe55d92997423b5a68be1bda2f6518df34fa1053bb3ef559b08200"
        );
        let (first, second) = hkdf2(&Secret::new(counting()), &[0x0b; 32]);
        assert_eq!(
            HEXLOWER.encode(first.expose()),
            "839b4fa9779b8c32020776a8c4aaa228b2e706ba929fbac13da91141146ec723\
             bb13890c9b3b1e6ffa86aafb8c3fbb79f1b67fb4cd65e5e303a16d0984bdf147"
        );
        assert_eq!(
            HEXLOWER.encode(second.expose()),
            "ff2ce8289371433328e8e4f3d4a7c6106b4a90fba995df4d6c7e73b2b8be8df7\
             0c439c2800fc3b09aeae1b33bec3fb31e68f0e1567a1e4b11716b9952d381caf"
        );
    }
}
