//! ML-DSA-87 of AWS-LC.

use alloc::boxed::Box;

use aws_lc_rs::signature::{KeyPair as _, ML_DSA_87, ML_DSA_87_SIGNING, PqdsaKeyPair, UnparsedPublicKey};

use crate::crypto::burn_stack;
use crate::job::{ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN};
use crate::secret::Secret;

/// Whether contexts and randomness are the caller's to choose, as FIPS 204 has it: `aws-lc-rs` has neither.
#[cfg(all(test, feature = "aws-lc"))]
pub(crate) const AS_TOLD: bool = false;

/// An expanded signing key, in memory of AWS-LC's, wiped on drop.
pub(crate) struct SigningKey(PqdsaKeyPair);

/// The key pair of the seed `xi`.
pub(crate) fn key_pair(seed: &Secret<32>) -> (SigningKey, Box<[u8; ML_DSA_PUBLIC_KEY_LEN]>) {
    let pair = PqdsaKeyPair::from_seed(&ML_DSA_87_SIGNING, seed.expose())
        .expect("nothing else but want of memory makes this fail");
    let public = pair.public_key().as_ref().try_into().expect("an ML-DSA-87 key has this length");
    burn_stack::<16384>();
    (SigningKey(pair), Box::new(public))
}

/// Signs, hedged with random numbers of AWS-LC's own: it takes none from its caller.
pub(crate) fn sign(
    key: &SigningKey,
    message: &[u8; 64],
    _randomness: &[u8; 32],
    signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
) -> bool {
    let signed = key.0.sign(message, signature);
    burn_stack::<16384>();
    signed.is_ok()
}

/// Whether `signature` is `public_key`'s over `message`.
pub(crate) fn verify(
    public_key: &[u8; ML_DSA_PUBLIC_KEY_LEN],
    message: &[u8; 64],
    signature: &[u8; ML_DSA_SIGNATURE_LEN],
) -> bool {
    UnparsedPublicKey::new(&ML_DSA_87, public_key).verify(message, signature).is_ok()
}

/// [`sign`] for a message of any length. A context has to be empty.
#[cfg(all(test, feature = "aws-lc"))]
pub(crate) fn sign_in_context(
    key: &SigningKey,
    message: &[u8],
    context: &[u8],
    _randomness: &[u8; 32],
    signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
) -> bool {
    assert!(context.is_empty());
    key.0.sign(message, signature).is_ok()
}

/// [`verify`] for a message of any length. A context has to be empty.
#[cfg(all(test, feature = "aws-lc"))]
pub(crate) fn verify_in_context(
    public_key: &[u8; ML_DSA_PUBLIC_KEY_LEN],
    message: &[u8],
    context: &[u8],
    signature: &[u8; ML_DSA_SIGNATURE_LEN],
) -> bool {
    assert!(context.is_empty());
    UnparsedPublicKey::new(&ML_DSA_87, public_key).verify(message, signature).is_ok()
}
