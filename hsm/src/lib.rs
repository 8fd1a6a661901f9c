//! B4AE identities whose private key never leaves a PKCS#11 token: an HSM, a smart card, a soft token.
//!
//! The token makes the key, and [`Pkcs11Signer`] is that key behind the core's trait for signers. The rest of an
//! identity, its X25519 key, stays outside.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use b4ae_core::Signer;
//! use b4ae_hsm::{HsmError, Pin, Pkcs11Signer, Pkcs11Uri, Token};
//!
//! # fn example(pin: impl Fn() -> Result<Pin, HsmError>) -> Result<(), Box<dyn std::error::Error>> {
//! // Once: a key pair, made in the token. Its URI goes into the configuration.
//! let token: Pkcs11Uri = "pkcs11:token=rack7?module-path=/usr/lib/pkcs11/token.so".parse()?;
//! let key = Token::open(&token, Some(pin()?))?.generate("b4ae", None)?;
//! println!("{}", key.uri());
//!
//! // From then on: a signer, for as long as the process lives.
//! let signer = Arc::new(Pkcs11Signer::open(&key.uri(), pin()?)?);
//! let mut signature = [0; b4ae_core::ML_DSA_SIGNATURE_LEN];
//! if signer.sign(&[0; 64], &[0; 32], &mut signature).is_err() {
//!     println!("{:?}", signer.status());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What a token has to have
//!
//! `CKM_ML_DSA` and `CKM_ML_DSA_KEY_PAIR_GEN` of PKCS#11 3.2, with ML-DSA-87. Signatures are FIPS 204's, pure, with the
//! empty context and of 64 bytes, which is what tokens have in common; hedged or deterministic, as the token likes.
//! [`Token::capabilities`] tries out what one can do.
//!
//! # What a signer does about a token that fails
//!
//! - **The session, the login or the token was lost**, or somebody finalised the module: it connects anew and tries
//!   once more. If that fails too, so does the signature, and the next one begins anew.
//! - **The PIN was refused**: it was tried once, and no signature tries it again. See [`Pkcs11Signer::retry_pin`].
//! - **The login failed otherwise** ([`HsmError::LoginFailed`]): the token may have counted a wrong PIN all the same.
//!   However many signatures are asked for, it is tried again only after a second, then two, four and so on, up to
//!   every five minutes: 9 times in the first 5 minutes, and 12 more an hour. A token that says after such a try that a
//!   wrong PIN has been tried counts as one that refused it. Only logins that failed because the token, the session or
//!   the module was gone, so that the PIN was not looked at, are repeated at once.
//! - **The token has no session left** (`CKR_SESSION_COUNT`): one of the signer's own is waited for, if it has any.
//! - **The token hangs**: callers get [`HsmError::Busy`] after [`SignerOptions::wait`]. Calls into a module cannot be
//!   ended from outside: their threads, of which there are no more than sessions, come back when the token does.
//! - **A signature is wrong**: each is verified before it is given out.
//!
//! # When the process ends
//!
//! Drop the signer before `main` returns. That closes the sessions on the signer's own threads, and waits for it and
//! for calls that are still inside the module, for three seconds at most: a token that hangs does not hold the process.
//! A call that is inside a module when the process runs the module's destructors may crash it.
//!
//! # What is shared in a process
//!
//! A module is loaded once and never finalised. Login is one for all sessions of the process with a token: while
//! anybody in the process is logged in, no PIN is looked at.
//!
//! A signer keeps sessions, and never closes one whose number it knows to be void. If somebody else in the process
//! finalises the module, initialises it and opens sessions, all before the signer's next signature, their sessions may
//! have the numbers that the signer's had, and PKCS#11 has no way to tell. A signature by another key would be noticed;
//! a session of theirs may be closed.

mod capabilities;
mod code;
mod connections;
mod error;
mod key;
mod login;
mod module;
mod pin;
mod signer;
mod token;
mod uri;
mod workers;

pub use capabilities::{Capabilities, MechanismCapability};
pub use code::P11Code;
pub use error::{HsmError, KeyRefusal};
pub use key::{KeyInfo, MAX_KEY_NAME_LEN};
pub use pin::{MAX_PIN_LEN, Pin};
pub use signer::{Pkcs11Signer, SignerOptions, SignerState, SignerStatus};
pub use token::{ModuleInfo, PinTries, Token, TokenInfo, list_tokens};
pub use uri::{MAX_URI_LEN, ObjectType, Pkcs11Uri, UriError};
