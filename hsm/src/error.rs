//! What can go wrong with a token, in words for who has to put it right.

use std::path::PathBuf;
use std::time::Duration;

use cryptoki::error::{Error, RvError};

use crate::code::P11Code;

/// Why a token did not do what was asked. Names the module, the token or the object; never prints a PIN.
/// [`advice`](Self::advice) says what to do about it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HsmError {
    /// The URI does not say which module to load.
    #[error("the PKCS#11 URI names no module")]
    NoModule,
    /// The shared library cannot be loaded, or is no PKCS#11 module.
    #[error("the PKCS#11 module {} cannot be loaded: {reason}", path.display())]
    Module {
        /// The library.
        path: PathBuf,
        /// What the system's loader says.
        reason: String,
    },
    /// `C_Initialize` failed.
    #[error("the PKCS#11 module {} cannot be initialised: {code}", path.display())]
    ModuleNotInitialised {
        /// The library.
        path: PathBuf,
        /// What it says.
        code: P11Code,
    },
    /// No token that is there matches the URI.
    #[error("no token matches {uri}")]
    NoToken {
        /// The URI.
        uri: String,
    },
    /// Several tokens match the URI.
    #[error("{} tokens match {uri}: {}", tokens.len(), tokens.join(", "))]
    SeveralTokens {
        /// The URI.
        uri: String,
        /// URIs of the tokens.
        tokens: Vec<String>,
    },
    /// The token has no user PIN yet, or has not been initialised at all.
    #[error("{token} is not initialised: {missing}")]
    TokenNotInitialised {
        /// The token.
        token: String,
        /// What it has not.
        missing: &'static str,
    },
    /// The token cannot sign with ML-DSA or cannot make keys for it.
    #[error("this token has no ML-DSA: {token} lacks {missing}, which PKCS#11 3.2 added")]
    NoMlDsa {
        /// The token.
        token: String,
        /// The mechanism.
        missing: &'static str,
    },
    /// The URI's `type` is not `private`.
    #[error("{uri} does not name a private key")]
    NotAPrivateKey {
        /// The URI.
        uri: String,
    },
    /// No ML-DSA private key of the token matches.
    #[error("no ML-DSA private key on {token} matches {uri}")]
    NoKey {
        /// The token.
        token: String,
        /// The URI, or the id, as part of one.
        uri: String,
    },
    /// Several ML-DSA private keys of the token match.
    #[error("{count} ML-DSA private keys on {token} match {uri}")]
    SeveralKeys {
        /// The token.
        token: String,
        /// The URI.
        uri: String,
        /// How many.
        count: usize,
    },
    /// There is a key of that label or id already.
    #[error("{token} already has a key with the {what}")]
    KeyExists {
        /// The token.
        token: String,
        /// `label "..."` or `id ...`.
        what: String,
    },
    /// A label or an id that no key is made with.
    #[error("a key's {what}")]
    KeyName {
        /// Which, and what it has to be.
        what: &'static str,
    },
    /// The key is not one that an identity may be.
    #[error("the key {key} cannot be used: {reason}")]
    KeyRefused {
        /// The key's URI.
        key: String,
        /// What is wrong with it.
        reason: KeyRefusal,
    },
    /// No PIN was given.
    #[error("no PIN was given for the token")]
    PinMissing,
    /// Longer than [`MAX_PIN_LEN`](crate::MAX_PIN_LEN).
    #[error("the PIN is longer than {} bytes", crate::MAX_PIN_LEN)]
    PinTooLong,
    /// The file with the PIN cannot be read.
    #[error("the PIN cannot be read from {}: {reason}", path.display())]
    PinFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The token refused the PIN.
    #[error("{token} refused the PIN; it was tried once only, since more tries may lock it")]
    PinIncorrect {
        /// The token.
        token: String,
    },
    /// One more wrong PIN would lock the token: a signer leaves that one try to a person.
    #[error("{token} has one try left before its PIN is locked; the PIN was not tried")]
    PinFinalTry {
        /// The token.
        token: String,
    },
    /// Too many wrong PINs.
    #[error("the PIN of {token} is locked")]
    PinLocked {
        /// The token.
        token: String,
    },
    /// The token wants another PIN set.
    #[error("the PIN of {token} has expired")]
    PinExpired {
        /// The token.
        token: String,
    },
    /// The login failed without a word about the PIN. A token may have counted a wrong PIN all the same.
    #[error("{token} did not log in: {code}; the PIN is not tried again at once, since the token may count that")]
    LoginFailed {
        /// The token.
        token: String,
        /// What it says.
        code: P11Code,
    },
    /// The token has no session left (`CKR_SESSION_COUNT`).
    #[error("{token} has no session left: {code}")]
    NoSession {
        /// The token.
        token: String,
        /// What it says.
        code: P11Code,
    },
    /// No room for another key.
    #[error("{token} is full ({code})")]
    TokenFull {
        /// The token.
        token: String,
        /// What it says.
        code: P11Code,
    },
    /// The token was removed or broke, or the session with it was lost; connecting anew did not help.
    #[error("{token} is lost: {code}")]
    Lost {
        /// The token.
        token: String,
        /// What it says.
        code: P11Code,
    },
    /// Every session was in use for as long as a caller waits, or the token did not answer within that time.
    #[error("{token} is busy: no answer within {} ms", waited.as_millis())]
    Busy {
        /// The token.
        token: String,
        /// How long that was.
        waited: Duration,
    },
    /// The token refused to make a key with an attribute that is required, or to tell one.
    #[error("{token} refused an attribute of the key: {code}")]
    AttributeRefused {
        /// The token.
        token: String,
        /// What it says.
        code: P11Code,
    },
    /// What the token returned does not verify under the key's public key, and was not given out.
    #[error("{token} made a signature that does not verify under the public key of {key}")]
    BadSignature {
        /// The token.
        token: String,
        /// The key's URI.
        key: String,
    },
    /// Anything else.
    #[error("{token} refused: {code}")]
    Refused {
        /// The token.
        token: String,
        /// What it says.
        code: P11Code,
    },
    /// [`Pkcs11Signer::close`](crate::Pkcs11Signer::close) was called.
    #[error("the signer of {key} has been closed")]
    Closed {
        /// The key's URI.
        key: String,
    },
    /// The system has no thread or no random numbers to give.
    #[error("the system refused {what}")]
    System {
        /// What.
        what: &'static str,
    },
}

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRefusal {
    /// `CKA_EXTRACTABLE` is not false.
    #[error("it is extractable (CKA_EXTRACTABLE is not false), so that it can leave the token")]
    Extractable,
    /// `CKA_SENSITIVE` is not true.
    #[error("it is not sensitive (CKA_SENSITIVE is not true), so that it can be read")]
    NotSensitive,
    /// `CKA_PRIVATE` is not true, on a key just made.
    #[error("it can be used without the PIN (CKA_PRIVATE is not true)")]
    NotPrivate,
    /// `CKA_TOKEN` is not true, on a key just made.
    #[error("it is gone when the session ends (CKA_TOKEN is not true)")]
    NotStored,
    /// `CKA_ALWAYS_SENSITIVE`, `CKA_NEVER_EXTRACTABLE` or `CKA_LOCAL` is not true, on a key just made.
    #[error(
        "the token does not vouch that it was made there and never was outside (CKA_LOCAL, CKA_ALWAYS_SENSITIVE and \
         CKA_NEVER_EXTRACTABLE)"
    )]
    NotVouchedFor,
    /// `CKA_PARAMETER_SET` is another.
    #[error("it is not an ML-DSA-87 key (CKA_PARAMETER_SET)")]
    NotMlDsa87,
    /// `CKA_ALWAYS_AUTHENTICATE`.
    #[error("it asks for the PIN with each signature (CKA_ALWAYS_AUTHENTICATE)")]
    AlwaysAuthenticate,
    /// Neither a public key object of the same id nor `CKA_PUBLIC_KEY_INFO`.
    #[error("its public key is not on the token: no public key object has its id, nor has it CKA_PUBLIC_KEY_INFO")]
    NoPublicKey,
    /// The public key is another's, or not one at all.
    #[error("the public key on the token is not its own: a signature does not verify")]
    PublicKeyMismatch,
    /// Two public key objects of the same id are different.
    #[error("several different public keys on the token have its id")]
    SeveralPublicKeys,
}

impl HsmError {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NoModule => {
                "add ?module-path=/PATH/TO/MODULE.so to the URI; the token's vendor says which library it is"
            }
            Self::Module { .. } => {
                "check that the file is there, is the vendor's PKCS#11 library and fits this machine, and that what \
                 it needs itself is installed (ldd shows it)"
            }
            Self::ModuleNotInitialised { .. } => {
                "check the module's own configuration, its files and environment variables, and whether its service \
                 runs"
            }
            Self::NoToken { .. } => {
                "check that the token is plugged in or its service is reachable, and compare the URI with the list of \
                 tokens"
            }
            Self::SeveralTokens { .. } => "add serial= to the URI",
            Self::TokenNotInitialised { .. } => "initialise the token and set its user PIN with the vendor's tool",
            Self::NoMlDsa { .. } => {
                "use a token with PKCS#11 3.2 and ML-DSA, or newer firmware and module for this one; where the vendor \
                 has ML-DSA under numbers of its own, it cannot be used"
            }
            Self::NotAPrivateKey { .. } => "use type=private, or leave type out",
            Self::NoKey { .. } => "compare object= and id= of the URI with the list of keys on the token",
            Self::SeveralKeys { uri, .. } if has_id(uri) => {
                "add object= to the URI if their labels differ, else destroy the one that is not needed"
            }
            Self::SeveralKeys { .. } => "add id= to the URI",
            Self::KeyExists { .. } => "choose another label or id, or delete that key",
            Self::KeyName { .. } => "choose another",
            Self::KeyRefused { reason, .. } => match reason {
                KeyRefusal::AlwaysAuthenticate => "make a key that does not ask for the PIN each time",
                KeyRefusal::NoPublicKey => "store the public key on the token under the private key's id",
                KeyRefusal::PublicKeyMismatch | KeyRefusal::SeveralPublicKeys => {
                    "remove the public keys that are not this key's, or give them other ids"
                }
                _ => "make a new key in the token; one that was outside it, or can be, is no better than a file",
            },
            Self::PinMissing => "give the PIN, or a file that holds it: pin-source=file:/PATH in the URI",
            Self::PinTooLong => "check that the PIN is what was meant",
            Self::PinFile { .. } => "check that the file is there and that this user may read it",
            Self::PinIncorrect { .. } => "correct the PIN before the next try, and find out how many are left",
            Self::PinFinalTry { .. } => {
                "log in once with the right PIN by the vendor's tool, which gives all tries back, and then start again"
            }
            Self::PinLocked { .. } => "have the security officer set a new PIN",
            Self::PinExpired { .. } => "set a new PIN with the vendor's tool",
            Self::LoginFailed { .. } => {
                "check the token, the way to it and the PIN: what it returned does not say which of them it is; a signer \
                 tries again after a pause that grows from a second to five minutes"
            }
            Self::NoSession { .. } => {
                "end what else uses the token, or let it have more sessions; the next signature tries again"
            }
            Self::TokenFull { .. } => "delete keys that are not needed, or use another token",
            Self::Lost { .. } => {
                "plug the token in, or check its service and the way to it; it is found again by itself"
            }
            Self::Busy { .. } => {
                "if it stays so, the token or the way to it hangs: check its service; if it passes, the token is \
                 slower than what is asked of it"
            }
            Self::AttributeRefused { .. } => {
                "check whether the token's policy lets keys be made that are sensitive and not extractable"
            }
            Self::BadSignature { .. } => "check the token: it signs with another key, or is broken",
            Self::Refused { .. } => "look the code up in the token's manual, and its log for what it says there",
            Self::Closed { .. } => "open another",
            Self::System { .. } => "check the limits of the process",
        }
    }

    /// Whether the PIN is never to be tried again.
    pub(crate) fn refuses_the_pin(&self) -> bool {
        matches!(self, Self::PinIncorrect { .. } | Self::PinLocked { .. } | Self::PinExpired { .. })
    }

    /// Whether connecting anew may help. Not after a login that failed: another try may bring the lock nearer.
    pub(crate) fn is_worth_a_retry(&self) -> bool {
        matches!(
            self,
            Self::Lost { .. } | Self::NoToken { .. } | Self::ModuleNotInitialised { .. } | Self::BadSignature { .. }
        )
    }

    /// Whether every session's handle is void: sessions with such numbers may be others' by now, and are not to be
    /// closed.
    pub(crate) fn voids_all_sessions(&self) -> bool {
        let Self::Lost { code, .. } = self else { return false };
        matches!(
            code.error,
            Some(
                RvError::CryptokiNotInitialized
                    | RvError::DeviceRemoved
                    | RvError::TokenNotPresent
                    | RvError::SlotIdInvalid
            )
        )
    }

    /// Whether the handle of the session in which it happened is void.
    pub(crate) fn voids_session(&self) -> bool {
        let Self::Lost { code, .. } = self else { return false };
        self.voids_all_sessions() || matches!(code.error, Some(RvError::SessionHandleInvalid | RvError::SessionClosed))
    }

    /// Sorts what the module returned, while it was asked something of `token`.
    pub(crate) fn of(error: &Error, token: &str) -> Self {
        let token = token.to_owned();
        let code = P11Code::new(error);
        let Some(rv) = code.error else { return Self::Refused { token, code } };
        match rv {
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => Self::PinIncorrect { token },
            RvError::PinLocked => Self::PinLocked { token },
            RvError::PinExpired => Self::PinExpired { token },
            RvError::UserPinNotInitialized => Self::TokenNotInitialised { token, missing: "no user PIN is set" },
            RvError::CryptokiNotInitialized
            | RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::DeviceRemoved
            | RvError::TokenNotPresent => Self::Lost { token, code },
            // All else may be a module's way to say that the PIN is wrong.
            _ if code.function() == "C_Login" => Self::LoginFailed { token, code },
            RvError::SessionCount => Self::NoSession { token, code },
            RvError::MechanismInvalid => {
                let missing = if code.function() == "C_GenerateKeyPair" { KEY_PAIR_GEN } else { ML_DSA };
                Self::NoMlDsa { token, missing }
            }
            RvError::DeviceMemory if matches!(code.function(), "C_GenerateKeyPair" | "C_CreateObject") => {
                Self::TokenFull { token, code }
            }
            RvError::AttributeReadOnly
            | RvError::AttributeTypeInvalid
            | RvError::AttributeValueInvalid
            | RvError::AttributeSensitive
            | RvError::TemplateIncomplete
            | RvError::TemplateInconsistent => Self::AttributeRefused { token, code },
            RvError::DeviceError
            | RvError::DeviceMemory
            | RvError::HostMemory
            | RvError::TokenNotRecognized
            | RvError::SlotIdInvalid
            | RvError::UserNotLoggedIn
            | RvError::KeyHandleInvalid
            | RvError::ObjectHandleInvalid
            | RvError::OperationActive
            | RvError::OperationNotInitialized
            | RvError::FunctionFailed
            | RvError::FunctionCanceled
            // What some return for a signature without login.
            | RvError::GeneralError => Self::Lost { token, code },
            _ => Self::Refused { token, code },
        }
    }
}

/// Whether a URI, or what stands for one, names an id.
fn has_id(uri: &str) -> bool {
    uri.split(['?', ':', ';']).any(|attribute| attribute.starts_with("id="))
}

pub(crate) const ML_DSA: &str = "CKM_ML_DSA";
pub(crate) const KEY_PAIR_GEN: &str = "CKM_ML_DSA_KEY_PAIR_GEN";

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn what_a_token_refuses_is_told_with_the_function_and_its_code() {
        assert_eq!(
            HsmError::of(&Error::Pkcs11(RvError::DataInvalid, Function::Sign), "the token \"a\"").to_string(),
            "the token \"a\" refused: C_Sign returned CKR_DATA_INVALID"
        );
    }

    /// Another try would bring the lock nearer.
    #[test]
    fn a_login_is_not_worth_a_retry_once_a_pin_may_have_been_counted() {
        let of = |error| HsmError::of(&Error::Pkcs11(error, Function::Login), "a token");
        for error in
            [RvError::PinIncorrect, RvError::PinInvalid, RvError::PinLenRange, RvError::PinLocked, RvError::PinExpired]
        {
            assert!(of(error).refuses_the_pin() && !of(error).is_worth_a_retry());
        }
        for error in [
            RvError::FunctionFailed,
            RvError::GeneralError,
            RvError::DeviceError,
            RvError::DeviceMemory,
            RvError::HostMemory,
            RvError::FunctionCanceled,
            RvError::MechanismInvalid,
            RvError::VendorDefined(0x8000_0001),
            RvError::UnknownErrorCode(0x4321),
        ] {
            assert!(matches!(of(error), HsmError::LoginFailed { .. }), "{error}");
            assert!(!of(error).is_worth_a_retry());
        }
        for error in [
            RvError::CryptokiNotInitialized,
            RvError::SessionHandleInvalid,
            RvError::SessionClosed,
            RvError::DeviceRemoved,
            RvError::TokenNotPresent,
        ] {
            assert!(of(error).is_worth_a_retry(), "{error}");
        }
    }

    /// A token is full of keys only when it is asked for one.
    #[test]
    fn memory_that_is_short_for_a_moment_is_no_full_token() {
        let of = |error, function| HsmError::of(&Error::Pkcs11(error, function), "a token");
        for function in [Function::GenerateKeyPair, Function::CreateObject] {
            assert!(matches!(of(RvError::DeviceMemory, function), HsmError::TokenFull { .. }));
        }
        for function in [Function::Sign, Function::SignInit, Function::OpenSession, Function::FindObjectsInit] {
            assert!(of(RvError::DeviceMemory, function).is_worth_a_retry());
            assert!(of(RvError::HostMemory, function).is_worth_a_retry());
        }
    }

    #[test]
    fn who_gave_an_id_is_not_told_to_give_one() {
        for (uri, has) in [
            ("pkcs11:token=a;id=%01?module-path=/m.so", true),
            ("pkcs11:id=%01", true),
            ("id=%01", true),
            ("pkcs11:slot-id=3;object=id%3D?module-path=/id=/m.so", false),
        ] {
            let error = HsmError::SeveralKeys { token: "a token".to_owned(), uri: uri.to_owned(), count: 2 };
            assert_eq!(error.advice().contains("add id="), !has, "{uri}");
        }
    }
}
