//! Code as it must not be, each piece in a way that people have written it.

use core::hint::black_box;

use crate::crypto::{aead, stream};
use crate::secret::Secret;
use crate::wire::cell::{DATA_LEN, Fragment};

/// Compares a byte at a time and stops at the first that differs, also where the compiler would rather not.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).all(|(a, b)| black_box(a) == b)
}

/// Decrypts, computes the tag that the text should have had, and compares a byte at a time.
pub(crate) fn opens(key: &Secret<32>, nonce: &[u8; 12], ad: &[u8], buffer: &mut [u8], tag: &[u8; 16]) -> bool {
    // The first block of the keystream is the one-time key's.
    stream::mask(key.expose(), nonce, &mut [&mut [0; 64], buffer]);
    same(&aead::seal(key, nonce, ad, buffer), tag)
}

/// Does something for one sign of a point and not for the other.
pub(crate) fn for_a_sign(sign: u8) {
    for _ in 0..sign {
        black_box(sign);
    }
}

/// Makes sure that what follows a message in its last cell is zeros, and stops at the first byte that is not.
pub(crate) fn is_padded(fragment: &Fragment, data: &[u8; DATA_LEN]) -> bool {
    let end = usize::from(fragment.index + 1) * DATA_LEN;
    let padding = end.saturating_sub(fragment.len as usize).min(DATA_LEN);
    data[DATA_LEN - padding..].iter().all(|&byte| byte == 0)
}
