//! The handshake: cookies, identities, modes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use b4ae_core::{
    Accept, CloseReason, Config, Engine, Event, Identity, Instant, Limits, ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN,
    Mode, ModePolicy, Path, PeerId, Secret, SecretIdentity, Seed, SignError, Signer, SoftwareSigner, TransmitKind,
    TxBuf, UnixTime,
};
use b4ae_sim::{Action, Encounter, Forged, HostSpec, Network};
use b4ae_tests::{
    Net, Tape, built, closed, closed_client, deliver, deniable_server, fast, metrics, ms, open_server, opened, secs,
    stranger,
};

fn engine(config: &Config, n: u8) -> Engine {
    let identity = Identity::from_secret(&SecretIdentity::generate(&Seed::new([n; 32])));
    Engine::new(config, identity, &Seed::new([n; 32]), Instant::ORIGIN, UnixTime(0)).expect("an engine")
}

/// What an engine has to send.
fn outputs(engine: &mut Engine) -> Vec<Vec<u8>> {
    let mut memory = [0; 1200];
    let mut out = Vec::new();
    while let Some(transmit) = engine.poll_transmit(TxBuf::new(&mut memory).expect("1200 bytes")) {
        out.push(memory[..transmit.len].to_vec());
    }
    out
}

/// The first datagrams of `engine` to a peer, before any answer.
fn hello(engine: &mut Engine, peer: &PeerId) -> Vec<u8> {
    engine.connect(Instant::ORIGIN, Path::new(stranger(0), None), peer, ModePolicy::A).expect("room for a session");
    engine.run_inline(Instant::ORIGIN);
    engine.handle_timeout(Instant::ORIGIN);
    let mut hello = outputs(engine);
    assert_eq!(hello.len(), 1, "a handshake begins with one datagram");
    hello.remove(0)
}

/// The Hello comes from one address and port; what follows it comes from another, with the cookie of the first.
#[test]
fn cookie_is_checked_and_bound_to_address_and_port() {
    for moved in [([10, 0, 1, 1], 4434).into(), ([10, 0, 1, 2], 4433).into()] {
        let mut net = Net::new(1);
        let (home, to) = (net.client_addr(), net.server_addr());
        let mut said_hello = false;
        net.world.set_attacker(move |datagram: &mut Encounter<'_>| {
            if datagram.from() == home && std::mem::replace(&mut said_hello, true) {
                datagram.spoof(moved);
            } else if datagram.to() == moved {
                datagram.redirect(home);
            }
        });
        net.connect(ModePolicy::A);
        net.run(ms(500));
        let counters = metrics(&net.world, net.server);
        assert!(counters.drops.cookie > 0, "a cookie from {home} came from {moved}: {counters:?}");
        assert_eq!(counters.handshakes, 0, "{to} began a handshake with {moved}");
        assert_eq!(opened(&net.world, net.server), 0);
    }
}

/// A whole handshake, recorded and sent again from the same address: at once, within the cookie's life, around the
/// turns of the filter, and long after.
#[test]
fn client_cannot_replay_a_cookie_after_the_filter_turned_over() {
    let mut net = Net::new(2);
    let (tape, home) = (Tape::default(), net.client_addr());
    net.world.set_attacker(tape.recorder(|_| {}));
    let (client, _) = net.open();
    net.world.remove_attacker();
    let recorded: Vec<_> = tape.from(home).into_iter().take(20).collect();
    net.world.close(net.client, client).expect("no violation");
    net.run(secs(25));
    let jobs_before = metrics(&net.world, net.server).handshakes_completed;
    for wait in [0, 1, 29, 31, 60, 65, 120, 130, 240, 250, 600] {
        net.run(secs(wait));
        for datagram in &recorded {
            deliver(&mut net.world, datagram.clone());
            net.run(ms(5));
        }
        let counters = metrics(&net.world, net.server);
        assert_eq!(counters.handshakes, 0, "a replay {wait} s later began a handshake: {counters:?}");
        assert_eq!(counters.handshakes_completed, jobs_before);
    }
    assert_eq!(opened(&net.world, net.server), 1);
}

/// A Hello makes no job: all the slow work lies behind the cookie.
#[test]
fn no_key_generation_before_the_cookie() {
    let mut server = engine(&open_server(), 1);
    let mut client = engine(&closed_client(), 2);
    let hello = hello(&mut client, &server.peer_id());
    for n in 0..200 {
        let now = Instant::from_nanos(u64::from(n) * 1_000_000);
        server.handle_datagram(now, Path::new(stranger(n), None), &mut hello.clone());
        server.handle_timeout(now);
        assert!(server.poll_job().is_none(), "a Hello made a job");
        assert_eq!(outputs(&mut server).len(), 1, "a Hello gets one Challenge");
    }
    assert_eq!(server.metrics().handshakes, 0);
}

/// A server is silent to whoever does not know its fingerprint.
#[test]
fn a_hello_for_another_fingerprint_gets_no_answer() {
    let (mut server, mut other) = (engine(&open_server(), 1), engine(&open_server(), 3));
    let mut client = engine(&closed_client(), 2);
    let mut hello = hello(&mut client, &other.peer_id());
    server.handle_datagram(Instant::ORIGIN, Path::new(stranger(1), None), &mut hello.clone());
    server.handle_timeout(Instant::ORIGIN);
    assert!(outputs(&mut server).is_empty());
    assert_eq!(server.metrics().drops.stranger, 1);
    other.handle_datagram(Instant::ORIGIN, Path::new(stranger(1), None), &mut hello);
    other.handle_timeout(Instant::ORIGIN);
    assert_eq!(outputs(&mut other).len(), 1, "the same Hello is good where it belongs");
}

#[test]
fn identity_is_checked() {
    // The client asks for somebody else at the server's address.
    let mut net = Net::new(3);
    let other = Identity::from_secret(&SecretIdentity::generate(&Seed::new([77; 32])));
    let at = net.server_addr();
    let connected = net.world.connect_to(net.client, at, &other.peer_id(), ModePolicy::A);
    let id = connected.expect("no violation").expect("room for a session");
    net.run(secs(130));
    assert_eq!(closed(&net.world, net.client, id), Some(CloseReason::Unreachable));
    assert_eq!((opened(&net.world, net.client), opened(&net.world, net.server)), (0, 0));

    // The server expects somebody else.
    let accept = Accept::Listed(vec![(other.peer_id(), ModePolicy::A_THEN_B)]);
    for modes in [ModePolicy::A, ModePolicy::B] {
        let server = HostSpec::new(built(fast().accept(accept.clone())));
        let mut net = Net::of(4, server, HostSpec::new(closed_client()));
        net.connect(modes);
        net.run(secs(130));
        assert_eq!(opened(&net.world, net.server), 0, "{modes:?}");
    }

    // And that one gets in, in the mode he is listed with.
    let server = HostSpec::new(built(fast().accept(accept)));
    let mut net = Net::of(4, server, HostSpec::new(closed_client()).identity(other));
    net.open_in(ModePolicy::B);
}

#[test]
fn modes_send_different_handshakes() {
    let handshake = |modes| {
        let mut net = Net::new(5);
        let (client, server) = net.open_in(modes);
        net.run(secs(1));
        let count = |host| {
            let sent = net.world.departures(host).iter();
            sent.filter(|sent| sent.kind == TransmitKind::Handshake).count()
        };
        let counts = (count(net.client), count(net.server));
        let (client_host, server_host) = (net.client, net.server);
        let mut mode = |host, id| net.world.engine_mut(host).and_then(|engine| engine.session(id).ok()?.mode());
        assert_eq!(mode(client_host, client), mode(server_host, server));
        (counts, mode(client_host, client))
    };
    let ((a_client, a_server), a) = handshake(ModePolicy::A);
    let ((b_client, b_server), b) = handshake(ModePolicy::B);
    assert_eq!((a, b), (Some(Mode::A), Some(Mode::B)));
    // Two signatures and public keys of ML-DSA-87 are 14 438 bytes: six datagrams a side at least.
    assert!(b_client >= a_client + 6 && b_server >= a_server + 6, "{a_client} {a_server} {b_client} {b_server}");
}

#[test]
fn a_mode_that_is_not_accepted_is_refused_and_not_replaced() {
    for (accepted, offered) in [(ModePolicy::A, ModePolicy::B), (ModePolicy::B, ModePolicy::A)] {
        let server = HostSpec::new(built(fast().accept(Accept::Anyone(accepted))));
        let mut net = Net::of(6, server, HostSpec::new(closed_client()));
        let id = net.connect(offered);
        net.run(secs(130));
        assert_eq!(closed(&net.world, net.client, id), Some(CloseReason::NoCommonMode));
        assert_eq!(opened(&net.world, net.server), 0);
    }
}

/// The Hello carries the offer. Whatever byte of it is changed, B is what comes of "B, else A".
#[test]
fn editing_the_offer_is_no_downgrade() {
    for place in (0..1200).step_by(7) {
        for flip in [1, 3, 0x80] {
            let mut net = Net::new(7);
            let mut first = true;
            net.world.set_attacker(move |datagram: &mut Encounter<'_>| {
                if std::mem::take(&mut first) {
                    datagram.bytes_mut()[place] ^= flip;
                }
            });
            let id = net.connect(ModePolicy::B_THEN_A);
            // Long enough for a handshake, too short for a second Hello; every now and then not too short.
            net.run(ms(if place % 50 == 0 { 1500 } else { 60 }));
            let session = net.world.engine_mut(net.client).expect("it runs").session(id).expect("it is not over");
            let mode = session.mode();
            assert_ne!(mode, Some(Mode::A), "byte {place}");
            assert!(
                place % 50 != 0 || mode == Some(Mode::B),
                "byte {place}: no session although the next Hello is whole"
            );
        }
    }
}

/// One byte of either side's X25519 key is another session, whatever else is the same.
#[test]
fn x25519_is_really_mixed_in() {
    let exporter = |server_key: [u8; 32], client_key: [u8; 32]| {
        let host = |config, key| HostSpec::new(config).identity(Identity::without_signer(&Secret::new(key), None));
        let mut net = Net::of(8, host(deniable_server(), server_key), host(closed_client(), client_key));
        let (client, server) = net.open();
        let (client_host, server_host) = (net.client, net.server);
        let mut secret = |host, id| {
            let engine = net.world.engine_mut(host).expect("it runs");
            *engine.session(id).expect("it is open").exporter(b"test").expect("it is open").expose()
        };
        let secrets = (secret(client_host, client), secret(server_host, server));
        assert_eq!(secrets.0, secrets.1, "both sides have the same secret");
        secrets.0
    };
    let (a, b, mut c) = ([0x11; 32], [0x22; 32], [0x11; 32]);
    c[16] ^= 1;
    assert_eq!(exporter(a, b), exporter(a, b), "all else is the same");
    let all = [exporter(a, b), exporter(c, b), exporter(b, a), exporter(b, c)];
    for (n, one) in all.iter().enumerate() {
        assert!(!all[n + 1..].contains(one));
    }
}

/// Fragments that do not authenticate are never kept, and the handshake they imitate comes about.
#[test]
fn no_reassembly_before_authentication() {
    let mut net = Net::new(9).on(Network::Wan);
    let (tape, home) = (Tape::default(), net.client_addr());
    let held = tape.clone();
    // What follows the Hello is held back for as long as the forgeries take.
    net.world.set_attacker(move |datagram: &mut Encounter<'_>| {
        if datagram.from() == home {
            held.record(datagram);
            if held.play().len() > 1 {
                datagram.delay(secs(1));
            }
        }
    });
    let id = net.connect(ModePolicy::A);
    net.run(ms(400));
    let genuine = tape.from(home);
    assert!(genuine.len() >= 3, "a Hello and two fragments");
    let before = metrics(&net.world, net.server);
    for fragment in &genuine[1..3] {
        for place in 0..1200 {
            let mut forged = fragment.clone();
            forged.bytes[place] ^= 1 << (place % 8);
            deliver(&mut net.world, forged);
        }
    }
    let after = metrics(&net.world, net.server);
    assert_eq!(after.handshakes, 0, "a forged fragment is remembered: {after:?}");
    assert_eq!(after.handshake_datagrams_sent, before.handshake_datagrams_sent, "a forged fragment is answered");
    net.world.remove_attacker();
    net.run(secs(10));
    assert!(net.world.partner(net.client, id).is_some(), "the genuine fragments came too late");
}

/// While a handshake is under way: another's Hello from the client's address, another's Challenge, and junk.
#[test]
fn spoofed_hello_or_challenge_does_not_kill_a_pending_handshake() {
    for modes in [ModePolicy::A, ModePolicy::B] {
        // Someone else's handshake with the same server, recorded.
        let mut net = Net::new(10).on(Network::Wan);
        let other = net.world.add(HostSpec::new(closed_client())).expect("an engine");
        let tape = Tape::default();
        net.world.set_attacker(tape.recorder(|_| {}));
        b4ae_tests::open(&mut net.world, other, net.server, modes);
        let (his, there, home) = (net.world.addr(other), net.server_addr(), net.client_addr());
        let to_server: Vec<_> = tape.from(his).into_iter().take(12).collect();
        let to_client: Vec<_> = tape.from(there).into_iter().filter(|sent| sent.to == his).take(12).collect();
        // All of it is put before and after every datagram of the client's handshake.
        net.world.set_attacker(move |datagram: &mut Encounter<'_>| {
            if datagram.from() != home && datagram.to() != home {
                return;
            }
            for after in [ms(0), ms(39), ms(55)] {
                for sent in &to_server {
                    datagram.inject(Forged { after, from: home, ..sent.clone() });
                }
                for sent in &to_client {
                    datagram.inject(Forged { after, to: home, ..sent.clone() });
                }
                datagram.inject(Forged { after, from: there, to: home, bytes: vec![0x5a; 1200] });
                datagram.inject(Forged { after, from: home, to: there, bytes: vec![0xa5; 1200] });
            }
        });
        let id = net.connect(modes);
        net.run(ms(1500));
        assert!(net.world.partner(net.client, id).is_some(), "{modes:?}: the handshake is dead");
    }
}

#[test]
fn secret_identity_reloads() {
    let secret = SecretIdentity::generate(&Seed::new([5; 32]));
    let identity = Identity::from_secret(&secret);
    let dsa = secret.ml_dsa.as_ref().expect("it is for modes A and B");
    let stored = (*secret.x25519.expose(), *dsa.expose());
    let reloaded = SecretIdentity { x25519: Secret::new(stored.0), ml_dsa: Some(Secret::new(stored.1)) };
    let again = Identity::from_secret(&reloaded);
    assert_eq!(again.peer_id(), identity.peer_id());
    let signer = SoftwareSigner::new(&Secret::new(stored.1));
    let elsewhere = Identity::with_signer(&Secret::new(stored.0), Arc::new(signer));
    assert_eq!(elsewhere.peer_id(), identity.peer_id());

    // And the reloaded one is as good as the first: a peer who pinned it opens a session with it in both modes.
    for modes in [ModePolicy::A, ModePolicy::B] {
        let server = HostSpec::new(open_server()).identity(again.clone());
        let mut net = Net::of(11, server, HostSpec::new(closed_client()));
        let at = net.server_addr();
        let connected = net.world.connect_to(net.client, at, &identity.peer_id(), modes);
        let id = connected.expect("no violation").expect("room for a session");
        net.run(secs(1));
        assert!(net.world.partner(net.client, id).is_some(), "{modes:?}");
    }
}

/// A signer that fails, or takes seconds, ends or delays its own handshake and nothing else.
#[test]
fn a_bad_signer_hurts_only_its_own_handshake() {
    let mut net = Net::new(12).on(Network::Lan);
    let (steady, _) = net.open_in(ModePolicy::A);
    net.act(Action::FailSigner(net.server, true));
    let id = net.connect(ModePolicy::B);
    net.run(secs(130));
    assert!(closed(&net.world, net.client, id).is_some(), "a handshake without a signature goes on for ever");
    assert_eq!(opened(&net.world, net.client), 1);
    net.act(Action::FailSigner(net.server, false));
    net.act(Action::SlowSigner(net.server, ms(2500)));
    let skipped = metrics(&net.world, net.server).slots_skipped;
    let (slow, _) = net.open_in(ModePolicy::B);
    assert_eq!(metrics(&net.world, net.server).slots_skipped, skipped, "a slow signer cost slots");
    net.say(steady, b"still here");
    net.say(slow, b"here at last");
    assert!(net.all_arrive_within(secs(5)));
}

/// As a token or a service far away may be: the peer waits for what it signs.
#[test]
fn a_signer_slower_than_a_stalled_handshake_lives_serves() {
    for client_is_slow in [false, true] {
        let client = HostSpec::new(built(fast()));
        let mut net = Net::of(15, HostSpec::new(open_server()), client).on(Network::Lan);
        net.act(Action::SlowSigner(if client_is_slow { net.client } else { net.server }, secs(7)));
        let id = net.connect(ModePolicy::B);
        net.run(secs(20));
        assert!(net.world.partner(net.client, id).is_some(), "{:?}", closed(&net.world, net.client, id));
    }
}

/// A signer who counts what is asked of it.
struct Counting(SoftwareSigner, AtomicUsize);

impl Signer for Counting {
    fn public_key(&self) -> &[u8; ML_DSA_PUBLIC_KEY_LEN] {
        self.0.public_key()
    }

    fn sign(
        &self,
        message: &[u8; 64],
        randomness: &[u8; 32],
        signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
    ) -> Result<(), SignError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.sign(message, randomness, signature)
    }
}

/// What a client sends, and where from.
type Sent = (Path, Vec<Vec<u8>>);

fn hear(server: &mut Engine, (from, datagrams): &mut Sent) {
    datagrams.iter_mut().for_each(|sent| server.handle_datagram(Instant::ORIGIN, *from, sent));
}

/// A server with room for one handshake, which a first client's Init has taken; its signer; and the Init of a second.
fn contested(pending_jobs: u32) -> (Engine, Arc<Counting>, Sent) {
    let secret = SecretIdentity::generate(&Seed::new([1; 32]));
    let signer = SoftwareSigner::new(secret.ml_dsa.as_ref().expect("it is for modes A and B"));
    let signer = Arc::new(Counting(signer, AtomicUsize::new(0)));
    let identity = Identity::with_signer(&secret.x25519, Arc::clone(&signer) as Arc<dyn Signer>);
    let limits = Limits { half_open: 1, pending_jobs, ..Limits::default() };
    let config = built(fast().limits(Limits { sessions: 16, ..limits }).accept(Accept::Anyone(ModePolicy::B)));
    let mut server =
        Engine::new(&config, identity, &Seed::new([1; 32]), Instant::ORIGIN, UnixTime(0)).expect("an engine");
    let now = Instant::ORIGIN;
    let [mut first, second] = [2, 3].map(|n| {
        let from = Path::new(stranger(n.into()), None);
        let mut client = engine(&closed_client(), n);
        client.connect(now, from, &server.peer_id(), ModePolicy::B).expect("room for a session");
        hear(&mut server, &mut (from, outputs(&mut client)));
        hear(&mut client, &mut (from, outputs(&mut server)));
        client.run_inline(now);
        (from, outputs(&mut client))
    });
    hear(&mut server, &mut first);
    (server, signer, second)
}

/// Or else jobs that nobody waits for would keep out those of handshakes that are there.
#[test]
fn a_handshake_that_is_forgotten_takes_its_waiting_job_with_it() {
    let (mut server, _, mut second) = contested(1);
    hear(&mut server, &mut second);
    let jobs: Vec<_> = std::iter::from_fn(|| server.poll_job()).collect();
    assert_eq!(jobs.len(), 1);
    jobs.into_iter().for_each(|job| server.handle_completion(Instant::ORIGIN, job.run()));
    assert_eq!(outputs(&mut server).len(), 8, "the handshake that is there gets its Response");
}

#[test]
fn a_signer_is_not_asked_for_a_handshake_that_was_forgotten_in_the_meantime() {
    let (mut server, signer, mut second) = contested(2);
    let job = server.poll_job().expect("for the first");
    hear(&mut server, &mut second);
    server.handle_completion(Instant::ORIGIN, job.run());
    assert_eq!(signer.1.load(Ordering::Relaxed), 0, "for nobody");
    server.run_inline(Instant::ORIGIN);
    assert_eq!(signer.1.load(Ordering::Relaxed), 1);
    assert_eq!(outputs(&mut server).len(), 8);
}

/// An unanswered handshake ends when the configuration says, and its events are the last of the session.
#[test]
fn an_unanswered_handshake_ends_in_time() {
    let config = built(fast().handshake_timeout(secs(5)));
    let mut net = Net::of(13, HostSpec::new(open_server()), HostSpec::new(config));
    net.act(Action::Block(net.server, net.client));
    let id = net.connect(ModePolicy::A);
    net.run(secs(20));
    let events = net.world.events(net.client);
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].1, Event::Closed(id, CloseReason::Unreachable));
    assert!(events[0].0 >= Instant::ORIGIN + secs(5) && events[0].0 < Instant::ORIGIN + Duration::from_secs(7));
}

/// An identity past its date opens no session, on either side; with the clock set back it does.
#[test]
fn an_expired_identity_is_refused() {
    let identity = |n| Identity::from_secret(&SecretIdentity::generate(&Seed::new([n; 32])));
    let (before, after) = (UnixTime(1_799_999_999), UnixTime(1_800_000_001));
    for (server_until, client_until, opens) in [(after, after, true), (before, after, false), (after, before, false)] {
        let server = HostSpec::new(open_server()).identity(identity(1).expiring(server_until));
        let client = HostSpec::new(closed_client()).identity(identity(2).expiring(client_until));
        let mut net = Net::of(14, server, client);
        net.connect(ModePolicy::A);
        net.run(secs(5));
        let sessions = opened(&net.world, net.server);
        assert_eq!(sessions, usize::from(opens), "server {server_until:?}, client {client_until:?}");
    }
}
