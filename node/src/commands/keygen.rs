//! `b4ae keygen`: a new identity in a key file.

use crate::cli::Keygen;
use crate::error::Error;
use crate::output::{self, note};
use crate::{identity, keyfile, keystore, passphrase};

/// Writes a new key file and prints its fingerprint.
pub(crate) fn run(args: &Keygen) -> Result<(), Error> {
    let path = args.output.clone().map_or_else(keystore::default_path, Ok)?;
    // Early, so that nobody types a passphrase in vain; `store` is what guarantees it.
    keystore::check(&path, args.force)?;
    let file = args.passphrase_file.as_deref();
    let passphrase = if args.passphrase { Some(passphrase::new(file)?) } else { passphrase::given(file)? };
    let (identity, secret) = identity::generate()?;
    let bytes = keyfile::encode(&secret, passphrase.as_ref().map(|text| text.as_slice()), &*identity::entropy()?)
        .map_err(|_| Error::KeyFormat(path.clone()))?;
    keystore::store(&path, &bytes, args.force)?;
    let sealed = if passphrase.is_some() { ", sealed under the passphrase" } else { "" };
    note(format_args!("wrote the key file {}{sealed}", path.display()));
    output::line(&identity.peer_id().to_string())
}
