//! ChaCha20-Poly1305 of AWS-LC.

use alloc::vec::Vec;

use crate::crypto::aead::TAG_LEN;
use crate::secret::Secret;
use crate::transmit::DATAGRAM_LEN;

/// Encrypts `buffer` and returns the tag.
pub(crate) fn seal(key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8]) -> [u8; TAG_LEN] {
    b4ae_aws_lc::seal(key.expose(), nonce, ad, buffer)
}

/// Decrypts `buffer` if the tag is right, and leaves it alone otherwise.
///
/// AWS-LC decrypts while it computes the tag, and clears the text of a wrong one: the ciphertext, which is no secret,
/// is put back.
#[must_use]
pub(crate) fn open(key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
    let (mut short, long): (_, Vec<u8>);
    // What does not fit in a datagram is a field of a whole handshake message: no cell allocates here.
    let before = if buffer.len() <= DATAGRAM_LEN {
        short = [0; DATAGRAM_LEN];
        short[..buffer.len()].copy_from_slice(buffer);
        &short[..buffer.len()]
    } else {
        long = buffer.to_vec();
        &long[..]
    };
    let opened = b4ae_aws_lc::open(key.expose(), nonce, ad, buffer, tag);
    if !opened {
        buffer.copy_from_slice(before);
    }
    opened
}
