//! The transcript against Noise: whole handshakes of other people's, byte for byte.
//!
//! The core has one handshake and the messages of it in [`crate::handshake::message`]. Here a transcript goes through
//! any pattern, as a writer and as a reader, so that what it does with a token is Noise's and not the core's own.

mod patterns;
mod snow;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use data_encoding::HEXLOWER;
use serde::Deserialize;

use super::Transcript;
use crate::crypto::aead::{self, TAG_LEN};
use crate::crypto::vectors::Tally;
use crate::crypto::{hash, ml_kem, x25519};
use crate::secret::Secret;
use patterns::{PATTERNS, Pattern};

pub(crate) fn tallies() -> Vec<Tally> {
    let mut tallies = vec![cacophony()];
    tallies.extend(snow::tallies());
    tallies
}

/// A side's secrets.
struct Party {
    s: Secret<32>,
    e: Secret<32>,
    /// Seed of the key pair `e1`, and what `ekem1` is encapsulated with.
    e1: Secret<64>,
    m: Secret<32>,
}

impl Party {
    fn secret(&self, token: char) -> &Secret<32> {
        if token == 'e' { &self.e } else { &self.s }
    }
}

/// What a handshake comes to: the messages, the hash, and the keys of the initiator and of the responder.
#[derive(Eq, PartialEq)]
struct Outcome {
    messages: Vec<Vec<u8>>,
    hash: [u8; 64],
    keys: [Secret<32>; 2],
}

/// A handshake written and read by two transcripts.
struct Handshake<'p> {
    parties: &'p [Party; 2],
    /// The writer's and the reader's transcripts, exchanged after every message.
    transcripts: [Transcript; 2],
    keyed: bool,
}

impl Handshake<'_> {
    fn mix_hash(&mut self, bytes: &[u8]) {
        self.transcripts.iter_mut().for_each(|transcript| transcript.mix_hash(&[bytes]));
    }

    /// `EncryptAndHash`, which is `MixHash` before there is a key.
    fn field(&mut self, bytes: &[u8], message: &mut Vec<u8>) {
        if !self.keyed {
            self.mix_hash(bytes);
            message.extend(bytes);
            return;
        }
        let mut sealed = [bytes, &[0; TAG_LEN]].concat();
        self.transcripts[0].encrypt_and_hash(&mut sealed);
        message.extend(&sealed);
        assert_eq!(self.transcripts[1].decrypt_and_hash(&mut sealed), Ok(bytes));
    }

    /// `MixKey` of a Diffie-Hellman, computed by either side with its own secret. The first letter is the initiator's.
    fn mix_dh(&mut self, token: &str, writer: usize) {
        let mut keys = token.chars();
        let (i, r) = (keys.next().unwrap(), keys.next().unwrap());
        let (i, r) = (self.parties[0].secret(i), self.parties[1].secret(r));
        let mut shared = [(i, x25519::public_key(r)), (r, x25519::public_key(i))]
            .map(|(private, public)| x25519::shared_secret(private, &public).unwrap());
        shared.rotate_left(writer);
        for (transcript, shared) in self.transcripts.iter_mut().zip(&shared) {
            transcript.mix_key(shared);
        }
        self.keyed = true;
    }

    /// The responder encapsulates to the initiator's `e1`.
    fn ekem1(&mut self, message: &mut Vec<u8>) {
        let (dk, ek) = ml_kem::key_pair(&self.parties[0].e1);
        let (ct, shared) = ml_kem::encapsulate(&ek, &self.parties[1].m).unwrap();
        self.field(&*ct, message);
        self.transcripts[0].mix_key(&shared);
        self.transcripts[1].mix_key(&ml_kem::decapsulate(&dk, &ct));
        self.keyed = true;
    }
}

/// Goes through `pattern` with one payload a message.
fn run(name: &str, pattern: &Pattern, prologue: &[u8], parties: &[Party; 2], payloads: &[Vec<u8>]) -> Outcome {
    let transcripts = [(); 2].map(|()| Transcript::named(name.as_bytes(), &[prologue]));
    let mut handshake = Handshake { parties, transcripts, keyed: false };
    for (known, party) in pattern.known.iter().zip(parties) {
        if *known {
            handshake.mix_hash(&x25519::public_key(&party.s));
        }
    }
    let mut messages = Vec::new();
    for (n, (tokens, payload)) in pattern.messages.split('/').zip(payloads).enumerate() {
        let (writer, mut message) = (n % 2, Vec::new());
        for token in tokens.split_whitespace() {
            match token {
                "e" => {
                    let public = x25519::public_key(&parties[writer].e);
                    handshake.mix_hash(&public);
                    message.extend(public);
                }
                "s" => handshake.field(&x25519::public_key(&parties[writer].s), &mut message),
                "e1" => handshake.field(&*ml_kem::key_pair(&parties[writer].e1).1, &mut message),
                "ekem1" => handshake.ekem1(&mut message),
                exchange => handshake.mix_dh(exchange, writer),
            }
        }
        handshake.field(payload, &mut message);
        messages.push(message);
        handshake.transcripts.swap(0, 1);
    }
    let [ours, theirs] = &handshake.transcripts;
    assert!(ours.h == theirs.h && ours.ck == theirs.ck, "writer and reader disagree");
    // `Split`.
    let (mut first, mut second) = (*ours.ck.expose(), [0; 64]);
    hash::hkdf2(&mut first, &[], &mut second);
    let keys = [first, second].map(|long| Secret::new(*long.first_chunk().unwrap()));
    Outcome { messages, hash: ours.h, keys }
}

/// A vector as cacophony writes it.
#[derive(Deserialize)]
struct Vector {
    protocol_name: String,
    init_prologue: String,
    init_static: Option<String>,
    init_ephemeral: String,
    resp_static: Option<String>,
    resp_ephemeral: Option<String>,
    handshake_hash: String,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    payload: String,
    ciphertext: String,
}

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}

impl Vector {
    fn parties(&self) -> [Party; 2] {
        // Where a pattern has no such key, none is asked for.
        let secret = |text: Option<&String>| Secret::new(text.map_or([1; 32], |text| hex(text).try_into().unwrap()));
        let party = |s, e| Party { s: secret(s), e: secret(e), e1: Secret::new([0; 64]), m: Secret::new([0; 32]) };
        [
            party(self.init_static.as_ref(), Some(&self.init_ephemeral)),
            party(self.resp_static.as_ref(), self.resp_ephemeral.as_ref()),
        ]
    }

    /// Whether handshake and transport messages are cacophony's.
    fn agrees(&self, pattern: &Pattern) -> bool {
        let payloads: Vec<Vec<u8>> = self.messages.iter().map(|message| hex(&message.payload)).collect();
        let told: Vec<Vec<u8>> = self.messages.iter().map(|message| hex(&message.ciphertext)).collect();
        let outcome = run(&self.protocol_name, pattern, &hex(&self.init_prologue), &self.parties(), &payloads);
        let (handshake, one_way) = (outcome.messages.len(), pattern.messages.split('/').count() == 1);
        let mut counters = [0; 2];
        let transport = (handshake..told.len()).all(|n| {
            let direction = if one_way { 0 } else { n % 2 };
            let mut buffer = payloads[n].clone();
            let nonce = aead::nonce(counters[direction]);
            counters[direction] += 1;
            let tag = aead::seal(&outcome.keys[direction], &nonce, &[], &mut buffer);
            [&buffer[..], &tag].concat() == told[n]
        });
        transport && outcome.messages == told[..handshake] && outcome.hash[..] == hex(&self.handshake_hash)
    }
}

fn cacophony() -> Tally {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../../../vectors/cacophony_25519_chachapoly_blake2b.json")).unwrap();
    let mut tally = Tally::new("Noise transcript", "cacophony, 25519_ChaChaPoly_BLAKE2b");
    for vector in &vectors {
        let name = vector.protocol_name.split('_').nth(1).unwrap();
        let pattern = PATTERNS.iter().find(|pattern| pattern.name == name).unwrap();
        tally.valid(name, vector.agrees(pattern));
    }
    tally.skip("patterns with a pre-shared key: the core has none, nor MixKeyAndHash", 21);
    tally.of(59)
}
