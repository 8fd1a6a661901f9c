//! The crates `ml-kem` and `ml-dsa` of the Rust Crypto project against the core, both ways, on random inputs.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use fastrand::Rng;
use ml_dsa::MlDsa87;
use ml_kem::kem::{Decapsulate as _, KeyExport as _};
use ml_kem::ml_kem_1024::{self, DecapsulationKey, EncapsulationKey};
use snow::types::{self, Random};

use super::Tally;
use crate::crypto;
use crate::crypto::ml_kem::{CT_LEN, EK_LEN};
use crate::job::ML_DSA_SIGNATURE_LEN;
use crate::secret::Secret;

pub(super) fn tallies() -> Vec<Tally> {
    vec![kem(), signatures()]
}

fn bytes<const N: usize>(random: &mut Rng) -> [u8; N] {
    core::array::from_fn(|_| random.u8(..))
}

fn kem() -> Tally {
    let mut tally = Tally::new("ML-KEM-1024", "RustCrypto ml-kem");
    let mut random = Rng::with_seed(21);
    for case in 0..100 {
        let (seed, m) = (bytes::<64>(&mut random), bytes::<32>(&mut random));
        let (ours, ek) = crypto::ml_kem::key_pair(&Secret::new(seed));
        let theirs = DecapsulationKey::from_seed(seed.into());
        let (mut ct, shared) = crypto::ml_kem::encapsulate(&ek, &Secret::new(m)).unwrap();
        let (told, secret) = theirs.encapsulation_key().encapsulate_deterministic(&m.into());
        let agrees = theirs.encapsulation_key().to_bytes()[..] == ek[..] && told[..] == ct[..];
        tally.valid(case, agrees && secret[..] == shared.expose()[..]);

        // Implicit rejection gives the same unrelated secret.
        ct[random.usize(..CT_LEN)] ^= 1 << random.u8(..8);
        let rejected = crypto::ml_kem::decapsulate(&ours, &ct);
        let told = theirs.decapsulate(&(*ct).into());
        tally.invalid(case, rejected != shared && rejected.expose()[..] == told[..]);
    }
    tally
}

fn signatures() -> Tally {
    let mut tally = Tally::new("ML-DSA-87", "RustCrypto ml-dsa");
    let mut random = Rng::with_seed(22);
    for case in 0..100 {
        let (seed, hedge) = (bytes::<32>(&mut random), bytes::<32>(&mut random));
        let message = bytes::<64>(&mut random);
        let theirs = ml_dsa::ExpandedSigningKey::<MlDsa87>::from_seed(&seed.into());
        let (private, key) = crypto::ml_dsa::key_pair(&Secret::new(seed));
        let mut signature = [0; ML_DSA_SIGNATURE_LEN];
        let signed = crypto::ml_dsa::sign(&private, &message, &hedge, &mut signature);
        // FIPS 204, algorithm 2: pure, and the length of the empty context.
        let told = theirs.sign_internal(&[&[0, 0], &message], &hedge.into()).encode();
        let agrees = theirs.verifying_key().encode()[..] == key[..]
            && signed
            && (told[..] == signature[..] || !crypto::ml_dsa::AS_TOLD);
        let accepted = |signature: &[u8; ML_DSA_SIGNATURE_LEN]| {
            let decoded = ml_dsa::Signature::<MlDsa87>::decode(&(*signature).into());
            decoded.is_some_and(|it| theirs.verifying_key().verify_with_context(&message, &[], &it))
        };
        let verified = accepted(&signature) && crypto::ml_dsa::verify(&key, &message, &told.into());
        tally.valid(case, agrees && verified);

        signature[random.usize(..ML_DSA_SIGNATURE_LEN)] ^= 1 << random.u8(..8);
        let refused = !accepted(&signature) && !crypto::ml_dsa::verify(&key, &message, &signature);
        tally.invalid(case, refused);
    }
    tally
}

/// ML-KEM-1024 as a KEM of Noise's, its randomness given beforehand.
pub(crate) struct Kem {
    dk: DecapsulationKey,
    ek: Box<[u8]>,
    m: [u8; 32],
}

impl Kem {
    pub(crate) fn new(seed: [u8; 64], m: [u8; 32]) -> Self {
        let dk = DecapsulationKey::from_seed(seed.into());
        let ek = dk.encapsulation_key().to_bytes()[..].into();
        Self { dk, ek, m }
    }
}

impl types::Kem for Kem {
    /// snow knows no other name for a KEM; what it hashes is the name of the whole protocol.
    fn name(&self) -> &'static str {
        "Kyber1024"
    }

    fn pub_len(&self) -> usize {
        EK_LEN
    }

    fn ciphertext_len(&self) -> usize {
        CT_LEN
    }

    fn shared_secret_len(&self) -> usize {
        32
    }

    fn generate(&mut self, _random: &mut dyn Random) {}

    fn pubkey(&self) -> &[u8] {
        &self.ek
    }

    fn encapsulate(&self, ek: &[u8], shared: &mut [u8], ct: &mut [u8]) -> Result<(usize, usize), snow::Error> {
        let ek = ek.try_into().map_err(|_| snow::Error::Kem)?;
        let ek = EncapsulationKey::new(ek).map_err(|_| snow::Error::Kem)?;
        let (ciphertext, secret) = ek.encapsulate_deterministic(&self.m.into());
        ct.copy_from_slice(&ciphertext);
        shared.copy_from_slice(&secret);
        Ok((32, CT_LEN))
    }

    fn decapsulate(&self, ct: &[u8], shared: &mut [u8]) -> Result<usize, snow::Error> {
        let ct: &ml_kem_1024::Ciphertext = ct.try_into().map_err(|_| snow::Error::Kem)?;
        shared.copy_from_slice(&self.dk.decapsulate(ct));
        Ok(32)
    }
}
