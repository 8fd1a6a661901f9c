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
    sign_in_context(seed, message, b"", randomness, signature)
}

/// [`sign`] as FIPS 204 has it, for a message and a context of any length.
pub(super) fn sign_in_context(
    seed: &Secret<32>,
    message: &[u8],
    context: &[u8],
    randomness: &[u8; 32],
    signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
) -> bool {
    let mut pair = ml_dsa_87::generate_key_pair(*seed.expose());
    let signed = ml_dsa_87::sign(&pair.signing_key, message, context, *randomness);
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
    verify_in_context(public_key, message, b"", signature)
}

/// [`verify`] as FIPS 204 has it, for a message and a context of any length.
pub(super) fn verify_in_context(
    public_key: &[u8; ML_DSA_PUBLIC_KEY_LEN],
    message: &[u8],
    context: &[u8],
    signature: &[u8; ML_DSA_SIGNATURE_LEN],
) -> bool {
    let key = MLDSA87VerificationKey::new(*public_key);
    ml_dsa_87::verify(&key, message, context, &MLDSA87Signature::new(*signature)).is_ok()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::crypto::hash;

    /// Against OpenSSL's ML-DSA-87: its public key of the same seed, and this signature, which it verifies.
    #[test]
    fn it_is_openssls() {
        let seed = Secret::new(core::array::from_fn(|i| i as u8));
        let public = public_key(&seed);
        assert_eq!(
            HEXLOWER.encode(&hash::digest(b"B4AE2-ml-dsa-pk.", &[&public])),
            "4eedb572efd2863af04a5c83061926e5c7174c5709663ee2308ce3b58d847372"
        );
        let mut signature = [0; ML_DSA_SIGNATURE_LEN];
        assert!(sign(&seed, &[0x5a; 64], &[0xa5; 32], &mut signature));
        assert_eq!(
            HEXLOWER.encode(&hash::digest(&[0; 16], &[&signature])),
            "c985840f07d0f51feee001de18af026b4c4cde4ad273884d9519b2bacda8d828"
        );
        assert!(verify(&public, &[0x5a; 64], &signature));
        assert!(!verify(&public, &[0x5b; 64], &signature));
        signature[2000] ^= 1;
        assert!(!verify(&public, &[0x5a; 64], &signature));
    }
}
