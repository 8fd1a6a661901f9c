//! Who a peer is: long-term keys, their fingerprint, and the text people exchange.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use data_encoding::{Encoding, Specification};

use crate::crypto::{hash, x25519};
use crate::error::ParseError;
use crate::job::{ML_DSA_PUBLIC_KEY_LEN, Signer, SoftwareSigner};
use crate::random::Seed;
use crate::secret::Secret;
use crate::time::UnixTime;

/// A peer's fingerprint: BLAKE2b-256 over the hashes of its public keys. It pins the peer.
///
/// As text it is 56 letters and digits of lower-case base32 (RFC 4648 without padding): the 32 bytes and a checksum of
/// three, so that a mistyped fingerprint is noticed before it is dialled.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PeerId([u8; 32]);

/// Length of a fingerprint with its checksum, in bytes: 56 characters of base32 exactly.
const TEXT_BYTES: usize = 35;

impl PeerId {
    /// The fingerprint from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The fingerprint's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The fingerprint of public keys, each `None` where the identity has no such key.
    pub(crate) fn of(keys: &PublicKeys) -> Self {
        Self(hash::digest(b"B4AE2-peer-id...", &[&keys.x25519_hash(), &keys.ml_dsa_hash, &keys.ml_kem_hash]))
    }

    fn checksum(&self) -> [u8; 3] {
        let [a, b, c, ..] = hash::digest(b"B4AE2-id-check..", &[&self.0]);
        [a, b, c]
    }

    fn base32() -> Encoding {
        let mut specification = Specification::new();
        specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
        specification.translate.from.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ");
        specification.translate.to.push_str("abcdefghijklmnopqrstuvwxyz");
        specification.encoding().expect("the alphabet is static")
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; TEXT_BYTES];
        bytes[..32].copy_from_slice(&self.0);
        bytes[32..].copy_from_slice(&self.checksum());
        let text: String = Self::base32().encode(&bytes);
        f.write_str(&text)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

impl FromStr for PeerId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bytes = Self::base32().decode(text.as_bytes()).map_err(|_| ParseError::Fingerprint)?;
        let bytes: [u8; TEXT_BYTES] = bytes.try_into().map_err(|_| ParseError::Fingerprint)?;
        let (id, checksum) = bytes.split_first_chunk::<32>().expect("32 of 35");
        let id = Self(*id);
        if id.checksum() != checksum {
            return Err(ParseError::Checksum);
        }
        Ok(id)
    }
}

/// The public half of an identity as it crosses the wire: the X25519 key, and hashes of the larger ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PublicKeys {
    pub(crate) x25519: [u8; 32],
    /// Zero where there is no ML-DSA-87 key.
    pub(crate) ml_dsa_hash: [u8; 32],
    /// Zero: no mode that uses a static ML-KEM key is defined yet.
    pub(crate) ml_kem_hash: [u8; 32],
}

impl PublicKeys {
    fn x25519_hash(&self) -> [u8; 32] {
        hash::digest(b"B4AE2-x25519-pk.", &[&self.x25519])
    }

    /// The hash that stands for an ML-DSA-87 public key.
    pub(crate) fn hash_ml_dsa(key: &[u8; ML_DSA_PUBLIC_KEY_LEN]) -> [u8; 32] {
        hash::digest(b"B4AE2-ml-dsa-pk.", &[key])
    }
}

/// A long-term identity: an X25519 key, and an ML-DSA-87 key behind a [`Signer`] where mode B is wanted and the signer
/// is at hand.
///
/// Cheap to clone; the secrets are shared and wiped with the last clone.
#[derive(Clone)]
pub struct Identity(pub(crate) Arc<IdentityKeys>);

pub(crate) struct IdentityKeys {
    pub(crate) x25519: Secret<32>,
    pub(crate) signer: Option<Arc<dyn Signer>>,
    pub(crate) public: PublicKeys,
    pub(crate) peer_id: PeerId,
    pub(crate) not_after: UnixTime,
}

impl Identity {
    /// The identity of secret keys kept in software.
    pub fn from_secret(secret: &SecretIdentity) -> Self {
        match &secret.ml_dsa {
            Some(seed) => Self::with_signer(&secret.x25519, Arc::new(SoftwareSigner::new(seed))),
            None => Self::without_signer(&secret.x25519, None),
        }
    }

    /// An identity whose ML-DSA-87 key is used through `signer`, as where it lives in a hardware token.
    pub fn with_signer(x25519: &Secret<32>, signer: Arc<dyn Signer>) -> Self {
        let ml_dsa_hash = PublicKeys::hash_ml_dsa(signer.public_key());
        Self::new(x25519, ml_dsa_hash, Some(signer))
    }

    /// An identity for mode A only. `ml_dsa_public_key` is that of a signer which is not at hand, as where a hardware
    /// token is not plugged in: the fingerprint is the same as with it. `None` where there is no such key at all.
    pub fn without_signer(x25519: &Secret<32>, ml_dsa_public_key: Option<&[u8; ML_DSA_PUBLIC_KEY_LEN]>) -> Self {
        Self::new(x25519, ml_dsa_public_key.map_or([0; 32], PublicKeys::hash_ml_dsa), None)
    }

    fn new(x25519: &Secret<32>, ml_dsa_hash: [u8; 32], signer: Option<Arc<dyn Signer>>) -> Self {
        let public = PublicKeys { x25519: x25519::public_key(x25519), ml_dsa_hash, ml_kem_hash: [0; 32] };
        Self(Arc::new(IdentityKeys {
            x25519: x25519.duplicate(),
            signer,
            peer_id: PeerId::of(&public),
            public,
            not_after: UnixTime(u64::MAX),
        }))
    }

    /// The same identity, to be refused by peers after `not_after`.
    #[must_use]
    pub fn expiring(self, not_after: UnixTime) -> Self {
        let keys = &self.0;
        Self(Arc::new(IdentityKeys {
            x25519: keys.x25519.duplicate(),
            signer: keys.signer.clone(),
            public: keys.public,
            peer_id: keys.peer_id,
            not_after,
        }))
    }

    /// The fingerprint.
    pub fn peer_id(&self) -> PeerId {
        self.0.peer_id
    }

    /// Whether mode B can be used: there is a signer.
    pub fn can_sign(&self) -> bool {
        self.0.signer.is_some()
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

impl SecretIdentity {
    /// New keys for modes A and B, from entropy.
    pub fn generate(seed: &Seed) -> Self {
        Self { x25519: seed.derive(b"B4AE2-new-x25519"), ml_dsa: Some(seed.derive(b"B4AE2-new-ml-dsa")) }
    }
}

impl fmt::Debug for SecretIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretIdentity(..)")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

    /// Against Python's `hashlib` and `base64`.
    #[test]
    fn the_text_is_base32_with_a_checksum() {
        let id = PeerId::from_bytes(core::array::from_fn(|i| i as u8));
        let text = "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dyptkk7r";
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_ascii_uppercase().parse(), Ok(id));
    }

    #[test]
    fn one_changed_letter_is_always_noticed() {
        for n in 0..4 {
            let id = PeerId::from_bytes([n * 63; 32]);
            let text = id.to_string();
            for at in 0..text.len() {
                for &letter in ALPHABET {
                    let mut bytes = text.clone().into_bytes();
                    if core::mem::replace(&mut bytes[at], letter) != letter {
                        let changed = String::from_utf8(bytes).unwrap();
                        assert_eq!(changed.parse::<PeerId>(), Err(ParseError::Checksum), "{changed}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_not_56_letters_of_base32_is_no_fingerprint() {
        let text = PeerId::from_bytes([1; 32]).to_string();
        for wrong in
            ["", "a", &text[1..], &(text.clone() + "a"), &text.replacen('a', "1", 1), &text.replacen('a', "é", 1)]
        {
            assert_eq!(wrong.parse::<PeerId>(), Err(ParseError::Fingerprint), "{wrong}");
        }
    }

    #[test]
    fn every_key_moves_the_fingerprint() {
        let keys = PublicKeys { x25519: [1; 32], ml_dsa_hash: [2; 32], ml_kem_hash: [0; 32] };
        let others = [
            PublicKeys { x25519: [2; 32], ..keys },
            PublicKeys { ml_dsa_hash: [0; 32], ..keys },
            PublicKeys { ml_kem_hash: [2; 32], ..keys },
        ];
        assert!(others.iter().all(|other| PeerId::of(other) != PeerId::of(&keys)));
    }

    #[test]
    fn an_identity_whose_signer_is_not_at_hand_is_the_same_and_does_not_sign() {
        let secret = SecretIdentity::generate(&Seed::new([1; 32]));
        let whole = Identity::from_secret(&secret);
        let signer = SoftwareSigner::new(secret.ml_dsa.as_ref().unwrap());
        let unplugged = Identity::without_signer(&secret.x25519, Some(signer.public_key()));
        assert_eq!(unplugged.peer_id(), whole.peer_id());
        assert_eq!((unplugged.can_sign(), whole.can_sign()), (false, true));
        let keyless = Identity::without_signer(&secret.x25519, None);
        assert!(keyless.peer_id() != whole.peer_id() && !keyless.can_sign());
        let of_secret = SecretIdentity { x25519: secret.x25519.duplicate(), ml_dsa: None };
        assert_eq!(keyless.peer_id(), Identity::from_secret(&of_secret).peer_id());
    }

    #[test]
    fn secrets_are_not_printed() {
        let secret = SecretIdentity::generate(&Seed::new([1; 32]));
        assert_eq!(alloc::format!("{secret:?}"), "SecretIdentity(..)");
        let identity = Identity::from_secret(&secret);
        assert_eq!(alloc::format!("{identity:?}"), alloc::format!("Identity(PeerId({}))", identity.peer_id()));
    }
}
