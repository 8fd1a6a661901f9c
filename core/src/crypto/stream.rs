//! The ChaCha20 keystream (RFC 8439), for masks and random streams.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};

/// XORs the keystream over `buffers`, one after the other.
pub(crate) fn mask(key: &[u8; 32], nonce: &[u8; 12], buffers: &mut [&mut [u8]]) {
    let mut cipher = ChaCha20::new(key.into(), nonce.into());
    for buffer in buffers {
        cipher.apply_keystream(buffer);
    }
}

/// Overwrites `out` with the keystream.
pub(crate) fn keystream(key: &[u8; 32], nonce: &[u8; 12], out: &mut [u8]) {
    out.fill(0);
    ChaCha20::new(key.into(), nonce.into()).apply_keystream(out);
}
