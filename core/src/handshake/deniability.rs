//! The simulator that makes mode A deniable: it knows two public identities and nothing else, and makes handshakes
//! that the product's own code accepts as theirs.
//!
//! The judge is given more than any judge would have: the ephemeral secrets of whichever side betrays the other. It
//! runs [`AwaitResponse::confirm`] and [`AwaitFinish::accept`], the code that decides in earnest.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::initiator::{AwaitResponse, FinishKeys, InitRandomness, begin};
use super::message::{self, HELLO_LEN, IDENTITY_LEN};
use super::responder::AwaitFinish;
use super::{Hello, Prologue};
use crate::crypto::aead::TAG_LEN;
use crate::crypto::ml_kem::{self, CT_LEN, EK_LEN};
use crate::crypto::x25519;
use crate::identity::{Identity, PeerId, PublicKeys, SecretIdentity};
use crate::mode::{Mode, ModePolicy};
use crate::random::{Seed, Stream};
use crate::secret::Secret;
use crate::time::UnixTime;

const WALL: UnixTime = UnixTime(1_800_000_000);
/// What an identity that does not expire says.
const FOREVER: UnixTime = UnixTime(u64::MAX);

/// A mode A handshake between two identities, with what either side could hand to a judge.
struct Evidence {
    prologue: Prologue,
    /// The initiator's ephemeral secrets.
    initiator: InitRandomness,
    /// The responder's state, its ephemeral secret in it.
    responder: AwaitFinish,
    response: Vec<u8>,
    finish: Vec<u8>,
    exported: Secret<32>,
}

/// Makes a handshake between two strangers from their public keys. This is the whole of it: no secret of theirs, and
/// no signature, is needed anywhere.
fn simulate(initiator: &PublicKeys, responder: &PublicKeys, random: &mut Stream) -> Evidence {
    let hello = Hello::new(ModePolicy::A, &random.bytes(), &random.bytes());
    let mut cookie = random.bytes::<24>();
    cookie[15] = message::accept_bits(ModePolicy::A);
    let prologue = Prologue { hello, cookie, responder: PeerId::of(responder) };
    let own = InitRandomness { e: random.secret(), e1: random.secret() };
    let (e_i, e_r) = (&own.e, random.secret::<32>());

    let state = AwaitResponse::new(&prologue, &own);
    let e_i_public = *state.init[HELLO_LEN..].first_chunk::<32>().unwrap();
    let ek = *state.init[HELLO_LEN + 32..].first_chunk::<EK_LEN>().unwrap();
    let mut transcript = begin(&prologue, &e_i_public, &ek);

    let mut response = vec![0; message::response_len(Mode::A)];
    let (e, rest) = response.split_first_chunk_mut::<32>().unwrap();
    let (sealed_ct, rest) = rest.split_at_mut(CT_LEN + TAG_LEN);
    let (block, answer) = rest.split_at_mut(IDENTITY_LEN + TAG_LEN);
    *e = x25519::public_key(&e_r);
    transcript.mix_hash(&[e]);
    transcript.mix_key(&x25519::shared_secret(&e_r, &e_i_public).unwrap());
    let (ct, shared) = ml_kem::encapsulate(&ek, &random.secret()).unwrap();
    sealed_ct[..CT_LEN].copy_from_slice(&*ct);
    transcript.encrypt_and_hash(sealed_ct);
    transcript.mix_key(&shared);
    message::write_keys(responder, FOREVER, &mut block[..IDENTITY_LEN]);
    transcript.encrypt_and_hash(block);
    // es, from the initiator's side: its ephemeral secret and the responder's public key.
    transcript.mix_key(&x25519::shared_secret(e_i, &responder.x25519).unwrap());
    answer[0] = Mode::A.to_byte();
    transcript.encrypt_and_hash(answer);
    let fragments = FinishKeys::new(&transcript);
    let state = AwaitFinish::at(transcript.duplicate(), &e_r, Mode::A, fragments);

    let mut finish = vec![0; message::finish_len(Mode::A)];
    let (block, proof) = finish.split_at_mut(IDENTITY_LEN + TAG_LEN);
    message::write_keys(initiator, FOREVER, &mut block[..IDENTITY_LEN]);
    transcript.encrypt_and_hash(block);
    // se, from the responder's side: its ephemeral secret and the initiator's public key.
    transcript.mix_key(&x25519::shared_secret(&e_r, &initiator.x25519).unwrap());
    transcript.encrypt_and_hash(proof);
    let exported = transcript.finish(Mode::A).exporter.export(b"what they talked about");
    Evidence { prologue, initiator: own, responder: state, response, finish, exported }
}

/// What the judge finds: whether the responder's half, and the initiator's, pass the product's own checks, and agree.
fn judge(evidence: &Evidence, initiator: &Identity, responder: &Identity) -> bool {
    let state = AwaitResponse::new(&evidence.prologue, &evidence.initiator);
    let response = evidence.response.clone();
    let confirmed = state.confirm(initiator, responder.peer_id(), Mode::A, response, WALL, &[0; 32]);
    let accepted = evidence.responder.accept(responder.peer_id(), evidence.finish.clone(), WALL);
    let (Ok(confirmed), Ok(accepted)) = (confirmed, accepted) else { return false };
    let label = b"what they talked about";
    accepted.peer == initiator.peer_id()
        && confirmed.finish == evidence.finish
        && confirmed.secrets.exporter.export(label) == evidence.exported
        && accepted.secrets.exporter.export(label) == evidence.exported
}

fn identity(n: u8) -> Identity {
    Identity::from_secret(&SecretIdentity::generate(&Seed::new([n; 32])))
}

#[test]
fn anybody_can_make_a_mode_a_handshake_of_any_two_people() {
    let mut random = Stream::new(Secret::new([7; 32]));
    for n in 0..20 {
        let (alice, bob) = (identity(2 * n), identity(2 * n + 1));
        let evidence = simulate(&alice.0.public, &bob.0.public, &mut random);
        assert!(judge(&evidence, &alice, &bob));
    }
}

#[test]
fn the_judge_can_tell_a_handshake_of_others() {
    let mut random = Stream::new(Secret::new([8; 32]));
    let [alice, bob, carol] = [1, 2, 3].map(identity);
    let evidence = simulate(&alice.0.public, &bob.0.public, &mut random);
    assert!(!judge(&evidence, &carol, &bob) && !judge(&evidence, &alice, &carol));

    let mut edited = simulate(&alice.0.public, &bob.0.public, &mut random);
    edited.finish[0] ^= 1;
    assert!(!judge(&edited, &alice, &bob));
}

#[test]
fn the_simulator_has_nothing_to_offer_in_mode_b() {
    // Mode B needs a signature over the transcript: without a signer there is no proof to write.
    let alice = Identity::without_signer(&Secret::new([1; 32]), None);
    let mut out: Box<[u8]> = vec![0; message::proof_len(Mode::B)].into();
    let proof = message::prove(message::Role::Initiator, &alice, message::NOBODY, &[0; 64], &[0; 32], &mut out);
    assert!(proof.is_err());
}
