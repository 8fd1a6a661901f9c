//! Where passphrases and PINs come from: a file, the environment, the service manager, or the person at the terminal.
//! Never the command line, which every process on the machine can read.

use std::env;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use console::Term;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::private::{self, Refusal};

/// The longest passphrase or PIN, in bytes.
const MAX_LEN: usize = 1024;
/// The directory of the files that systemd hands to a service (`LoadCredential=` in systemd.exec(5)).
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Of a key file.
    Passphrase,
    /// Of a token.
    Pin,
}

impl Kind {
    /// Its name in a sentence, without an article.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::Pin => "PIN",
        }
    }

    /// The environment variable it is taken from.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Passphrase => "B4AE_PASSPHRASE",
            Self::Pin => "B4AE_HSM_PIN",
        }
    }

    /// The option that names a file with it.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Passphrase => "--passphrase-file",
            Self::Pin => "--pin-file",
        }
    }

    /// The name of the service manager's credential.
    pub(crate) fn credential(self) -> &'static str {
        match self {
            Self::Passphrase => "b4ae-passphrase",
            Self::Pin => "b4ae-hsm-pin",
        }
    }
}

/// Where one passphrase or PIN is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    kind: Kind,
    /// The file it is in, where one was named.
    file: Option<&'a Path>,
}

impl<'a> Source<'a> {
    /// A passphrase, in `file` if one is named.
    pub(crate) fn passphrase(file: Option<&'a Path>) -> Self {
        Self { kind: Kind::Passphrase, file }
    }

    /// A PIN, in `file` if one is named.
    pub(crate) fn pin(file: Option<&'a Path>) -> Self {
        Self { kind: Kind::Pin, file }
    }

    /// What it is called: by where it comes from, if it was given.
    pub(crate) fn name(self) -> String {
        let word = self.kind.word();
        match (self.file, self.credential()) {
            (Some(path), _) => format!("the {word} in the file {}", path.display()),
            _ if env::var_os(self.kind.variable()).is_some() => format!("the {word} in {}", self.kind.variable()),
            (None, Some(path)) => format!("the {word} in the credential {}", path.display()),
            (None, None) => format!("the {word}"),
        }
    }

    /// What was given, if anything was.
    pub(crate) fn given(self) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        if let Some(path) = self.file {
            return self.take(path, private::open).map(Some);
        }
        match env::var(self.kind.variable()) {
            Ok(text) => return self.fit(Zeroizing::new(text.into_bytes())).map(Some),
            Err(env::VarError::NotPresent) => {}
            Err(env::VarError::NotUnicode(_)) => return Err(self.unfit("is not UTF-8")),
        }
        // Who may read it is the service manager's business, and done with access lists that permission bits do not
        // tell.
        self.credential().map(|path| self.take(&path, |path| Ok(File::open(path)?))).transpose()
    }

    /// As [`Source::given`], else asked for. `what` it belongs to is told to the person.
    pub(crate) fn existing(self, what: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        if let Some(text) = self.given()? {
            return Ok(text);
        }
        let word = if self.kind == Kind::Pin { "PIN" } else { "Passphrase" };
        let text = self.ask(what, &format!("{word} for {what}: "))?;
        self.fit(text)
    }

    /// A new one, asked for twice where it was not given.
    pub(crate) fn chosen(self) -> Result<Zeroizing<Vec<u8>>, Error> {
        if let Some(text) = self.given()? {
            return Ok(text);
        }
        let what = "a new key file";
        let first = self.ask(what, &format!("New {}: ", self.kind.word()))?;
        let second = self.ask(what, "The same again: ")?;
        if first == second { self.fit(first) } else { Err(self.unfit("was not the same the second time")) }
    }

    /// The service manager's file, if there is one.
    fn credential(self) -> Option<PathBuf> {
        let path = PathBuf::from(env::var_os(CREDENTIALS_DIRECTORY)?).join(self.kind.credential());
        path.exists().then_some(path)
    }

    fn ask(self, what: &str, prompt: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let missing = || Error::SecretMissing { kind: self.kind, what: what.into() };
        // The prompt goes to the controlling terminal; without one on stderr nobody is watching for it.
        if !Term::stderr().is_term() {
            return Err(missing());
        }
        let text = rpassword::prompt_password(prompt).map_err(|_| missing())?;
        Ok(Zeroizing::new(text.into_bytes()))
    }

    fn take(self, path: &Path, open: impl FnOnce(&Path) -> Result<File, Refusal>) -> Result<Zeroizing<Vec<u8>>, Error> {
        let refused = |why| Error::SecretFile { kind: self.kind, path: path.into(), why };
        let file = open(path).map_err(refused)?;
        let text = read(file).map_err(|e| refused(e.into()))?;
        self.fit(text)
    }

    fn fit(self, text: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, Error> {
        match text.len() {
            0 => Err(self.unfit("is empty")),
            1..=MAX_LEN => Ok(text),
            _ => Err(self.unfit("is longer than 1024 bytes")),
        }
    }

    fn unfit(self, why: &str) -> Error {
        Error::SecretUnfit { kind: self.kind, why: format!("{} {why}", self.name()) }
    }
}

/// All there is in `file`, less the end of its only line.
fn read(file: File) -> io::Result<Zeroizing<Vec<u8>>> {
    // One byte more than allowed, so that a longer file is noticed and the memory never grows.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_LEN + 3));
    file.take(MAX_LEN as u64 + 3).read_to_end(&mut text)?;
    if text.last() == Some(&b'\n') {
        text.pop();
        if text.last() == Some(&b'\r') {
            text.pop();
        }
    }
    Ok(text)
}
