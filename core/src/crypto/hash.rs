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

/// A PRF with two outputs, in one compression: BLAKE2b-512 keyed with `key` over the empty message.
pub(crate) fn step(key: &Secret<32>, label: &Label) -> (Secret<32>, Secret<32>) {
    let mac =
        Blake2bMac::<U64>::new_with_salt_and_personal(Some(key.expose()), b"", label).expect("lengths are static");
    let mut both = Secret::<64>::zero();
    mac.finalize_into(both.as_mut().into());
    let (mut first, mut second) = (Secret::zero(), Secret::zero());
    first.as_mut().copy_from_slice(&both.expose()[..32]);
    second.as_mut().copy_from_slice(&both.expose()[32..]);
    (first, second)
}

/// A 128-bit MAC under a key that is used often: the key block is compressed once.
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
