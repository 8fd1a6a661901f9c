//! Identities: made from the system's entropy, loaded from a key file, or made for one use.

use std::path::PathBuf;
use std::sync::Arc;

use b4ae_core::{Identity, ML_DSA_PUBLIC_KEY_LEN, SecretIdentity, Seed, Signer, SoftwareSigner};
use b4ae_hsm::{Pkcs11Signer, SignerOptions};
use zeroize::Zeroizing;

use crate::cli::hsm::SignerArgs;
use crate::cli::{KeyArgs, ModeArg};
use crate::error::Error;
use crate::keyfile::{Keys, MlDsa};
use crate::keystore;
use crate::output::note;
use crate::token::{self, Access};

/// An identity to speak with, and the signer of its key where that is in a token.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) identity: Identity,
    pub(crate) signer: Option<Arc<Pkcs11Signer>>,
}

/// `N` bytes of entropy from the system.
pub(crate) fn entropy<const N: usize>() -> Result<Zeroizing<[u8; N]>, Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|e| Error::Io { doing: "asking the system for entropy".into(), source: std::io::Error::other(e) })?;
    Ok(bytes)
}

/// New keys for both modes.
pub(crate) fn generate() -> Result<SecretIdentity, Error> {
    Ok(SecretIdentity::generate(&Seed::new(*entropy()?)))
}

/// The identity of the key file named by `args`, or of the default one, able to sign if `mode` has it sign.
pub(crate) fn load(args: &KeyArgs, signer: &SignerArgs, mode: ModeArg) -> Result<Loaded, Error> {
    let path = path(args)?;
    let keys = keystore::load(&path, args.passphrase_file.as_deref())?;
    match &keys.ml_dsa {
        // Mode A is to work where the token is not there.
        MlDsa::Token { uri, public_key } if mode != ModeArg::A => {
            let uri = match &signer.hsm {
                Some(uri) => token::uri(uri, &signer.token)?,
                None => token::uri(uri, &signer.token).map_err(|_| Error::KeyFormat(path.clone()))?,
            };
            // The module is code, and whoever wrote the file would have named it.
            if signer.hsm.is_none() && signer.token.module.is_none() && !keystore::is_own(&path) {
                return Err(Error::KeyForeign { path, uri: uri.to_string() });
            }
            let access = Access::new(uri, &signer.token)?;
            let signer = Arc::new(access.signer(access.uri(), SignerOptions::default())?);
            if signer.public_key().as_slice() != public_key {
                return Err(Error::OtherKey { key: path, uri: access.uri().to_string() });
            }
            let identity = Identity::with_signer(&keys.x25519, Arc::clone(&signer) as Arc<dyn Signer>);
            Ok(Loaded { identity, signer: Some(signer) })
        }
        _ => Ok(Loaded { identity: software(&keys), signer: None }),
    }
}

/// As [`load`], but where no file is named and there is no default one, an identity for this one use. Says so.
pub(crate) fn load_or_ephemeral(args: &KeyArgs, signer: &SignerArgs, mode: ModeArg) -> Result<Loaded, Error> {
    match load(args, signer, mode) {
        Err(Error::KeyMissing(path)) if args.key.is_none() => {
            let identity = Identity::from_secret(&generate()?);
            note(format_args!(
                "no key file {}; the peer sees {}, an identity made for this one use",
                path.display(),
                identity.peer_id()
            ));
            Ok(Loaded { identity, signer: None })
        }
        other => other,
    }
}

/// The identity of a key file as far as it goes without a token: enough to tell who it is.
pub(crate) fn load_without_token(args: &KeyArgs) -> Result<Identity, Error> {
    keystore::load(&path(args)?, args.passphrase_file.as_deref()).map(|keys| software(&keys))
}

/// The identity of keys in software. One whose signing key is in a token cannot sign.
pub(crate) fn software(keys: &Keys) -> Identity {
    match &keys.ml_dsa {
        MlDsa::None => Identity::without_signer(&keys.x25519, None),
        MlDsa::Seed(seed) => Identity::with_signer(&keys.x25519, Arc::new(SoftwareSigner::new(seed))),
        MlDsa::Token { public_key, .. } => {
            let public_key = public_key.first_chunk::<ML_DSA_PUBLIC_KEY_LEN>();
            Identity::without_signer(&keys.x25519, public_key)
        }
    }
}

fn path(args: &KeyArgs) -> Result<PathBuf, Error> {
    args.key.clone().map_or_else(keystore::default_path, Ok)
}
