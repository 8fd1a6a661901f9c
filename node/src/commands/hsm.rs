//! `b4ae hsm`: keys in hardware tokens.

mod bench;
mod report;

use std::io::{self, Write as _};

use b4ae_hsm::{HsmError, KeyInfo, Pkcs11Uri, SignerOptions, Token, list_tokens};
use console::Term;
use data_encoding::HEXLOWER;

use crate::cli::hsm::{Destroy, Hsm, HsmCommand, List, Test};
use crate::error::Error;
use crate::output::{self, note, printable};
use crate::token::{self, Access};

/// Does what `args` ask of a token.
pub(crate) fn run(args: &Hsm) -> Result<(), Error> {
    match &args.command {
        HsmCommand::List(args) => list(args),
        HsmCommand::Generate(args) => {
            let uri = token::uri(&args.uri, &args.token)?;
            label(&uri)?;
            let access = Access::new(uri, &args.token)?;
            let key = generate(&access.open()?, access.uri())?;
            output::line(&key.uri().to_string())
        }
        HsmCommand::Test(args) => test(args),
        HsmCommand::Bench(args) => bench::run(args),
        HsmCommand::Destroy(args) => destroy(args),
    }
}

/// The label of the key that `uri` names.
pub(crate) fn label(uri: &Pkcs11Uri) -> Result<&str, Error> {
    uri.object().ok_or_else(|| {
        Error::Usage("the URI names no key: give it a label, as in pkcs11:token=LABEL;object=LABEL".into())
    })
}

/// A new key with the label and id of `uri`.
pub(crate) fn generate(token: &Token, uri: &Pkcs11Uri) -> Result<KeyInfo, Error> {
    let label = label(uri)?;
    let key = token.generate(label, uri.id()).map_err(Error::Token)?;
    note(format_args!(
        "made the key {} in the token {}: it cannot be read from it, nor backed up",
        printable(label.as_bytes()),
        printable(token.info().label.as_bytes())
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
        [one] if token::takes_pin(one) => {
            let access = Access::new(uri.clone(), &args.token);
            match access {
                // There is nobody to ask, and nothing was given.
                Err(Error::SecretMissing { .. }) => None,
                access => Some(access.and_then(|access| access.open()?.keys().map_err(Error::Token))),
            }
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
    let access = Access::new(token::uri(&args.uri, &args.token)?, &args.token)?;
    let token = access.open()?;
    let can = token.capabilities().map_err(Error::Token)?;
    let names_key = access.uri().object().is_some() || access.uri().id().is_some();
    let key = if names_key { Some(one(&token, &access)) } else { None };
    let shown = key.as_ref().and_then(|key| key.as_ref().ok());
    output::line(&report::test(token.info(), &can, shown, args.json))?;
    if let Some(key) = key {
        // As `serve` opens it: of the right kind, and able to sign what verifies.
        return access.signer(&key?.uri(), SignerOptions::default()).map(drop);
    }
    // Says that there is no ML-DSA, where there is none.
    token.keys().map_err(Error::Token)?;
    match can.signs {
        Some(true) => Ok(()),
        Some(false) => Err(Error::TokenUnfit("makes ML-DSA-87 keys, but does not sign with them")),
        None => Err(can.refused.map_or(Error::TokenUnfit("lists ML-DSA, but makes no ML-DSA-87 key"), Error::Token)),
    }
}

/// The one key of `token` that matches the URI it was opened with, if there is one.
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

/// The one key that the URI of `access` names, or what is wrong with it.
fn one(token: &Token, access: &Access) -> Result<KeyInfo, Error> {
    match find(token, access.uri())? {
        Some(key) => Ok(key),
        None => access.signer(access.uri(), SignerOptions::default()).map(|signer| signer.key().clone()),
    }
}

/// Destroys one key, having asked.
fn destroy(args: &Destroy) -> Result<(), Error> {
    let access = Access::new(token::uri(&args.uri, &args.token)?, &args.token)?;
    let Some(id) = access.uri().id() else {
        return Err(Error::Usage("name the key by its id (id=%01%02… in the URI): `b4ae hsm list` shows it".into()));
    };
    let token = access.open()?;
    // One that no identity could use can be destroyed too.
    let name = find(&token, access.uri())?.map_or_else(|| access.uri().clone(), |key| key.uri());
    if !args.yes {
        ask(&name, id)?;
    }
    token.delete(id).map_err(Error::Token)?;
    note(format_args!("destroyed {name}"));
    Ok(())
}

/// Has the user type the key's id, or nothing is done.
fn ask(name: &Pkcs11Uri, id: &[u8]) -> Result<(), Error> {
    let terminal = Term::stderr();
    if !terminal.is_term() {
        return Err(Error::Usage(
            "nobody is there to ask whether to destroy the key: give --yes to do it unasked".into(),
        ));
    }
    let id = HEXLOWER.encode(id);
    let _ = write!(
        io::stderr(),
        "b4ae: {name}\n      will be destroyed for good, and with it every identity that signs with it.\n      Type its id, \
         {id}, to go on: "
    );
    let answer = terminal.read_line().map_err(Error::io("reading the answer"))?;
    if answer == id { Ok(()) } else { Err(Error::Usage("that is not its id: nothing was destroyed".into())) }
}
