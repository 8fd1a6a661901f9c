//! ML-KEM-1024 of the crate `libcrux-ml-kem`.

use alloc::boxed::Box;

use libcrux_ml_kem::mlkem1024::{self, MlKem1024Ciphertext, MlKem1024PrivateKey, MlKem1024PublicKey};
use zeroize::Zeroize as _;

use crate::crypto::burn_stack;
use crate::crypto::ml_kem::{CT_LEN, EK_LEN};
use crate::secret::Secret;

/// A decapsulation key, wiped on drop.
pub(crate) struct DecapsulationKey(Box<MlKem1024PrivateKey>);

impl Drop for DecapsulationKey {
    fn drop(&mut self) {
        self.0[0..].zeroize();
    }
}

/// What of it is secret: `dk_pke` and `z` (FIPS 203, algorithm 16). Between them stand the encapsulation key and its
/// hash.
#[cfg(b4ae_constant_time)]
impl DecapsulationKey {
    pub(crate) fn secret_parts(&mut self) -> [&mut [u8]; 2] {
        let (dk_pke, rest) = self.0[0..].split_at_mut(1536);
        [dk_pke, &mut rest[EK_LEN + 32..]]
    }
}

/// Keys of the core's own come from seeds; other people's vectors have them expanded (FIPS 203, algorithm 16).
#[cfg(test)]
impl DecapsulationKey {
    pub(crate) fn from_expanded(bytes: &[u8; 3168]) -> Self {
        Self(Box::new(bytes.into()))
    }

    pub(crate) fn expanded(&self) -> Box<[u8; 3168]> {
        Box::new(*self.0.as_slice())
    }
}

/// A key pair from the seed `d || z`.
pub(crate) fn key_pair(seed: &Secret<64>) -> (DecapsulationKey, Box<[u8; EK_LEN]>) {
    #[inline(never)]
    fn generate(seed: &Secret<64>) -> (DecapsulationKey, Box<[u8; EK_LEN]>) {
        let (mut private, public) = mlkem1024::generate_key_pair(*seed.expose()).into_parts();
        let kept = DecapsulationKey(Box::new(MlKem1024PrivateKey::from(private.as_slice())));
        private[0..].zeroize();
        (kept, Box::new(*public.as_slice()))
    }
    let pair = generate(seed);
    burn_stack::<8192>();
    pair
}

/// Encapsulates to `ek` with the randomness `m`, or refuses a key that fails the modulus check (FIPS 203, section 7.2).
pub(crate) fn encapsulate(ek: &[u8; EK_LEN], m: &Secret<32>) -> Option<(Box<[u8; CT_LEN]>, Secret<32>)> {
    #[inline(never)]
    fn encapsulate(ek: &MlKem1024PublicKey, m: &Secret<32>) -> (Box<[u8; CT_LEN]>, Secret<32>) {
        let (ct, mut shared) = mlkem1024::encapsulate(ek, *m.expose());
        let secret = Secret::copy_of(&shared);
        shared.zeroize();
        (Box::new(*ct.as_slice()), secret)
    }
    let ek = MlKem1024PublicKey::from(ek);
    if !mlkem1024::validate_public_key(&ek) {
        return None;
    }
    let encapsulated = encapsulate(&ek, m);
    burn_stack::<6144>();
    Some(encapsulated)
}

/// Decapsulates. A wrong ciphertext gives an unrelated secret, never an error (implicit rejection).
pub(crate) fn decapsulate(key: &DecapsulationKey, ct: &[u8; CT_LEN]) -> Secret<32> {
    #[inline(never)]
    fn decapsulate(key: &DecapsulationKey, ct: &[u8; CT_LEN]) -> Secret<32> {
        let mut shared = mlkem1024::decapsulate(&key.0, &MlKem1024Ciphertext::from(ct));
        let secret = Secret::copy_of(&shared);
        shared.zeroize();
        secret
    }
    let shared = decapsulate(key, ct);
    burn_stack::<6144>();
    shared
}
