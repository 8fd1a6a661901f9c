//! The side that answers.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::initiator::{FinishKeys, begin};
use super::message::{self, HELLO_LEN, IDENTITY_LEN, INIT_LEN, Role};
use super::transcript::{SessionSecrets, Transcript};
use super::{Failed, NoReply, Prologue};
use crate::crypto::aead::TAG_LEN;
use crate::crypto::ml_kem::{self, CT_LEN, EK_LEN};
use crate::crypto::x25519;
use crate::identity::{Identity, PeerId};
use crate::mode::Mode;
use crate::secret::Secret;
use crate::time::UnixTime;

/// Drawn when the job is made.
pub(crate) struct RespondRandomness {
    pub(crate) e: Secret<32>,
    pub(crate) m: Secret<32>,
    pub(crate) signature: Secret<32>,
    /// Where Finish fragments are to be routed.
    pub(crate) cid: [u8; 8],
}

/// The answer to an Init.
pub(crate) struct Responded {
    pub(crate) response: Vec<u8>,
    pub(crate) state: Box<AwaitFinish>,
}

/// The state between Response and Finish.
pub(crate) struct AwaitFinish {
    transcript: Transcript,
    e: Secret<32>,
    pub(crate) mode: Mode,
    pub(crate) fragments: FinishKeys,
    pub(crate) cid: [u8; 8],
}

impl Responded {
    /// Reads the Init and writes the Response in `mode`.
    pub(crate) fn new(
        prologue: &Prologue,
        identity: &Identity,
        mode: Mode,
        init: &[u8],
        randomness: &RespondRandomness,
    ) -> Result<Self, NoReply> {
        let init: &[u8; INIT_LEN] = init.try_into().map_err(|_| Failed)?;
        let peer_e = init[HELLO_LEN..].first_chunk::<32>().ok_or(Failed)?;
        let ek = init[HELLO_LEN + 32..].first_chunk::<EK_LEN>().ok_or(Failed)?;

        let mut transcript = begin(prologue, peer_e, ek);
        let mut response = vec![0; message::response_len(mode)];
        let (e, rest) = response.split_first_chunk_mut::<32>().ok_or(Failed)?;
        let (sealed_ct, rest) = rest.split_at_mut(CT_LEN + TAG_LEN);
        let (block, answer) = rest.split_at_mut(IDENTITY_LEN + TAG_LEN);

        *e = x25519::public_key(&randomness.e);
        transcript.mix_hash(&[e]);
        transcript.mix_key(&x25519::shared_secret(&randomness.e, peer_e).ok_or(Failed)?);
        let (ct, shared) = ml_kem::encapsulate(ek, &randomness.m).ok_or(Failed)?;
        sealed_ct[..CT_LEN].copy_from_slice(&*ct);
        transcript.encrypt_and_hash(sealed_ct);
        transcript.mix_key(&shared);
        message::write_identity(identity, &mut block[..IDENTITY_LEN]);
        transcript.encrypt_and_hash(block);
        transcript.mix_key(&x25519::shared_secret(&identity.0.x25519, peer_e).ok_or(Failed)?);
        answer[0] = mode.to_byte();
        answer[1..9].copy_from_slice(&randomness.cid);
        if mode == Mode::B {
            let h = *transcript.h();
            let proof = &mut answer[16..];
            message::prove(Role::Responder, identity, message::NOBODY, &h, randomness.signature.expose(), proof)?;
        }
        transcript.encrypt_and_hash(answer);
        let fragments = FinishKeys::new(&transcript);
        let state = AwaitFinish { transcript, e: randomness.e.duplicate(), mode, fragments, cid: randomness.cid };
        Ok(Self { response, state: Box::new(state) })
    }
}

/// A finished handshake.
pub(crate) struct Accepted {
    pub(crate) peer: PeerId,
    pub(crate) secrets: Box<SessionSecrets>,
}

impl AwaitFinish {
    /// The state of a simulated responder.
    #[cfg(test)]
    pub(super) fn at(transcript: Transcript, e: &Secret<32>, mode: Mode, fragments: FinishKeys) -> Self {
        Self { transcript, e: e.duplicate(), mode, fragments, cid: [0; 8] }
    }

    /// Reads the Finish: who the initiator is, proved.
    pub(crate) fn accept(&self, own: PeerId, mut finish: Vec<u8>, wall: UnixTime) -> Result<Accepted, Failed> {
        if finish.len() != message::finish_len(self.mode) {
            return Err(Failed);
        }
        let mut transcript = self.transcript.duplicate();
        let (block, proof) = finish.split_at_mut(IDENTITY_LEN + TAG_LEN);
        let keys = message::read_identity(transcript.decrypt_and_hash(block)?, wall)?;
        let peer = PeerId::of(&keys);
        transcript.mix_key(&x25519::shared_secret(&self.e, &keys.x25519).ok_or(Failed)?);
        let h = *transcript.h();
        let proof = transcript.decrypt_and_hash(proof)?;
        if self.mode == Mode::B {
            message::check_proof(Role::Initiator, peer, &keys, own, &h, &proof[16..])?;
        }
        Ok(Accepted { peer, secrets: transcript.finish(self.mode) })
    }
}
