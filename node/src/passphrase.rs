//! Where passphrases come from: a file, the environment, or the person at the terminal.

use std::env;
use std::io::Read as _;
use std::path::Path;

use console::Term;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::private;

/// The environment variable a passphrase is taken from.
const VARIABLE: &str = "B4AE_PASSPHRASE";
/// The longest passphrase, in bytes.
const MAX_LEN: usize = 1024;

/// One without a name of its own.
const THE: &str = "the passphrase";

/// What a passphrase is called: by where it comes from, if it was given.
pub(crate) fn name(file: Option<&Path>) -> String {
    match file {
        Some(path) => format!("{THE} in the file {}", path.display()),
        None if env::var_os(VARIABLE).is_some() => format!("{THE} in {VARIABLE}"),
        None => THE.into(),
    }
}

/// A passphrase from `file`, else from the environment, if either is there.
pub(crate) fn given(file: Option<&Path>) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    if let Some(path) = file {
        return from_file(path).and_then(|text| fit(text, &name(file))).map(Some);
    }
    match env::var(VARIABLE) {
        Ok(text) => fit(Zeroizing::new(text.into_bytes()), &name(None)).map(Some),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(unfit(&name(None), "is not UTF-8")),
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
    if first == second { fit(first, THE) } else { Err(unfit(THE, "was not the same the second time")) }
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
    let refused = |why| Error::PassphraseFile { path: path.into(), why };
    let file = private::open(path).map_err(refused)?;
    // One byte more than allowed, so that a longer file is noticed and the memory never grows.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_LEN + 3));
    file.take(MAX_LEN as u64 + 3).read_to_end(&mut text).map_err(|e| refused(e.into()))?;
    if text.last() == Some(&b'\n') {
        text.pop();
        if text.last() == Some(&b'\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn fit(passphrase: Zeroizing<Vec<u8>>, name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    match passphrase.len() {
        0 => Err(unfit(name, "is empty")),
        1..=MAX_LEN => Ok(passphrase),
        _ => Err(unfit(name, "is longer than 1024 bytes")),
    }
}

fn unfit(name: &str, why: &str) -> Error {
    Error::PassphraseUnfit(format!("{name} {why}"))
}
