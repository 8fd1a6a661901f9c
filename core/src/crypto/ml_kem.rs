//! ML-KEM-1024 (FIPS 203), its randomness given by the caller.

use alloc::boxed::Box;

use libcrux_ml_kem::mlkem1024::{self, MlKem1024Ciphertext, MlKem1024PrivateKey, MlKem1024PublicKey};
use zeroize::Zeroize as _;

use super::burn_stack;
use crate::secret::Secret;

/// Length of an encapsulation key in bytes.
pub(crate) const EK_LEN: usize = 1568;
/// Length of a ciphertext in bytes.
pub(crate) const CT_LEN: usize = 1568;

/// A decapsulation key, wiped on drop.
pub(crate) struct DecapsulationKey(Box<MlKem1024PrivateKey>);

impl Drop for DecapsulationKey {
    fn drop(&mut self) {
        self.0[0..].zeroize();
    }
}

/// A key pair from the seed `d || z`.
pub(crate) fn key_pair(seed: &Secret<64>) -> (DecapsulationKey, Box<[u8; EK_LEN]>) {
    let (private, public) = mlkem1024::generate_key_pair(*seed.expose()).into_parts();
    let private = DecapsulationKey(Box::new(private));
    let public = Box::new(*public.as_slice());
    burn_stack::<6144>();
    (private, public)
}

/// Encapsulates to `ek` with the randomness `m`, or refuses a key that fails the modulus check (FIPS 203, section 7.2).
pub(crate) fn encapsulate(ek: &[u8; EK_LEN], m: &Secret<32>) -> Option<(Box<[u8; CT_LEN]>, Secret<32>)> {
    let ek = MlKem1024PublicKey::from(ek);
    if !mlkem1024::validate_public_key(&ek) {
        return None;
    }
    let (ct, mut shared) = mlkem1024::encapsulate(&ek, *m.expose());
    let secret = Secret::new(shared);
    shared.zeroize();
    burn_stack::<6144>();
    Some((Box::new(*ct.as_slice()), secret))
}

/// Decapsulates. A wrong ciphertext gives an unrelated secret, never an error (implicit rejection).
pub(crate) fn decapsulate(key: &DecapsulationKey, ct: &[u8; CT_LEN]) -> Secret<32> {
    let mut shared = mlkem1024::decapsulate(&key.0, &MlKem1024Ciphertext::from(ct));
    let secret = Secret::new(shared);
    shared.zeroize();
    burn_stack::<6144>();
    secret
}
