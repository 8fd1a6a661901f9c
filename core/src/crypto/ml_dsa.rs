//! ML-DSA-87 (FIPS 204), pure, with the empty context: the form every implementation and token has.

#[cfg(test)]
pub(crate) use super::provider::ml_dsa::{AS_TOLD, sign_in_context, verify_in_context};
pub(crate) use super::provider::ml_dsa::{SigningKey, key_pair, sign, verify};

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::crypto::hash;
    use crate::job::ML_DSA_SIGNATURE_LEN;
    use crate::secret::Secret;

    /// Against OpenSSL's ML-DSA-87: its public key of the same seed, and this signature, which it verifies.
    #[test]
    fn it_is_openssls() {
        let seed = Secret::new(core::array::from_fn(|i| i as u8));
        let (key, public) = key_pair(&seed);
        assert_eq!(
            HEXLOWER.encode(&hash::digest(b"B4AE2-ml-dsa-pk.", &[&*public])),
            "4eedb572efd2863af04a5c83061926e5c7174c5709663ee2308ce3b58d847372"
        );
        let mut signature = [0; ML_DSA_SIGNATURE_LEN];
        assert!(sign(&key, &[0x5a; 64], &[0xa5; 32], &mut signature));
        if AS_TOLD {
            assert_eq!(
                HEXLOWER.encode(&hash::digest(&[0; 16], &[&signature])),
                "c985840f07d0f51feee001de18af026b4c4cde4ad273884d9519b2bacda8d828"
            );
        }
        assert!(verify(&public, &[0x5a; 64], &signature));
        assert!(!verify(&public, &[0x5b; 64], &signature));
        signature[2000] ^= 1;
        assert!(!verify(&public, &[0x5a; 64], &signature));
    }
}
