//! Tokens as the node uses them: reached with options and a PIN, and watched while they are in use.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use b4ae_hsm::{
    HsmError, Pin, Pkcs11Signer, Pkcs11Uri, SignerOptions, SignerState, Token, TokenInfo, UriError, list_tokens,
};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use crate::cli::hsm::TokenArgs;
use crate::credential::Source;
use crate::error::Error;
use crate::output::{Notice, note};
use crate::printer::Outlet;

/// How often a signer is looked at. Looking costs nothing: the token is not asked.
const LOOK: Duration = Duration::from_secs(1);
/// How often a token that is lost is asked whether it is back, and one that is there whether it still is: in numbers of
/// looks.
const ASK: (u32, u32) = (3, 60);

/// The URI that `text` is, with the module of `args` where it names none. No error repeats the text: there may be a PIN
/// in it that does not belong there.
pub(crate) fn uri(text: &str, args: &TokenArgs) -> Result<Pkcs11Uri, Error> {
    let uri: Pkcs11Uri = text.parse().map_err(|error: UriError| Error::Usage(error.to_string()))?;
    with_module(uri, args)
}

/// `uri`, with the module of `args` where it names none.
pub(crate) fn with_module(uri: Pkcs11Uri, args: &TokenArgs) -> Result<Pkcs11Uri, Error> {
    match (&args.module, uri.module_path()) {
        (Some(module), None) => {
            uri.with_module_path(module).map_err(|error| Error::Usage(format!("--module: {error}")))
        }
        _ => Ok(uri),
    }
}

/// The signer of the key that `uri` names, which has its module.
pub(crate) fn signer(uri: &Pkcs11Uri, args: &TokenArgs) -> Result<Pkcs11Signer, Error> {
    signer_with(uri, args, SignerOptions::default())
}

/// The same, with options.
pub(crate) fn signer_with(uri: &Pkcs11Uri, args: &TokenArgs, options: SignerOptions) -> Result<Pkcs11Signer, Error> {
    let pin = pin(uri, args)?.ok_or(HsmError::PinMissing).map_err(Error::Token)?;
    Pkcs11Signer::open_with(uri, pin, options).map_err(Error::Token)
}

/// The token that `uri` names, with its owner logged in.
pub(crate) fn open(uri: &Pkcs11Uri, args: &TokenArgs) -> Result<Token, Error> {
    let pin = pin(uri, args)?;
    Token::open(uri, pin).map_err(Error::Token)
}

/// The PIN for `uri`, if it was given.
pub(crate) fn has_pin(uri: &Pkcs11Uri, args: &TokenArgs) -> Result<bool, Error> {
    Ok(source(uri, args).given()?.is_some())
}

/// The PIN for `uri`, asked for where it was not given, unless it is typed at the token itself.
fn pin(uri: &Pkcs11Uri, args: &TokenArgs) -> Result<Option<Pin>, Error> {
    // First, so that nobody is asked for a PIN in vain.
    let tokens = list_tokens(uri).map_err(Error::Token)?;
    let source = source(uri, args);
    let text = match (source.given()?, tokens.as_slice()) {
        (Some(text), _) => text,
        (None, [TokenInfo { pin_pad: true, .. }]) => return Ok(None),
        (None, [token]) => source.existing(&format!("the token {}", token.label))?,
        // Opening it says what is wrong.
        (None, _) => return Ok(None),
    };
    Pin::new(text).map(Some).map_err(Error::Token)
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
    let mut lost = false;
    let mut since_asked = 0;
    let mut asked = None;
    loop {
        looks.tick().await;
        since_asked += 1;
        // One at a time, on a thread of its own: a token that hangs has that one.
        if since_asked >= if lost { ASK.0 } else { ASK.1 } && asked.as_ref().is_none_or(JoinHandle::is_finished) {
            let signer = Arc::clone(&signer);
            asked = Some(spawn_blocking(move || _ = signer.check()));
            since_asked = 0;
        }
        let trouble = match signer.status().state {
            SignerState::Ready => None,
            SignerState::Lost { error, .. } => Some(error.to_string()),
            SignerState::Stalled { since } => {
                Some(format!("the token has not answered for {} s", since.elapsed().as_secs()))
            }
        };
        if trouble.is_some() == lost {
            continue;
        }
        lost = trouble.is_some();
        match &trouble {
            Some(why) => note(format_args!(
                "{why}: new handshakes in mode B fail until it is back; open sessions and mode A go on"
            )),
            None => note("the token is back: handshakes in mode B succeed again"),
        }
        if let Some(outlet) = &outlet {
            outlet.print(Notice::Token { trouble }.render(true)).await;
        }
    }
}
