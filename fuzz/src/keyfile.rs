//! The node's key file.

use b4ae_core::{ML_DSA_PUBLIC_KEY_LEN, Secret};
use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::node_keyfile::{self as keyfile, Invalid, Keys, MlDsa};

/// A file that is taken is the one file of its keys. The first byte chooses whether the rest is the whole file, what
/// the file's second line encodes, or the keys of a file to be written. Counts files that are taken.
pub fn run(data: &[u8]) -> usize {
    let Some((&how, rest)) = data.split_first() else { return 0 };
    match how % 3 {
        0 => check(rest),
        1 => check(&[b"b4ae-identity-v1\n", BASE64.encode(rest).as_bytes(), b"\n"].concat()),
        _ => {
            let keys = keys(rest);
            let (file, again) = (keyfile::encode(keys(), None, &[0; 28]), keys());
            // What is too long to be read is not written either.
            let Ok(file) = file else { return 0 };
            let read = open(&file).expect("what was written");
            assert!(read.x25519 == again.x25519 && same(&read.ml_dsa, &again.ml_dsa));
            0
        }
    }
}

/// Keys of every kind: the bytes are the X25519 key, then the place of the other, then what is there.
fn keys(bytes: &[u8]) -> impl Fn() -> Keys {
    let (x25519, rest) = bytes.split_at(bytes.len().min(32));
    let (place, rest) = rest.split_at(rest.len().min(1));
    move || Keys {
        x25519: secret(x25519),
        ml_dsa: match place {
            [] => MlDsa::None,
            [place] if place % 2 == 0 => MlDsa::Seed(secret(rest)),
            _ => MlDsa::Token {
                uri: String::from_utf8_lossy(rest).into_owned(),
                // One byte more or less is no key.
                public_key: vec![7; ML_DSA_PUBLIC_KEY_LEN - usize::from(rest.first() == Some(&0))],
            },
        },
    }
}

fn secret(bytes: &[u8]) -> Secret<32> {
    let mut secret = [0; 32];
    let len = bytes.len().min(32);
    secret[..len].copy_from_slice(&bytes[..len]);
    Secret::new(secret)
}

fn same(a: &MlDsa, b: &MlDsa) -> bool {
    match (a, b) {
        (MlDsa::None, MlDsa::None) => true,
        (MlDsa::Seed(a), MlDsa::Seed(b)) => a == b,
        (MlDsa::Token { uri, public_key }, MlDsa::Token { uri: name, public_key: key }) => {
            uri == name && public_key == key
        }
        _ => false,
    }
}

fn check(file: &[u8]) -> usize {
    // A sealed file gets no passphrase: what follows is Argon2, at a cost the file names.
    let opened = open(file);
    let taken = opened.is_ok();
    if let Ok(keys) = opened {
        assert!(file.len() <= keyfile::MAX_LEN);
        let again = keyfile::encode(keys, None, &[0; 28]).expect("keys can be written");
        assert!(*again == file, "one identity, two files");
    }
    taken.into()
}

fn open(file: &[u8]) -> Result<Keys, Invalid> {
    keyfile::decode(file, || Err::<Zeroizing<Vec<u8>>, _>(Invalid::Passphrase))
}
