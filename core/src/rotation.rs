//! Rotation statements: the owner of an identity names the one that takes its place.
//!
//! Bytes and checks are in docs/PROTOCOL.md, section 3.1.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::crypto::xeddsa::{self, SIGNATURE_LEN};
use crate::crypto::{burn_stack, hash, ml_dsa};
use crate::identity::{Identity, PeerId, PublicKeys};
use crate::job::{ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN};
use crate::random::{Seed, Stream};
use crate::time::UnixTime;

/// What every statement of this version begins with.
const LABEL: &[u8; 16] = b"B4AE2-rotation-1";
/// Flags: which identity has an ML-DSA-87 key.
const FLAGS: [u8; 2] = [1, 2];
/// As what each identity signs.
pub(crate) const ROLES: [&[u8; 8]; 2] = [b"replaced", b"succeeds"];
/// Bytes before the keys: label, flags, two times.
const HEAD: usize = LABEL.len() + 1 + 8 + 8;
/// Stands for a static ML-KEM-1024 key, which no identity of this version has, and which could not sign.
const NO_ML_KEM: [u8; 32] = [0; 32];
/// Bytes of an identity's keys without that of ML-DSA-87.
const KEYS: usize = 32 + NO_ML_KEM.len();

/// A statement by which the owner of an identity names its successor, made with [`Rotation::sign`] or taken in with
/// [`Rotation::from_bytes`]: whichever it was, **its signatures are right**.
///
/// It is signed by the keys of *both* identities, an X25519 key by XEdDSA and an ML-DSA-87 key where there is one. So
/// nobody can name a successor for an identity that is not theirs, nor somebody else as their own. It names no peer and
/// no session, and whoever has the old fingerprint can verify it without any connection.
///
/// Two are equal if all their bytes are. Signed twice, the same is said in other bytes: compare the identities and the
/// times where that is meant.
///
/// What it does *not* say is that the old identity is one you know. Compare [`old_id`](Self::old_id) with the
/// fingerprint that you pinned before [`new_id`](Self::new_id) takes its place.
///
/// ```
/// use b4ae_core::{Identity, Rotation, SecretIdentity, Seed, UnixTime};
///
/// // In earnest each 32 bytes come from the operating system.
/// let identity = |n| Identity::from_secret(&SecretIdentity::generate(&Seed::new([n; 32])));
/// let (old, new) = (identity(1), identity(2));
/// let (from, until) = (UnixTime(1_800_000_000), UnixTime(1_800_000_000 + 30 * 86_400));
/// let statement = Rotation::sign(&old, &new, from, until, &Seed::new([3; 32]))?;
///
/// // Whoever has pinned the old fingerprint, and gets the bytes by whatever way:
/// let pinned = old.peer_id();
/// let read = Rotation::from_bytes(statement.as_bytes())?;
/// assert_eq!(read.old_id(), pinned);
/// assert_eq!(read.new_id(), new.peer_id());
/// assert!(read.accepts_old(UnixTime(1_800_000_000)) && !read.accepts_old(UnixTime(2_000_000_000)));
/// # Ok::<(), b4ae_core::RotationError>(())
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct Rotation {
    bytes: Box<[u8]>,
    ids: [PeerId; 2],
    from: UnixTime,
    until: UnixTime,
}

impl Rotation {
    /// The length of the longest statement, in bytes: both identities have ML-DSA-87 keys.
    pub const MAX_LEN: usize = HEAD + 2 * (KEYS + ML_DSA_PUBLIC_KEY_LEN + SIGNATURE_LEN + ML_DSA_SIGNATURE_LEN);

    /// The longest overlap: a year.
    pub const MAX_OVERLAP: Duration = Duration::from_secs(366 * 24 * 60 * 60);

    /// States that `new` takes the place of `old`: peers may meet `new` at or after `from`, and `old` until `until`,
    /// that second included.
    ///
    /// Asks the [`Signer`](crate::Signer)s of the identities that have one, the old one's first, and so **blocks** for
    /// as long as a hardware token takes; and it takes up to 256 KiB of stack, like a [`Job`](crate::Job). `seed`
    /// hedges the signatures: they are sound even if it is not, so long as the keys are secret.
    pub fn sign(
        old: &Identity,
        new: &Identity,
        from: UnixTime,
        until: UnixTime,
        seed: &Seed,
    ) -> Result<Self, RotationError> {
        let made = Self::sign_with(old, new, from, until, &mut Stream::new(seed.derive(b"B4AE2-rotation-z")));
        // As after a job.
        burn_stack::<2048>();
        made
    }

    #[inline(never)]
    pub(crate) fn sign_with(
        old: &Identity,
        new: &Identity,
        from: UnixTime,
        until: UnixTime,
        random: &mut Stream,
    ) -> Result<Self, RotationError> {
        check([old.peer_id(), new.peer_id()], from, until)?;
        let statement = signed(body(old, new, from, until)?, [old, new], random)?;
        // What tokens made has to be what it should be: it is not noticed later, when the old key may be gone.
        let made = Self::from_bytes(&statement)?;
        if made.old_id() != old.peer_id() {
            return Err(RotationError::OldKey);
        }
        if made.new_id() != new.peer_id() {
            return Err(RotationError::NewKey);
        }
        Ok(made)
    }

    /// Takes in a statement and verifies its signatures, offline and without a clock. What is refused is of no use to
    /// anybody; what is taken is, signature by signature and to the last byte, what its signers made. They can make
    /// many that say the same, since they sign with randomness; whoever has not their keys makes no other
    /// signature.
    ///
    /// Takes about a millisecond where there are ML-DSA-87 keys, and as much stack as [`sign`](Self::sign).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RotationError> {
        let mut rest = Reader(bytes);
        if rest.take()? != LABEL {
            return Err(RotationError::Format);
        }
        let [flags] = *rest.take()?;
        if flags & !(FLAGS[0] | FLAGS[1]) != 0 {
            return Err(RotationError::Format);
        }
        let [from, until] = [*rest.take()?, *rest.take()?].map(|time| UnixTime(u64::from_le_bytes(time)));
        let has_ml_dsa = FLAGS.map(|flag| flags & flag != 0);
        let keys = [rest.keys(has_ml_dsa[0])?, rest.keys(has_ml_dsa[1])?];
        let body = &bytes[..bytes.len() - rest.0.len()];
        let signatures = [rest.signatures(has_ml_dsa[0])?, rest.signatures(has_ml_dsa[1])?];
        if !rest.0.is_empty() {
            return Err(RotationError::Format);
        }
        let ids = keys.each_ref().map(Keys::peer_id);
        check(ids, from, until)?;
        let wrong = [RotationError::OldSignature, RotationError::NewSignature];
        for (n, wrong) in wrong.into_iter().enumerate() {
            if !signatures[n].verify(&keys[n], &message(ROLES[n], body)) {
                return Err(wrong);
            }
        }
        Ok(Self { bytes: bytes.into(), ids, from, until })
    }

    /// The statement, at most [`MAX_LEN`](Self::MAX_LEN) bytes: for a file, or whatever else carries it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The identity that is replaced.
    pub fn old_id(&self) -> PeerId {
        self.ids[0]
    }

    /// The identity that takes its place.
    pub fn new_id(&self) -> PeerId {
        self.ids[1]
    }

    /// When the overlap begins: peers may meet the new identity from here on.
    pub fn from(&self) -> UnixTime {
        self.from
    }

    /// When the overlap ends: the last second in which the old identity is still to be accepted.
    pub fn until(&self) -> UnixTime {
        self.until
    }

    /// Whether the old identity is still to be accepted.
    pub fn accepts_old(&self, now: UnixTime) -> bool {
        now <= self.until
    }

    /// Whether the new identity is to be accepted already.
    pub fn accepts_new(&self, now: UnixTime) -> bool {
        now >= self.from
    }
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotation")
            .field("old_id", &self.old_id())
            .field("new_id", &self.new_id())
            .field("from", &self.from)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// A rotation statement was not made, or is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RotationError {
    /// The bytes are no rotation statement of this version: another label, unknown flags, a static ML-KEM-1024 key, or
    /// another length.
    Format,
    /// Old and new identity are the same.
    SameIdentity,
    /// The overlap ends before it begins, or is longer than [`Rotation::MAX_OVERLAP`].
    Overlap,
    /// The old identity's signer did not sign, or is not at hand.
    OldSigner,
    /// The new identity's signer did not sign, or is not at hand.
    NewSigner,
    /// The old identity's signer shows another public key than when the identity was made of it.
    OldKey,
    /// The new identity's signer shows another public key than when the identity was made of it.
    NewKey,
    /// A signature of the old identity's is wrong: the statement is forged or damaged, or the signer signed wrongly.
    OldSignature,
    /// A signature of the new identity's is wrong, for the same reasons.
    NewSignature,
}

impl fmt::Display for RotationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "not a rotation statement of a version that is known here",
            Self::SameIdentity => "the old and the new identity are the same: make a new one first",
            Self::Overlap => "the overlap must not end before it begins, nor last longer than 366 days",
            Self::OldSigner => "the signer of the old identity did not sign: its hardware token is absent or locked",
            Self::NewSigner => "the signer of the new identity did not sign: its hardware token is absent or locked",
            Self::OldKey => {
                "the signer of the old identity holds another key than it did: use the hardware token it was made with"
            }
            Self::NewKey => {
                "the signer of the new identity holds another key than it did: use the hardware token it was made with"
            }
            Self::OldSignature => "the old identity did not sign this statement, or it was changed since",
            Self::NewSignature => "the new identity did not sign this statement, or it was changed since",
        })
    }
}

impl core::error::Error for RotationError {}

/// What is to hold besides the signatures.
fn check([old, new]: [PeerId; 2], from: UnixTime, until: UnixTime) -> Result<(), RotationError> {
    if old == new {
        return Err(RotationError::SameIdentity);
    }
    match until.0.checked_sub(from.0) {
        Some(overlap) if overlap <= Rotation::MAX_OVERLAP.as_secs() => Ok(()),
        _ => Err(RotationError::Overlap),
    }
}

/// What an identity signs: everything before the signatures, and as what.
pub(crate) fn message(role: &[u8; 8], body: &[u8]) -> [u8; 64] {
    hash::digest_64(b"B4AE2-rotation..", &[role, body])
}

/// A statement without its signatures.
fn body(old: &Identity, new: &Identity, from: UnixTime, until: UnixTime) -> Result<Vec<u8>, RotationError> {
    let old = Keys::of(old).ok_or(RotationError::OldSigner)?;
    let new = Keys::of(new).ok_or(RotationError::NewSigner)?;
    let flag = |keys: &Keys<'_>, flag| if keys.ml_dsa.is_some() { flag } else { 0 };
    let mut body = Vec::with_capacity(Rotation::MAX_LEN);
    body.extend_from_slice(LABEL);
    body.push(flag(&old, FLAGS[0]) | flag(&new, FLAGS[1]));
    body.extend_from_slice(&from.0.to_le_bytes());
    body.extend_from_slice(&until.0.to_le_bytes());
    for keys in [old, new] {
        body.extend_from_slice(keys.x25519);
        body.extend_from_slice(&NO_ML_KEM);
        body.extend_from_slice(keys.ml_dsa.map_or(&[], |key| key));
    }
    Ok(body)
}

/// Adds the signatures to a statement, whatever it says.
pub(crate) fn signed(body: Vec<u8>, identities: [&Identity; 2], random: &mut Stream) -> Result<Vec<u8>, RotationError> {
    let messages = ROLES.map(|role| message(role, &body));
    let absent = [RotationError::OldSigner, RotationError::NewSigner];
    let mut statement = body;
    for ((identity, message), absent) in identities.into_iter().zip(&messages).zip(absent) {
        statement.extend_from_slice(&xeddsa::sign(&identity.0.x25519, message, &random.secret()));
        if let Some(signer) = &identity.0.signer {
            let mut signature = Box::new([0; ML_DSA_SIGNATURE_LEN]);
            signer.sign(message, &random.bytes(), &mut signature).map_err(|_| absent)?;
            statement.extend_from_slice(&*signature);
        }
    }
    Ok(statement)
}

/// The public keys of an identity, as a statement has them: from these the fingerprint is computed.
struct Keys<'b> {
    x25519: &'b [u8; 32],
    ml_dsa: Option<&'b [u8; ML_DSA_PUBLIC_KEY_LEN]>,
}

impl<'b> Keys<'b> {
    /// Those of an identity of ours, unless there is an ML-DSA-87 key and no signer to ask for it.
    fn of(identity: &'b Identity) -> Option<Self> {
        let public = &identity.0.public;
        let ml_dsa = identity.0.signer.as_ref().map(|signer| signer.public_key());
        let complete = ml_dsa.is_some() || public.ml_dsa_hash == [0; 32];
        complete.then_some(Self { x25519: &public.x25519, ml_dsa })
    }

    fn peer_id(&self) -> PeerId {
        PeerId::of(&PublicKeys {
            x25519: *self.x25519,
            ml_dsa_hash: self.ml_dsa.map_or([0; 32], PublicKeys::hash_ml_dsa),
            ml_kem_hash: NO_ML_KEM,
        })
    }
}

/// What an identity signed with.
struct Signatures<'b> {
    xeddsa: &'b [u8; SIGNATURE_LEN],
    ml_dsa: Option<&'b [u8; ML_DSA_SIGNATURE_LEN]>,
}

impl Signatures<'_> {
    /// Every key there is has to have signed: the cheaper one is asked first.
    fn verify(&self, keys: &Keys<'_>, message: &[u8; 64]) -> bool {
        let ml_dsa = || match (keys.ml_dsa, self.ml_dsa) {
            (Some(key), Some(signature)) => ml_dsa::verify(key, message, signature),
            (None, None) => true,
            _ => false,
        };
        xeddsa::verify(keys.x25519, message, self.xeddsa) && ml_dsa()
    }
}

/// The bytes not read yet.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take<const N: usize>(&mut self) -> Result<&'b [u8; N], RotationError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(RotationError::Format)?;
        self.0 = rest;
        Ok(taken)
    }

    fn take_if<const N: usize>(&mut self, there: bool) -> Result<Option<&'b [u8; N]>, RotationError> {
        there.then(|| self.take()).transpose()
    }

    fn keys(&mut self, has_ml_dsa: bool) -> Result<Keys<'b>, RotationError> {
        let x25519 = self.take()?;
        if *self.take()? != NO_ML_KEM {
            return Err(RotationError::Format);
        }
        Ok(Keys { x25519, ml_dsa: self.take_if(has_ml_dsa)? })
    }

    fn signatures(&mut self, has_ml_dsa: bool) -> Result<Signatures<'b>, RotationError> {
        Ok(Signatures { xeddsa: self.take()?, ml_dsa: self.take_if(has_ml_dsa)? })
    }
}

#[cfg(test)]
mod tests;
