//! What a token can do with ML-DSA.

use std::time::Duration;

use b4ae_core::ML_DSA_PUBLIC_KEY_LEN;
use cryptoki::context::Pkcs11;
use cryptoki::mechanism::MechanismType;
use cryptoki::mechanism::dsa::HedgeType;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use libcrux_ml_dsa::ml_dsa_87::{MLDSA87Signature, MLDSA87VerificationKey, verify};

use crate::HsmError;
use crate::error::{KEY_PAIR_GEN, ML_DSA};
use crate::key::{self, Kept};
use crate::token::TokenInfo;
use crate::workers::now;

/// What a token can do. What is an [`Option`] was tried with an ML-DSA-87 key made as one for an identity is, except
/// that it lives no longer than a session; it is `None` if that could not be tried: [`refused`](Self::refused) says
/// why.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Its mechanisms that have to do with ML-DSA.
    pub mechanisms: Vec<MechanismCapability>,
    /// Whether it signs with the empty context, leaving open whether the signature is hedged: what the protocol needs.
    pub signs: Option<bool>,
    /// How long such a signature takes: the median of nine, one after the other in one session. Opening that and
    /// verifying are not in it.
    pub signature_time: Option<Duration>,
    /// Whether it signs with another context.
    pub contexts: Option<bool>,
    /// Whether it signs where a hedged signature is demanded.
    pub hedged: Option<bool>,
    /// Whether it signs where a deterministic signature is demanded.
    pub deterministic: Option<bool>,
    /// Why no such key was made, or why [`signs`](Self::signs) is not true.
    pub refused: Option<HsmError>,
    /// Whether it has a random number generator.
    pub rng: bool,
    /// Version of the firmware, major and minor.
    pub firmware_version: (u8, u8),
    /// Sessions that this process may have, if there is a limit that the token tells.
    pub max_sessions: Option<u64>,
}

/// A mechanism, as the token describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MechanismCapability {
    /// Its name, as in `CKM_ML_DSA`.
    pub name: String,
    /// Whether it signs.
    pub sign: bool,
    /// Whether it verifies.
    pub verify: bool,
    /// Whether it makes key pairs.
    pub generate_key_pair: bool,
    /// Whether the device does it, and not the module in software.
    pub hardware: bool,
    /// The smallest key; tokens do not agree on the unit.
    pub min_key_size: u64,
    /// The largest key.
    pub max_key_size: u64,
}

const RELATED: [MechanismType; 3] =
    [MechanismType::ML_DSA_KEY_PAIR_GEN, MechanismType::ML_DSA, MechanismType::HASH_ML_DSA];

/// A mechanism that is needed, and its name.
pub(crate) type Needed = (MechanismType, &'static str);
pub(crate) const SIGNS: Needed = (MechanismType::ML_DSA, ML_DSA);
pub(crate) const MAKES_KEYS: Needed = (MechanismType::ML_DSA_KEY_PAIR_GEN, KEY_PAIR_GEN);

/// An error if the token lacks a mechanism.
pub(crate) fn require(context: &Pkcs11, slot: Slot, token: &TokenInfo, needed: &[Needed]) -> Result<(), HsmError> {
    let there = context.get_mechanism_list(slot).map_err(|error| HsmError::of(&error, &token.name()))?;
    match needed.iter().find(|(mechanism, _)| !there.contains(mechanism)) {
        Some((_, missing)) => Err(HsmError::NoMlDsa { token: token.name(), missing }),
        None => Ok(()),
    }
}

/// `session` is logged in; one more at a time is opened beside it.
pub(crate) fn of(context: &Pkcs11, session: &Session, slot: Slot, token: &TokenInfo) -> Result<Capabilities, HsmError> {
    let failed = |error| HsmError::of(&error, &token.name());
    let there = context.get_mechanism_list(slot).map_err(failed)?;
    let mut mechanisms = Vec::new();
    for mechanism in RELATED.into_iter().filter(|mechanism| there.contains(mechanism)) {
        let info = context.get_mechanism_info(slot, mechanism).map_err(failed)?;
        mechanisms.push(MechanismCapability {
            name: mechanism.to_string(),
            sign: info.sign(),
            verify: info.verify(),
            generate_key_pair: info.generate_key_pair(),
            hardware: info.hardware(),
            min_key_size: info.min_key_size() as u64,
            max_key_size: info.max_key_size() as u64,
        });
    }
    let pair = Pair::make(session, token);
    let trial = Trial { context, slot, token, pair: pair.as_ref() };
    let plainly = trial.signs(HedgeType::Preferred, None);
    let can = Capabilities {
        mechanisms,
        signs: plainly.known(),
        signature_time: trial.time(),
        contexts: trial.signs(HedgeType::Preferred, Some(b"B4AE")).known(),
        hedged: trial.signs(HedgeType::Required, None).known(),
        deterministic: trial.signs(HedgeType::DeterministicRequired, None).known(),
        refused: plainly.error(),
        rng: token.rng,
        firmware_version: token.firmware_version,
        max_sessions: token.max_sessions,
    };
    if let Ok(pair) = pair {
        pair.destroy(session);
    }
    Ok(can)
}

/// A key pair made as one for an identity is, except that it lives no longer than the session.
struct Pair {
    public: ObjectHandle,
    private: ObjectHandle,
    public_key: Box<[u8; ML_DSA_PUBLIC_KEY_LEN]>,
}

/// For messages.
const TRIAL_KEY: &str = "the key made for the trial";

impl Pair {
    fn make(session: &Session, token: &TokenInfo) -> Result<Self, HsmError> {
        let failed = |error| HsmError::of(&error, &token.name());
        let (label, id) = (b"b4ae trial", key::random_id()?);
        let name = [Attribute::Label(label.to_vec()), Attribute::Id(id.clone())];
        let (public, private) = key::generate_pair(session, &name, Kept::InSession).map_err(failed)?;
        let public_key = key::public_key(session, private, label, &id).map_err(failed).and_then(|public_key| {
            public_key.map_err(|reason| HsmError::KeyRefused { key: TRIAL_KEY.to_owned(), reason })
        });
        match public_key {
            Ok(public_key) => Ok(Self { public, private, public_key }),
            Err(error) => {
                destroy(session, public, private);
                Err(error)
            }
        }
    }

    fn destroy(self, session: &Session) {
        destroy(session, self.public, self.private);
    }
}

fn destroy(session: &Session, public: ObjectHandle, private: ObjectHandle) {
    // What stays is gone with the session.
    let _ = session.destroy_object(private);
    let _ = session.destroy_object(public);
}

struct Trial<'a> {
    context: &'a Pkcs11,
    slot: Slot,
    token: &'a TokenInfo,
    pair: Result<&'a Pair, &'a HsmError>,
}

/// What came of trying to sign.
enum Outcome {
    Signs,
    Refuses(HsmError),
    NotTried(HsmError),
}

impl Outcome {
    fn known(&self) -> Option<bool> {
        match self {
            Self::Signs => Some(true),
            Self::Refuses(_) => Some(false),
            Self::NotTried(_) => None,
        }
    }

    fn error(self) -> Option<HsmError> {
        match self {
            Self::Signs => None,
            Self::Refuses(error) | Self::NotTried(error) => Some(error),
        }
    }
}

const MESSAGE: [u8; 64] = [0x42; 64];

impl Trial<'_> {
    /// In a session of its own: a signature that was refused half-way leaves the session unusable.
    fn signs(&self, hedge: HedgeType, context: Option<&[u8]>) -> Outcome {
        let failed = |error| HsmError::of(&error, &self.token.name());
        let pair = match self.pair {
            Ok(pair) => pair,
            Err(error) => return Outcome::NotTried(error.clone()),
        };
        let session = match self.context.open_ro_session(self.slot) {
            Ok(session) => session,
            Err(error) => return Outcome::NotTried(failed(error)),
        };
        match key::sign_with(&session, pair.private, hedge, context, &MESSAGE) {
            Ok(signature) if verifies(&pair.public_key, context.unwrap_or_default(), &signature) => Outcome::Signs,
            Ok(_) => Outcome::Refuses(HsmError::BadSignature { token: self.token.name(), key: TRIAL_KEY.to_owned() }),
            Err(error) => Outcome::Refuses(failed(error)),
        }
    }

    /// The median time of a signature, if it makes nine.
    fn time(&self) -> Option<Duration> {
        let pair = self.pair.ok()?;
        let session = self.context.open_ro_session(self.slot).ok()?;
        let mut times = [Duration::ZERO; 9];
        for time in &mut times {
            let start = now();
            key::sign_with(&session, pair.private, HedgeType::Preferred, None, &MESSAGE).ok()?;
            *time = start.elapsed();
        }
        times.sort_unstable();
        Some(times[times.len() / 2])
    }
}

/// Whether `signature` is `public_key`'s of the message, by FIPS 204 with a context: the core knows the empty one
/// alone.
fn verifies(public_key: &[u8; ML_DSA_PUBLIC_KEY_LEN], context: &[u8], signature: &[u8]) -> bool {
    let Ok(signature) = signature.try_into() else { return false };
    verify(&MLDSA87VerificationKey::new(*public_key), &MESSAGE, context, &MLDSA87Signature::new(signature)).is_ok()
}
