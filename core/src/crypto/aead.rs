//! ChaCha20-Poly1305 (RFC 8439), detached and in place.

pub(crate) use super::provider::aead::{open, seal};

/// Length of a tag in bytes.
pub(crate) const TAG_LEN: usize = 16;

/// The nonce of a key that seals once, or of message `n` under a key that counts (Noise specification, section 12.3).
pub(crate) fn nonce(n: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&n.to_le_bytes());
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const TEXT: &[u8; 114] = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
        future, sunscreen would be it.";
    const AD: [u8; 12] = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
    const NONCE: [u8; 12] = [7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47];

    fn key() -> Secret<32> {
        Secret::new(core::array::from_fn(|i| 0x80 + i as u8))
    }

    #[test]
    fn what_is_not_authentic_is_left_alone() {
        let mut sealed = *TEXT;
        let tag = seal(&key(), &NONCE, &AD, &mut sealed);
        let refused = |key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], mut buffer: [u8; 114], tag: &[u8; 16]| {
            let before = buffer;
            !open(key, nonce, ad, &mut buffer, tag) && buffer == before
        };
        let flip = |mut bytes: [u8; 114]| {
            bytes[57] ^= 1;
            bytes
        };
        assert!(refused(&key(), &NONCE, &AD, flip(sealed), &tag));
        assert!(refused(&key(), &NONCE, &AD[1..], sealed, &tag));
        assert!(refused(&key(), &nonce(0), &AD, sealed, &tag));
        assert!(refused(&Secret::new([0; 32]), &NONCE, &AD, sealed, &tag));
        assert!(refused(&key(), &NONCE, &AD, sealed, &[0; 16]));
    }

    #[test]
    fn a_counting_nonce_is_noises() {
        assert_eq!(nonce(0x0102), [0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
    }
}
