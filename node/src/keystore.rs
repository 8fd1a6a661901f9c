//! Key files on disk: where, with what permissions, and written so that no moment shows them to others.

use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use b4ae_core::SecretIdentity;
use etcetera::{BaseStrategy as _, choose_base_strategy};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::keyfile::{self, Invalid};
use crate::passphrase;

/// Where the key file is unless told otherwise: `$XDG_DATA_HOME/b4ae/identity.key` on Unix.
pub(crate) fn default_path() -> Result<PathBuf, Error> {
    let dirs = choose_base_strategy().map_err(|_| {
        Error::Usage("this user has no home directory: name the key file (--key, or -o for keygen)".into())
    })?;
    Ok(dirs.data_dir().join("b4ae").join("identity.key"))
}

/// Opens a file that nobody else may have access to.
pub(crate) fn open_private(path: &Path) -> Result<File, Error> {
    let file = File::open(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::KeyMissing(path.into()),
        _ => Error::key(path)(e),
    })?;
    let metadata = file.metadata().map_err(Error::key(path))?;
    if metadata.is_dir() {
        return Err(Error::key(path)(ErrorKind::IsADirectory.into()));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = metadata.permissions().mode() & 0o7777;
        if metadata.is_file() && mode & 0o077 != 0 {
            return Err(Error::KeyOpenToOthers { path: path.into(), mode });
        }
    }
    Ok(file)
}

/// The keys in the file at `path`; a passphrase is taken from `passphrase_file`, the environment or the terminal.
pub(crate) fn load(path: &Path, passphrase_file: Option<&Path>) -> Result<SecretIdentity, Error> {
    let file = open_private(path)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(keyfile::MAX_LEN + 1));
    file.take(keyfile::MAX_LEN as u64 + 1).read_to_end(&mut bytes).map_err(Error::key(path))?;
    keyfile::decode(&bytes, || {
        passphrase::existing(passphrase_file, &path.display().to_string()).map_err(Refused::Passphrase)
    })
    .map_err(|refused| match refused {
        Refused::Passphrase(error) => error,
        Refused::File(Invalid::Cost) => Error::KeyCost(path.into()),
        Refused::File(Invalid::Passphrase) => Error::PassphraseWrong(path.into()),
        Refused::File(Invalid::Format) => Error::KeyFormat(path.into()),
    })
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

/// Writes `bytes` to `path`, whole or not at all, readable by this user alone from the first moment. An existing file
/// stays untouched unless `replace`.
pub(crate) fn store(path: &Path, bytes: &[u8], replace: bool) -> Result<(), Error> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_private_dir(parent).map_err(Error::key(path))?;
    // tempfile creates exclusively and with mode 0600.
    let mut file = tempfile::Builder::new().prefix(".b4ae-key.").tempfile_in(parent).map_err(Error::key(path))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(Error::key(path))?;
    let kept = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map_err(|e| match e.error.kind() {
        ErrorKind::AlreadyExists => Error::KeyExists(path.into()),
        _ => Error::key(path)(e.error),
    })?;
    // The name is on disk once its directory is; where directories cannot be opened there is nothing to sync.
    #[cfg(unix)]
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(Error::key(path))?;
    Ok(())
}

fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    if fs::metadata(dir).is_ok() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}
