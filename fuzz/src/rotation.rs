//! Rotation statements: forged ones, and authentic nonsense.

use std::sync::OnceLock;

use b4ae_core::fuzzing::sign_rotation;
use b4ae_core::{Identity, Rotation, RotationError, SecretIdentity, Seed, UnixTime};

use crate::program::Program;

const FROM: u64 = 1_800_000_000;
/// Bytes of a body without ML-DSA-87 keys: label, flags, times, and keys.
const BODY: usize = 33 + 2 * 64;
/// Where both times stand.
const TIMES: usize = 17;
/// Where each identity's static ML-KEM-1024 key would stand, which it cannot have.
const ML_KEM: [usize; 2] = [65, 129];

struct World {
    /// Two identities with X25519 keys alone, then two with both kinds.
    identities: [Identity; 4],
    /// Of every two of them.
    statements: Vec<Rotation>,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let identities = [1, 2, 3, 4].map(|n| {
            let SecretIdentity { x25519, ml_dsa } = SecretIdentity::generate(&Seed::new([n; 32]));
            Identity::from_secret(&SecretIdentity { x25519, ml_dsa: ml_dsa.filter(|_| n > 2) })
        });
        let pairs = [(0, 1), (1, 0), (0, 2), (2, 0), (2, 3), (3, 2)];
        let sign = |(old, new): (usize, usize)| {
            let (from, until) = (UnixTime(FROM), UnixTime(FROM + 86_400));
            Rotation::sign(&identities[old], &identities[new], from, until, &Seed::new([5; 32]))
                .expect("two identities")
        };
        let statements = pairs.map(sign).into();
        World { identities, statements }
    })
}

/// The first byte chooses what is taken in: a statement that was altered, of which none is taken but those that were
/// signed; a body that was altered and then signed by both, which is taken if its fields allow it; or bytes as they
/// come. Counts statements that are taken.
pub fn run(data: &[u8]) -> usize {
    let mut program = Program::new(data);
    match program.u8() % 4 {
        0 | 1 => altered(&mut program),
        2 => nonsense(&mut program),
        _ => usize::from(check(program.take(data.len())).is_ok()),
    }
}

/// Whatever is taken was signed, to the last byte: without the keys there is no second spelling of a signature.
fn check(bytes: &[u8]) -> Result<&'static Rotation, RotationError> {
    let read = Rotation::from_bytes(bytes);
    let signed = world().statements.iter().find(|signed| signed.as_bytes() == bytes);
    assert_eq!(read.as_ref().ok(), signed, "a forgery is taken, or a statement is not");
    assert!(read.is_err() || bytes.len() <= Rotation::MAX_LEN);
    read.map(|_| signed.expect("one of them"))
}

fn altered(program: &mut Program<'_>) -> usize {
    let statements = &world().statements;
    let mut bytes = statements[program.below(statements.len())].as_bytes().to_vec();
    for _ in 0..8 {
        let (at, len) = (usize::from(program.u16()) % (bytes.len() + 1), usize::from(program.u16()));
        match program.below(8) {
            1 => program.edit(&mut bytes),
            2 => bytes.truncate(at),
            3 => bytes.extend_from_slice(program.take(len)),
            4 => drop(bytes.drain(at..(at + len).min(bytes.len()))),
            5 => drop(bytes.splice(at..at, program.take(len).iter().copied())),
            // A piece of another, in its own place or elsewhere.
            6 => {
                let other = statements[program.below(statements.len())].as_bytes();
                let from = if program.bool() { at } else { usize::from(program.u16()) };
                let piece = other.get(from..).unwrap_or_default();
                let len = len.min(piece.len()).min(bytes.len() - at);
                bytes[at..at + len].copy_from_slice(&piece[..len]);
            }
            7 => bytes[..33.min(at)].reverse(),
            _ => break,
        }
    }
    check(&bytes).map_or(0, |_| 1)
}

fn nonsense(program: &mut Program<'_>) -> usize {
    let World { identities, statements } = world();
    let [old, new] = [0, 1].map(|n| &identities[if program.bool() { 1 - n } else { n }]);
    let (mut body, which) = (statements[0].as_bytes()[..BODY].to_vec(), program.u8());
    for (at, identity) in [(33, old), (97, new)] {
        // The statement of 0 and 1, and that of 1 and 0, have the keys of both.
        let keys = if identity.peer_id() == statements[0].old_id() { &statements[0] } else { &statements[1] };
        body[at..at + 64].copy_from_slice(&keys.as_bytes()[33..97]);
    }
    let (from, until) = (program.number(FROM), program.number(FROM + 366 * 86_400));
    if which & 1 != 0 {
        body[TIMES..TIMES + 8].copy_from_slice(&from.to_le_bytes());
    }
    if which & 2 != 0 {
        body[TIMES + 8..TIMES + 16].copy_from_slice(&until.to_le_bytes());
    }
    if which & 4 != 0 {
        program.edit(&mut body[..TIMES]);
    }
    if which & 8 != 0 {
        body[ML_KEM[program.below(2)]..][..32].fill(program.u8());
    }
    let time = |at: usize| u64::from_le_bytes(*body[at..].first_chunk().expect("8 bytes"));
    let (from, until) = (time(TIMES), time(TIMES + 8));
    let head = body[..TIMES] == *b"B4AE2-rotation-1\0";
    let overlap = until.checked_sub(from).is_some_and(|overlap| overlap <= Rotation::MAX_OVERLAP.as_secs());
    let differ = old.peer_id() != new.peer_id();
    let ml_kem = ML_KEM.iter().any(|&at| body[at..at + 32] != [0; 32]);

    let mut bytes = sign_rotation(&body, old, new);
    let read = Rotation::from_bytes(&bytes);
    assert_eq!(read.is_ok(), head && overlap && differ && !ml_kem, "{read:?}");
    let Ok(read) = read else { return 0 };
    assert_eq!((read.from(), read.until()), (UnixTime(from), UnixTime(until)));
    assert_eq!((read.old_id(), read.new_id()), (old.peer_id(), new.peer_id()));
    let (at, with) = (usize::from(program.u16()) % bytes.len(), program.u8().max(1));
    bytes[at] ^= with;
    assert!(Rotation::from_bytes(&bytes).is_err(), "taken with byte {at} changed by {with:#04x}");
    1
}
