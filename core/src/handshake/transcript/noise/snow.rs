//! `snow`, on primitives that have no code in common with the core's: AWS-LC, `blake2b_simd` and the crate `ml-kem`.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use fastrand::Rng;
use snow::params::{CipherChoice, DHChoice, HashChoice, KemChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Kem, Random};
use snow::{Builder, Error, HandshakeState};

use super::patterns::{Pattern, XX, XX_HFS};
use super::{Outcome, Party, run};
use crate::crypto::vectors::{self, Simd, Tally, aws_lc};
use crate::secret::Secret;

const HANDSHAKES: usize = 50;

pub(super) fn tallies() -> Vec<Tally> {
    vec![
        compare("snow: Noise_XX", "Noise_XX_25519_ChaChaPoly_BLAKE2b", &XX),
        compare("snow: Noise_XXhfs with ML-KEM-1024", "Noise_XXhfs_25519+Kyber1024_ChaChaPoly_BLAKE2b", &XX_HFS),
    ]
}

fn compare(source: &'static str, name: &str, pattern: &Pattern) -> Tally {
    let mut tally = Tally::new("Noise transcript", source);
    let mut random = Rng::with_seed(31);
    for case in 0..HANDSHAKES {
        let mut party = || Party {
            s: secret(&mut random),
            e: secret(&mut random),
            e1: secret(&mut random),
            m: secret(&mut random),
        };
        let parties = [party(), party()];
        let prologue = some_bytes(&mut random);
        let payloads = [(); 3].map(|()| some_bytes(&mut random));
        let ours = run(name, pattern, &prologue, &parties, &payloads);
        tally.valid(case, theirs(name, &prologue, &parties, &payloads).is_ok_and(|theirs| theirs == ours));
    }
    tally
}

fn secret<const N: usize>(random: &mut Rng) -> Secret<N> {
    Secret::new(core::array::from_fn(|_| random.u8(..)))
}

fn some_bytes(random: &mut Rng) -> Vec<u8> {
    let len = random.usize(..300);
    core::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

/// The handshake between two of snow's states.
fn theirs(name: &str, prologue: &[u8], parties: &[Party; 2], payloads: &[Vec<u8>]) -> Result<Outcome, Error> {
    let mut states = [
        prepared(name, prologue, &parties[0])?.build_initiator()?,
        prepared(name, prologue, &parties[1])?.build_responder()?,
    ];
    let mut messages = Vec::new();
    for payload in payloads {
        let [writer, reader]: &mut [HandshakeState; 2] = &mut states;
        let mut message = vec![0; 8192];
        let len = writer.write_message(payload, &mut message)?;
        message.truncate(len);
        let mut read = vec![0; 8192];
        let len = reader.read_message(&message, &mut read)?;
        assert_eq!(read[..len], payload[..]);
        messages.push(message);
        states.swap(0, 1);
    }
    let hash = states[0].get_handshake_hash().try_into().map_err(|_| Error::Input)?;
    let (first, second) = states[0].dangerously_get_raw_split();
    Ok(Outcome { messages, hash, keys: [Secret::new(first), Secret::new(second)] })
}

fn prepared<'a>(name: &str, prologue: &'a [u8], party: &'a Party) -> Result<Builder<'a>, Error> {
    let resolver = Independent { e1: *party.e1.expose(), m: *party.m.expose() };
    Builder::with_resolver(name.parse()?, Box::new(resolver))
        .prologue(prologue)?
        .local_private_key(party.s.expose())
        .map(|builder| builder.fixed_ephemeral_key_for_testing_only(party.e.expose()))
}

/// What snow is to compute with, and the randomness of the KEM.
struct Independent {
    e1: [u8; 64],
    m: [u8; 32],
}

impl CryptoResolver for Independent {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(NoRandom))
    }

    fn resolve_dh(&self, _: &DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::new(X25519::default()))
    }

    fn resolve_hash(&self, _: &HashChoice) -> Option<Box<dyn Hash>> {
        Some(Box::new(Simd::default()))
    }

    fn resolve_cipher(&self, _: &CipherChoice) -> Option<Box<dyn Cipher>> {
        Some(Box::new(ChaChaPoly::default()))
    }

    fn resolve_kem(&self, _: &KemChoice) -> Option<Box<dyn Kem>> {
        Some(Box::new(vectors::Kem::new(self.e1, self.m)))
    }
}

/// All keys are given.
struct NoRandom;

impl Random for NoRandom {
    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Error> {
        Err(Error::Rng)
    }
}

#[derive(Default)]
struct X25519 {
    private: [u8; 32],
    public: [u8; 32],
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, private: &[u8]) {
        self.private.copy_from_slice(private);
        self.public = aws_lc::public_key(&self.private);
    }

    fn generate(&mut self, _: &mut dyn Random) -> Result<(), Error> {
        Err(Error::Rng)
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &self.private
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let shared = aws_lc::shared_secret(&self.private, &public[..32]).ok_or(Error::Dh)?;
        out[..32].copy_from_slice(&shared);
        Ok(())
    }
}

#[derive(Default)]
struct ChaChaPoly {
    key: [u8; 32],
}

impl ChaChaPoly {
    /// Four zeros, and the number with its low byte first.
    fn nonce(n: u64) -> [u8; 12] {
        [&[0; 4][..], &n.to_le_bytes()].concat().try_into().expect("four and eight")
    }
}

impl Cipher for ChaChaPoly {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.key = *key;
    }

    fn encrypt(&self, n: u64, ad: &[u8], text: &[u8], out: &mut [u8]) -> usize {
        let sealed = aws_lc::seal(&self.key, &Self::nonce(n), ad, text);
        out[..sealed.len()].copy_from_slice(&sealed);
        sealed.len()
    }

    fn decrypt(&self, n: u64, ad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let text = aws_lc::open(&self.key, &Self::nonce(n), ad, sealed).ok_or(Error::Decrypt)?;
        out[..text.len()].copy_from_slice(&text);
        Ok(text.len())
    }
}
