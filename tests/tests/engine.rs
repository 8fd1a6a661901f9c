//! What a peer, an observer or an application may try on an engine, and what must come of it all the same.

mod support;

use std::time::Duration;

use b4ae_core::{
    Accept, CloseReason, Config, ConfigError, DATAGRAM_LEN, Engine, Event, Identity, Instant, Limits, ModePolicy, Path,
    SecretIdentity, Seed, Shutdown, Traffic, TransmitKind, TxBuf, UnixTime,
};
use support::{Flight, World, address, config, constant, few};

#[test]
fn absurd_configurations_are_refused_without_a_panic() {
    for limits in [
        Limits { message: usize::MAX, ..Limits::default() },
        Limits { sessions: u32::MAX, ..Limits::default() },
        Limits { receive_bytes: usize::MAX, ..Limits::default() },
    ] {
        assert!(constant(2).limits(limits).build().is_err());
    }
    assert_eq!(config(Traffic::balanced().with_dummy_rate(-0.1)).build().err(), Some(ConfigError::DummyRate));
    // Cover so rare that sessions would end for want of it.
    let rare = Traffic::low_overhead_unprotected().with_cover(Duration::from_secs(30), Duration::ZERO, Duration::ZERO);
    assert_eq!(config(rare).build().err(), Some(ConfigError::IdleTimeout { needed_ms: 420_000 }));
    // Sealing for ever ahead would be sealing for ever.
    for lead in [Duration::MAX, Duration::from_secs(60)] {
        let traffic = Traffic::balanced().with_lead(lead);
        assert_eq!(Config::builder(traffic).build().err(), Some(ConfigError::Limit("lead")));
    }
}

#[test]
fn the_end_of_time_does_not_spin() {
    let two = Duration::from_millis(2);
    for traffic in [Traffic::constant(two), Traffic::poisson(two), Traffic::burst(two * 20, 4).with_spacing(two)] {
        let config = || config(traffic).limits(few());
        let mut world = World::new([config().idle_timeout(Duration::MAX), config()]);
        world.connect(0, 1, ModePolicy::A);
        world.run(500);
        assert!(world.opened(0).is_some());
        let end = Instant::from_nanos(u64::MAX);
        let engine = &mut world.engines[0];
        let mut bytes = [0; DATAGRAM_LEN];
        let mut sent = 0;
        for _ in 0..8 {
            engine.handle_timeout(end);
            while engine.poll_transmit(TxBuf::new(&mut bytes).expect("room")).is_some() {
                sent += 1;
                assert!(sent < 100, "sealing without end: {traffic:?}");
            }
        }
        assert_eq!(engine.poll_timeout(), None, "{traffic:?}");
    }
}

#[test]
fn an_engine_made_at_the_end_of_time_does_not_spin() {
    let identity = Identity::from_secret(&SecretIdentity::generate(&Seed::new([1; 32])));
    let end = Instant::from_nanos(u64::MAX);
    let engine = |n| {
        let config = config(Traffic::low_overhead_unprotected()).build().expect("sound");
        Engine::new(&config, identity.clone(), &Seed::new([n; 32]), end, UnixTime(0)).expect("an engine")
    };
    let mut engines = [engine(2), engine(3)];
    let peer = identity.peer_id();
    engines[0].connect(end, address(1), &peer, ModePolicy::A).expect("room");
    let mut bytes = [0; DATAGRAM_LEN];
    for _ in 0..20 {
        for n in 0..2 {
            while engines[n].poll_transmit(TxBuf::new(&mut bytes).expect("room")).is_some() {
                engines[1 - n].handle_datagram(end, address(n), &mut bytes);
                engines[1 - n].run_inline(end);
            }
        }
    }
    assert_eq!(engines[1].metrics().sessions, 1);
    engines.iter_mut().for_each(|engine| engine.handle_timeout(end));
}

#[test]
fn a_replayed_finish_does_not_direct_a_session_to_another_address() {
    // An observer sends the initiator's Finish again in the name of a third address, before the session begins.
    let mut world = World::new([constant(2), constant(2), constant(2)]);
    world.connect(0, 1, ModePolicy::B);
    for _ in 0..2000 {
        world.turn_with(&mut |flight| {
            let mut flights = vec![flight.clone()];
            if flight.from == 0 && flight.kind == TransmitKind::Handshake {
                // Ahead of the last fragment and behind the first.
                flights.insert(0, Flight { from: 2, ..flight.clone() });
                flights.push(Flight { from: 2, ..flight });
            }
            flights
        });
    }
    assert!(world.opened(1).is_some());
    let astray = world.trace.iter().filter(|(_, from, to)| *from == 1 && *to == address(2)).count();
    let cells = world.engines[1].metrics().challenges_sent;
    assert!(astray as u64 <= cells, "{astray} datagrams to an address that has proved nothing");
}

#[test]
fn a_handshake_survives_the_responder_forgetting_it_half_way() {
    // The first Response datagram of two arrives, the second does not, and then the responder's table loses the
    // handshake, as under a flood.
    let mut world = World::new([constant(2), constant(2)]);
    let id = world.connect(0, 1, ModePolicy::A);
    let (mut seen, mut muted) = (0, false);
    for turn in 0..20_000 {
        // Silence from the second Response datagram on, for longer than a half-open handshake lives.
        if turn == 11_000 {
            muted = false;
        }
        world.turn_with(&mut |flight| {
            if flight.from == 1 && flight.kind == TransmitKind::Handshake {
                seen += 1;
                if seen == 3 {
                    muted = true;
                }
            }
            if muted { Vec::new() } else { vec![flight] }
        });
    }
    assert_eq!(world.opened(0), Some(id), "closed: {:?}", world.closed(0));
}

#[test]
fn a_handshake_ends_when_its_time_is_over_and_not_later() {
    let mut world = World::new([constant(2).handshake_timeout(Duration::from_millis(1500)), constant(2)]);
    world.connect(0, 1, ModePolicy::A);
    while world.closed(0).is_none() {
        world.turn_with(&mut |_| Vec::new());
    }
    assert!(world.now <= Instant::from_nanos(1_505_000_000), "{:?}", world.now);
}

#[test]
fn a_forged_refusal_does_not_end_a_handshake() {
    assert_eq!(refused_by_a_forger(3000, 0), Ok(()));
}

#[test]
fn a_forged_refusal_is_not_remembered_once_the_peer_has_said_otherwise() {
    // Silence after the peer's own Challenge, until the initiator is back at its Hello.
    assert_eq!(refused_by_a_forger(40_000, 22_000), Ok(()));
}

/// Whether a session opens within so many milliseconds although a forger has refused it, and although the peer is not
/// heard between its Challenge and another moment.
fn refused_by_a_forger(within: u32, silent_until: u32) -> Result<(), Option<CloseReason>> {
    // The forger knows the fingerprint and sees the Hello, so it can seal a Challenge that accepts no mode, and it is
    // faster than the peer.
    let mut world = World::new([constant(2).handshake_timeout(Duration::from_secs(60)), constant(2)]);
    // An engine with the peer's identity, that accepts other modes: what it answers is what a forger would.
    let identity = Identity::from_secret(&SecretIdentity::generate(&Seed::new([2; 32])));
    let config = Config::builder(Traffic::balanced()).accept(Accept::Anyone(ModePolicy::B)).build().expect("sound");
    let mut forger = Engine::new(&config, identity, &Seed::new([9; 32]), Instant::ORIGIN, UnixTime(0)).expect("new");
    let id = world.connect(0, 1, ModePolicy::A);
    let (mut hellos, mut challenges) = (0, 0);
    for turn in 0..within {
        let now = world.now;
        world.turn_with(&mut |flight| {
            challenges += u32::from(flight.from == 1);
            if flight.from == 1 && challenges > 1 && turn < silent_until {
                return Vec::new();
            }
            let mut flights = vec![flight.clone()];
            if flight.from == 0 && hellos == 0 {
                hellos += 1;
                let mut bytes = flight.bytes;
                forger.handle_datagram(now, address(0), &mut bytes);
                let mut bytes = [0; DATAGRAM_LEN];
                while let Some(sent) = forger.poll_transmit(TxBuf::new(&mut bytes).expect("room")) {
                    flights.push(Flight { at: now, from: 1, to: sent.path, kind: sent.kind, bytes });
                }
            }
            flights
        });
    }
    if world.opened(0) == Some(id) { Ok(()) } else { Err(world.closed(0)) }
}

#[test]
fn a_peer_that_accepts_no_offered_mode_is_reported_as_such() {
    let only_b = Config::builder(Traffic::balanced()).accept(Accept::Anyone(ModePolicy::B));
    let mut world = World::new([constant(2), only_b]);
    world.connect(0, 1, ModePolicy::A);
    world.run(15_000);
    assert_eq!(world.closed(0), Some(CloseReason::NoCommonMode));
}

#[test]
fn a_busy_peer_cannot_overflow_the_farewell_of_a_low_overhead_session() {
    let slow = Duration::from_secs(30);
    let lazy = Traffic::low_overhead_unprotected().with_cover(Duration::from_millis(500), slow, slow);
    let mut world = World::new([config(lazy).idle_timeout(Duration::from_secs(600)), constant(1)]);
    let id = world.connect(0, 1, ModePolicy::A);
    while world.opened(1).is_none() {
        world.turn();
    }
    world.run(2000);
    world.engines[0].session(id).expect("open").close();
    world.run(20_000);
    let left = world.engines[0].metrics().sessions;
    assert_eq!((world.closed(0), left), (Some(CloseReason::Local), 0));
}

/// Cells go on to a peer that is gone for as long whether or not the application had closed before.
#[test]
fn a_peer_that_is_gone_does_not_show_that_the_session_was_over() {
    let run = |closes: bool| {
        let traffic = Traffic::constant(Duration::from_millis(10)).with_leave_boundary(Duration::from_secs(600));
        let build = || config(traffic).limits(few()).idle_timeout(Duration::from_secs(20));
        let mut world = World::new([build(), build()]);
        let id = world.connect(0, 1, ModePolicy::A);
        world.run(5000);
        assert!(world.opened(1).is_some());
        if closes {
            world.engines[0].session(id).expect("open").close();
        }
        world.run(5000);
        assert_eq!(world.closed(0).is_some(), closes);
        // The peer's host dies.
        for _ in 0..60_000 {
            world.wire.clear();
            world.run(1);
        }
        cells(&world)
    };
    let (closed, open) = (run(true), run(false));
    assert!(open.last().is_some_and(|(at, _)| *at < Instant::from_nanos(40_000_000_000)), "it was idle for long");
    assert!(closed == open);
}

/// Cells that leave engine 0: when, and where to.
fn cells(world: &World) -> Vec<(Instant, Path)> {
    world.trace.iter().filter(|(_, from, _)| *from == 0).map(|(at, _, to)| (*at, *to)).collect()
}

#[test]
fn taking_the_end_of_a_session_late_does_not_reorder_the_slots_of_others() {
    // One session ends; another begins. Whether the application has asked for news in between must not show.
    let run = |deaf: bool| {
        let traffic = Traffic::constant(Duration::from_millis(5)).with_leave_boundary(Duration::from_millis(500));
        let mut world = World::new((0..4).map(|_| config(traffic)));
        let first = world.connect(1, 0, ModePolicy::A);
        world.run(300);
        world.connect(2, 0, ModePolicy::A);
        world.run(300);
        world.deaf = if deaf { vec![0] } else { Vec::new() };
        world.engines[1].session(first).expect("open").close();
        world.run(2000);
        world.connect(3, 0, ModePolicy::A);
        world.run(2000);
        world
    };
    let (prompt, late) = (run(false), run(true));
    assert!(cells(&prompt) == cells(&late), "the traces differ");
}

#[test]
fn a_close_just_before_the_leave_boundary_is_heard_by_both() {
    // The responder's slots end soon after it hears of the close; the other must hear that it did.
    for offset in 0..12 {
        let traffic = Traffic::constant(Duration::from_millis(20)).with_leave_boundary(Duration::from_secs(1));
        let mut world = World::new([config(traffic), config(traffic)]);
        let id = world.connect(0, 1, ModePolicy::A);
        world.run(2940 + 5 * offset);
        world.engines[0].session(id).expect("open").close();
        world.run(3000);
        assert_eq!(world.closed(0), Some(CloseReason::Local), "offset {offset}");
    }
}

#[test]
fn an_engine_that_has_shut_down_is_silent_to_strangers() {
    let mut world = World::new([constant(2), constant(2)]);
    let now = world.now;
    world.engines[1].shutdown(now, Shutdown::Now);
    world.connect(0, 1, ModePolicy::A);
    world.run(3000);
    assert!(world.trace.iter().all(|(_, from, _)| *from == 0));
}

#[test]
fn jobs_that_never_come_back_do_not_bar_later_handshakes() {
    // As when a signer panics. Two may be out at once, and two are lost.
    let limits = Limits { pending_jobs: 2, ..few() };
    let mut world = World::new([constant(2), constant(2).limits(limits), constant(2), constant(2)]);
    world.lost_jobs[1] = 2;
    world.connect(0, 1, ModePolicy::A);
    world.connect(2, 1, ModePolicy::A);
    world.run(1000);
    assert_eq!(world.lost_jobs[1], 0);
    let id = world.connect(3, 1, ModePolicy::A);
    world.run(1000);
    assert_eq!(world.opened(3), Some(id));
}

#[test]
fn a_session_that_has_left_leaves_no_timer_behind() {
    let rare = Traffic::low_overhead_unprotected().with_cover(
        Duration::from_secs(600),
        Duration::ZERO,
        Duration::from_millis(5),
    );
    let build = || config(rare).idle_timeout(Duration::from_secs(36_000));
    let mut world = World::new([build(), build()]);
    let id = world.connect(0, 1, ModePolicy::A);
    world.run(500);
    world.engines[0].session(id).expect("open").close();
    world.run(500);
    for engine in &world.engines {
        assert_eq!((engine.metrics().sessions, engine.poll_timeout()), (0, None));
    }
}

#[test]
fn a_handshake_that_finds_a_full_house_waits_until_somebody_has_left() {
    let one = Limits { sessions: 1, ..Limits::default() };
    let traffic = Traffic::constant(Duration::from_millis(5)).with_leave_boundary(Duration::from_secs(4));
    let server = config(traffic).limits(one);
    let mut world = World::new([config(traffic), config(traffic), server]);
    let first = world.connect(0, 2, ModePolicy::A);
    world.run(300);
    world.engines[0].session(first).expect("open").close();
    world.run(300);
    // The server's one place is taken until the boundary, though its session has ended for both applications.
    let second = world.connect(1, 2, ModePolicy::B);
    world.send(1, second, b"is there room?");
    world.run(2000);
    assert_eq!((world.opened(1), world.closed(1)), (None, None));
    world.run(12_000);
    assert_eq!(world.opened(1), Some(second));
    assert!(world.received.iter().any(|(at, message)| *at == 2 && message == b"is there room?"));
}

#[test]
fn one_host_cannot_take_every_place() {
    let server = constant(2).limits(Limits { sessions_per_prefix: 2, ..few() });
    let mut world = World::new([constant(2), constant(2), server]);
    for _ in 0..4 {
        world.connect(0, 2, ModePolicy::A);
    }
    world.run(2000);
    assert_eq!(world.engines[2].metrics().sessions, 2);
    let honest = world.connect(1, 2, ModePolicy::A);
    world.run(500);
    assert_eq!(world.opened(1), Some(honest));
}

#[test]
fn a_puzzle_is_solved_and_a_session_opens_behind_it() {
    let mut world = World::new([constant(2), constant(2).puzzle_bits_min(8)]);
    assert_eq!(world.engines[1].metrics().puzzle_bits, 8);
    let id = world.connect(0, 1, ModePolicy::B);
    world.run(500);
    assert_eq!(world.opened(0), Some(id));
    assert_eq!(world.engines[1].metrics().drops.puzzle, 0);
}

#[test]
fn puzzles_get_harder_while_the_table_of_handshakes_is_crowded_and_easier_after() {
    let crowded = Limits { half_open: 8, ..Limits::default() };
    let clients = vec![constant(2).limits(Limits::default()); 9];
    let mut world = World::new(clients.into_iter().chain([constant(2).limits(crowded)]));
    // Handshakes that stop half way: what the server answers to an Init does not arrive.
    for client in 0..8 {
        world.connect(client, 9, ModePolicy::A);
    }
    let mut challenged = 0;
    for _ in 0..4000 {
        world.turn_with(&mut |flight| {
            challenged += usize::from(flight.from == 9);
            if flight.from == 9 && challenged > 8 { vec![] } else { vec![flight] }
        });
        // Somebody asks now and then: the server looks around when it answers.
        if world.now.as_nanos().is_multiple_of(500_000_000) {
            world.connect(8, 9, ModePolicy::A);
        }
    }
    let bits = world.engines[9].metrics().puzzle_bits;
    assert!(bits >= 2, "{bits} bits under pressure");

    world.run(60_000);
    let late = world.connect(7, 9, ModePolicy::A);
    world.run(3000);
    assert!(world.events.iter().any(|(at, event)| *at == 7 && *event == Event::Established(late)));
    assert!(world.engines[9].metrics().puzzle_bits < bits, "the pressure is over");
}
