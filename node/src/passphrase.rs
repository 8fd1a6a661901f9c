//! Where passphrases come from: a file, the environment, or the person at the terminal.

use std::env;
use std::io::Read as _;
use std::path::Path;

use console::Term;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::keystore;

/// The environment variable a passphrase is taken from.
const VARIABLE: &str = "B4AE_PASSPHRASE";
/// The longest passphrase, in bytes.
const MAX_LEN: usize = 1024;

/// A passphrase from `file`, else from the environment, if either is there.
pub(crate) fn given(file: Option<&Path>) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    if let Some(path) = file {
        return from_file(path).and_then(fit).map(Some);
    }
    match env::var(VARIABLE) {
        Ok(text) => fit(Zeroizing::new(text.into_bytes())).map(Some),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Error::PassphraseUnfit("in B4AE_PASSPHRASE is not UTF-8")),
    }
}

/// The passphrase of a key file that has one, asked for where it was not given. `what` is told to the person.
pub(crate) fn existing(file: Option<&Path>, what: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    match given(file)? {
        Some(passphrase) => Ok(passphrase),
        None => ask(what, &format!("Passphrase for {what}: ")),
    }
}

/// A new passphrase, asked for twice where it was not given.
pub(crate) fn new(file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, Error> {
    if let Some(passphrase) = given(file)? {
        return Ok(passphrase);
    }
    let what = "a new key file";
    let first = ask(what, "New passphrase: ")?;
    let second = ask(what, "The same again: ")?;
    if first == second { fit(first) } else { Err(Error::PassphraseUnfit("was not the same the second time")) }
}

fn ask(what: &str, prompt: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    // The prompt goes to the controlling terminal; without one on stderr nobody is watching for it.
    if !Term::stderr().is_term() {
        return Err(Error::PassphraseMissing(what.into()));
    }
    let text = rpassword::prompt_password(prompt).map_err(|_| Error::PassphraseMissing(what.into()))?;
    Ok(Zeroizing::new(text.into_bytes()))
}

fn from_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let file = keystore::open_private(path)?;
    // One byte more than allowed, so that a longer file is noticed and the memory never grows.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_LEN + 3));
    file.take(MAX_LEN as u64 + 3).read_to_end(&mut text).map_err(Error::key(path))?;
    if text.last() == Some(&b'\n') {
        text.pop();
        if text.last() == Some(&b'\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn fit(passphrase: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, Error> {
    match passphrase.len() {
        0 => Err(Error::PassphraseUnfit("is empty")),
        1..=MAX_LEN => Ok(passphrase),
        _ => Err(Error::PassphraseUnfit("is longer than 1024 bytes")),
    }
}
