//! ML-DSA-87 of the crate `libcrux-ml-dsa`.

use alloc::boxed::Box;

use libcrux_ml_dsa::ml_dsa_87::{self, MLDSA87Signature, MLDSA87SigningKey, MLDSA87VerificationKey};
use zeroize::Zeroize as _;

use crate::crypto::burn_stack;
use crate::job::{ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN};
use crate::secret::Secret;

/// Whether contexts and randomness are the caller's to choose, as FIPS 204 has it.
#[cfg(all(test, not(feature = "aws-lc")))]
pub(crate) const AS_TOLD: bool = true;

/// An expanded signing key, wiped on drop.
pub(crate) struct SigningKey(Box<MLDSA87SigningKey>);

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

/// The key pair of the seed `xi`.
pub(crate) fn key_pair(seed: &Secret<32>) -> (SigningKey, Box<[u8; ML_DSA_PUBLIC_KEY_LEN]>) {
    #[inline(never)]
    fn generate(seed: &Secret<32>) -> (SigningKey, Box<[u8; ML_DSA_PUBLIC_KEY_LEN]>) {
        let mut pair = ml_dsa_87::generate_key_pair(*seed.expose());
        let private = SigningKey(Box::new(MLDSA87SigningKey::new(*pair.signing_key.as_ref())));
        pair.signing_key.as_mut_slice().zeroize();
        (private, Box::new(*pair.verification_key.as_ref()))
    }
    let pair = generate(seed);
    burn_stack::<24576>();
    pair
}

/// Signs, hedged with `randomness`.
pub(crate) fn sign(
    key: &SigningKey,
    message: &[u8; 64],
    randomness: &[u8; 32],
    signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
) -> bool {
    sign_in_context(key, message, b"", randomness, signature)
}

/// [`sign`] as FIPS 204 has it, for a message and a context of any length.
pub(crate) fn sign_in_context(
    key: &SigningKey,
    message: &[u8],
    context: &[u8],
    randomness: &[u8; 32],
    signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
) -> bool {
    let signed = ml_dsa_87::sign(&key.0, message, context, *randomness);
    burn_stack::<24576>();
    signed.map(|s| signature.copy_from_slice(s.as_slice())).is_ok()
}

/// Whether `signature` is `public_key`'s over `message`.
pub(crate) fn verify(
    public_key: &[u8; ML_DSA_PUBLIC_KEY_LEN],
    message: &[u8; 64],
    signature: &[u8; ML_DSA_SIGNATURE_LEN],
) -> bool {
    verify_in_context(public_key, message, b"", signature)
}

/// [`verify`] as FIPS 204 has it, for a message and a context of any length.
pub(crate) fn verify_in_context(
    public_key: &[u8; ML_DSA_PUBLIC_KEY_LEN],
    message: &[u8],
    context: &[u8],
    signature: &[u8; ML_DSA_SIGNATURE_LEN],
) -> bool {
    let key = MLDSA87VerificationKey::new(*public_key);
    ml_dsa_87::verify(&key, message, context, &MLDSA87Signature::new(*signature)).is_ok()
}
