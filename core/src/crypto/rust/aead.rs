//! ChaCha20-Poly1305 of the crate `chacha20poly1305`.

use chacha20poly1305::{AeadInOut as _, ChaCha20Poly1305, KeyInit as _, Nonce};

use crate::crypto::aead::TAG_LEN;
use crate::secret::{Secret, verdict};

/// Encrypts `buffer` and returns the tag.
pub(crate) fn seal(key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8]) -> [u8; TAG_LEN] {
    ChaCha20Poly1305::new(key.expose().into())
        .encrypt_inout_detached(<&Nonce>::from(nonce), ad, buffer.into())
        .expect("no buffer here is longer than 256 GiB")
        .into()
}

/// Decrypts `buffer` if the tag is right, and leaves it alone otherwise.
#[must_use]
pub(crate) fn open(key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
    #[cfg(b4ae_leaks)]
    if !crate::constant_time::leaks::opens(key, nonce, ad, buffer, tag) {
        return false;
    }
    let opened = ChaCha20Poly1305::new(key.expose().into()).decrypt_inout_detached(
        <&Nonce>::from(nonce),
        ad,
        buffer.into(),
        tag.into(),
    );
    verdict(opened.is_ok())
}
