//! The side that dials.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::message::{self, HELLO_LEN, IDENTITY_LEN, INIT_LEN, Role};
use super::transcript::{SessionSecrets, Transcript};
use super::{Failed, NoReply, Prologue};
use crate::crypto::aead::TAG_LEN;
use crate::crypto::ml_kem::{self, CT_LEN, DecapsulationKey, EK_LEN};
use crate::crypto::{hash, x25519};
use crate::identity::{Identity, PeerId};
use crate::memory;
use crate::mode::Mode;
use crate::secret::Secret;
use crate::time::UnixTime;

/// A client puzzle: find `x` such that a hash over the cookie, the fingerprint and `x` begins with `bits` zeros.
pub(crate) struct Puzzle {
    pub(crate) cookie: Secret<32>,
    pub(crate) responder: PeerId,
    pub(crate) bits: u8,
}

impl Puzzle {
    fn is_solved_by(&self, x: u64) -> bool {
        let hash = hash::prf(self.cookie.expose(), b"B4AE2-puzzle....", &[self.responder.as_bytes(), &x.to_le_bytes()]);
        let head = u64::from_be_bytes(*hash.expose().first_chunk().expect("8 of 32"));
        head.leading_zeros() >= u32::from(self.bits)
    }

    /// One hash.
    pub(crate) fn verify(&self, x: u64) -> bool {
        self.bits == 0 || self.is_solved_by(x)
    }

    /// About 2^bits hashes.
    pub(crate) fn solve(&self) -> u64 {
        if self.bits == 0 {
            return 0;
        }
        (0..=u64::MAX).find(|&x| self.is_solved_by(x)).unwrap_or_default()
    }
}

/// Drawn when the job is made.
pub(crate) struct InitRandomness {
    pub(crate) e: Secret<32>,
    pub(crate) e1: Secret<64>,
}

/// The state between Init and Response.
pub(crate) struct AwaitResponse {
    transcript: Transcript,
    e: Secret<32>,
    e1: DecapsulationKey,
    /// The Init message.
    pub(crate) init: Box<[u8; INIT_LEN]>,
}

/// The prologue as the transcript takes it.
pub(super) fn begin(prologue: &Prologue, e: &[u8; 32], e1: &[u8; EK_LEN]) -> Transcript {
    let mut transcript = Transcript::new(&[&prologue.hello.bytes, &prologue.cookie, prologue.responder.as_bytes()]);
    transcript.mix_hash(&[e]);
    transcript.mix_hash(&[e1]);
    // The empty payload of Noise's first message.
    transcript.mix_hash(&[]);
    transcript
}

impl AwaitResponse {
    pub(crate) fn new(prologue: &Prologue, randomness: &InitRandomness) -> Self {
        let e = x25519::public_key(&randomness.e);
        let (e1, ek) = ml_kem::key_pair(&randomness.e1);
        let mut init = Box::new([0; INIT_LEN]);
        init[..HELLO_LEN].copy_from_slice(&prologue.hello.bytes);
        init[HELLO_LEN..HELLO_LEN + 32].copy_from_slice(&e);
        init[HELLO_LEN + 32..].copy_from_slice(&*ek);
        Self { transcript: begin(prologue, &e, &ek), e: randomness.e.duplicate(), e1, init }
    }

    /// Bytes of heap of the state where it is shared, itself included.
    pub(crate) fn bound() -> u64 {
        let shared = 2 * size_of::<usize>() + size_of::<Self>();
        // The decapsulation key of FIPS 203, expanded; the transcript's keys and `e`.
        (shared + INIT_LEN + 3168) as u64 + memory::keys(8)
    }

    /// Reads the Response, which is in `mode`, and writes the Finish. Leaves the state as it was: what arrives may be
    /// an attacker's, and the peer's own Response may still follow.
    pub(crate) fn confirm(
        &self,
        identity: &Identity,
        peer: PeerId,
        mode: Mode,
        mut response: Vec<u8>,
        wall: UnixTime,
        randomness: &[u8; 32],
    ) -> Result<Confirmed, NoReply> {
        let mut transcript = self.transcript.duplicate();
        let (e, rest) = response.split_first_chunk_mut::<32>().ok_or(Failed)?;
        let (ct, rest) = rest.split_at_mut_checked(CT_LEN + TAG_LEN).ok_or(Failed)?;
        let (block, answer) = rest.split_at_mut_checked(IDENTITY_LEN + TAG_LEN).ok_or(Failed)?;

        transcript.mix_hash(&[e]);
        transcript.mix_key(&x25519::shared_secret(&self.e, e).ok_or(Failed)?);
        let ct = transcript.decrypt_and_hash(ct)?;
        let shared = ml_kem::decapsulate(&self.e1, ct.try_into().map_err(|_| Failed)?);
        transcript.mix_key(&shared);
        let keys = message::read_identity(transcript.decrypt_and_hash(block)?, wall)?;
        if PeerId::of(&keys) != peer {
            return Err(NoReply::Failed);
        }
        transcript.mix_key(&x25519::shared_secret(&self.e, &keys.x25519).ok_or(Failed)?);
        let h = *transcript.h();
        let answer = transcript.decrypt_and_hash(answer)?;
        if answer.first() != Some(&mode.to_byte()) || answer.len() != message::answer_len(mode) {
            return Err(NoReply::Failed);
        }
        let cid = *answer[1..].first_chunk().ok_or(Failed)?;
        if mode == Mode::B {
            message::check_proof(Role::Responder, peer, &keys, message::NOBODY, &h, &answer[16..])?;
        }
        let fragments = FinishKeys::new(&transcript);

        let mut finish = vec![0; message::finish_len(mode)];
        let (block, proof) = finish.split_at_mut(IDENTITY_LEN + TAG_LEN);
        message::write_identity(identity, &mut block[..IDENTITY_LEN]);
        transcript.encrypt_and_hash(block);
        transcript.mix_key(&x25519::shared_secret(&identity.0.x25519, e).ok_or(Failed)?);
        if mode == Mode::B {
            let h = *transcript.h();
            message::prove(Role::Initiator, identity, peer, &h, randomness, &mut proof[16..])?;
        }
        transcript.encrypt_and_hash(proof);
        Ok(Confirmed { finish, fragments, cid, secrets: transcript.finish(mode) })
    }
}

/// What the initiator has once the responder is authentic.
pub(crate) struct Confirmed {
    pub(crate) finish: Vec<u8>,
    pub(crate) fragments: FinishKeys,
    /// Where the responder routes Finish fragments.
    pub(crate) cid: [u8; 8],
    pub(crate) secrets: Box<SessionSecrets>,
}

/// Keys for Finish fragments and for the responder's Status.
pub(crate) struct FinishKeys {
    pub(crate) finish: Secret<32>,
    pub(crate) status: Secret<32>,
}

impl FinishKeys {
    pub(crate) fn new(transcript: &Transcript) -> Self {
        let [finish, status] = transcript.fragment_keys([b"B4AE2 finish fragments", b"B4AE2 finish status"]);
        Self { finish, status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::Hello;
    use crate::handshake::responder::{RespondRandomness, Responded};
    use crate::{ModePolicy, SecretIdentity, Seed};

    #[test]
    fn a_puzzle_takes_its_own_solution_and_hardly_another() {
        let puzzle = |n, bits| Puzzle { cookie: Secret::new([n; 32]), responder: PeerId::from_bytes([9; 32]), bits };
        let solution = puzzle(1, 10).solve();
        assert!(puzzle(1, 10).verify(solution));
        // One in 2^10 of the others would do.
        let others = (1..2000).filter(|n| puzzle(1, 10).verify(solution + n)).count();
        assert!(others < 15, "{others} of 1999 wrong solutions pass");
        let elsewhere = (2..=60).filter(|&n| puzzle(n, 10).verify(solution)).count();
        assert!(elsewhere < 3, "a solution for one cookie passes for {elsewhere} of 59 others");
        assert!(puzzle(1, 0).verify(0));
    }

    /// A responder that answers in a mode of its own liking, to an initiator that offers both.
    #[test]
    fn another_mode_than_was_agreed_is_refused() {
        let [alice, bob] = [1, 2].map(|n| Identity::from_secret(&SecretIdentity::generate(&Seed::new([n; 32]))));
        let hello = Hello::new(ModePolicy::B_THEN_A, &[3; 32], &[4; 8]);
        let prologue = Prologue { hello, cookie: [5; 24], responder: bob.peer_id() };
        let own = InitRandomness { e: Secret::new([6; 32]), e1: Secret::new([7; 64]) };
        let state = AwaitResponse::new(&prologue, &own);
        for (mode, other) in [(Mode::A, Mode::B), (Mode::B, Mode::A)] {
            let [e, m, signature] = [8, 9, 10].map(|n| Secret::new([n; 32]));
            let randomness = RespondRandomness { e, m, signature, cid: [11; 8] };
            let Ok(responded) = Responded::new(&prologue, &bob, mode, &state.init[..], &randomness) else {
                panic!("a Response in {mode:?}")
            };
            let confirm = |mode| {
                let response = responded.response.clone();
                state.confirm(&alice, bob.peer_id(), mode, response, UnixTime(0), &[12; 32])
            };
            assert!(confirm(mode).is_ok() && confirm(other).is_err(), "{mode:?}");
        }
    }
}
