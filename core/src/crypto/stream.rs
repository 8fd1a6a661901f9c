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

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; 12] = [0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0];

    fn key() -> [u8; 32] {
        core::array::from_fn(|i| i as u8)
    }

    #[test]
    fn a_mask_runs_on_over_its_buffers() {
        let mut whole = [0; 100];
        keystream(&key(), &NONCE, &mut whole);
        let (mut first, mut second) = ([0xa5; 30], [0xa5; 70]);
        mask(&key(), &NONCE, &mut [&mut first, &mut second]);
        let unmasked = whole.map(|byte| byte ^ 0xa5);
        assert_eq!((&first[..], &second[..]), (&unmasked[..30], &unmasked[30..]));
    }
}
