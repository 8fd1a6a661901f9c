//! `b4ae hsm`: keys in hardware tokens.

mod bench;
mod report;

use std::io::{self, Write as _};

use b4ae_hsm::{HsmError, KeyInfo, Pkcs11Uri, Token, list_tokens};
use console::Term;

use crate::cli::hsm::{Destroy, Hsm, HsmCommand, List, Test};
use crate::error::Error;
use crate::output::{self, note};
use crate::token;

/// Does what `args` ask of a token.
pub(crate) fn run(args: &Hsm) -> Result<(), Error> {
    match &args.command {
        HsmCommand::List(args) => list(args),
        HsmCommand::Generate(args) => {
            let uri = token::uri(&args.uri, &args.token)?;
            let key = generate(&token::open(&uri, &args.token)?, &uri)?;
            output::line(&key.uri().to_string())
        }
        HsmCommand::Test(args) => test(args),
        HsmCommand::Bench(args) => bench::run(args),
        HsmCommand::Destroy(args) => destroy(args),
    }
}

/// A new key with the label and id of `uri`.
pub(crate) fn generate(token: &Token, uri: &Pkcs11Uri) -> Result<KeyInfo, Error> {
    let label = uri.object().ok_or_else(|| {
        Error::Usage("the URI names no key: give it a label, as in pkcs11:token=LABEL;object=LABEL".into())
    })?;
    let key = token.generate(label, uri.id()).map_err(Error::Token)?;
    note(format_args!(
        "made the key {label} in the token {}: it cannot be read from it, nor backed up",
        token.info().label
    ));
    Ok(key)
}

/// The tokens that match, and the keys of the one if there is but one and its PIN is at hand.
fn list(args: &List) -> Result<(), Error> {
    let uri = token::uri(&args.uri, &args.token)?;
    let tokens = list_tokens(&uri).map_err(Error::Token)?;
    let keys = match tokens.as_slice() {
        [] => return Err(Error::Token(HsmError::NoToken { uri: uri.to_string() })),
        // One PIN is tried with one token alone: each try that fails brings a token nearer to locking itself.
        [_] if Term::stderr().is_term() || token::has_pin(&uri, &args.token)? => {
            Some(token::open(&uri, &args.token).and_then(|token| token.keys().map_err(Error::Token)))
        }
        _ => None,
    };
    let found = keys.as_ref().and_then(|keys| keys.as_deref().ok());
    output::line(&report::list(&tokens, found, args.json))?;
    match (keys, tokens.len()) {
        (Some(keys), _) => drop(keys?),
        (None, 1) => note("its keys are listed where its PIN is given: see `b4ae hsm list --help`"),
        (None, _) => note("keys are listed where the URI names one token"),
    }
    Ok(())
}

/// Whether a token can sign for an identity. What it can do is printed even where it cannot.
fn test(args: &Test) -> Result<(), Error> {
    let uri = token::uri(&args.uri, &args.token)?;
    let token = token::open(&uri, &args.token)?;
    let can = token.capabilities().map_err(Error::Token)?;
    let names_key = uri.object().is_some() || uri.id().is_some();
    // As `serve` would open it: found, of the right kind, and able to sign what verifies.
    let key = if names_key { Some(one(&token, &uri)) } else { None };
    let shown = key.as_ref().and_then(|key| key.as_ref().ok());
    output::line(&report::test(token.info(), &can, shown, args.json))?;
    if let Some(key) = key {
        return token::signer(&key?.uri(), &args.token).map(drop);
    }
    // Says that there is no ML-DSA, where there is none.
    token.keys().map_err(Error::Token)?;
    match can.signs {
        Some(true) => Ok(()),
        Some(false) => Err(Error::TokenUnfit("makes ML-DSA-87 keys, but does not sign with them")),
        None => Err(Error::TokenUnfit("lists ML-DSA, but makes no ML-DSA-87 key")),
    }
}

/// The one key of `token` that matches the URI it was opened with.
pub(crate) fn find(token: &Token, uri: &Pkcs11Uri) -> Result<Option<KeyInfo>, Error> {
    let mut keys = token.keys().map_err(Error::Token)?;
    match keys.len() {
        0 | 1 => Ok(keys.pop()),
        count => {
            let token = format!("the token {:?}", token.info().label);
            Err(Error::Token(HsmError::SeveralKeys { token, uri: uri.to_string(), count }))
        }
    }
}

fn one(token: &Token, uri: &Pkcs11Uri) -> Result<KeyInfo, Error> {
    let name = format!("the token {:?}", token.info().label);
    find(token, uri)?.ok_or_else(|| Error::Token(HsmError::NoKey { token: name, uri: uri.to_string() }))
}

/// Destroys one key, having asked.
fn destroy(args: &Destroy) -> Result<(), Error> {
    let uri = token::uri(&args.uri, &args.token)?;
    let Some(id) = uri.id() else {
        return Err(Error::Usage("name the key by its id (id=%01%02… in the URI): `b4ae hsm list` shows it".into()));
    };
    let token = token::open(&uri, &args.token)?;
    let key = one(&token, &uri)?;
    if !args.yes {
        ask(&key)?;
    }
    token.delete(id).map_err(Error::Token)?;
    note(format_args!("destroyed {}", key.uri()));
    Ok(())
}

/// Has the user type the key's label, or nothing is done.
fn ask(key: &KeyInfo) -> Result<(), Error> {
    let terminal = Term::stderr();
    if !terminal.is_term() {
        return Err(Error::Usage(
            "nobody is there to ask whether to destroy the key: give --yes to do it unasked".into(),
        ));
    }
    let reading = Error::io("reading the answer");
    let _ = write!(
        io::stderr(),
        "b4ae: {}\n      will be destroyed for good, and with it every identity that signs with it.\n      Type its \
         label, {}, to go on: ",
        key.uri(),
        output::printable(key.label.as_bytes())
    );
    let answer = terminal.read_line().map_err(reading)?;
    if answer == key.label { Ok(()) } else { Err(Error::Usage("that is not its label: nothing was destroyed".into())) }
}
