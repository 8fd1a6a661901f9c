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

/// What of it is secret: `dk_pke` and `z` (FIPS 203, algorithm 16). Between them stand the encapsulation key and its hash.
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
    pub(super) fn from_expanded(bytes: &[u8; 3168]) -> Self {
        Self(Box::new(bytes.into()))
    }

    pub(super) fn expanded(&self) -> &[u8; 3168] {
        self.0.as_slice()
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

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::crypto::hash;

    fn seed() -> Secret<64> {
        Secret::new(core::array::from_fn(|i| i as u8))
    }

    fn hash(bytes: &[u8]) -> alloc::string::String {
        HEXLOWER.encode(&hash::digest(&[0; 16], &[bytes]))
    }

    /// Against OpenSSL's ML-KEM-1024: its key of the same seed, its decapsulation of this ciphertext, and its implicit
    /// rejection of the edited one.
    #[test]
    fn it_is_openssls() {
        let (private, ek) = key_pair(&seed());
        assert_eq!(hash(&*ek), "3d29aa8e3d486e1049f878590e699dc8952d06de7c372cf14c5c2c9b5afb81ce");
        let (mut ct, shared) = encapsulate(&ek, &Secret::new([0x5a; 32])).unwrap();
        assert_eq!(hash(&*ct), "6678d8dfb4871221cc1f5a5b3a7e3cdadb28ac1403f3ac0153278c607342ed7a");
        assert_eq!(
            HEXLOWER.encode(shared.expose()),
            "73c1cf0080d39a69657b4a6cd48c11cf6c888d970667b00d5abbc196a5240486"
        );
        assert!(decapsulate(&private, &ct) == shared);
        ct[0] ^= 1;
        assert_eq!(
            HEXLOWER.encode(decapsulate(&private, &ct).expose()),
            "94063a1867be58733b930d09582d5b83085a2395b6cf9fcdbbc1ad6e8ba342fe"
        );
    }

    #[test]
    fn a_key_that_is_not_reduced_is_refused() {
        let (_, mut ek) = key_pair(&seed());
        // A coefficient of q or more (FIPS 203, section 7.2).
        ek[..2].fill(0xff);
        assert!(encapsulate(&ek, &Secret::new([1; 32])).is_none());
    }
}
