//! Verifying what tokens sign.

use b4ae_core::{ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN};
use libcrux_ml_dsa::ml_dsa_87::{MLDSA87Signature, MLDSA87VerificationKey, verify};

/// Whether `signature` is `public_key`'s of `message`, by FIPS 204 with the empty context.
pub(crate) fn signature(
    public_key: &[u8; ML_DSA_PUBLIC_KEY_LEN],
    message: &[u8; 64],
    signature: &[u8; ML_DSA_SIGNATURE_LEN],
) -> bool {
    let (key, signature) = (MLDSA87VerificationKey::new(*public_key), MLDSA87Signature::new(*signature));
    verify(&key, message, b"", &signature).is_ok()
}

/// The same with a context and with lengths unchecked so far.
pub(crate) fn in_context(public_key: &[u8], message: &[u8; 64], context: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (public_key.try_into(), signature.try_into()) else { return false };
    verify(&MLDSA87VerificationKey::new(key), message, context, &MLDSA87Signature::new(signature)).is_ok()
}
