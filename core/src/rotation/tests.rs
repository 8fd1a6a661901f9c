use alloc::sync::Arc;
use alloc::{format, vec};
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::crypto::x25519;
use crate::identity::{IdentityKeys, SecretIdentity};
use crate::job::{SignError, Signer, SoftwareSigner};
use crate::secret::Secret;

const FROM: UnixTime = UnixTime(1_800_000_000);
const UNTIL: UnixTime = UnixTime(FROM.0 + 30 * 86_400);
const YEAR: u64 = 366 * 86_400;

fn seed() -> Seed {
    Seed::new([9; 32])
}

fn random() -> Stream {
    Stream::new(Secret::new([9; 32]))
}

/// An identity with both keys.
fn both(n: u8) -> Identity {
    Identity::from_secret(&SecretIdentity::generate(&Seed::new([n; 32])))
}

/// An identity with an X25519 key alone: the same as that of [`both`].
fn x25519_only(n: u8) -> Identity {
    let SecretIdentity { x25519, .. } = SecretIdentity::generate(&Seed::new([n; 32]));
    Identity::from_secret(&SecretIdentity { x25519, ml_dsa: None })
}

fn sign(old: &Identity, new: &Identity) -> Result<Rotation, RotationError> {
    Rotation::sign(old, new, FROM, UNTIL, &seed())
}

/// What becomes of a statement whose body was changed before it was signed.
fn of_changed(identities: [&Identity; 2], change: impl FnOnce(&mut Vec<u8>)) -> Result<Rotation, RotationError> {
    let mut body = body(identities[0], identities[1], FROM, UNTIL).unwrap();
    change(&mut body);
    Rotation::from_bytes(&signed(body, identities, &mut random()).unwrap())
}

#[test]
fn a_statement_says_who_succeeds_whom_and_when() {
    let identities = [x25519_only(1), x25519_only(2), both(1), both(2)];
    for old in &identities {
        for new in identities.iter().filter(|new| new.peer_id() != old.peer_id()) {
            let made = sign(old, new).unwrap();
            let read = Rotation::from_bytes(made.as_bytes()).unwrap();
            assert_eq!(read, made);
            assert_eq!((read.old_id(), read.new_id()), (old.peer_id(), new.peer_id()));
            assert_eq!((read.from(), read.until()), (FROM, UNTIL));
            let len = 33 + 2 * 128 + [old, new].into_iter().filter(|it| it.can_sign()).count() * (2592 + 4627);
            assert_eq!(made.as_bytes().len(), len);
        }
    }
    assert_eq!(sign(&both(1), &both(2)).unwrap().as_bytes().len(), Rotation::MAX_LEN);
}

#[test]
fn both_are_accepted_through_the_overlap_and_both_its_ends() {
    let rotation = sign(&x25519_only(1), &x25519_only(2)).unwrap();
    let accepted = |at| (rotation.accepts_old(UnixTime(at)), rotation.accepts_new(UnixTime(at)));
    assert_eq!(accepted(FROM.0 - 1), (true, false));
    assert_eq!(accepted(FROM.0), (true, true));
    assert_eq!(accepted(UNTIL.0), (true, true));
    assert_eq!(accepted(UNTIL.0 + 1), (false, true));
}

#[test]
fn a_changed_bit_anywhere_is_refused() {
    let (short, long) = (sign(&x25519_only(1), &x25519_only(2)).unwrap(), sign(&both(1), &both(2)).unwrap());
    // Of the long ones every byte is of a key, a signature or a field that the short one has as well.
    for (statement, step) in [(&short, 1), (&long, 61)] {
        for bit in (0..statement.as_bytes().len() * 8).step_by(step) {
            let mut changed = statement.as_bytes().to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Rotation::from_bytes(&changed).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn more_or_less_is_no_statement() {
    for statement in [sign(&x25519_only(1), &x25519_only(2)).unwrap(), sign(&both(1), &x25519_only(2)).unwrap()] {
        for len in 0..statement.as_bytes().len() {
            assert_eq!(Rotation::from_bytes(&statement.as_bytes()[..len]), Err(RotationError::Format));
        }
        let longer = [statement.as_bytes(), &[0]].concat();
        assert_eq!(Rotation::from_bytes(&longer), Err(RotationError::Format));
    }
    assert_eq!(Rotation::from_bytes(&vec![0; 1 << 20]), Err(RotationError::Format));
}

/// Signed as it stands, so that nothing but the label and the flags is wrong.
#[test]
fn another_label_and_unknown_flags_are_refused_whoever_signed_them() {
    let (old, new) = (x25519_only(1), x25519_only(2));
    assert!(of_changed([&old, &new], |_| ()).is_ok());
    for at in 0..LABEL.len() {
        assert_eq!(of_changed([&old, &new], |body| body[at] ^= 1), Err(RotationError::Format), "byte {at}");
    }
    for flag in 2..8 {
        assert_eq!(of_changed([&old, &new], |body| body[16] |= 1 << flag), Err(RotationError::Format), "flag {flag}");
    }
}

#[test]
fn an_overlap_has_its_bounds_whoever_signed_it() {
    let (old, new) = (x25519_only(1), x25519_only(2));
    for (from, until, allowed) in [
        (FROM.0, FROM.0, true),
        (FROM.0, FROM.0 - 1, false),
        (FROM.0, FROM.0 + YEAR, true),
        (FROM.0, FROM.0 + YEAR + 1, false),
        (0, u64::MAX, false),
        (u64::MAX, 0, false),
        (u64::MAX, u64::MAX, true),
    ] {
        let told = |it: Result<Rotation, _>| it.map(|it| (it.from().0, it.until().0));
        let expected = if allowed { Ok((from, until)) } else { Err(RotationError::Overlap) };
        assert_eq!(told(Rotation::sign(&old, &new, UnixTime(from), UnixTime(until), &seed())), expected);
        let read = of_changed([&old, &new], |body| {
            body[17..25].copy_from_slice(&from.to_le_bytes());
            body[25..33].copy_from_slice(&until.to_le_bytes());
        });
        assert_eq!(told(read), expected, "from {from} until {until}");
    }
}

#[test]
fn nobody_succeeds_himself_whoever_signed_it() {
    for identity in [x25519_only(1), both(1)] {
        assert_eq!(sign(&identity, &identity), Err(RotationError::SameIdentity));
        assert_eq!(of_changed([&identity, &identity], |_| ()), Err(RotationError::SameIdentity));
    }
}

/// A static ML-KEM-1024 key would be part of the fingerprint, and could not sign.
#[test]
fn a_key_that_cannot_sign_is_refused_whoever_signed_it() {
    let (old, new) = (x25519_only(1), x25519_only(2));
    for at in (33 + 32..33 + 64).chain(33 + 64 + 32..33 + 128) {
        assert_eq!(of_changed([&old, &new], |body| body[at] = 1), Err(RotationError::Format), "byte {at}");
    }
    let (old, new) = (both(1), both(2));
    for at in [33 + 32, 33 + 64 + 2592 + 63] {
        assert_eq!(of_changed([&old, &new], |body| body[at] = 1), Err(RotationError::Format), "byte {at}");
    }
}

/// Whose keys are named, and whose signed: each place of a signature in turn is somebody else's.
#[test]
fn each_key_that_is_named_has_to_have_signed() {
    let stranger = SecretIdentity::generate(&Seed::new([3; 32]));
    let signer = SoftwareSigner::new(stranger.ml_dsa.as_ref().unwrap());
    let (old, new) = (both(1), both(2));
    let signatures = 33 + 2 * (64 + 2592);
    let statement = sign(&old, &new).unwrap();
    let errors = [(0, RotationError::OldSignature), (64 + 4627, RotationError::NewSignature)];
    for (n, (at, error)) in errors.into_iter().enumerate() {
        let message = message(ROLES[n], &statement.as_bytes()[..signatures]);
        let xeddsa = &mut statement.as_bytes().to_vec();
        xeddsa[signatures + at..][..64].copy_from_slice(&xeddsa::sign(&stranger.x25519, &message, &random().secret()));
        assert_eq!(Rotation::from_bytes(xeddsa), Err(error));

        let mut other = [0; ML_DSA_SIGNATURE_LEN];
        signer.sign(&message, &[0; 32], &mut other).unwrap();
        let ml_dsa = &mut statement.as_bytes().to_vec();
        ml_dsa[signatures + at + 64..][..ML_DSA_SIGNATURE_LEN].copy_from_slice(&other);
        assert_eq!(Rotation::from_bytes(ml_dsa), Err(error));
        ml_dsa[signatures + at + 64..][..ML_DSA_SIGNATURE_LEN].fill(0);
        assert_eq!(Rotation::from_bytes(ml_dsa), Err(error));
    }
}

/// A thief of the X25519 key, or who computes it from the public one, has no word for an identity that has an ML-DSA-87
/// key: without that key he names another identity.
#[test]
fn an_identity_with_an_ml_dsa_key_is_not_replaced_without_its_signature() {
    let (old, stolen, new) = (both(1), x25519_only(1), x25519_only(3));
    assert_eq!(old.0.public.x25519, stolen.0.public.x25519);
    // Its key named, and not asked.
    let named = of_changed([&stolen, &new], |changed| *changed = body(&old, &new, FROM, UNTIL).unwrap());
    assert_eq!(named, Err(RotationError::Format));
    // Or its key left out.
    let left_out = sign(&stolen, &new).unwrap();
    assert_ne!(left_out.old_id(), old.peer_id());
    // Or taken from a statement of the owner's: he named another.
    let owners = sign(&old, &both(2)).unwrap();
    let mut spliced = signed(body(&old, &new, FROM, UNTIL).unwrap(), [&stolen, &new], &mut random()).unwrap();
    let (at, end) = (33 + 2 * 64 + 2592 + 64, 33 + 2 * (64 + 2592) + 64);
    spliced.splice(at..at, owners.as_bytes()[end..][..ML_DSA_SIGNATURE_LEN].iter().copied());
    assert_eq!(Rotation::from_bytes(&spliced), Err(RotationError::OldSignature));
}

/// Proof of possession: nobody becomes a successor who did not say so himself, for that very identity.
#[test]
fn a_stranger_is_not_made_a_successor() {
    let (old, thief, stranger) = (x25519_only(1), x25519_only(3), x25519_only(2));
    // His key named, and somebody else's word.
    let body = body(&old, &stranger, FROM, UNTIL).unwrap();
    let named = signed(body.clone(), [&old, &thief], &mut random()).unwrap();
    assert_eq!(Rotation::from_bytes(&named), Err(RotationError::NewSignature));
    // Or his word for another's succession, or as the one who is replaced.
    let signatures = 33 + 2 * 64;
    let (of_another, as_old) = (sign(&thief, &stranger).unwrap(), sign(&stranger, &thief).unwrap());
    for word in [&of_another.as_bytes()[signatures + 64..], &as_old.as_bytes()[signatures..][..64]] {
        let mut spliced = named.clone();
        spliced[signatures + 64..].copy_from_slice(word);
        assert_eq!(Rotation::from_bytes(&spliced), Err(RotationError::NewSignature));
    }
}

#[test]
fn a_word_as_the_old_is_none_as_the_new() {
    let (old, new) = (x25519_only(1), x25519_only(2));
    let mut statement = sign(&old, &new).unwrap().as_bytes().to_vec();
    let body = statement[..33 + 2 * 64].to_vec();
    // The successor's own key, over the same body, in the other role.
    let as_old = xeddsa::sign(&new.0.x25519, &message(ROLES[0], &body), &random().secret());
    statement[33 + 3 * 64..].copy_from_slice(&as_old);
    assert_eq!(Rotation::from_bytes(&statement), Err(RotationError::NewSignature));
}

/// A signer that does as it is told to.
struct Token {
    key: SoftwareSigner,
    signs: Option<u8>,
}

impl Signer for Token {
    fn public_key(&self) -> &[u8; ML_DSA_PUBLIC_KEY_LEN] {
        self.key.public_key()
    }

    fn sign(
        &self,
        message: &[u8; 64],
        randomness: &[u8; 32],
        signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
    ) -> Result<(), SignError> {
        let changed = self.signs.ok_or(SignError)?;
        self.key.sign(message, randomness, signature)?;
        signature[0] ^= changed;
        Ok(())
    }
}

/// `signs`: what is changed of what it signs, or that it does not.
fn with_token(n: u8, signs: Option<u8>) -> Identity {
    let secret = SecretIdentity::generate(&Seed::new([n; 32]));
    let key = SoftwareSigner::new(secret.ml_dsa.as_ref().unwrap());
    Identity::with_signer(&secret.x25519, Arc::new(Token { key, signs }))
}

#[test]
fn a_signer_that_does_not_sign_or_signs_wrongly_is_told_of() {
    let good = [with_token(1, Some(0)), with_token(2, Some(0))];
    assert_eq!(sign(&good[0], &good[1]).map(|it| it.old_id()), Ok(both(1).peer_id()));
    let [absent, broken] = [None, Some(1)].map(|signs| with_token(3, signs));
    assert_eq!(sign(&absent, &good[1]), Err(RotationError::OldSigner));
    assert_eq!(sign(&good[0], &absent), Err(RotationError::NewSigner));
    assert_eq!(sign(&broken, &good[1]), Err(RotationError::OldSignature));
    assert_eq!(sign(&good[0], &broken), Err(RotationError::NewSignature));
    // And not asked for what would be refused.
    let refused = Rotation::sign(&absent, &good[1], UNTIL, FROM, &seed());
    assert_eq!(refused, Err(RotationError::Overlap));
}

/// A token that shows one key when an identity is made of it, and another ever after.
struct Replaced {
    shows: AtomicUsize,
    keys: [SoftwareSigner; 2],
}

impl Signer for Replaced {
    fn public_key(&self) -> &[u8; ML_DSA_PUBLIC_KEY_LEN] {
        self.keys[self.shows.fetch_add(1, Relaxed).min(1)].public_key()
    }

    fn sign(
        &self,
        message: &[u8; 64],
        randomness: &[u8; 32],
        signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
    ) -> Result<(), SignError> {
        self.keys[1].sign(message, randomness, signature)
    }
}

/// All that it says is signed, and it is not what was asked for.
#[test]
fn a_signer_that_shows_another_key_than_it_did_is_told_of() {
    let replaced = || {
        let [first, later] = [3, 4].map(|n| SecretIdentity::generate(&Seed::new([n; 32])));
        let keys = [&first, &later].map(|secret| SoftwareSigner::new(secret.ml_dsa.as_ref().unwrap()));
        let identity = Identity::with_signer(&first.x25519, Arc::new(Replaced { shows: AtomicUsize::new(0), keys }));
        assert_eq!(identity.peer_id(), both(3).peer_id());
        identity
    };
    assert_eq!(sign(&replaced(), &both(1)), Err(RotationError::OldKey));
    assert_eq!(sign(&both(1), &replaced()), Err(RotationError::NewKey));
}

/// Its public key is not at hand either, and leaving it out would name another identity.
#[test]
fn an_identity_without_its_signer_is_not_taken_for_one_without_the_key() {
    let whole = both(3);
    let unplugged = Identity(Arc::new(IdentityKeys {
        x25519: whole.0.x25519.duplicate(),
        signer: None,
        public: whole.0.public,
        peer_id: whole.peer_id(),
        not_after: whole.0.not_after,
    }));
    assert_eq!(sign(&unplugged, &x25519_only(1)), Err(RotationError::OldSigner));
    assert_eq!(sign(&x25519_only(1), &unplugged), Err(RotationError::NewSigner));
}

#[test]
fn signing_again_with_other_randomness_says_the_same_in_other_bytes() {
    let (old, new) = (x25519_only(1), x25519_only(2));
    let other = Rotation::sign(&old, &new, FROM, UNTIL, &Seed::new([8; 32])).unwrap();
    let first = sign(&old, &new).unwrap();
    assert_eq!(sign(&old, &new).unwrap(), first);
    assert_ne!(other, first);
    // Nothing is drawn twice.
    let [ours, theirs] = [0, 64].map(|at| &first.as_bytes()[33 + 2 * 64 + at..][..32]);
    assert_ne!(ours, theirs);
    assert_eq!((other.old_id(), other.new_id()), (first.old_id(), first.new_id()));
}

/// An X25519 key signs under the same key with which it shakes hands.
#[test]
fn keys_of_a_statement_are_those_that_shake_hands() {
    let identity = x25519_only(1);
    let statement = sign(&identity, &x25519_only(2)).unwrap();
    assert_eq!(statement.as_bytes()[33..65], x25519::public_key(&identity.0.x25519));
}

#[test]
fn a_print_has_the_fingerprints_and_times_and_none_of_the_bytes() {
    let statement = sign(&x25519_only(1), &x25519_only(2)).unwrap();
    let expected = format!(
        "Rotation {{ old_id: {:?}, new_id: {:?}, from: {FROM:?}, until: {UNTIL:?}, .. }}",
        statement.old_id(),
        statement.new_id()
    );
    assert_eq!(format!("{statement:?}"), expected);
}
