//! ML-KEM-1024 (FIPS 203), its randomness given by the caller.

pub(crate) use super::provider::ml_kem::{DecapsulationKey, decapsulate, encapsulate, key_pair};

/// Length of an encapsulation key in bytes.
pub(crate) const EK_LEN: usize = 1568;
/// Length of a ciphertext in bytes.
pub(crate) const CT_LEN: usize = 1568;

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::crypto::hash;
    use crate::secret::Secret;

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
