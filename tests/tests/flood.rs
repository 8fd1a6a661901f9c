//! Floods of strangers: an honest client still gets in, state stays within the limits, running sessions send what
//! they would have sent, and nobody gets more than he gave.

use std::net::SocketAddr;

use b4ae_core::{Accept, Config, Identity, Limits, ModePolicy, SecretIdentity, Seed, Traffic};
use b4ae_sim::{Action, Encounter, Forged, HostId, HostSpec, Network, Observer, Sighting, World};
use b4ae_tests::{Net, Tape, at, built, closed_client, connect, metrics, ms, open, secs, seed, seen_between, stranger};

const LIMITS: Limits = Limits {
    sessions: 64,
    sessions_per_prefix: 32,
    half_open: 32,
    pending_jobs: 16,
    pending_signatures: 4,
    challenges_per_second: 1000,
    handshakes_per_prefix: 5,
    prefixes: 64,
    cookies: 1000,
    message: 1 << 16,
    send_bytes: 1 << 18,
    send_messages: 64,
    receive_bytes: 1 << 18,
    reorder_window: 128,
};

/// A server with narrow limits that answers the peers in `accept`.
fn server(accept: Accept) -> Config {
    built(Config::builder(Traffic::constant(ms(1))).limits(LIMITS).accept(accept))
}

fn assert_within_limits(world: &World, server: HostId) {
    let counters = metrics(world, server);
    assert!(counters.sessions <= LIMITS.sessions, "{counters:?}");
    assert!(counters.handshakes <= LIMITS.half_open + LIMITS.sessions, "{counters:?}");
}

/// A server, a client with a session, a client who has not connected, and someone who knows the server's fingerprint.
struct Besieged {
    net: Net,
    newcomer: HostId,
    hello: Vec<Forged>,
}

/// Everything up to the flood: the same in every run of one seed.
fn besieged(n: u64) -> Besieged {
    let server = HostSpec::new(server(Accept::Anyone(ModePolicy::A)));
    let mut net = Net::of(n, server.without_signer(), HostSpec::new(closed_client()).without_signer());
    let newcomer = net.world.add(HostSpec::new(closed_client()).without_signer()).expect("an engine");
    let flooder = net.world.add(HostSpec::new(closed_client()).without_signer()).expect("an engine");
    net.open();
    // The flooder's own first datagrams never arrive: they are what is sent from everywhere.
    let (tape, his) = (Tape::default(), net.world.addr(flooder));
    net.world.set_attacker(tape.recorder(move |datagram: &mut Encounter<'_>| {
        if datagram.from() == his {
            datagram.drop();
        }
    }));
    for _ in 0..8 {
        connect(&mut net.world, flooder, net.server, ModePolicy::A);
    }
    net.run(ms(100));
    net.world.remove_attacker();
    net.act(Action::Crash(flooder));
    let hello = tape.from(his);
    assert_eq!(hello.len(), 8, "one Hello each, as nobody answers");
    Besieged { net, newcomer, hello }
}

/// Sends `count` datagrams to the server within `over` milliseconds, unevenly, the `n`th as `make` says.
fn flood(net: &mut Net, count: u32, over: u64, make: impl Fn(u32) -> (SocketAddr, Vec<u8>)) {
    let (start, to) = (net.world.now(), net.server_addr());
    for n in 0..count {
        let (from, bytes) = make(n);
        let gap = over * 1_000_000 / u64::from(count);
        let uneven = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) % gap;
        let after = std::time::Duration::from_nanos(u64::from(n) * gap + uneven);
        net.world.at(start + after, Action::Inject(Forged { after: ms(0), from, to, bytes }));
    }
}

fn junk(n: u32) -> Vec<u8> {
    let mut state = u64::from(n) + 1;
    let len = match n % 10 {
        0 => n as usize % 1500,
        _ => 1200,
    };
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .collect()
}

/// No address gets more bytes or more datagrams than came from it, at any moment.
fn assert_no_amplification(world: &World, server: HostId, concerns: impl Fn(&SocketAddr) -> bool) -> u64 {
    let mut answered = 0;
    for (addr, exchange) in world.observer().exchanges(world.addr(server)) {
        if concerns(&addr) {
            assert!(!exchange.amplified, "{addr}: {exchange:?}");
            answered += exchange.datagrams_out;
        }
    }
    answered
}

fn is_stranger(addr: &SocketAddr) -> bool {
    matches!(addr.ip(), std::net::IpAddr::V4(ip) if ip.octets()[0] == 172)
}

/// What the running session is sent in three seconds, with a flood and without.
fn to_the_client(n: u64, flooded: impl Fn(&mut Net, &[Forged])) -> (Vec<Sighting>, Besieged) {
    let mut siege = besieged(n);
    siege.net.world.forget_observations();
    flooded(&mut siege.net, &siege.hello);
    siege.net.run(secs(3));
    let (server, client) = (siege.net.server_addr(), siege.net.client_addr());
    (seen_between(&siege.net.world, server, client), siege)
}

#[test]
fn junk_is_refused_in_silence_and_costs_running_sessions_nothing() {
    let (quiet, _) = to_the_client(1, |_, _| {});
    let (loud, siege) = to_the_client(1, |net, _| flood(net, 20_000, 2000, |n| (stranger(n), junk(n))));
    assert!(quiet.len() > 1000, "the session has a slot every other millisecond at least");
    assert_eq!(Observer::difference(&quiet, &loud), None, "the flood shows in a running session's traffic");
    let counters = metrics(&siege.net.world, siege.net.server);
    assert_eq!(counters.slots_skipped, 0);
    assert_eq!(counters.challenges_sent, 1, "the one for the client");
    assert!(counters.drops.stranger >= 17_000 && counters.drops.length >= 1000, "{counters:?}");
    assert_eq!(assert_no_amplification(&siege.net.world, siege.net.server, is_stranger), 0, "junk gets no answer");
}

#[test]
fn hellos_from_everywhere_get_at_most_what_they_gave_and_cost_running_sessions_nothing() {
    let (quiet, _) = to_the_client(2, |_, _| {});
    let hellos = |net: &mut Net, hello: &[Forged]| {
        let hello = hello.to_vec();
        flood(net, 10_000, 2000, move |n| (stranger(n), hello[n as usize % hello.len()].bytes.clone()));
    };
    let (loud, siege) = to_the_client(2, hellos);
    assert_eq!(Observer::difference(&quiet, &loud), None, "the flood shows in a running session's traffic");
    let counters = metrics(&siege.net.world, siege.net.server);
    assert_eq!(counters.slots_skipped, 0);
    assert_eq!(counters.handshakes, 0, "a Hello leaves no state");
    assert!(counters.drops.limited > 0, "5000 a second against a budget of 1000: {counters:?}");
    assert_within_limits(&siege.net.world, siege.net.server);
    let answered = assert_no_amplification(&siege.net.world, siege.net.server, is_stranger);
    assert!((100..=4000).contains(&answered), "{answered} challenges in three seconds at 1000 a second");
}

/// Strangers say more Hellos than the server answers, so an honest one has to try more than once.
#[test]
fn an_honest_client_gets_in_during_a_flood_of_junk_and_hellos() {
    for n in 0..4 {
        let Besieged { mut net, newcomer, hello } = besieged(n);
        net.change(Network::Wan);
        flood(&mut net, 75_000, 30_000, |n| match n % 5 {
            0 | 1 => (stranger(n), junk(n)),
            _ => (stranger(n), hello[n as usize % hello.len()].bytes.clone()),
        });
        let start = net.world.now();
        net.run(secs(1));
        let (id, _) = open(&mut net.world, newcomer, net.server, ModePolicy::A);
        assert!(net.world.now() < start + secs(29), "the flood was over before the client got in");
        net.world.send(newcomer, id, b"hello").expect("no violation").expect("room");
        assert!(net.all_arrive_within(secs(5)));
        assert_within_limits(&net.world, net.server);
        assert!(metrics(&net.world, net.server).drops.limited > 300, "the flood is within the budget");
    }
}

/// Sixty engines in one /24, each with valid cookies, keep opening handshakes with a server that would not have them.
#[test]
fn one_prefix_with_valid_cookies_does_not_keep_others_out() {
    let identity = Identity::from_secret(&SecretIdentity::generate(&Seed::new([9; 32])));
    let accept = Accept::Listed(vec![(identity.peer_id(), ModePolicy::A)]);
    let mut world = World::new(seed(4));
    let server = world.add(HostSpec::new(server(accept)).without_signer()).expect("an engine");
    let honest = world.add(HostSpec::new(closed_client()).identity(identity)).expect("an engine");
    let crowd: Vec<_> = (1..=60_u8)
        .map(|n| {
            let spec = HostSpec::new(closed_client()).without_signer().at(([10, 66, 0, n], 4000).into());
            world.add(spec).expect("an engine")
        })
        .collect();
    let mut got_in = None;
    for round in 0..40 {
        for attacker in &crowd {
            // Full is fine: sixteen handshakes of this one are under way already.
            let _ = world.connect(*attacker, server, ModePolicy::A).expect("no violation");
        }
        world.run_for(ms(100)).expect("no violation");
        assert_within_limits(&world, server);
        if round == 10 {
            got_in = Some(connect(&mut world, honest, server, ModePolicy::A));
        }
    }
    let id = got_in.expect("round ten came");
    assert!(world.partner(honest, id).is_some(), "the honest client is not in: {:?}", metrics(&world, server));
    let counters = metrics(&world, server);
    assert!(counters.drops.limited > 100, "one prefix is held to its budget: {counters:?}");
    assert_eq!(counters.sessions, 1, "the crowd is not on the list");
    assert_eq!(counters.slots_skipped, 0);
}

/// The same Hello a thousand times from the right address, and nothing after it.
#[test]
fn a_client_who_only_says_hello_is_answered_but_not_remembered() {
    let Besieged { mut net, hello, .. } = besieged(5);
    net.world.forget_observations();
    let from = hello[0].from;
    let bytes = hello[0].bytes.clone();
    flood(&mut net, 1000, 2000, |_| (from, bytes.clone()));
    net.run(secs(3));
    assert_eq!(metrics(&net.world, net.server).handshakes, 0);
    let answered = assert_no_amplification(&net.world, net.server, |addr| *addr == from);
    assert!(answered > 0, "a Hello is answered");
    assert!(net.world.now() > at(secs(3)));
}
