//! The node's key file.

use b4ae_core::{Secret, SecretIdentity};
use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::node_keyfile::{self as keyfile, Invalid};

/// A file that is taken is the one file of its keys. The first byte chooses whether the rest is the whole file, what
/// the file's second line encodes, or the keys of a file to be written. Counts files that are taken.
pub fn run(data: &[u8]) -> usize {
    let Some((&how, rest)) = data.split_first() else { return 0 };
    match how % 3 {
        0 => check(rest),
        1 => check(&[b"b4ae-identity-v1\n", BASE64.encode(rest).as_bytes(), b"\n"].concat()),
        _ => {
            let mut keys = [0; 64];
            let len = rest.len().min(64);
            keys[..len].copy_from_slice(&rest[..len]);
            let (x25519, ml_dsa) = keys.split_at(32);
            let secret = SecretIdentity {
                x25519: Secret::new(x25519.try_into().expect("32 of 64")),
                ml_dsa: (len > 32).then(|| Secret::new(ml_dsa.try_into().expect("32 of 64"))),
            };
            let file = keyfile::encode(&secret, None, &[0; 28]).expect("keys can be written");
            let read = open(&file).expect("what was written");
            assert!(read.x25519 == secret.x25519 && read.ml_dsa == secret.ml_dsa);
            0
        }
    }
}

fn check(file: &[u8]) -> usize {
    // A sealed file gets no passphrase: what follows is Argon2, at a cost the file names.
    let opened = open(file);
    if let Ok(secret) = &opened {
        assert!(file.len() <= keyfile::MAX_LEN);
        let again = keyfile::encode(secret, None, &[0; 28]).expect("keys can be written");
        assert!(*again == file, "one identity, two files");
    }
    opened.is_ok().into()
}

fn open(file: &[u8]) -> Result<SecretIdentity, Invalid> {
    keyfile::decode(file, || Err::<Zeroizing<Vec<u8>>, _>(Invalid::Passphrase))
}
