//! What the jobs of a handshake show of it, and the key schedule that follows from that.

use std::string::String;
use std::vec::Vec;

use serde::Serialize;

use super::hex;
use crate::crypto::aead::TAG_LEN;
use crate::crypto::ml_kem::{self, CT_LEN};
use crate::crypto::x25519;
use crate::handshake::Prologue;
use crate::handshake::initiator::FinishKeys;
use crate::handshake::message::{HELLO_LEN, IDENTITY_LEN};
use crate::handshake::transcript::{Root, Transcript};
use crate::job::Work;
use crate::mode::Mode;
use crate::secret::Secret;

/// What each side drew, apart from what the datagrams show.
#[derive(Default, Serialize)]
pub(super) struct Drawn {
    cookie_master: String,
    e_i: String,
    e1_seed: String,
    e_r: String,
    encapsulation: String,
    responder_signature: String,
    initiator_signature: String,
}

#[derive(Serialize)]
pub(super) struct Step {
    name: &'static str,
    input: String,
    h: String,
    ck: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<String>,
}

/// Messages and ephemeral secrets of both sides, as the jobs carry them.
#[derive(Default)]
pub(super) struct Witness {
    pub(super) drawn: Drawn,
    prologue: Option<Prologue>,
    e_i: Option<Secret<32>>,
    e1: Option<Secret<64>>,
    e_r: Option<Secret<32>>,
    init: Vec<u8>,
    pub(super) response: Vec<u8>,
    finish: Vec<u8>,
}

impl Witness {
    pub(super) fn new(cookie_master: &Secret<32>) -> Self {
        let mut this = Self::default();
        this.drawn.cookie_master = hex(cookie_master.expose());
        this
    }

    pub(super) fn see(&mut self, work: &Work) {
        match work {
            Work::Init { prologue, randomness, .. } => {
                self.drawn.e_i = hex(randomness.e.expose());
                self.drawn.e1_seed = hex(randomness.e1.expose());
                self.prologue = Some(**prologue);
                self.e_i = Some(randomness.e.duplicate());
                self.e1 = Some(randomness.e1.duplicate());
            }
            Work::Respond { init, randomness, .. } => {
                self.drawn.e_r = hex(randomness.e.expose());
                self.drawn.encapsulation = hex(randomness.m.expose());
                self.drawn.responder_signature = hex(randomness.signature.expose());
                self.e_r = Some(randomness.e.duplicate());
                self.init.clone_from(init);
            }
            Work::Finish { response, randomness, .. } => {
                self.drawn.initiator_signature = hex(randomness.expose());
                self.response.clone_from(response);
            }
            Work::Accept { finish, .. } => self.finish.clone_from(finish),
        }
    }

    /// The product's own transcript, given the static X25519 public keys of both sides, taken through the messages step
    /// by step.
    pub(super) fn key_schedule(&self, [initiator, responder]: [&[u8; 32]; 2]) -> (Vec<Step>, FinishKeys, Root) {
        let (e_i, e_r) = (self.e_i.as_ref().unwrap(), self.e_r.as_ref().unwrap());
        let (e_i_public, ek) = self.init[HELLO_LEN..].split_first_chunk::<32>().unwrap();
        let mut response = self.response.clone();
        let (e_r_public, rest) = response.split_first_chunk_mut::<32>().unwrap();
        let (ct, rest) = rest.split_at_mut(CT_LEN + TAG_LEN);
        let (block, answer) = rest.split_at_mut(IDENTITY_LEN + TAG_LEN);

        let mut schedule = Schedule::new(self.prologue.as_ref().unwrap());
        schedule.mix_hash("MixHash(e_I)", e_i_public);
        schedule.mix_hash("MixHash(e1)", ek);
        schedule.mix_hash("MixHash(empty payload)", &[]);
        schedule.mix_hash("MixHash(e_R)", e_r_public);
        schedule.mix_key("MixKey(X25519(e_R, e_I))", &x25519::shared_secret(e_r, e_i_public).unwrap());
        let ct = schedule.encrypted("EncryptAndHash(ct)", ct);
        let (decapsulation_key, _) = ml_kem::key_pair(self.e1.as_ref().unwrap());
        let shared = ml_kem::decapsulate(&decapsulation_key, ct.first_chunk().unwrap());
        schedule.mix_key("MixKey(ML-KEM-1024 secret)", &shared);
        schedule.encrypted("EncryptAndHash(R's identity block)", block);
        schedule.mix_key("MixKey(X25519(S_R, e_I))", &x25519::shared_secret(e_i, responder).unwrap());
        let answer = schedule.encrypted("EncryptAndHash(answer)", answer);
        let keys = FinishKeys::new(&schedule.transcript);

        let mut finish = self.finish.clone();
        let (block, proof) = finish.split_at_mut(IDENTITY_LEN + TAG_LEN);
        schedule.encrypted("EncryptAndHash(I's identity block)", block);
        schedule.mix_key("MixKey(X25519(S_I, e_R))", &x25519::shared_secret(e_r, initiator).unwrap());
        schedule.encrypted("EncryptAndHash(proof)", proof);
        let mode = Mode::from_byte(answer[0]).unwrap();
        (schedule.steps, keys, schedule.transcript.root(mode))
    }
}

/// A transcript, and what it has been.
struct Schedule {
    transcript: Transcript,
    steps: Vec<Step>,
}

impl Schedule {
    fn new(prologue: &Prologue) -> Self {
        let parts = [&prologue.hello.bytes[..], &prologue.cookie, prologue.responder.as_bytes()];
        let mut this = Self { transcript: Transcript::new(&parts), steps: Vec::new() };
        this.note("MixHash(prologue)", &parts.concat());
        this
    }

    fn note(&mut self, name: &'static str, input: &[u8]) {
        let (h, ck, k) = self.transcript.state();
        let k = k.map(|k| hex(k.expose()));
        self.steps.push(Step { name, input: hex(input), h: hex(h), ck: hex(ck.expose()), k });
    }

    fn mix_hash(&mut self, name: &'static str, input: &[u8]) {
        self.transcript.mix_hash(&[input]);
        self.note(name, input);
    }

    fn mix_key(&mut self, name: &'static str, input: &Secret<32>) {
        self.transcript.mix_key(input);
        self.note(name, input.expose());
    }

    /// Reads what was encrypted; the step's input is the text.
    fn encrypted(&mut self, name: &'static str, sealed: &mut [u8]) -> Vec<u8> {
        let text = self.transcript.decrypt_and_hash(sealed).unwrap().to_vec();
        self.note(name, &text);
        text
    }
}
