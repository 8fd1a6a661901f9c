//! Key files on disk: where, with what permissions, and written so that no moment shows them to others.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use etcetera::{BaseStrategy as _, choose_base_strategy};
use zeroize::Zeroizing;

use crate::credential::Source;
use crate::error::{Error, KeyUse};
use crate::keyfile::{self, Invalid, Keys};
use crate::private::{self, Refusal};

/// Where the key file is unless told otherwise: `$XDG_DATA_HOME/b4ae/identity.key` on Unix.
pub(crate) fn default_path() -> Result<PathBuf, Error> {
    let dirs = choose_base_strategy().map_err(|_| {
        Error::Usage("this user has no home directory: name the key file (--key, or -o for keygen)".into())
    })?;
    Ok(dirs.data_dir().join("b4ae").join("identity.key"))
}

/// The keys in the file at `path`; a passphrase is taken from `passphrase_file`, the environment or the terminal.
pub(crate) fn load(path: &Path, passphrase_file: Option<&Path>) -> Result<Keys, Error> {
    let file = private::open(path).map_err(|refusal| match refusal {
        Refusal::Missing => Error::KeyMissing(path.into()),
        Refusal::OpenToOthers(mode) => Error::KeyOpenToOthers { path: path.into(), mode },
        Refusal::Io(source) => Error::key(path, KeyUse::Read)(source),
    })?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(keyfile::MAX_LEN + 1));
    file.take(keyfile::MAX_LEN as u64 + 1).read_to_end(&mut bytes).map_err(Error::key(path, KeyUse::Read))?;
    let passphrase = Source::passphrase(passphrase_file);
    keyfile::decode(&bytes, || passphrase.existing(&path.display().to_string()).map_err(Refused::Passphrase)).map_err(
        |refused| match refused {
            Refused::Passphrase(error) => error,
            Refused::File(Invalid::Cost) => Error::KeyCost(path.into()),
            Refused::File(Invalid::Passphrase) => {
                Error::PassphraseWrong { key: path.into(), passphrase: passphrase.name() }
            }
            Refused::File(Invalid::Format) => Error::KeyFormat(path.into()),
        },
    )
}

/// Whether this user, or root, is who may write the key file.
#[cfg(unix)]
pub(crate) fn is_own(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let user = rustix::process::geteuid().as_raw();
    path.metadata().is_ok_and(|metadata| [0, user].contains(&metadata.uid()))
}

/// Other systems do not say.
#[cfg(not(unix))]
pub(crate) fn is_own(_: &Path) -> bool {
    true
}

enum Refused {
    File(Invalid),
    Passphrase(Error),
}

impl From<Invalid> for Refused {
    fn from(why: Invalid) -> Self {
        Self::File(why)
    }
}

/// Whether a new key file may be put at `path`: nothing is there, or a file and it is to be replaced.
pub(crate) fn check(path: &Path, replace: bool) -> Result<(), Error> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    match path.metadata() {
        Ok(found) if !found.is_file() => Err(Error::KeyNoFile(path.into())),
        _ if !replace => Err(Error::KeyExists(path.into())),
        _ => Ok(()),
    }
}

/// Writes `bytes` to `path`, whole or not at all, readable by this user alone from the first moment. An existing file
/// stays untouched unless `replace`; then what a symbolic link leads to is replaced, and not the link.
pub(crate) fn store(path: &Path, bytes: &[u8], replace: bool) -> Result<(), Error> {
    check(path, replace)?;
    let error = || Error::key(path, KeyUse::Write);
    let place = if replace && path.is_symlink() { fs::canonicalize(path).map_err(error())? } else { path.into() };
    let parent = match place.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_private_dir(parent).map_err(error())?;
    // tempfile creates exclusively and with mode 0600.
    let file = tempfile::Builder::new().prefix(".b4ae-key.").tempfile_in(parent);
    // It names the temporary file, which is not the one that anybody knows.
    let mut file = file.map_err(|e| error()(e.kind().into()))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(error())?;
    let kept = if replace { file.persist(&place) } else { file.persist_noclobber(&place) };
    kept.map_err(|e| match e.error.kind() {
        ErrorKind::AlreadyExists => Error::KeyExists(path.into()),
        _ => error()(e.error),
    })?;
    // The name is on disk once its directory is; where directories cannot be opened there is nothing to sync.
    #[cfg(unix)]
    fs::File::open(parent).and_then(|dir| dir.sync_all()).map_err(error())?;
    Ok(())
}

fn make_private_dir(dir: &Path) -> io::Result<()> {
    if fs::metadata(dir).is_ok() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}
