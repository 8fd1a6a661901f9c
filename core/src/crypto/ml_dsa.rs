//! ML-DSA-87 (FIPS 204), pure, with the empty context: the form every implementation and token has.

use libcrux_ml_dsa::ml_dsa_87::{self, MLDSA87Signature, MLDSA87VerificationKey};
use zeroize::Zeroize as _;

use super::burn_stack;
use crate::job::{ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN};
use crate::secret::Secret;

/// The public key of the seed `xi`.
pub(crate) fn public_key(seed: &Secret<32>) -> [u8; ML_DSA_PUBLIC_KEY_LEN] {
    let mut pair = ml_dsa_87::generate_key_pair(*seed.expose());
    let public = *pair.verification_key.as_ref();
    pair.signing_key.as_mut_slice().zeroize();
    burn_stack::<24576>();
    public
}

/// Signs with the key of the seed `xi`, hedged with `randomness`. The key is expanded for the call and wiped after.
pub(crate) fn sign(
    seed: &Secret<32>,
    message: &[u8; 64],
    randomness: &[u8; 32],
    signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
) -> bool {
    let mut pair = ml_dsa_87::generate_key_pair(*seed.expose());
    let signed = ml_dsa_87::sign(&pair.signing_key, message, b"", *randomness);
    pair.signing_key.as_mut_slice().zeroize();
    burn_stack::<24576>();
    signed.map(|s| signature.copy_from_slice(s.as_slice())).is_ok()
}

/// Whether `signature` is `public_key`'s over `message`.
pub(crate) fn verify(
    public_key: &[u8; ML_DSA_PUBLIC_KEY_LEN],
    message: &[u8; 64],
    signature: &[u8; ML_DSA_SIGNATURE_LEN],
) -> bool {
    let key = MLDSA87VerificationKey::new(*public_key);
    ml_dsa_87::verify(&key, message, b"", &MLDSA87Signature::new(*signature)).is_ok()
}
