//! What is left in memory: the process reads its own, and looks for secrets that should be gone.
//!
//! Secrets are looked for in halves of sixteen bytes, and kept masked meanwhile, so that the search does not find
//! itself. Every mapping that can be written is searched: heap and stacks, what has been freed included.

use core::time::Duration;
use std::boxed::Box;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use crate::crypto::{burn_stack, xeddsa};
use crate::handshake::transcript::Transcript;
use crate::job::{Job, ML_DSA_PUBLIC_KEY_LEN, Outcome, Work};
use crate::mode::Mode;
use crate::random::Stream;
use crate::rotation::{ROLES, message};
use crate::session::chain::{ReceiveChain, SendChain, Workspace};
use crate::session::link::{CELL_STACK, Link, Side};
use crate::{
    Accept, Config, DATAGRAM_LEN, Engine, Event, Identity, Instant, ModePolicy, Path, Rotation, Secret, SecretIdentity,
    Seed, SessionId, Traffic, TxBuf, UnixTime,
};

const MASK: u8 = 0x5a;
/// Cells of each direction whose keys are looked for.
const CELLS: u64 = 4;

/// Half a secret, masked.
struct Needle {
    name: String,
    masked: [u8; 16],
}

#[derive(Default)]
struct Needles(Vec<Needle>);

impl Needles {
    fn add(&mut self, name: &str, secret: &[u8]) {
        for at in (0..secret.len()).step_by(16) {
            let masked = core::array::from_fn(|i| secret[at + i] ^ MASK);
            self.0.push(Needle { name: format!("{name}[{at}..]"), masked });
        }
    }

    /// The names of those that stand anywhere in memory.
    fn found(&self) -> Vec<&str> {
        let mut by_first: Vec<Vec<usize>> = vec![Vec::new(); 256];
        for (n, needle) in self.0.iter().enumerate() {
            by_first[usize::from(needle.masked[0])].push(n);
        }
        let mut found = vec![false; self.0.len()];
        read_memory(15, |piece| {
            for window in piece.windows(16) {
                for &n in &by_first[usize::from(window[0])] {
                    found[n] |= window == self.0[n].masked;
                }
            }
        });
        self.0.iter().zip(found).filter_map(|(needle, found)| found.then_some(needle.name.as_str())).collect()
    }
}

/// Calls `see` with every piece of memory that can be written, masked, pieces overlapping by `overlap` bytes.
fn read_memory(overlap: usize, mut see: impl FnMut(&[u8])) {
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut buffer = vec![0_u8; 1 << 16];
    let own = buffer.as_ptr() as u64..buffer.as_ptr() as u64 + buffer.len() as u64;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        if !rights.starts_with("rw") || line.ends_with("[vvar]") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let [mut at, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        while at < to {
            // Not the buffer itself, which holds what was read last.
            if own.contains(&at) {
                at = own.end;
                continue;
            }
            let end = to.min(at + buffer.len() as u64);
            let end = if at < own.start && end > own.start { own.start } else { end };
            let piece = &mut buffer[..(end - at) as usize];
            if memory.read_exact_at(piece, at).is_err() {
                break;
            }
            piece.iter_mut().for_each(|byte| *byte ^= MASK);
            see(piece);
            at = if end == to || end == own.start { end } else { end - overlap as u64 };
        }
    }
    buffer.fill(0);
}

/// Two engines, and a wire between them.
struct Pair {
    engines: [Engine; 2],
    now: Instant,
    wire: Vec<(Instant, usize, [u8; DATAGRAM_LEN])>,
    received: usize,
    ended: usize,
    ephemeral: Needles,
    session: Needles,
    identities: Needles,
}

fn path(n: usize) -> Path {
    Path::new(([192, 0, 2, n as u8], 7000).into(), None)
}

impl Pair {
    fn new(n: u8, modes: ModePolicy) -> (Self, SessionId) {
        let mut identities = Needles::default();
        let mut engine = |n: u8, accept| {
            let secret = SecretIdentity::generate(&Seed::new([n; 32]));
            identities.add("an X25519 identity", secret.x25519.expose());
            identities.add("an ML-DSA-87 seed", secret.ml_dsa.as_ref().unwrap().expose());
            let config = Config::builder(Traffic::balanced()).accept(accept).build().unwrap();
            let identity = Identity::from_secret(&secret);
            Engine::new(&config, identity, &Seed::new([n ^ 0xff; 32]), Instant::ORIGIN, UnixTime(0)).unwrap()
        };
        let mut engines = [engine(n, Accept::Nobody), engine(n + 1, Accept::Anyone(modes))];
        let peer = engines[1].peer_id();
        let id = engines[0].connect(Instant::ORIGIN, path(1), &peer, modes).unwrap();
        let this = Self {
            engines,
            now: Instant::ORIGIN,
            wire: Vec::new(),
            received: 0,
            ended: 0,
            ephemeral: Needles::default(),
            session: Needles::default(),
            identities,
        };
        (this, id)
    }

    fn run_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = self.now + Duration::from_secs(600);
        while !condition(self) {
            assert!(self.now < deadline, "{what}");
            self.turn();
        }
    }

    fn see_work(&mut self, job: &Job) {
        match &job.work {
            Work::Init { randomness, .. } => {
                self.ephemeral.add("the initiator's e", randomness.e.expose());
                self.ephemeral.add("the initiator's e1", randomness.e1.expose());
            }
            Work::Respond { randomness, .. } => {
                self.ephemeral.add("the responder's e", randomness.e.expose());
                self.ephemeral.add("the responder's m", randomness.m.expose());
            }
            Work::Finish { .. } | Work::Accept { .. } => {}
        }
    }

    fn see_outcome(&mut self, outcome: &Outcome) {
        let secrets = match outcome {
            Outcome::Finish(Ok(confirmed)) => &confirmed.secrets,
            Outcome::Accept(Ok(accepted)) => &accepted.secrets,
            _ => return,
        };
        for (name, keys) in [("i2r", &secrets.i2r), ("r2i", &secrets.r2i)] {
            // The chain has moved on from its first key once a cell has left.
            self.ephemeral.add(&format!("the first {name} chain key"), keys.chain.expose());
            let (mut chain, mut work) = (SendChain::empty(), Workspace::new());
            chain.begin(keys.chain.expose());
            for cell in 0..CELLS {
                chain.next(&mut work);
                self.ephemeral.add(&format!("the key of {name} cell {cell}"), work.key().expose());
            }
            work.wipe();
            drop(chain);
            burn_stack::<2048>();
            self.session.add(&format!("the {name} header key"), keys.header.expose());
        }
    }

    fn turn(&mut self) {
        self.now = self.now + Duration::from_millis(1);
        let now = self.now;
        let (arrived, still) = core::mem::take(&mut self.wire).into_iter().partition(|(at, ..)| *at <= now);
        self.wire = still;
        for (_, to, mut datagram) in arrived {
            self.engines[to].handle_datagram(now, path(1 - to), &mut datagram);
        }
        for me in 0..2 {
            self.engines[me].handle_timeout(now);
            while let Some(job) = self.engines[me].poll_job() {
                self.see_work(&job);
                let done = job.run();
                self.see_outcome(&done.outcome);
                self.engines[me].handle_completion(now, done);
            }
            let mut buffer = [0; DATAGRAM_LEN];
            while let Some(transmit) = self.engines[me].poll_transmit(TxBuf::new(&mut buffer).unwrap()) {
                self.wire.push((transmit.due, 1 - me, buffer));
            }
            while let Some(event) = self.engines[me].poll_event() {
                match event {
                    Event::Readable(id) => {
                        let mut message = [0; 64];
                        self.engines[me].session(id).unwrap().recv(&mut message).unwrap();
                        self.received += 1;
                    }
                    Event::Closed(..) => self.ended += 1,
                    _ => {}
                }
            }
        }
    }
}

fn nothing_is_left(n: u8, modes: ModePolicy) {
    let (mut pair, id) = Pair::new(n, modes);
    pair.engines[0].session(id).unwrap().send(b"what nobody else should read").unwrap();
    pair.run_until("a message arrives", |pair| pair.received == 1);
    (0..500).for_each(|_| pair.turn());
    assert_eq!(pair.ephemeral.found(), Vec::<&str>::new(), "of an open session's handshake");
    // The search can find: what an open session needs is there.
    assert!(!pair.session.found().is_empty() && !pair.identities.found().is_empty());

    pair.engines[0].session(id).unwrap().close();
    pair.run_until("both ends are over", |pair| pair.ended == 2);
    let Pair { engines, session, identities, .. } = pair;
    drop(engines);
    assert_eq!(session.found(), Vec::<&str>::new(), "of a session that is over");
    assert_eq!(identities.found(), Vec::<&str>::new(), "of an identity that is no longer in use");
}

#[test]
fn nothing_is_left_of_a_mode_a_session() {
    nothing_is_left(0x71, ModePolicy::A);
}

#[test]
fn nothing_is_left_of_a_mode_b_session() {
    nothing_is_left(0x73, ModePolicy::B);
}

#[test]
fn nothing_is_left_of_the_keys_of_cells_that_never_came() {
    // So that the last of them stand where the search does not overwrite what has been freed.
    const LAST: u64 = 1000;
    let mut needles = Needles::default();
    let (mut sender, mut receiver) = (SendChain::empty(), Box::new(ReceiveChain::empty(1024)));
    let mut work = Workspace::new();
    sender.begin(&[0x79; 32]);
    receiver.begin(&[0x79; 32]);
    for cell in 0..LAST {
        sender.next(&mut work);
        if cell >= LAST - 9 {
            needles.add(&format!("the key of cell {cell}"), work.key().expose());
        }
    }
    assert_eq!(receiver.peek(LAST, Instant::ORIGIN, &mut work), Ok(()));
    receiver.commit(LAST, &mut work);
    work.wipe();
    drop(sender);
    burn_stack::<2048>();
    assert_eq!(needles.found().len(), 2 * 9, "it waits for them");
    drop(receiver);
    assert_eq!(needles.found(), Vec::<&str>::new());
}

/// Identities' keys, and what [`Rotation::sign`] drew and made of them.
#[test]
fn nothing_is_left_of_a_rotation() {
    let (mut keys, mut within) = (Needles::default(), Needles::default());
    let mut identity = |n: u8, signs: bool| {
        let SecretIdentity { x25519, ml_dsa } = SecretIdentity::generate(&Seed::new([n; 32]));
        keys.add("an X25519 identity", x25519.expose());
        keys.add("an ML-DSA-87 seed", ml_dsa.as_ref().unwrap().expose());
        Identity::from_secret(&SecretIdentity { x25519, ml_dsa: ml_dsa.filter(|_| signs) })
    };
    let identities = [(0x75, false), (0x76, false), (0x77, true)].map(|(n, signs)| identity(n, signs));
    for new in &identities[1..] {
        let seed = || Seed::new([0x78; 32]);
        let sign = || Rotation::sign(&identities[0], new, UnixTime(1), UnixTime(2), &seed()).unwrap();
        let statement = sign();
        let body = 33 + 2 * 64 + if new.can_sign() { ML_DSA_PUBLIC_KEY_LEN } else { 0 };
        let (body, signatures) = statement.as_bytes().split_at(body);
        let mut drawn = Stream::new(seed().derive(b"B4AE2-rotation-z"));
        for ((identity, role), signature) in [&identities[0], new].into_iter().zip(ROLES).zip(signatures.chunks(64)) {
            let (private, message, random) = (&identity.0.x25519, message(role, body), drawn.secret());
            assert_eq!(xeddsa::sign(private, &message, &random), signature, "it was drawn otherwise");
            let [clamped, scalar, nonce] = xeddsa::secrets(private, &message, &random);
            // May share a half with the key itself.
            keys.add("a clamped key", clamped.expose());
            within.add("an XEdDSA scalar", scalar.expose());
            within.add("an XEdDSA nonce", nonce.expose());
            within.add("the randomness of a signature", random.expose());
        }
        drop(drawn);
        burn_stack::<2048>();
        // The same again: what was computed above to look for is gone.
        sign();
        assert_eq!(within.found(), Vec::<&str>::new(), "of a signature");
    }
    assert!(!keys.found().is_empty(), "the search can find: the identities are in use");
    drop(identities);
    assert_eq!(keys.found(), Vec::<&str>::new(), "of identities that are no longer in use");
}

#[test]
fn a_copy_left_on_the_heap_is_found() {
    let mut needles = Needles::default();
    let planted: Vec<u8> = (0..32).map(|n| n * 7 + 1).collect();
    needles.add("planted", &planted);
    assert_eq!(needles.found(), ["planted[0..]", "planted[16..]"]);
    drop(planted);
}

const PAINT: u8 = 0xa5;
/// Bytes of stack that are painted, and how much of it is the reader's, who comes after.
const REACH: usize = 1 << 15;
const READER: usize = 1 << 13;

#[inline(never)]
#[expect(clippy::large_stack_arrays, reason = "the stack is what is painted")]
fn paint_stack() {
    let paint = [core::hint::black_box(PAINT); REACH];
    core::hint::black_box(&paint);
}

#[inline(never)]
fn below_the_reader(work: impl FnOnce()) {
    let reader = [PAINT; READER];
    core::hint::black_box(&reader);
    work();
    core::hint::black_box(&reader);
}

/// What a call of `work` leaves on the stack, painted before.
#[inline(never)]
fn stack_after(memory: &File, work: impl FnOnce()) -> Vec<u8> {
    let mut stack = vec![0; REACH - READER];
    let here = 0_u8;
    let top = core::ptr::from_ref(core::hint::black_box(&here)).addr() as u64;
    paint_stack();
    below_the_reader(work);
    memory.read_exact_at(&mut stack, top - REACH as u64).unwrap();
    stack
}

/// Asserts that nothing was written to below the `words` that were overwritten in the end, but for the return address
/// of the call that overwrote them.
fn assert_overwritten(what: &str, words: usize, stack: &[u8]) {
    let deepest = stack.iter().position(|&byte| byte != PAINT).unwrap();
    let overwritten = (0..64).any(|n| stack[deepest + n..][..words * 8].iter().all(|&byte| byte == 0));
    assert!(overwritten, "{what} goes {} bytes deep, and not all of it is overwritten", stack.len() - deepest);
}

#[test]
fn no_secret_of_a_signature_is_left_on_the_stack() {
    let memory = File::open("/proc/self/mem").unwrap();
    // Keys of either sign.
    for n in 1..=8 {
        let (private, random) = (Secret::new([n; 32]), Secret::new(core::array::from_fn(|i| i as u8 ^ n)));
        let [clamped, scalar, nonce] = xeddsa::secrets(&private, b"a statement", &random);
        let stack = stack_after(&memory, || _ = xeddsa::sign(&private, b"a statement", &random));
        assert_overwritten("signing", xeddsa::SIGN_STACK, &stack);
        let secrets: [(&str, &[u8]); 5] = [
            ("key", private.expose()),
            ("clamped key", clamped.expose()),
            ("scalar", scalar.expose()),
            ("nonce", nonce.expose()),
            ("randomness", random.expose()),
        ];
        for (name, secret) in secrets {
            let left = stack.windows(8).any(|window| secret.chunks(8).any(|piece| piece == window));
            assert!(!left, "the {name} of signature {n}");
        }
    }
}

#[test]
fn a_cell_is_overwritten_as_deep_as_it_goes() {
    let memory = File::open("/proc/self/mem").unwrap();
    let limits = crate::Limits::default();
    let link = |side| {
        let secrets = Transcript::new(&[b"known"]).finish(Mode::A);
        Link::new(&secrets, side, path(1), &limits, Instant::ORIGIN)
    };
    let (mut sender, mut receiver) = (link(Side::Initiator), link(Side::Responder));
    let (mut work, mut cell) = (Workspace::new(), [0; DATAGRAM_LEN]);
    // Past the turn of a generation.
    for counter in 0..300 {
        let stack = stack_after(&memory, || sender.seal(&mut work, &mut cell));
        assert_overwritten("sealing", CELL_STACK, &stack);
        assert_eq!(work.key().expose(), &[0; 32], "the key of a cell that was sealed");
        let mut forged = cell;
        let stack = stack_after(&memory, || {
            let opened = receiver.open(Instant::ORIGIN, &mut work, &mut cell).map(|(counter, _)| counter);
            assert_eq!(opened, Ok(counter));
        });
        assert_overwritten("opening", CELL_STACK, &stack);
        assert_eq!(work.key().expose(), &[0; 32], "the key of a cell that was opened");
        forged[500] ^= 1;
        let stack = stack_after(&memory, || assert!(receiver.open(Instant::ORIGIN, &mut work, &mut forged).is_err()));
        assert_overwritten("refusing", CELL_STACK, &stack);
        assert_eq!(work.key().expose(), &[0; 32], "the key of a cell that was refused");
    }
}
