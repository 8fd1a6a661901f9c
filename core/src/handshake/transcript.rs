//! The Noise `SymmetricState` (Noise specification, section 5.2), and what a finished handshake leaves behind.

#[cfg(test)]
pub(crate) mod noise;

use alloc::boxed::Box;

use super::Failed;
use crate::crypto::aead::{self, TAG_LEN};
use crate::crypto::hash;
use crate::mode::Mode;
use crate::secret::{InPlace, Secret};

/// Noise's name for the handshake; shorter than a hash, so it is the first `h`, padded with zeros.
const PROTOCOL: &[u8] = b"Noise_XXhfs_25519+MLKEM1024_ChaChaPoly_BLAKE2b";

/// `h`, `ck`, `k` and `n`.
pub(crate) struct Transcript {
    h: [u8; 64],
    ck: Secret<64>,
    k: Option<Secret<32>>,
    n: u64,
}

impl Transcript {
    pub(crate) fn new(prologue: &[&[u8]]) -> Self {
        Self::named(PROTOCOL, prologue)
    }

    /// A transcript of the protocol `name`, of at most 64 bytes.
    fn named(name: &[u8], prologue: &[&[u8]]) -> Self {
        let mut h = [0; 64];
        h[..name.len()].copy_from_slice(name);
        let mut this = Self { h, ck: Secret::new(h), k: None, n: 0 };
        this.mix_hash(prologue);
        this
    }

    /// A second transcript with the same past, for a state that may be tried more than once.
    pub(crate) fn duplicate(&self) -> Self {
        Self { h: self.h, ck: self.ck.duplicate(), k: self.k.as_ref().map(Secret::duplicate), n: self.n }
    }

    pub(crate) fn h(&self) -> &[u8; 64] {
        &self.h
    }

    pub(crate) fn mix_hash(&mut self, parts: &[&[u8]]) {
        self.h = hash::blake2b_512_after(&self.h, parts);
    }

    pub(crate) fn mix_key(&mut self, input: &Secret<32>) {
        let mut temporary = InPlace::zero();
        hash::hkdf2(self.ck.as_mut(), input.expose(), temporary.as_mut());
        self.k.get_or_insert_with(Secret::zero).as_mut().copy_from_slice(&temporary.expose()[..32]);
        self.n = 0;
    }

    /// Encrypts `buffer`, whose last [`TAG_LEN`] bytes are room for the tag.
    pub(crate) fn encrypt_and_hash(&mut self, buffer: &mut [u8]) {
        let key = self.k.as_ref().expect("every encrypted field follows a key");
        let (text, tag) = buffer.split_at_mut(buffer.len() - TAG_LEN);
        tag.copy_from_slice(&aead::seal(key, &aead::nonce(self.n), &self.h, text));
        self.n += 1;
        self.mix_hash(&[buffer]);
    }

    /// Decrypts `buffer` in place and returns its text.
    pub(crate) fn decrypt_and_hash<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], Failed> {
        let key = self.k.as_ref().expect("every encrypted field follows a key");
        let next = hash::blake2b_512_after(&self.h, &[buffer]);
        let (text, tag) = buffer.split_last_chunk_mut::<TAG_LEN>().ok_or(Failed)?;
        if !aead::open(key, &aead::nonce(self.n), &self.h, text, tag) {
            return Err(Failed);
        }
        self.n += 1;
        self.h = next;
        Ok(text)
    }

    /// `h`, `ck` and `k`, for test vectors.
    #[cfg(all(test, feature = "std"))]
    pub(crate) fn state(&self) -> (&[u8; 64], &Secret<64>, Option<&Secret<32>>) {
        (&self.h, &self.ck, self.k.as_ref())
    }

    /// Keys for the fragments of what follows, known to those alone who came this far.
    pub(crate) fn fragment_keys<const N: usize>(&self, labels: [&[u8]; N]) -> [Secret<32>; N] {
        let hmac = hash::Hmac::new(self.ck.expose());
        labels.map(|label| {
            let (mut long, mut key) = (InPlace::zero(), Secret::zero());
            hmac.tag(&[label, &self.h], long.as_mut());
            key.as_mut().copy_from_slice(&long.expose()[..32]);
            key
        })
    }

    /// Ends the handshake with the keys of the session. What they derive from is wiped here: whoever reads the memory
    /// of an open session must not find what opens its past.
    pub(crate) fn finish(self, mode: Mode) -> Box<SessionSecrets> {
        self.root(mode).secrets()
    }

    /// What the session's keys derive from, for test vectors as well as for [`finish`](Self::finish).
    pub(crate) fn root(&self, mode: Mode) -> Root {
        let session = hash::digest(b"B4AE2-session-id", &[&self.h]);
        let (mut extracted, mut long, mut key) = (InPlace::zero(), InPlace::zero(), Secret::zero());
        hash::hmac(&self.h, &[self.ck.expose()], extracted.as_mut());
        hash::hmac(extracted.expose(), &[b"B4AE2 root", &[mode.to_byte()], &session, &[1]], long.as_mut());
        key.as_mut().copy_from_slice(&long.expose()[..32]);
        Root { session, key, mode, epoch: 0 }
    }
}

/// What every session key derives from, by (root, label, session, epoch, mode).
pub(crate) struct Root {
    /// Hash of the final transcript: the session's name, the same on both sides.
    pub(crate) session: [u8; 32],
    pub(crate) key: Secret<32>,
    mode: Mode,
    epoch: u32,
}

impl Root {
    fn derive(&self, label: &hash::Label, key: &mut InPlace<32>) {
        let epoch = self.epoch.to_le_bytes();
        hash::prf_into(self.key.expose(), label, &[&self.session, &epoch, &[self.mode.to_byte()]], key.as_mut());
    }

    /// The keys of the session, and an end of the root.
    pub(crate) fn secrets(self) -> Box<SessionSecrets> {
        let mut secrets = Box::new(SessionSecrets {
            mode: self.mode,
            i2r: DirectionKeys::zero(),
            r2i: DirectionKeys::zero(),
            exporter: Exporter::zero(),
        });
        let SessionSecrets { i2r, r2i, exporter, .. } = &mut *secrets;
        let direction = |keys: &mut DirectionKeys, chain, header, cid| {
            self.derive(chain, &mut keys.chain);
            self.derive(header, &mut keys.header);
            let mut long = InPlace::zero();
            self.derive(cid, &mut long);
            keys.cid.copy_from_slice(&long.expose()[..8]);
        };
        direction(i2r, b"B4AE2-i2r-chain.", b"B4AE2-i2r-header", b"B4AE2-i2r-cid...");
        direction(r2i, b"B4AE2-r2i-chain.", b"B4AE2-r2i-header", b"B4AE2-r2i-cid...");
        self.derive(b"B4AE2-exporter..", &mut exporter.0);
        secrets
    }
}

/// What a finished handshake leaves. Always boxed, because its keys stand in it.
pub(crate) struct SessionSecrets {
    pub(crate) mode: Mode,
    /// Keys for cells from the initiator.
    pub(crate) i2r: DirectionKeys,
    /// Keys for cells from the responder.
    pub(crate) r2i: DirectionKeys,
    pub(crate) exporter: Exporter,
}

/// Makes secrets for the application's own use. Says nothing about any key of the session.
pub(crate) struct Exporter(InPlace<32>);

impl Exporter {
    /// Room for one, to be written where it stays.
    pub(crate) fn zero() -> Self {
        Self(InPlace::zero())
    }

    /// Becomes what `other` is.
    pub(crate) fn assign(&mut self, other: &Self) {
        self.0.as_mut().copy_from_slice(other.0.expose());
    }

    pub(crate) fn export(&self, label: &[u8]) -> Secret<32> {
        hash::prf(self.0.expose(), b"B4AE2-exported..", &[label])
    }
}

/// One direction's keys.
pub(crate) struct DirectionKeys {
    pub(crate) chain: InPlace<32>,
    pub(crate) header: InPlace<32>,
    pub(crate) cid: [u8; 8],
}

impl DirectionKeys {
    fn zero() -> Self {
        Self { chain: InPlace::zero(), header: InPlace::zero(), cid: [0; 8] }
    }
}
