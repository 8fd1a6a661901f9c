//! Signers that are slow, dead, or never come back, as hardware tokens may be: what needs no signature goes on as if
//! nothing were, and what needs one says what it failed of.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use b4ae_core::{
    Accept, CloseReason, Event, Identity, Instant, Limits, ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN, Metrics, Mode,
    ModePolicy, Path, SessionId, Shutdown, SignError, Signer, SoftwareSigner, TransmitKind,
};
use b4ae_tests::secs;

use crate::support::{Flight, World, constant, secret};

/// A signer that counts what is asked of it, and fails while it is out of order.
struct Token {
    key: SoftwareSigner,
    asked: AtomicUsize,
    broken: AtomicBool,
}

impl Token {
    /// With the key of the `n`th engine.
    fn new(n: usize) -> Arc<Self> {
        let key = SoftwareSigner::new(secret(n).ml_dsa.as_ref().expect("it is for modes A and B"));
        Arc::new(Self { key, asked: AtomicUsize::new(0), broken: AtomicBool::new(false) })
    }

    fn broken(n: usize) -> Arc<Self> {
        let token = Self::new(n);
        token.broken.store(true, Ordering::Relaxed);
        token
    }

    fn identity(self: &Arc<Self>, n: usize) -> Identity {
        Identity::with_signer(&secret(n).x25519, Arc::clone(self) as Arc<dyn Signer>)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
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
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.broken.load(Ordering::Relaxed) {
            return Err(SignError);
        }
        self.key.sign(message, randomness, signature)
    }
}

const SERVER: usize = 0;
/// Has a session in mode A from before there is trouble.
const CLIENT: usize = 1;
/// Dial in mode A while there is.
const NEWCOMERS: std::ops::Range<usize> = 2..6;
/// Dial in mode B all the time, each from an address of its own.
const CROWD: std::ops::Range<usize> = 6..36;

/// As few jobs as make the crowd a flood.
const LIMITS: Limits = Limits {
    sessions: 8,
    sessions_per_prefix: 8,
    half_open: 64,
    pending_jobs: 2,
    pending_signatures: 3,
    challenges_per_second: 10_000,
    handshakes_per_prefix: 20,
    prefixes: 4096,
    cookies: 10_000,
    message: 1 << 16,
    send_bytes: 1 << 18,
    send_messages: 64,
    receive_bytes: 1 << 18,
    reorder_window: 64,
};

fn metrics(world: &World, n: usize) -> Metrics {
    world.engines[n].metrics()
}

/// A server, a client with a session, and the others, who have said nothing yet.
fn besieged() -> World {
    let mut world = World::new((0..CROWD.end).map(|n| match n {
        SERVER => constant(2).limits(LIMITS),
        _ => constant(2).handshake_timeout(secs(15)),
    }));
    let id = world.connect(CLIENT, SERVER, ModePolicy::A);
    world.run(500);
    assert_eq!(world.opened(CLIENT), Some(id));
    world
}

/// So many seconds in which everybody in the crowd keeps handshakes in mode B under way, and the server's signer never
/// comes back. In each `also` does something.
fn flood(world: &mut World, seconds: u64, mut also: impl FnMut(&mut World, u64)) {
    world.stuck = vec![SERVER];
    let peer = world.engines[SERVER].peer_id();
    for second in 0..seconds {
        for n in CROWD {
            // Full is fine: so many are under way already.
            let _ = world.engines[n].connect(world.now, world.places[SERVER], &peer, ModePolicy::B);
        }
        also(world, second);
        world.run(1000);
        let with_the_signer = world.held.len();
        assert!(with_the_signer <= LIMITS.pending_signatures as usize, "{with_the_signer} jobs wait for the signer");
    }
    assert_eq!(world.held.len(), LIMITS.pending_signatures as usize, "the signer is asked for as much as may be");
    let counters = metrics(world, SERVER);
    assert!(counters.drops.limited > 100, "the crowd asks for more than that: {counters:?}");
    assert!(counters.handshakes <= LIMITS.half_open, "{counters:?}");
    assert!(counters.puzzle_bits > 0, "whoever asks for mode B has to pay for it: {counters:?}");
}

/// What passes between the server and the client, from `start` on.
fn between(world: &World, start: Instant) -> Vec<(Instant, usize, Path)> {
    let (server, client) = (world.places[SERVER], world.places[CLIENT]);
    let theirs = |from: usize, to: Path| (from == SERVER && to == client) || (from == CLIENT && to == server);
    world.trace.iter().filter(|&&(at, from, to)| at >= start && theirs(from, to)).copied().collect()
}

#[test]
fn a_signer_that_never_comes_back_moves_no_slot_of_a_running_session() {
    let (mut quiet, mut loud) = (besieged(), besieged());
    let start = quiet.now;
    quiet.run(10_000);
    flood(&mut loud, 10, |_, _| {});
    let (quiet, loud) = (between(&quiet, start), between(&loud, start));
    assert!(quiet.len() > 2000, "the session has a slot every fourth millisecond at least: {}", quiet.len());
    assert_eq!(quiet.len(), loud.len());
    let moved = quiet.iter().zip(&loud).find(|(quiet, loud)| quiet != loud);
    assert!(moved.is_none(), "without the flood, and with it: {moved:?}");
}

#[test]
fn a_signer_that_never_comes_back_keeps_nobody_out_who_asks_for_mode_a() {
    let mut world = besieged();
    let mut dialled = Vec::new();
    flood(&mut world, 8, |world, second| {
        // From the second second on: the signer has as much as it may be asked for by then.
        if let Some(n) = NEWCOMERS.clone().nth(usize::try_from(second).expect("few").wrapping_sub(2)) {
            dialled.push((n, world.now, world.connect(n, SERVER, ModePolicy::A)));
        }
    });
    assert_eq!(dialled.len(), NEWCOMERS.len());
    for (n, _, id) in dialled {
        assert_eq!(world.opened(n), Some(id), "{:?}", metrics(&world, SERVER));
    }
    assert_eq!(metrics(&world, SERVER).sessions as usize, 1 + NEWCOMERS.len(), "nobody is in without a signature");

    // What was asked of the signer comes back after all, for nobody any more: it is not asked, and there is room again.
    world.stuck.clear();
    CROWD.skip(1).for_each(|n| world.engines[n].shutdown(world.now, Shutdown::Now));
    world.run(25_000);
    for (me, job) in std::mem::take(&mut world.held) {
        assert!(!job.is_wanted());
        world.engines[me].handle_completion(world.now, job.run());
    }
    let signed = metrics(&world, SERVER).signatures;
    let late = world.connect(CROWD.start, SERVER, ModePolicy::B);
    world.run(1000);
    assert!(world.events.contains(&(CROWD.start, Event::Established(late))));
    assert_eq!(metrics(&world, SERVER).signatures, signed + 1);
}

/// A token that takes a second for a signature, and one address that asks for twenty times as many.
#[test]
fn one_address_does_not_keep_others_from_a_slow_signer() {
    const FLOODER: usize = 1;
    const HONEST: usize = 2;
    let limits = Limits { pending_signatures: 16, ..Limits::default() };
    let mut world = World::new((0..3).map(|n| match n {
        FLOODER => constant(2).limits(limits).handshake_timeout(secs(2)),
        _ => constant(2).limits(limits),
    }));
    world.stuck = vec![SERVER];
    let peer = world.engines[SERVER].peer_id();
    let (mut honest, mut most) = (None, 0);
    for second in 0..20 {
        if second == 8 {
            honest = Some(world.connect(HONEST, SERVER, ModePolicy::B));
        }
        for _ in 0..20 {
            // Full is fine: so many are under way already.
            let _ = world.engines[FLOODER].connect(world.now, world.places[SERVER], &peer, ModePolicy::B);
            world.run(50);
        }
        if !world.held.is_empty() {
            let (me, job) = world.held.remove(0);
            world.engines[me].handle_completion(world.now, job.run());
        }
        most = most.max(world.held.len());
    }
    assert!(metrics(&world, SERVER).drops.limited > 100, "{:?}", metrics(&world, SERVER));
    assert_eq!(world.opened(HONEST), honest);
    assert!(most <= 4 + 1, "a quarter, and the other's: {most}");
}

/// A client and a server with these tokens. The client dials in mode B.
fn dialled(tokens: [&Arc<Token>; 2]) -> (World, SessionId) {
    let hosts =
        tokens.into_iter().enumerate().map(|(n, token)| (constant(2).handshake_timeout(secs(10)), token.identity(n)));
    let mut world = World::of(hosts);
    let id = world.connect(0, 1, ModePolicy::B);
    (world, id)
}

/// Whether a session in mode A opens, from the first to the second.
fn mode_a_opens(world: &mut World) -> bool {
    let id = world.connect(0, 1, ModePolicy::A);
    world.run(500);
    world.events.contains(&(0, Event::Established(id)))
}

#[test]
fn a_dead_signer_of_the_one_who_dials_is_named_and_counted() {
    let tokens = [Token::broken(0), Token::new(1)];
    let (mut world, _) = dialled([&tokens[0], &tokens[1]]);
    world.run(5000);
    assert_eq!(world.closed(0), None, "the signer may come back");
    assert!(mode_a_opens(&mut world));
    world.run(5000);
    assert_eq!(world.closed(0), Some(CloseReason::SignerFailed));
    let counters = metrics(&world, 0);
    assert_eq!((counters.signatures, counters.signatures_failed), (0, tokens[0].asked() as u64));
    assert!(tokens[0].asked() > 1, "it is asked more than once");
    let counters = metrics(&world, 1);
    assert_eq!((counters.signatures, counters.signatures_failed), (tokens[1].asked() as u64, 0));
}

#[test]
fn a_dead_signer_of_the_one_who_answers_is_counted_there_and_looks_like_nobody_from_outside() {
    let tokens = [Token::new(0), Token::broken(1)];
    let (mut world, _) = dialled([&tokens[0], &tokens[1]]);
    world.run(5000);
    assert!(mode_a_opens(&mut world));
    world.run(6000);
    assert_eq!(world.closed(0), Some(CloseReason::Unreachable));
    assert!(tokens[1].asked() > 0);
    let counters = metrics(&world, 1);
    assert_eq!((counters.signatures, counters.signatures_failed), (0, tokens[1].asked() as u64));
    assert_eq!(metrics(&world, 0).signatures_failed, 0);
}

#[test]
fn a_signer_that_is_back_in_time_is_no_failure() {
    let tokens = [Token::broken(0), Token::new(1)];
    let (mut world, id) = dialled([&tokens[0], &tokens[1]]);
    world.run(1000);
    assert!(tokens[0].asked() > 0);
    tokens[0].broken.store(false, Ordering::Relaxed);
    world.run(5000);
    assert_eq!(world.opened(0), Some(id));
    let counters = metrics(&world, 0);
    assert!(counters.signatures == 1 && counters.signatures_failed > 0, "{counters:?}");

    // And if the peer falls silent then, that is what is told.
    let (mut world, _) = dialled([&tokens[0], &tokens[1]]);
    tokens[0].broken.store(true, Ordering::Relaxed);
    world.run(1000);
    tokens[0].broken.store(false, Ordering::Relaxed);
    let mut no_cells = |flight: Flight| if flight.kind == TransmitKind::Cell { vec![] } else { vec![flight] };
    (0..10_000).for_each(|_| world.turn_with(&mut no_cells));
    assert!(metrics(&world, 0).signatures > 0);
    assert_eq!(world.closed(0), Some(CloseReason::Unreachable));
}

#[test]
fn a_signer_that_takes_longer_than_a_handshake_may_is_named_by_the_one_who_dials() {
    let tokens = [Token::new(0), Token::new(1)];
    for (stuck, reason) in [(0, CloseReason::SignerFailed), (1, CloseReason::Unreachable)] {
        let (mut world, _) = dialled([&tokens[0], &tokens[1]]);
        world.stuck = vec![stuck];
        world.run(5000);
        assert!(mode_a_opens(&mut world));
        world.run(5000);
        assert_eq!(world.closed(0), Some(reason));
        assert_eq!(metrics(&world, stuck).signatures_failed, 0, "it has not failed yet");
    }
}

#[test]
fn a_signer_is_not_asked_for_a_session_that_was_given_up_in_the_meantime() {
    let tokens = [Token::new(0), Token::new(1)];
    let (mut world, id) = dialled([&tokens[0], &tokens[1]]);
    world.stuck = vec![0];
    world.run(500);
    let (_, job) = world.held.pop().expect("the Response is here");
    assert!(job.is_wanted());
    world.engines[0].session(id).expect("it is being dialled").close();
    assert!(!job.is_wanted());
    let now = world.now;
    world.engines[0].handle_completion(now, job.run());
    assert_eq!((tokens[0].asked(), metrics(&world, 0).signatures), (0, 0));
}

#[test]
fn a_job_says_beforehand_whether_it_asks_the_signer() {
    let policies = [ModePolicy::A, ModePolicy::B, ModePolicy::A_THEN_B, ModePolicy::B_THEN_A];
    for offer in policies {
        for accept in policies {
            let Some(mode) = offer.iter().find(|&mode| accept.contains(mode)) else { continue };
            let tokens = [Token::new(0), Token::new(1)];
            let config = || constant(2).accept(Accept::Anyone(accept));
            let mut world = World::of((0..2).map(|n| (config(), tokens[n].identity(n))));
            let id = world.connect(0, 1, offer);
            world.run(500);
            assert_eq!(world.opened(0), Some(id));
            // The keys of the Init, the Response, the Finish, and its verifying.
            let signs = mode == Mode::B;
            assert_eq!(world.jobs, [(0, false), (1, signs), (0, signs), (1, false)], "{offer:?} to {accept:?}");
            assert_eq!(tokens.map(|token| token.asked()), [usize::from(signs); 2], "{offer:?} to {accept:?}");
        }
    }
}
