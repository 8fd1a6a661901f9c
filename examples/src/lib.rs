//! What the example programs share: an identity, and the grid that their options ask for.
//!
//! `README.md` beside this crate says what each program does and how to run it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use b4ae_core::{Config, ConfigBuilder, Identity, SecretIdentity, Seed, Traffic};
use zeroize::Zeroizing;

/// 32 bytes from the operating system.
pub fn entropy() -> Result<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).context("asking the system for entropy")?;
    Ok(bytes)
}

/// An identity for this one run.
pub fn fresh_identity() -> Result<Identity> {
    Ok(Identity::from_secret(&SecretIdentity::generate(&Seed::new(*entropy()?))))
}

/// The identity whose seed is in `file`, which is made if there is none: the same address after a restart.
///
/// The node, `b4ae`, has a key file with a checksum and a passphrase; this is the least that works.
pub fn identity_in(file: &Path) -> Result<Identity> {
    let stored = match fs::read(file) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let seed = entropy()?;
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut made =
                options.open(file).with_context(|| format!("making the identity file {}", file.display()))?;
            made.write_all(&*seed).with_context(|| format!("writing the identity file {}", file.display()))?;
            Zeroizing::new(seed.to_vec())
        }
        Err(e) => return Err(e).with_context(|| format!("reading the identity file {}", file.display())),
    };
    let Ok(seed) = <[u8; 32]>::try_from(&stored[..]) else {
        bail!("{} is no identity file: it has {} bytes, not 32", file.display(), stored.len());
    };
    Ok(Identity::from_secret(&SecretIdentity::generate(&Seed::new(seed))))
}

/// A grid of `rate` slots a second, all sessions together, used or not.
pub fn config(rate: u32) -> ConfigBuilder {
    Config::builder(Traffic::constant(Duration::from_secs(1) / rate.max(1)))
}
