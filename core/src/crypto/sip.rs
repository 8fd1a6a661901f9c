//! SipHash-2-4 (Aumasson and Bernstein 2012): a short hash that nobody without its key can aim, for places in tables.

use core::hash::Hasher as _;

use siphasher::sip::SipHasher24;

use crate::secret::Secret;

/// Hashes `bytes` under the first half of `key`.
pub(crate) fn hash(key: &Secret<32>, bytes: &[u8; 8]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key.expose().first_chunk().expect("16 of 32"));
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the reference implementation (`vectors.h`, `vectors_sip64`), eight bytes.
    #[test]
    fn it_is_the_reference_implementations() {
        let key = Secret::new(core::array::from_fn(|i| i as u8));
        assert_eq!(
            hash(&key, &[0, 1, 2, 3, 4, 5, 6, 7]).to_le_bytes(),
            [0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93]
        );
    }
}
