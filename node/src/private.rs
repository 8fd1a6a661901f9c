//! Files that nobody else may have access to.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

/// Why such a file cannot be used.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is none.
    Missing,
    /// Others can read or write it; its permission bits.
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has such bits"))]
    OpenToOthers(u32),
    /// Opening or reading it failed.
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Missing } else { Self::Io(error) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such file"),
            Self::OpenToOthers(mode) => write!(f, "it can be read or written by others (mode {mode:04o})"),
            Self::Io(source) => source.fmt(f),
        }
    }
}

/// Opens the file at `path`, or says why not.
pub(crate) fn open(path: &Path) -> Result<File, Refusal> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Refusal::Io(io::ErrorKind::IsADirectory.into()));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = metadata.permissions().mode() & 0o7777;
        if metadata.is_file() && mode & 0o077 != 0 {
            return Err(Refusal::OpenToOthers(mode));
        }
    }
    Ok(file)
}
