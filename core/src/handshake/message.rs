//! What the handshake messages say, apart from how they are cut into datagrams.

use crate::crypto::ml_kem::{CT_LEN, EK_LEN};
use crate::crypto::{aead::TAG_LEN, hash, ml_dsa};
use crate::handshake::cookie::COOKIE_LEN;
use crate::handshake::{Failed, NoReply};
use crate::identity::{Identity, PeerId, PublicKeys};
use crate::job::{ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN, SignError};
use crate::mode::{Mode, ModePolicy};
use crate::time::UnixTime;

/// The protocol version this code speaks.
pub(crate) const VERSION: u16 = 0x0200;
/// Length of a Hello's text in bytes.
pub(crate) const HELLO_LEN: usize = 96;
/// Length of an Init: hello, e, e1.
pub(crate) const INIT_LEN: usize = HELLO_LEN + 32 + EK_LEN;
/// Length of an identity block.
pub(crate) const IDENTITY_LEN: usize = 128;

/// The type byte of each message outside a session.
pub(crate) mod kind {
    pub(crate) const HELLO: u8 = 1;
    pub(crate) const INIT: u8 = 2;
    pub(crate) const CHALLENGE: u8 = 3;
    pub(crate) const RESPONSE: u8 = 4;
    pub(crate) const FINISH: u8 = 5;
    pub(crate) const STATUS: u8 = 6;
}

/// The initiator's first words: `type(1) version(2) modes(2) random(32) cid(8)`, zeros to 96.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Hello {
    pub(crate) bytes: [u8; HELLO_LEN],
}

impl Hello {
    pub(crate) fn new(offer: ModePolicy, random: &[u8; 32], cid: &[u8; 8]) -> Self {
        let mut bytes = [0; HELLO_LEN];
        bytes[0] = kind::HELLO;
        bytes[1..3].copy_from_slice(&VERSION.to_le_bytes());
        for (at, mode) in bytes[3..5].iter_mut().zip(offer.iter()) {
            *at = mode.to_byte();
        }
        bytes[5..37].copy_from_slice(random);
        bytes[37..45].copy_from_slice(cid);
        Self { bytes }
    }

    /// A Hello of another's, if it is one of this version.
    pub(crate) fn parse(bytes: &[u8; HELLO_LEN]) -> Option<Self> {
        let version = u16::from_le_bytes([bytes[1], bytes[2]]);
        (bytes[0] == kind::HELLO && version == VERSION).then_some(Self { bytes: *bytes })
    }

    pub(crate) fn cid(&self) -> [u8; 8] {
        *self.bytes[37..].first_chunk().expect("96 is enough")
    }

    /// The modes offered, preferred first. Unknown ones are of a later version and passed over.
    pub(crate) fn offer(&self) -> impl Iterator<Item = Mode> + '_ {
        self.bytes[3..5].iter().filter_map(|&byte| Mode::from_byte(byte))
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        hash::digest(b"B4AE2-hello-hash", &[&self.bytes])
    }
}

/// The set of modes a responder accepts, as a bit a mode.
pub(crate) fn accept_bits(policy: ModePolicy) -> u8 {
    policy.iter().fold(0, |bits, mode| bits | bit(mode))
}

fn bit(mode: Mode) -> u8 {
    1 << mode.to_byte()
}

/// The mode that follows from an offer and what is accepted: the first offered that is accepted.
pub(crate) fn select(offer: impl Iterator<Item = Mode>, accept: u8) -> Option<Mode> {
    let mut offer = offer;
    offer.find(|&mode| accept & bit(mode) != 0)
}

/// What both sides said before the first key: it enters the transcript, so neither offer nor answer can be edited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prologue {
    pub(crate) hello: Hello,
    /// `time(4) nonce(10) puzzle bits(1) accepted modes(1) stamp(8)`.
    pub(crate) cookie: [u8; COOKIE_LEN],
    /// The fingerprint the initiator dialled.
    pub(crate) responder: PeerId,
}

/// An identity on the wire: `version(1) S(32) H(V)(32) H(K)(32) not_after(8)`, zeros to 128.
pub(crate) fn write_identity(identity: &Identity, out: &mut [u8]) {
    write_keys(&identity.0.public, identity.0.not_after, out);
}

/// As [`write_identity`]: it takes public keys and nothing else.
pub(super) fn write_keys(keys: &PublicKeys, not_after: UnixTime, out: &mut [u8]) {
    out.fill(0);
    out[0] = 1;
    out[1..33].copy_from_slice(&keys.x25519);
    out[33..65].copy_from_slice(&keys.ml_dsa_hash);
    out[65..97].copy_from_slice(&keys.ml_kem_hash);
    out[97..105].copy_from_slice(&not_after.0.to_le_bytes());
}

/// A peer's identity, unless it has expired.
pub(crate) fn read_identity(bytes: &[u8], wall: UnixTime) -> Result<PublicKeys, Failed> {
    let bytes: &[u8; IDENTITY_LEN] = bytes.try_into().map_err(|_| Failed)?;
    let part = |at: usize| *bytes[at..].first_chunk::<32>().expect("128 is enough");
    let not_after = u64::from_le_bytes(*bytes[97..].first_chunk().expect("128 is enough"));
    if bytes[0] != 1 || wall.0 > not_after {
        return Err(Failed);
    }
    Ok(PublicKeys { x25519: part(1), ml_dsa_hash: part(33), ml_kem_hash: part(65) })
}

/// Length of the answer in a Response: `mode(1) cid(8)`, zeros to 16, and in mode B `V` and a signature.
pub(crate) fn answer_len(mode: Mode) -> usize {
    16 + proof_len(mode)
}

/// Length of what a mode adds to prove an identity: nothing, or an ML-DSA-87 key and signature.
pub(crate) fn proof_len(mode: Mode) -> usize {
    match mode {
        Mode::A => 0,
        Mode::B => ML_DSA_PUBLIC_KEY_LEN + ML_DSA_SIGNATURE_LEN,
    }
}

/// Length of a Response: e, ct, identity, answer, and three tags.
pub(crate) fn response_len(mode: Mode) -> usize {
    32 + CT_LEN + TAG_LEN + IDENTITY_LEN + TAG_LEN + answer_len(mode) + TAG_LEN
}

/// Length of a Finish: identity, proof, and two tags.
pub(crate) fn finish_len(mode: Mode) -> usize {
    IDENTITY_LEN + TAG_LEN + 16 + proof_len(mode) + TAG_LEN
}

/// The 64 bytes a side signs in mode B: a domain-separated hash, since tokens differ in the contexts and message
/// lengths they take.
fn signed(role: &[u8; 8], h: &[u8; 64], signer: PeerId, other: PeerId) -> [u8; 64] {
    hash::digest_64(b"B4AE2-B-sign-hs.", &[role, h, signer.as_bytes(), other.as_bytes()])
}

/// Stands for the initiator in the responder's signature: the responder signs before it knows who dials.
pub(crate) const NOBODY: PeerId = PeerId::from_bytes([0; 32]);

/// Whose signature it is.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    Initiator,
    Responder,
}

impl Role {
    fn label(self) -> &'static [u8; 8] {
        match self {
            Self::Initiator => b"initiate",
            Self::Responder => b"respond.",
        }
    }
}

/// Writes `V ‖ signature` over the transcript so far.
pub(crate) fn prove(
    role: Role,
    identity: &Identity,
    other: PeerId,
    h: &[u8; 64],
    randomness: &[u8; 32],
    out: &mut [u8],
) -> Result<(), NoReply> {
    let signer = identity.0.signer.as_ref().ok_or(NoReply::Unsigned)?;
    let (key, rest) = out.split_first_chunk_mut::<ML_DSA_PUBLIC_KEY_LEN>().ok_or(Failed)?;
    let signature = rest.first_chunk_mut::<ML_DSA_SIGNATURE_LEN>().ok_or(Failed)?;
    *key = *signer.public_key();
    let message = signed(role.label(), h, identity.peer_id(), other);
    signer.sign(&message, randomness, signature).map_err(|SignError| NoReply::Unsigned)
}

/// Checks `V ‖ signature` against the peer's identity and the transcript so far.
pub(crate) fn check_proof(
    role: Role,
    peer: PeerId,
    keys: &PublicKeys,
    own: PeerId,
    h: &[u8; 64],
    proof: &[u8],
) -> Result<(), Failed> {
    let (key, rest) = proof.split_first_chunk::<ML_DSA_PUBLIC_KEY_LEN>().ok_or(Failed)?;
    let signature = rest.first_chunk::<ML_DSA_SIGNATURE_LEN>().ok_or(Failed)?;
    let known = PublicKeys::hash_ml_dsa(key) == keys.ml_dsa_hash;
    if known && ml_dsa::verify(key, &signed(role.label(), h, peer, own), signature) { Ok(()) } else { Err(Failed) }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{SecretIdentity, Seed};

    fn identity(n: u8) -> Identity {
        Identity::from_secret(&SecretIdentity::generate(&Seed::new([n; 32])))
    }

    #[test]
    fn the_mode_is_the_first_offered_that_is_accepted() {
        let select = |offer: ModePolicy, accept| select(offer.iter(), accept_bits(accept));
        assert_eq!(select(ModePolicy::B_THEN_A, ModePolicy::A_THEN_B), Some(Mode::B));
        assert_eq!(select(ModePolicy::A_THEN_B, ModePolicy::B), Some(Mode::B));
        assert_eq!(select(ModePolicy::A, ModePolicy::B), None);
        assert_eq!(select(ModePolicy::B, ModePolicy::A), None);
    }

    #[test]
    fn an_identity_is_refused_when_it_has_expired_or_is_of_another_version() {
        let mut block = [0; IDENTITY_LEN];
        write_keys(&identity(1).0.public, UnixTime(100), &mut block);
        let taken = [99, 100, 101].map(|wall| read_identity(&block, UnixTime(wall)).is_ok());
        assert_eq!(taken, [true, true, false]);
        block[0] = 2;
        assert!(read_identity(&block, UnixTime(99)).is_err());
    }

    #[test]
    fn a_proof_is_the_peers_own_over_this_transcript_and_these_two() {
        let [alice, bob, carol] = [1, 2, 3].map(identity);
        let h = [4; 64];
        let mut proof = vec![0; proof_len(Mode::B)];
        prove(Role::Initiator, &alice, bob.peer_id(), &h, &[5; 32], &mut proof).ok().unwrap();
        let check = |role, peer: &Identity, own: &Identity, h: &[u8; 64], proof: &[u8]| {
            check_proof(role, peer.peer_id(), &peer.0.public, own.peer_id(), h, proof).is_ok()
        };
        assert!(check(Role::Initiator, &alice, &bob, &h, &proof));
        assert!(!check(Role::Responder, &alice, &bob, &h, &proof), "another role");
        assert!(!check(Role::Initiator, &alice, &carol, &h, &proof), "for somebody else");
        assert!(!check(Role::Initiator, &alice, &bob, &[6; 64], &proof), "of another handshake");
        let mut edited = proof.clone();
        edited[ML_DSA_PUBLIC_KEY_LEN] ^= 1;
        assert!(!check(Role::Initiator, &alice, &bob, &h, &edited), "an edited signature");
        // Right in itself, under a key that is not of the identity.
        let signer = carol.0.signer.as_ref().unwrap();
        let (key, signature) = proof.split_first_chunk_mut::<ML_DSA_PUBLIC_KEY_LEN>().unwrap();
        *key = *signer.public_key();
        let message = signed(Role::Initiator.label(), &h, alice.peer_id(), bob.peer_id());
        assert!(signer.sign(&message, &[5; 32], signature.first_chunk_mut().unwrap()).is_ok());
        assert!(!check(Role::Initiator, &alice, &bob, &h, &proof), "somebody else's signature");
    }
}
