//! SipHash-2-4 (Aumasson and Bernstein 2012): for what has to be turned away by the million, and for places in tables.
//!
//! As a MAC it gates work and protects nothing: whatever it lets pass is authenticated again, under BLAKE2b or the
//! AEAD. Of the keyed functions made against floods it is the one that costs a short input least.

use core::hash::Hasher as _;

use siphasher::sip;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::secret::{Secret, same};

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

    /// Compares in constant time. `tag` may be a tag's first bytes.
    pub(crate) fn verify<const N: usize>(&self, parts: &[&[u8]], tag: &[u8; N]) -> bool {
        same(self.tag(parts).first_chunk().expect("at most 16"), tag)
    }

    /// A place in a table that nobody without the key can aim at: the function's form with 64 bits out.
    pub(crate) fn place(&self, name: &[u8; 8]) -> u64 {
        sip::SipHasher24::new_with_key(self.0.expose()).hash(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the reference implementation (`vectors.h`, `vectors_sip64`), eight bytes.
    #[test]
    fn a_place_is_the_reference_implementations() {
        let key = SipKey::new(&Secret::new(core::array::from_fn(|i| i as u8)));
        let place = key.place(&[0, 1, 2, 3, 4, 5, 6, 7]).to_le_bytes();
        assert_eq!(place, [0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93]);
    }

    #[test]
    fn parts_run_on_and_a_flipped_bit_is_refused() {
        let key = SipKey::new(&Secret::new(core::array::from_fn(|i| i as u8)));
        let other = SipKey::new(&Secret::new([0; 32]));
        let message: [u8; 67] = core::array::from_fn(|i| i as u8);
        let tag = key.tag(&[&message]);
        assert_eq!(key.tag(&[&message[..3], &[], &message[3..40], &message[40..]]), tag);
        assert!(key.verify(&[&message], &tag) && key.verify::<8>(&[&message], tag.first_chunk().unwrap()));
        assert!(!other.verify(&[&message], &tag));
        for bit in 0..message.len() * 8 {
            let mut wrong = message;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(&[&wrong], &tag), "bit {bit} of the message");
        }
        for bit in 0..128 {
            let mut wrong = tag;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(&[&message], &wrong), "bit {bit} of the tag");
        }
    }
}
