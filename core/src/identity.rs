//! Who a peer is: long-term keys, their fingerprint, and the address people exchange.

use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use crate::error::ParseError;
use crate::job::{Signer, SoftwareSigner};
use crate::random::Seed;
use crate::secret::Secret;

/// A peer's fingerprint: BLAKE2b-256 over the hashes of its public keys. It pins the peer.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PeerId([u8; 32]);

impl PeerId {
    /// The fingerprint from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The fingerprint's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

impl FromStr for PeerId {
    type Err = ParseError;

    fn from_str(_text: &str) -> Result<Self, ParseError> {
        todo!()
    }
}

/// A long-term identity: an X25519 key, and an ML-DSA-87 key behind a [`Signer`] where mode B is wanted.
#[derive(Clone)]
pub struct Identity {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) dh: Secret<32>,
    pub(crate) signer: Option<Arc<dyn Signer>>,
}

impl Identity {
    /// A new identity for modes A and B, from entropy.
    pub fn generate(_seed: &Seed) -> (Self, SecretIdentity) {
        todo!()
    }

    /// The identity of secret keys kept in software.
    pub fn from_secret(secret: &SecretIdentity) -> Self {
        let signer: Option<Arc<dyn Signer>> = match &secret.ml_dsa {
            Some(seed) => Some(Arc::new(SoftwareSigner::new(seed))),
            None => None,
        };
        Self::with_signer(&secret.x25519, signer)
    }

    /// An identity whose ML-DSA-87 key lives elsewhere, as in a hardware token.
    pub fn with_signer(x25519: &Secret<32>, signer: Option<Arc<dyn Signer>>) -> Self {
        Self { inner: Arc::new(Inner { dh: x25519.duplicate(), signer }) }
    }

    /// The fingerprint.
    pub fn peer_id(&self) -> PeerId {
        todo!()
    }

    /// Whether mode B can be used.
    pub fn can_sign(&self) -> bool {
        self.inner.signer.is_some()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.peer_id()).finish()
    }
}

/// The secret keys of an identity, as a key store keeps them: seeds, not expanded keys.
pub struct SecretIdentity {
    /// The X25519 private key.
    pub x25519: Secret<32>,
    /// The ML-DSA-87 seed (FIPS 204 `xi`), where mode B is wanted.
    pub ml_dsa: Option<Secret<32>>,
}

impl fmt::Debug for SecretIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretIdentity(..)")
    }
}
