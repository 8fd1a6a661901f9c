//! `b4ae keygen`: a new identity in a key file.

use std::path::Path;

use b4ae_core::Signer as _;

use crate::cli::Keygen;
use crate::commands::hsm;
use crate::credential::Source;
use crate::error::Error;
use crate::keyfile::{Keys, MlDsa};
use crate::output::{self, note, printable};
use crate::{identity, keyfile, keystore, token};

/// Writes a new key file and prints its fingerprint.
pub(crate) fn run(args: &Keygen) -> Result<(), Error> {
    let path = args.output.clone().map_or_else(keystore::default_path, Ok)?;
    // Early, so that nobody types a passphrase in vain; `store` is what guarantees it.
    keystore::check(&path, args.force)?;
    let source = Source::passphrase(args.passphrase_file.as_deref());
    let passphrase = if args.passphrase { Some(source.chosen()?) } else { source.given()? };
    let secret = identity::generate()?;
    let ml_dsa = match &args.hsm {
        Some(uri) => in_token(uri, args)?,
        None => secret.ml_dsa.map_or(MlDsa::None, MlDsa::Seed),
    };
    let keys = Keys { x25519: secret.x25519, ml_dsa };
    let peer = identity::software(&keys).peer_id();
    let random = identity::entropy()?;
    let bytes = keyfile::encode(keys, passphrase.as_ref().map(|text| text.as_slice()), &random)
        .map_err(|_| Error::KeyFormat(path.clone()))?;
    keystore::store(&path, &bytes, args.force)?;
    tell(&path, passphrase.is_some(), args.hsm.is_some());
    output::line(&peer.to_string())
}

fn tell(path: &Path, sealed: bool, token: bool) {
    let sealed = if sealed { ", sealed under the passphrase" } else { "" };
    let token =
        if token { "; it refers to the key in the token and has the X25519 key, which is a secret" } else { "" };
    note(format_args!("wrote the key file {}{sealed}{token}", path.display()));
}

/// The one key that `uri` names, or a new one if there is none.
fn in_token(uri: &str, args: &Keygen) -> Result<MlDsa, Error> {
    let uri = token::uri(uri, &args.token)?;
    let token = token::open(&uri, &args.token)?;
    let key = match hsm::find(&token, &uri)? {
        Some(key) => {
            note(format_args!("using the key {} that is in the token already", printable(key.label.as_bytes())));
            key
        }
        None => hsm::generate(&token, &uri)?,
    };
    drop(token);
    // As `serve` and `send` will: a key that does not sign makes no identity.
    let signer = token::signer(&key.uri(), &args.token)?;
    Ok(MlDsa::Token { uri: key.uri().to_string(), public_key: signer.public_key().to_vec() })
}
