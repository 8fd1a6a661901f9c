//! What the network does to sessions, and what the application may not do to the network.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use b4ae_core::{Event, Instant, ModePolicy, Path, RecvError, SendError, SessionId, Traffic, TransmitKind};
use support::{Flight, World, address, config, constant, few};

/// A small generator of the test's own, so that a network is a function of its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// Loses, doubles and delays, whatever is in a datagram.
fn rough(dice: &mut Dice, flight: &Flight, loss: u64) -> Vec<Flight> {
    if dice.roll(100) < loss {
        return Vec::new();
    }
    let late = Flight { at: flight.at + Duration::from_millis(dice.roll(40)), ..flight.clone() };
    let again = Flight { at: flight.at + Duration::from_millis(dice.roll(400)), ..flight.clone() };
    if dice.roll(10) == 0 { vec![late, again] } else { vec![late] }
}

/// A numbered message of any length.
fn message(n: u64, dice: &mut Dice) -> Vec<u8> {
    let len = if dice.roll(20) == 0 { dice.roll(40_000) } else { dice.roll(3000) };
    let mut message = n.to_le_bytes().to_vec();
    message.resize(8 + len as usize, n as u8);
    message
}

fn number(message: &[u8]) -> u64 {
    assert!(message[8..].iter().all(|&byte| byte == message[0]), "a message is as it was sent");
    u64::from_le_bytes(*message.first_chunk().expect("a number"))
}

#[test]
fn messages_arrive_once_and_in_order_over_a_rough_network() {
    for seed in 0..12 {
        let mut dice = Dice(seed);
        let low = Traffic::low_overhead_unprotected();
        let mut world = match seed % 3 {
            0 => World::new([constant(2), constant(3)]),
            1 => World::new([config(low), config(low)]),
            _ => World::new([constant(5), config(low)]),
        };
        let id = world.connect(0, 1, if seed % 2 == 0 { ModePolicy::A } else { ModePolicy::B });
        let loss = dice.roll(25);
        let (mut sent, mut unordered) = ([0_u64; 2], [BTreeSet::new(), BTreeSet::new()]);
        let mut network = Dice(seed + 1000);
        for turn in 0..120_000 {
            if turn < 20_000 && dice.roll(40) == 0 {
                let me = dice.roll(2) as usize;
                let session = if me == 0 { Some(id) } else { world.opened(1) };
                if let Some(mut session) = session.and_then(|id| world.engines[me].session(id).ok()) {
                    let text = message(sent[me], &mut dice);
                    let loose = dice.roll(3) == 0;
                    let result = if loose { session.send_unordered(&text) } else { session.send(&text) };
                    match result {
                        Ok(_) if loose => assert!(unordered[me].insert(sent[me])),
                        Ok(_) => {}
                        Err(SendError::Full) => continue,
                        Err(error) => panic!("{error}"),
                    }
                    sent[me] += 1;
                }
            }
            // An application that looks away now and then.
            world.deaf = if dice.roll(50) == 0 { vec![0, 1] } else { Vec::new() };
            world.turn_with(&mut |flight| rough(&mut network, &flight, loss));
            let all = |me: usize| world.delivered(me) as u64 == sent[me];
            if turn > 20_000 && all(0) && all(1) && world.received.len() as u64 == sent[0] + sent[1] {
                break;
            }
        }
        for me in 0..2 {
            let from = 1 - me;
            let got: Vec<_> = world.received.iter().filter(|(at, _)| *at == me).map(|(_, m)| number(m)).collect();
            let distinct: BTreeSet<_> = got.iter().copied().collect();
            assert_eq!(distinct, (0..sent[from]).collect(), "seed {seed}: all that was sent");
            assert_eq!(got.len(), distinct.len(), "seed {seed}: once each");
            let ordered: Vec<_> = got.into_iter().filter(|n| !unordered[from].contains(n)).collect();
            assert!(ordered.is_sorted(), "seed {seed}: in order");
            assert_eq!(world.delivered(from) as u64, sent[from], "seed {seed}: the sender knows");
        }
        assert!(sent[0] > 50 && sent[1] > 50, "seed {seed}: {sent:?} is little talk");
    }
}

/// Everything engine 0 sends over a rough network to three peers that come, move and go, with an application that
/// does what `busy` makes of it. The network treats the nth datagram of each sender alike in all runs.
fn trace(seed: u64, busy: Option<u64>) -> Vec<(Instant, usize, Path)> {
    let traffic = Traffic::balanced().with_leave_boundary(Duration::from_millis(700));
    let mut world = World::new((0..4).map(|_| config(traffic)));
    let mut dice = busy.map(Dice);
    let mut script = Dice(seed);
    let mut networks = [0, 1, 2, 3].map(|n| Dice(seed * 4 + n));
    let mut ids: Vec<SessionId> = Vec::new();
    let moves = script.roll(3000) + 3000;
    let leaver = world.engines[3].peer_id();
    let leaves = script.roll(1000) + 9000;
    for turn in 0..16_000 {
        if turn % 1500 == 0 && turn < 4500 {
            ids.push(world.connect(1 + turn as usize / 1500, 0, ModePolicy::A));
        }
        if turn == moves {
            world.places[1] = address(9);
        }
        if turn == leaves {
            // A close waits for what is queued: the script's own session has nothing to say.
            world.engines[3].session(ids[2]).expect("open").close();
        }
        if turn == 12_000 {
            ids.push(world.connect(3, 0, ModePolicy::A));
        }
        if let Some(dice) = &mut dice {
            // What the application at engine 0 and at the peers that stay may do.
            world.deaf = if dice.roll(3) == 0 { Vec::new() } else { vec![0, 1, 2] };
            let incoming: Vec<_> = world.events.iter().filter(|(at, _)| *at == 0).map(|(_, event)| *event).collect();
            for event in incoming {
                if let Event::Incoming(id) = event
                    && dice.roll(30) == 0
                    && let Ok(mut session) = world.engines[0].session(id)
                    && session.peer() != leaver
                {
                    let _ = session.send(&message(0, dice));
                    let _ = session.send_unordered(&message(0, dice));
                }
            }
            for (me, &id) in ids.iter().enumerate().take(2) {
                if dice.roll(30) == 0
                    && let Ok(mut session) = world.engines[me + 1].session(id)
                {
                    let _ = session.send(&message(0, dice));
                }
            }
        }
        let loss = if (5000..11_000).contains(&turn) { 20 } else { 2 };
        world.turn_with(&mut |flight| {
            let from = flight.from;
            rough(&mut networks[from], &flight, loss)
        });
    }
    assert!(world.opened(0).is_some());
    let busy = busy.is_some();
    assert!(world.received.len() > 50 || !busy, "{} messages are little talk", world.received.len());
    world.trace
}

#[test]
fn nothing_an_application_does_changes_when_or_where_datagrams_go() {
    for seed in 0..4 {
        let quiet = trace(seed, None);
        for busy in 0..3 {
            let other = trace(seed, Some(busy));
            let differs = quiet.iter().zip(&other).find(|(a, b)| a != b);
            assert!(quiet.len() == other.len() && differs.is_none(), "seed {seed}, {busy}: {differs:?}");
        }
    }
}

#[test]
fn a_session_follows_either_side_to_another_address() {
    for (moving, seed) in [(vec![0], 1), (vec![1], 2), (vec![0, 0], 3), (vec![1, 0], 4)] {
        let mut world = World::new([constant(5), constant(5)]);
        let id = world.connect(0, 1, ModePolicy::A);
        world.run(1000);
        for (n, &who) in moving.iter().enumerate() {
            world.places[who] = address(10 + n);
            let mut dice = Dice(seed);
            for _ in 0..3000 {
                world.turn_with(&mut |flight| rough(&mut dice, &flight, 10));
            }
        }
        world.send(0, id, b"still here");
        let there = world.opened(1).expect("open");
        world.send(1, there, b"so am I");
        world.run(3000);
        assert_eq!(world.received.len(), 2, "{moving:?}");
        let moved = world.events.iter().filter(|(_, event)| matches!(event, Event::PathChanged(_))).count();
        assert_eq!(moved, moving.len(), "{moving:?}");
    }
}

/// A datagram, and before it a copy from elsewhere.
fn with_a_copy_ahead(flight: Flight) -> Vec<Flight> {
    let copy = Flight { from: 2, at: flight.at.saturating_sub(Duration::from_millis(2)), ..flight.clone() };
    vec![copy, flight]
}

#[test]
fn copies_from_elsewhere_send_an_address_no_more_than_came_from_it_and_leave_the_session_be() {
    // An observer sends every datagram of engine 0 again from a third address, ahead of the original, then stops.
    let mut world = World::new([constant(5), constant(5), constant(5)]);
    let id = world.connect(0, 1, ModePolicy::A);
    world.run(1000);
    let mut copies = 0;
    for _ in 0..5000 {
        world.turn_with(&mut |flight| {
            if flight.from != 0 {
                return vec![flight];
            }
            copies += 1;
            with_a_copy_ahead(flight)
        });
    }
    let astray = world.trace.iter().filter(|(_, from, to)| *from == 1 && *to == address(2)).count();
    assert!(astray <= copies, "{astray} to an address that sent {copies}");
    world.send(0, id, b"still here");
    let there = world.opened(1).expect("open");
    world.send(1, there, b"so am I");
    world.run(3000);
    assert_eq!(world.received.len(), 2);
    assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::PathChanged(_))));
}

/// For a minute and a half, longer than a session lasts in silence, an observer sends every cell of engine 0 ahead of
/// the original from elsewhere, so that the original is a replay. He drops nothing and answers nothing.
fn race(elsewhere: impl Fn(u64) -> Path) {
    let build = || config(Traffic::constant(Duration::from_millis(5))).limits(few());
    let mut world = World::new([build(), build(), build()]);
    let id = world.connect(0, 1, ModePolicy::A);
    world.run(1000);
    let there = world.opened(1).expect("open");
    let begins = world.trace.len();
    let mut copies = 0;
    for turn in 0..90_000 {
        world.places[2] = elsewhere(turn);
        if turn % 1000 == 0 {
            world.send(0, id, b"still here");
            world.send(1, there, b"so am I");
        }
        world.turn_with(&mut |flight| {
            if flight.from != 0 {
                return vec![flight];
            }
            copies += 1;
            with_a_copy_ahead(flight)
        });
    }
    assert_eq!((world.closed(0), world.closed(1)), (None, None));
    let heard = |at: usize| world.received.iter().filter(|(by, _)| *by == at).count();
    assert!(heard(0) >= 89 && heard(1) >= 89, "{} and {} messages", heard(0), heard(1));
    assert!(!world.events.iter().any(|(_, event)| matches!(event, Event::PathChanged(_))));

    let cells = world.trace[begins..].iter().filter(|(_, from, _)| *from == 1);
    let astray: Vec<_> = cells.map(|(_, _, to)| *to != address(0)).collect();
    assert!(astray.windows(2).all(|two| two != [true, true]), "two in a row go astray");
    assert!(astray.len() >= 17_990, "{} cells: the circuit breaker sees loss", astray.len());
    let count = astray.iter().filter(|&&astray| astray).count();
    // Eight at once, and one more every eight seconds: eleven in ninety.
    assert!((8..=8 + 11).contains(&count), "{count} of {} go astray, for {copies} copies", astray.len());

    // Who has really moved is followed as soon as one more may go there.
    world.places[0] = address(90);
    world.run(10_000);
    world.send(1, there, b"there you are");
    world.run(1000);
    assert_eq!(world.received.last(), Some(&(0, b"there you are".to_vec())));
}

#[test]
fn whoever_sends_copies_ahead_of_every_cell_gets_few_cells_and_ends_no_session() {
    race(|_| address(2));
    // From another address each time.
    race(|turn| address(100 + turn as usize % 100));
}

#[test]
fn junk_and_damaged_copies_from_anywhere_change_nothing() {
    for seed in 0..6 {
        let mut dice = Dice(seed);
        let mut world = World::new([constant(2), constant(2), constant(2)]);
        let id = world.connect(0, 1, if seed % 2 == 0 { ModePolicy::A } else { ModePolicy::B });
        for n in 0..20 {
            world.send(0, id, &[n; 100]);
        }
        for _ in 0..6000 {
            world.turn_with(&mut |flight| {
                let mut flights = Vec::new();
                for _ in 0..dice.roll(3) {
                    let mut copy = flight.clone();
                    match dice.roll(4) {
                        0 => copy.bytes[dice.roll(1200) as usize] ^= 1 << dice.roll(8),
                        1 => copy.bytes[20..].iter_mut().for_each(|byte| *byte = dice.roll(256) as u8),
                        // Its own, back again.
                        2 => copy.to = address(flight.from),
                        _ => {}
                    }
                    copy.from = dice.roll(3) as usize;
                    copy.at = copy.at + Duration::from_millis(dice.roll(2000));
                    flights.push(copy);
                }
                flights.insert(dice.roll(flights.len() as u64 + 1) as usize, flight);
                flights
            });
        }
        let got: Vec<_> = world.received.iter().map(|(_, message)| message[0]).collect();
        assert_eq!(got, (0..20).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(world.delivered(0), 20);
        let opened = world.events.iter().filter(|(_, event)| matches!(event, Event::Incoming(_))).count();
        assert_eq!(opened, 1, "one session");
    }
}

#[test]
fn closed_comes_once_and_last_and_every_place_is_free_again() {
    for seed in 0..10 {
        let mut dice = Dice(seed);
        let traffic = if seed % 2 == 0 {
            Traffic::constant(Duration::from_millis(2)).with_leave_boundary(Duration::from_millis(500))
        } else {
            Traffic::low_overhead_unprotected()
        };
        let build = || config(traffic).idle_timeout(Duration::from_secs(15));
        let mut world = World::new([build(), build(), build()]);
        let mut ids = Vec::new();
        for turn in 0..60_000 {
            if turn < 20_000 && dice.roll(300) == 0 {
                let me = dice.roll(2) as usize;
                ids.push((me, world.connect(me, 2, ModePolicy::A)));
            }
            if !ids.is_empty() && dice.roll(100) == 0 {
                let (me, id) = ids[dice.roll(ids.len() as u64) as usize];
                if let Ok(mut session) = world.engines[me].session(id) {
                    match dice.roll(3) {
                        0 => session.close(),
                        1 => drop(session.send(&[1; 1500])),
                        _ => assert_eq!(session.recv(&mut [0; 1 << 12]), Err(RecvError::Empty)),
                    }
                }
            }
            if turn == 20_000 {
                for &(me, id) in &ids {
                    if let Ok(mut session) = world.engines[me].session(id) {
                        session.close();
                    }
                }
            }
            let mut network = Dice(dice.roll(1 << 40));
            world.turn_with(&mut |flight| rough(&mut network, &flight, 20));
        }
        let mut ended = BTreeSet::new();
        for (at, event) in &world.events {
            let id = match event {
                Event::Closed(id, _) => {
                    assert!(ended.insert((*at, *id)), "seed {seed}: closed twice");
                    continue;
                }
                Event::Incoming(id)
                | Event::Established(id)
                | Event::Readable(id)
                | Event::Writable(id)
                | Event::PathChanged(id)
                | Event::Delivered(id, _) => id,
                other => panic!("{other:?}"),
            };
            assert!(!ended.contains(&(*at, *id)), "seed {seed}: {event:?} after the end");
        }
        assert!(ids.iter().all(|id| ended.contains(id)), "seed {seed}: every session that began has ended");
        for engine in &world.engines {
            let metrics = engine.metrics();
            assert_eq!((metrics.sessions, metrics.handshakes), (0, 0), "seed {seed}: nothing is left");
            assert_eq!(engine.poll_timeout(), None, "seed {seed}: no timer is left");
        }
        let cells = world.trace.iter().filter(|(at, ..)| *at + Duration::from_secs(5) > world.now).count();
        assert_eq!(cells, 0, "seed {seed}: silence after the last session");
    }
}

#[test]
fn a_low_overhead_session_whose_peer_has_vanished_falls_nearly_silent() {
    let low = Traffic::low_overhead_unprotected().with_max_queue_latency(Duration::from_secs(60));
    let mut world = World::new([config(low), config(low)]);
    let id = world.connect(0, 1, ModePolicy::A);
    world.run(1000);
    for n in 0..200 {
        world.send(0, id, &[n; 1000]);
    }
    for _ in 0..20_000 {
        world.turn_with(&mut |_| Vec::new());
    }
    let late = world.now.saturating_sub(Duration::from_secs(10));
    let cells = world.trace.iter().filter(|(at, from, _)| *from == 0 && *at > late).count();
    // Ten are cover.
    assert!(cells < 50, "{cells} cells in ten seconds to nobody");
    // And the peer is back.
    for _ in 0..40_000 {
        world.turn();
    }
    assert_eq!(world.delivered(0), 200);
}

#[test]
fn no_bit_of_a_datagram_is_more_often_set_than_not() {
    // Many handshakes, in both modes, and the cells that follow. The first eight bytes are a nonce or an id.
    let mut world = World::new([constant(20), constant(20)]);
    let mut set = [vec![0_u32; 1200 * 8], vec![0; 1200 * 8]];
    let mut seen = [0_u32; 2];
    for round in 0..300 {
        let id = world.connect(0, 1, if round % 2 == 0 { ModePolicy::A } else { ModePolicy::B });
        for turn in 0..150 {
            if turn == 100
                && let Ok(mut session) = world.engines[0].session(id)
            {
                session.send(&[0; 900]).expect("room");
            }
            world.turn_with(&mut |flight| {
                let kind = usize::from(flight.kind == TransmitKind::Cell);
                seen[kind] += 1;
                for (at, byte) in flight.bytes.iter().enumerate() {
                    for bit in 0..8 {
                        set[kind][at * 8 + bit] += u32::from(byte >> bit & 1);
                    }
                }
                vec![flight]
            });
        }
        // Both forget it, and the table has room for the next.
        let mut fresh = World::new([constant(20), constant(20)]);
        std::mem::swap(&mut world.engines, &mut fresh.engines);
        world.wire.clear();
        for engine in &mut world.engines {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&(round as u64 + 1).to_le_bytes());
            engine.reseed(&b4ae_core::Seed::new(seed));
        }
    }
    for (seen, set) in seen.into_iter().zip(set) {
        assert!(seen > 1500, "{seen} datagrams are few");
        let deviation = f64::from(seen).sqrt() / 2.0;
        for (bit, &count) in set.iter().enumerate().skip(64) {
            let sigmas = (f64::from(count) - f64::from(seen) / 2.0) / deviation;
            assert!(sigmas.abs() < 6.0, "bit {} of byte {}: {count} of {seen}", bit % 8, bit / 8);
        }
    }
}

/// Found by fuzzing: cover whose next deadline lay beyond the end of time was due again at once, for ever.
#[test]
fn a_clock_at_the_end_of_time_makes_no_engine_spin() {
    for traffic in [Traffic::low_overhead_unprotected(), Traffic::balanced()] {
        let mut world = World::new([config(traffic), config(traffic)]);
        world.connect(0, 1, ModePolicy::A);
        world.run(3000);
        assert!(world.opened(0).is_some());
        for nanos in [u64::MAX - 2, u64::MAX - 1, u64::MAX] {
            world.now = Instant::from_nanos(nanos);
            let before = world.trace.len();
            world.turn();
            assert!(world.trace.len() - before <= 8, "{} datagrams in a turn", world.trace.len() - before);
            assert!(world.engines.iter().all(|engine| engine.poll_timeout().is_none_or(|at| at >= world.now)));
        }
    }
}
