//! `b4ae keygen`: a new identity in a key file.

use std::path::Path;

use b4ae_core::Signer as _;
use b4ae_hsm::{KeyInfo, SignerOptions};

use crate::cli::Keygen;
use crate::commands::hsm;
use crate::credential::Source;
use crate::error::Error;
use crate::keyfile::{Keys, MlDsa};
use crate::output::{self, note, printable};
use crate::token::{self, Access};
use crate::{identity, keyfile, keystore};

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
        .map_err(|_| Error::Usage("the name of the key in the token is too long for a key file".into()))?;
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
    hsm::label(&uri)?;
    let access = Access::new(uri, &args.token)?;
    let token = access.open()?;
    if token.info().pin_pad {
        return Err(Error::TokenUnfit("takes its PIN at a keypad of its own, and a node has to log in unattended"));
    }
    let key = match hsm::find(&token, access.uri())? {
        Some(key) => {
            note(format_args!("using the key {} that is in the token already", printable(key.label.as_bytes())));
            vouched_for(&key)?;
            key
        }
        None => hsm::generate(&token, access.uri())?,
    };
    let uri = key.uri();
    // As `serve` and `send` will: a key that does not sign makes no identity. The token is still logged in.
    let signer = access.signer(&uri, SignerOptions::default())?;
    Ok(MlDsa::Token { uri: uri.to_string(), public_key: signer.public_key().to_vec() })
}

/// Refuses a key that can be used without the PIN, or is not there to stay; says so of one that may have been outside.
fn vouched_for(key: &KeyInfo) -> Result<(), Error> {
    if !key.private {
        return Err(Error::TokenUnfit("lets that key be used without the PIN (CKA_PRIVATE is not true)"));
    }
    if !key.stored {
        return Err(Error::TokenUnfit("will forget that key when the session ends (CKA_TOKEN is not true)"));
    }
    if !(key.local && key.always_sensitive && key.never_extractable) {
        note(
            "WARNING: the token does not vouch that this key was made there and never was outside (CKA_LOCAL, \
             CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE); whoever made it may have a copy",
        );
    }
    Ok(())
}
