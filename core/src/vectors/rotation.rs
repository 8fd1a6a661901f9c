//! Rotation statements, with the secrets of both identities and all that was drawn.

use std::string::String;
use std::vec::Vec;

use serde::Serialize;

use super::handshake::{identity, identity_seed};
use super::hex;
use crate::random::Stream;
use crate::{Identity, Rotation, Secret, SecretIdentity, UnixTime};

#[derive(Serialize)]
pub(super) struct Vector {
    what: &'static str,
    old: Party,
    new: Party,
    from: u64,
    until: u64,
    statement: String,
}

#[derive(Serialize)]
struct Party {
    x25519_secret: String,
    ml_dsa_seed: Option<String>,
    fingerprint: String,
    xeddsa_random: String,
    ml_dsa_random: Option<String>,
}

/// Without ML-DSA-87 keys, and with.
pub(super) fn all() -> Vec<Vector> {
    let alone = [0, 1].map(|n| {
        let SecretIdentity { x25519, .. } = SecretIdentity::generate(&identity_seed(n));
        Identity::from_secret(&SecretIdentity { x25519, ml_dsa: None })
    });
    [Vector::new("X25519 keys alone", &alone), Vector::new("X25519 and ML-DSA-87 keys", &[identity(0), identity(1)])]
        .into()
}

impl Vector {
    fn new(what: &'static str, [old, new]: &[Identity; 2]) -> Self {
        let stream = || Stream::new(Secret::new([14; 32]));
        let (from, until) = (UnixTime(1_800_000_000), UnixTime(1_802_592_000));
        let rotation = Rotation::sign_with(old, new, from, until, &mut stream()).unwrap();
        let mut drawn = stream();
        let mut party = |n, identity: &Identity| {
            let secret = SecretIdentity::generate(&identity_seed(n));
            let seed = secret.ml_dsa.filter(|_| identity.can_sign());
            Party {
                x25519_secret: hex(secret.x25519.expose()),
                fingerprint: hex(identity.peer_id().as_bytes()),
                xeddsa_random: hex(drawn.bytes::<64>()),
                ml_dsa_random: seed.as_ref().map(|_| hex(drawn.bytes::<32>())),
                ml_dsa_seed: seed.map(|seed| hex(seed.expose())),
            }
        };
        Self {
            what,
            old: party(0, old),
            new: party(1, new),
            from: from.0,
            until: until.0,
            statement: hex(rotation.as_bytes()),
        }
    }
}
