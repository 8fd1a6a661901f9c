//! Tokens as the node uses them: reached with options and a PIN, and watched while they are in use.

use std::mem::discriminant;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use b4ae_hsm::{
    HsmError, Pin, PinTries, Pkcs11Signer, Pkcs11Uri, SignerOptions, SignerState, Token, TokenInfo, UriError,
    list_tokens,
};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};
use zeroize::Zeroizing;

use crate::cli::hsm::TokenArgs;
use crate::credential::Source;
use crate::error::Error;
use crate::output::{Notice, note, printable};
use crate::printer::Outlet;

/// How often a signer is looked at. Looking costs nothing: the token is not asked.
const LOOK: Duration = Duration::from_secs(1);
/// How often a token that is lost is asked whether it is back, and one that is there whether it still is: in numbers of
/// looks.
const ASK: (u32, u32) = (3, 60);

/// A token that was named, and the PIN for it: obtained once, whatever is done with it.
pub(crate) struct Access {
    uri: Pkcs11Uri,
    /// Without one, the token has a keypad of its own, or opening it will tell what is wrong.
    pin: Option<Zeroizing<Vec<u8>>>,
}

/// The URI that `text` is, with the module of `args` if there is one. No error repeats the text: there may be a PIN in
/// it that does not belong there.
pub(crate) fn uri(text: &str, args: &TokenArgs) -> Result<Pkcs11Uri, Error> {
    let uri: Pkcs11Uri = text.parse().map_err(|error: UriError| Error::Usage(error.to_string()))?;
    match &args.module {
        Some(module) => uri.with_module_path(module).map_err(|error| Error::Usage(format!("--module: {error}"))),
        None => Ok(uri),
    }
}

impl Access {
    /// To the token that `uri` names. Its PIN is asked for where it was not given, unless that would be in vain.
    pub(crate) fn new(uri: Pkcs11Uri, args: &TokenArgs) -> Result<Self, Error> {
        let source = source(&uri, args);
        let pin = match source.given()? {
            Some(pin) => Some(pin),
            None => match find(&uri)? {
                token if token.pin_pad || !takes_pin(&token) => None,
                token => Some(source.existing(&format!("the token {}", printable(token.label.as_bytes())))?),
            },
        };
        Ok(Self { uri, pin })
    }

    /// The name by which the token, and perhaps a key, was asked for.
    pub(crate) fn uri(&self) -> &Pkcs11Uri {
        &self.uri
    }

    /// The token, with its user logged in.
    pub(crate) fn open(&self) -> Result<Token, Error> {
        Token::open(&self.uri, self.pin()?).map_err(Error::Token)
    }

    /// The signer of the key that `uri` names, in this token.
    pub(crate) fn signer(&self, uri: &Pkcs11Uri, options: SignerOptions) -> Result<Pkcs11Signer, Error> {
        match self.pin()? {
            Some(pin) => Pkcs11Signer::open_with(uri, pin, options).map_err(Error::Token),
            // It may be that the token says more.
            None => self.open().and(Err(Error::Token(HsmError::PinMissing))),
        }
    }

    fn pin(&self) -> Result<Option<Pin>, Error> {
        self.pin.clone().map(Pin::new).transpose().map_err(Error::Token)
    }
}

/// Whether a login is worth a PIN.
pub(crate) fn takes_pin(token: &TokenInfo) -> bool {
    token.initialised && token.user_pin_set && token.pin_tries != PinTries::Locked
}

/// The one token that `uri` names, blank ones aside.
fn find(uri: &Pkcs11Uri) -> Result<TokenInfo, Error> {
    let mut tokens = list_tokens(uri).map_err(Error::Token)?;
    if tokens.len() > 1 {
        tokens.retain(|token| token.initialised);
    }
    let names = || tokens.iter().map(|token| token.uri.to_string()).collect();
    match tokens.len() {
        0 => Err(Error::Token(HsmError::NoToken { uri: uri.to_string() })),
        1 => Ok(tokens.remove(0)),
        _ => Err(Error::Token(HsmError::SeveralTokens { uri: uri.to_string(), tokens: names() })),
    }
}

/// Where the PIN for `uri` is looked for.
fn source<'a>(uri: &'a Pkcs11Uri, args: &'a TokenArgs) -> Source<'a> {
    Source::pin(args.pin_file.as_deref().or_else(|| uri.pin_source().map(Path::new)))
}

/// Tells when a signer's token is lost and when it is back, on standard error and, as JSON, to `outlet` if there is
/// one. Has it sign now and then, so that its operator hears of it before a peer does. Goes on until it is dropped.
pub(crate) async fn watch(signer: Arc<Pkcs11Signer>, outlet: Option<Outlet>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut lost = None;
    let mut since_asked = 0;
    let mut asked = None;
    loop {
        looks.tick().await;
        since_asked += 1;
        // One at a time, on a thread of its own: a token that hangs has that one.
        let due = since_asked >= if lost.is_some() { ASK.0 } else { ASK.1 };
        if due && asked.as_ref().is_none_or(JoinHandle::is_finished) {
            let signer = Arc::clone(&signer);
            asked = Some(spawn_blocking(move || _ = signer.check()));
            since_asked = 0;
        }
        let (kind, reason) = match signer.status().state {
            SignerState::Ready => (None, None),
            SignerState::Lost { error, .. } => (Some(Some(discriminant(&error))), Some(trouble(&error))),
            SignerState::Stalled { since } => {
                (Some(None), Some(format!("the token has not answered for {} s", since.elapsed().as_secs())))
            }
        };
        // What is told once is not told again, but another trouble is: the token is back and does not take the PIN.
        if kind == lost {
            continue;
        }
        lost = kind;
        match &reason {
            Some(why) => note(format_args!(
                "{why}: new handshakes in mode B fail until that is mended; open sessions and mode A go on"
            )),
            None => note("the token is back: handshakes in mode B succeed again"),
        }
        if let Some(outlet) = &outlet {
            outlet.print(Notice::Token { trouble: reason }.render(true)).await;
        }
    }
}

/// What is wrong, and if it does not mend itself, that too.
fn trouble(error: &HsmError) -> String {
    match error {
        HsmError::PinIncorrect { .. } | HsmError::PinLocked { .. } | HsmError::PinExpired { .. } => {
            format!("{error}; the node has to be started again once that is put right")
        }
        error => error.to_string(),
    }
}
