//! Identities: made from the system's entropy, loaded from a key file, or made for one use.

use std::path::PathBuf;

use b4ae_core::{Identity, SecretIdentity, Seed};
use zeroize::Zeroizing;

use crate::cli::KeyArgs;
use crate::error::Error;
use crate::keystore;
use crate::output::note;

/// `N` bytes of entropy from the system.
pub(crate) fn entropy<const N: usize>() -> Result<Zeroizing<[u8; N]>, Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|e| Error::Io { doing: "asking the system for entropy".into(), source: std::io::Error::other(e) })?;
    Ok(bytes)
}

/// A new identity for both modes.
pub(crate) fn generate() -> Result<(Identity, SecretIdentity), Error> {
    let secret = SecretIdentity::generate(&Seed::new(*entropy()?));
    Ok((Identity::from_secret(&secret), secret))
}

/// The identity of the key file named by `args`, or of the default one.
pub(crate) fn load(args: &KeyArgs) -> Result<Identity, Error> {
    let path = path(args)?;
    keystore::load(&path, args.passphrase_file.as_deref()).map(|secret| Identity::from_secret(&secret))
}

/// As [`load`], but where no file is named and there is no default one, an identity for this one use. Says so.
pub(crate) fn load_or_ephemeral(args: &KeyArgs) -> Result<Identity, Error> {
    match load(args) {
        Err(Error::KeyMissing(path)) if args.key.is_none() => {
            let (identity, _) = generate()?;
            note(format_args!(
                "no key file {}; the peer sees {}, an identity made for this one use",
                path.display(),
                identity.peer_id()
            ));
            Ok(identity)
        }
        other => other,
    }
}

fn path(args: &KeyArgs) -> Result<PathBuf, Error> {
    args.key.clone().map_or_else(keystore::default_path, Ok)
}
