//! ML-KEM-1024 of AWS-LC.

use alloc::boxed::Box;

use aws_lc_rs::kem::{self, Ciphertext, ML_KEM_1024};

use crate::crypto::burn_stack;
use crate::crypto::ml_kem::{CT_LEN, EK_LEN};
use crate::secret::Secret;

const MEMORY: &str = "nothing else but want of memory makes this fail";

/// A decapsulation key, in memory of AWS-LC's, wiped on drop.
pub(crate) struct DecapsulationKey(kem::DecapsulationKey);

impl DecapsulationKey {
    /// Keys of the core's own come from seeds; other people's vectors have them expanded (FIPS 203, algorithm 16).
    pub(crate) fn from_expanded(bytes: &[u8; 3168]) -> Self {
        Self(kem::DecapsulationKey::new(&ML_KEM_1024, bytes).expect(MEMORY))
    }

    #[cfg(test)]
    pub(crate) fn expanded(&self) -> Box<[u8; 3168]> {
        Box::new(self.0.key_bytes().unwrap().as_ref().try_into().unwrap())
    }
}

/// A key pair from the seed `d || z`.
pub(crate) fn key_pair(seed: &Secret<64>) -> (DecapsulationKey, Box<[u8; EK_LEN]>) {
    let (mut expanded, mut ek) = (Secret::zero(), Box::new([0; EK_LEN]));
    b4ae_aws_lc::ml_kem_key_pair(seed.expose(), expanded.as_mut(), &mut ek).expect(MEMORY);
    let key = DecapsulationKey::from_expanded(expanded.expose());
    burn_stack::<5120>();
    (key, ek)
}

/// Encapsulates to `ek` with the randomness `m`, or refuses a key that fails the modulus check (FIPS 203, section 7.2).
pub(crate) fn encapsulate(ek: &[u8; EK_LEN], m: &Secret<32>) -> Option<(Box<[u8; CT_LEN]>, Secret<32>)> {
    let (mut ct, mut shared) = (Box::new([0; CT_LEN]), Secret::zero());
    let encapsulated = b4ae_aws_lc::ml_kem_encapsulate(ek, m.expose(), &mut ct, shared.as_mut());
    burn_stack::<5120>();
    encapsulated.map(|()| (ct, shared))
}

/// Decapsulates. A wrong ciphertext gives an unrelated secret, never an error (implicit rejection).
pub(crate) fn decapsulate(key: &DecapsulationKey, ct: &[u8; CT_LEN]) -> Secret<32> {
    let mut secret = Secret::zero();
    let shared = key.0.decapsulate(Ciphertext::from(&ct[..])).expect(MEMORY);
    secret.as_mut().copy_from_slice(shared.as_ref());
    burn_stack::<5120>();
    secret
}
