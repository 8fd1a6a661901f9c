//! SipHash-2-4 with 128 bits out: the MAC of what has to be turned away by the million.
//!
//! It gates work and protects nothing: whatever it lets pass is authenticated again, under BLAKE2b or the AEAD. Of the
//! keyed functions made against floods it is the one that costs a short input least.

use core::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};
use subtle::ConstantTimeEq as _;

use crate::secret::Secret;

/// A key for any number of messages.
pub(crate) struct SipKey(Secret<16>);

impl SipKey {
    /// The first half of a derived key.
    pub(crate) fn new(key: &Secret<32>) -> Self {
        Self(Secret::copy_of(key.expose().first_chunk().expect("16 of 32")))
    }

    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut sip = SipHasher24::new_with_key(self.0.expose());
        for part in parts {
            sip.write(part);
        }
        sip.finish128().as_bytes()
    }

    /// Compares in constant time. `tag` may be shortened.
    pub(crate) fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.tag(parts)[..tag.len()].ct_eq(tag).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_run_on_and_a_flipped_bit_is_refused() {
        let key = SipKey::new(&Secret::new(core::array::from_fn(|i| i as u8)));
        let other = SipKey::new(&Secret::new([0; 32]));
        let message: [u8; 67] = core::array::from_fn(|i| i as u8);
        let tag = key.tag(&[&message]);
        assert_eq!(key.tag(&[&message[..3], &[], &message[3..40], &message[40..]]), tag);
        assert!(key.verify(&[&message], &tag) && key.verify(&[&message], &tag[..8]));
        assert!(!other.verify(&[&message], &tag));
        for bit in 0..message.len() * 8 {
            let mut wrong = message;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(&[&wrong], &tag[..8]), "bit {bit} of the message");
        }
        for bit in 0..128 {
            let mut wrong = tag;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(&[&message], &wrong), "bit {bit} of the tag");
        }
    }
}
