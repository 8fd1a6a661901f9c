//! Tokens: what there are, what they can do, and the keys on them.

use std::fmt;
use std::path::PathBuf;

use cryptoki::context::{Info, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Slot, SlotInfo};
use cryptoki::types::Version;

use crate::capabilities::{self, Capabilities};
use crate::key::{self, KeyInfo};
use crate::module::Module;
use crate::{HsmError, Pin, Pkcs11Uri};

/// The tokens of the module that `uri` names, as far as they match it. Nobody is logged in for that.
pub fn list_tokens(uri: &Pkcs11Uri) -> Result<Vec<TokenInfo>, HsmError> {
    Ok(Module::load(uri)?.tokens(uri)?.into_iter().map(|(_, token)| token).collect())
}

/// What a token says about itself.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TokenInfo {
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Who made it.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// The slot it is in. The number may be another one tomorrow.
    pub slot_id: u64,
    /// The slot's description.
    pub slot_description: String,
    /// The slot's manufacturer.
    pub slot_manufacturer: String,
    /// Whether it has been initialised.
    pub initialised: bool,
    /// Whether a user PIN is set.
    pub user_pin_set: bool,
    /// What is known of tries of the user PIN.
    pub pin_tries: PinTries,
    /// Whether the PIN is typed at the token itself.
    pub pin_pad: bool,
    /// Whether it has a random number generator.
    pub rng: bool,
    /// Whether nothing can be written to it.
    pub write_protected: bool,
    /// Version of the hardware, major and minor.
    pub hardware_version: (u8, u8),
    /// Version of the firmware, major and minor.
    pub firmware_version: (u8, u8),
    /// Sessions that this process may have, if there is a limit that the token tells.
    pub max_sessions: Option<u64>,
    /// Bytes free for private objects, if the token tells.
    pub free_private_memory: Option<u64>,
    /// The module it is reached through.
    pub module: ModuleInfo,
    /// Names this token: module, label and serial number.
    pub uri: Pkcs11Uri,
}

/// What a module says about itself.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ModuleInfo {
    /// The shared library.
    pub path: PathBuf,
    /// Its description.
    pub description: String,
    /// Who made it.
    pub manufacturer: String,
    /// Its version, major and minor.
    pub version: (u8, u8),
    /// The version of PKCS#11 it has, major and minor.
    pub cryptoki: (u8, u8),
}

/// How near the user PIN is to being locked, as far as a token tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PinTries {
    /// Nothing was tried wrongly since the last login, or the token does not tell.
    Unspent,
    /// At least one wrong PIN since the last login.
    SomeSpent,
    /// The next wrong PIN locks it.
    FinalTry,
    /// Locked.
    Locked,
}

impl TokenInfo {
    pub(crate) fn read(context: &Pkcs11, slot: Slot, library: &Info, uri: &Pkcs11Uri) -> Result<Self, Error> {
        let token = context.get_token_info(slot)?;
        let place: SlotInfo = context.get_slot_info(slot)?;
        let trimmed = |text: &str| text.trim_end_matches([' ', '\0']).to_owned();
        let pin_tries = if token.user_pin_locked() {
            PinTries::Locked
        } else if token.user_pin_final_try() {
            PinTries::FinalTry
        } else if token.user_pin_count_low() {
            PinTries::SomeSpent
        } else {
            PinTries::Unspent
        };
        let (label, serial) = (trimmed(token.label()), trimmed(token.serial_number()));
        Ok(Self {
            uri: uri.of_token(&label, &serial),
            label,
            serial,
            manufacturer: trimmed(token.manufacturer_id()),
            model: trimmed(token.model()),
            slot_id: slot.id(),
            slot_description: trimmed(place.slot_description()),
            slot_manufacturer: trimmed(place.manufacturer_id()),
            initialised: token.token_initialized(),
            user_pin_set: token.user_pin_initialized(),
            pin_tries,
            pin_pad: token.protected_authentication_path(),
            rng: token.rng(),
            write_protected: token.write_protected(),
            hardware_version: pair(token.hardware_version()),
            firmware_version: pair(token.firmware_version()),
            max_sessions: token.max_session_count().into(),
            free_private_memory: token.free_private_memory().map(|bytes| bytes as u64),
            module: ModuleInfo {
                path: uri.module_path().map(PathBuf::from).unwrap_or_default(),
                description: trimmed(library.library_description()),
                manufacturer: trimmed(library.manufacturer_id()),
                version: pair(library.library_version()),
                cryptoki: pair(library.cryptoki_version()),
            },
        })
    }

    /// Whether everything that `uri` says of module, slot and token is so.
    pub(crate) fn matches(&self, uri: &Pkcs11Uri) -> bool {
        let same = |wanted: Option<&str>, is: &str| wanted.is_none_or(|wanted| wanted == is);
        same(uri.token(), &self.label)
            && same(uri.serial(), &self.serial)
            && same(uri.manufacturer(), &self.manufacturer)
            && same(uri.model(), &self.model)
            && uri.slot_id().is_none_or(|id| id == self.slot_id)
            && same(uri.slot_description(), &self.slot_description)
            && same(uri.slot_manufacturer(), &self.slot_manufacturer)
            && same(uri.library_description(), &self.module.description)
            && same(uri.library_manufacturer(), &self.module.manufacturer)
            && uri.library_version().is_none_or(|version| version == self.module.version)
    }

    /// For messages.
    pub(crate) fn name(&self) -> String {
        format!("the token {:?} (serial {:?}, slot {})", self.label, self.serial, self.slot_id)
    }
}

fn pair(version: Version) -> (u8, u8) {
    (version.major(), version.minor())
}

/// Whether `session` is logged in as the user, by whoever in this process did that.
pub(crate) fn is_logged_in(session: &Session) -> bool {
    let state = session.get_session_info().map(|info| info.session_state());
    matches!(state, Ok(SessionState::RoUser | SessionState::RwUser))
}

/// Logs `session` in. Login is one for the process and token: if somebody in this process has done it, the PIN is not
/// looked at.
pub(crate) fn login(session: &Session, token: &TokenInfo, pin: Option<&Pin>) -> Result<(), HsmError> {
    if !token.user_pin_set {
        return Err(HsmError::TokenNotInitialised { token: token.name(), missing: "no user PIN is set" });
    }
    if token.pin_tries == PinTries::Locked {
        return Err(HsmError::PinLocked { token: token.name() });
    }
    let result = match pin {
        Some(pin) => session.login_with_raw(UserType::User, &pin.to_raw()),
        None if token.pin_pad => session.login(UserType::User, None),
        None => return Err(HsmError::PinMissing),
    };
    match result {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(error) => Err(HsmError::of(&error, &token.name())),
    }
}

/// A token, logged in: what an administrator does with it. One thread at a time; nothing is tried twice.
pub struct Token {
    session: Session,
    module: Module,
    slot: Slot,
    info: TokenInfo,
    uri: Pkcs11Uri,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Token {
    /// Logs in to the one token that matches `uri`, with `pin`, else with the one that the URI's `pin-source` holds,
    /// else at the token's own keypad if it has one. The PIN is tried once.
    pub fn open(uri: &Pkcs11Uri, pin: Option<Pin>) -> Result<Self, HsmError> {
        let pin = match (pin, uri.pin_source()) {
            (None, Some(path)) => Some(Pin::from_file(path)?),
            (pin, _) => pin,
        };
        let module = Module::load(uri)?;
        let (slot, info) = module.token(uri)?;
        let session = if info.write_protected {
            module.context.open_ro_session(slot)
        } else {
            module.context.open_rw_session(slot)
        };
        let session = session.map_err(|error| HsmError::of(&error, &info.name()))?;
        login(&session, &info, pin.as_ref())?;
        Ok(Self { session, module, slot, info, uri: uri.clone() })
    }

    /// What the token said about itself before the login.
    pub fn info(&self) -> &TokenInfo {
        &self.info
    }

    /// What it can do with ML-DSA, tried out where its word alone is not enough: with a key that is gone afterwards.
    pub fn capabilities(&self) -> Result<Capabilities, HsmError> {
        capabilities::of(&self.module.context, &self.session, self.slot, &self.info)
    }

    /// The ML-DSA-87 private keys that match the URI with which the token was opened. Keys that are no ML-DSA-87 keys,
    /// or whose public key the token does not tell, are left out: opening one says what is wrong with it.
    pub fn keys(&self) -> Result<Vec<KeyInfo>, HsmError> {
        capabilities::require(&self.module.context, self.slot, &self.info, &[capabilities::SIGNS])?;
        let mut keys = Vec::new();
        for handle in key::find(&self.session, &self.uri, &self.info)? {
            match key::read(&self.session, handle, &self.uri, &self.info) {
                Ok(key) => keys.push(key),
                Err(HsmError::KeyRefused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(keys)
    }

    /// Makes an ML-DSA-87 key pair in the token: private, sensitive, not extractable, for signing only, and neither
    /// modifiable nor copyable where the token has that. Then reads back that it is so, signs with it and verifies; a
    /// key that is not as required is destroyed again. `label` has 1 to 255 bytes, `id` too; without one, 16 random
    /// bytes are taken. No other key on the token may have either: where somebody makes one at the same time, one of
    /// the two is destroyed again, or both.
    pub fn generate(&self, label: &str, id: Option<&[u8]>) -> Result<KeyInfo, HsmError> {
        let (context, needed) = (&self.module.context, [capabilities::MAKES_KEYS, capabilities::SIGNS]);
        capabilities::require(context, self.slot, &self.info, &needed)?;
        let trial = context.open_ro_session(self.slot).map_err(|error| HsmError::of(&error, &self.info.name()))?;
        key::generate(&self.session, &trial, label, id, &self.uri, &self.info)
    }

    /// Destroys the ML-DSA key pair with exactly this id: the private key, then its public key.
    pub fn delete(&self, id: &[u8]) -> Result<(), HsmError> {
        key::delete(&self.session, id, &self.info)
    }
}
