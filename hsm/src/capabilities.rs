//! What a token can do with ML-DSA.

use std::time::Duration;

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::dsa::HedgeType;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, MlDsaParameterSetType, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;

use crate::error::{KEY_PAIR_GEN, ML_DSA};
use crate::token::TokenInfo;
use crate::workers::now;
use crate::{HsmError, key, verify};

/// What a token can do. What is an [`Option`] was tried with an ML-DSA-87 key that lives as long as a session; it is
/// `None` if the token makes no such key.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Its mechanisms that have to do with ML-DSA.
    pub mechanisms: Vec<MechanismCapability>,
    /// Whether it signs with the empty context, leaving open whether the signature is hedged: what the protocol needs.
    pub signs: Option<bool>,
    /// How long such a signature takes: the median of nine, one after the other, each in a session of its own
    /// and verified.
    pub signature_time: Option<Duration>,
    /// Whether it signs with another context.
    pub contexts: Option<bool>,
    /// Whether it signs where a hedged signature is demanded.
    pub hedged: Option<bool>,
    /// Whether it signs where a deterministic signature is demanded.
    pub deterministic: Option<bool>,
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

pub(crate) fn of(context: &Pkcs11, slot: Slot, token: &TokenInfo) -> Result<Capabilities, HsmError> {
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
    let trial = Trial { context, slot };
    let session = context.open_ro_session(slot).map_err(failed)?;
    let pair = key_pair(&session);
    let signs = |hedge, context| pair.as_ref().map(|pair| trial.signs(pair, hedge, context));
    let plainly = signs(HedgeType::Preferred, None);
    Ok(Capabilities {
        mechanisms,
        signs: plainly,
        signature_time: pair.as_ref().filter(|_| plainly == Some(true)).map(|pair| trial.time(pair)),
        contexts: signs(HedgeType::Preferred, Some(b"B4AE")),
        hedged: signs(HedgeType::Required, None),
        deterministic: signs(HedgeType::DeterministicRequired, None),
        rng: token.rng,
        firmware_version: token.firmware_version,
        max_sessions: token.max_sessions,
    })
}

struct Trial<'a> {
    context: &'a Pkcs11,
    slot: Slot,
}

struct Pair {
    private: ObjectHandle,
    public_key: Vec<u8>,
}

/// A key pair that is gone when `session` is.
fn key_pair(session: &Session) -> Option<Pair> {
    let set = Attribute::ParameterSet(MlDsaParameterSetType::ML_DSA_87.into());
    let (public, private) = session
        .generate_key_pair(
            &Mechanism::MlDsaKeyPairGen,
            &[Attribute::Token(false), Attribute::Private(false), Attribute::Verify(true), set],
            &[Attribute::Token(false), Attribute::Private(true), Attribute::Sign(true), Attribute::Sensitive(true)],
        )
        .ok()?;
    match session.get_attributes(public, &[AttributeType::Value]).ok()?.pop()? {
        Attribute::Value(public_key) => Some(Pair { private, public_key }),
        _ => None,
    }
}

impl Trial<'_> {
    /// In a session of its own: a signature that was refused half-way leaves the session unusable.
    fn signs(&self, pair: &Pair, hedge: HedgeType, context: Option<&[u8]>) -> bool {
        let message = [0x42; 64];
        let Ok(session) = self.context.open_ro_session(self.slot) else { return false };
        let Ok(signature) = key::sign_with(&session, pair.private, hedge, context, &message) else { return false };
        verify::in_context(&pair.public_key, &message, context.unwrap_or_default(), &signature)
    }

    /// The median time of a signature.
    fn time(&self, pair: &Pair) -> Duration {
        let mut times = [(); 9].map(|()| {
            let start = now();
            self.signs(pair, HedgeType::Preferred, None);
            start.elapsed()
        });
        times.sort_unstable();
        times[times.len() / 2]
    }
}
