//! Handshakes that somebody on the path, the network or a slow signer disturbs, and that come about all the same.

mod support;

use std::time::Duration;

use b4ae_core::{DATAGRAM_LEN, Event, ModePolicy, TransmitKind};
use support::{Flight, World, constant};

/// The observer's copies of the responder's Challenge, one behind each datagram that either side sends: he knows no
/// fingerprint, so all he can tell is that it was the responder's first datagram. He drops nothing.
struct Repeater {
    challenge: Option<[u8; DATAGRAM_LEN]>,
}

impl Repeater {
    fn meet(&mut self, flight: Flight) -> Vec<Flight> {
        if flight.kind != TransmitKind::Handshake {
            return vec![flight];
        }
        if flight.from == 1 {
            self.challenge.get_or_insert(flight.bytes);
        }
        let Some(bytes) = self.challenge else { return vec![flight] };
        // As if from the responder, soon after what he has just seen.
        let at = flight.at + Duration::from_millis(1);
        let copy = Flight { at, from: 1, to: support::address(0), kind: TransmitKind::Handshake, bytes };
        vec![flight, copy]
    }
}

/// How many milliseconds a handshake takes although the Challenge is sent again and again, on a path that is slower
/// than usual and loses one side's datagrams with these numbers.
fn time_in_spite_of_copies(modes: ModePolicy, slower: u64, loses: (usize, &[usize])) -> Option<u64> {
    let mut world = World::new([constant(2), constant(2)]);
    let id = world.connect(0, 1, modes);
    let (mut repeater, mut sent) = (Repeater { challenge: None }, 0);
    for turn in 0..20_000 {
        world.turn_with(&mut |flight| {
            let one_of_them = flight.kind == TransmitKind::Handshake && flight.from == loses.0;
            sent += usize::from(one_of_them);
            let lost = one_of_them && loses.1.contains(&sent);
            let mut flights = repeater.meet(Flight { at: flight.at + Duration::from_millis(slower), ..flight });
            flights.drain(..usize::from(lost));
            flights
        });
        if world.opened(0) == Some(id) {
            return Some(turn);
        }
    }
    None
}

#[test]
fn copies_of_a_challenge_do_not_undo_a_handshake_that_lost_a_datagram() {
    for modes in [ModePolicy::A, ModePolicy::B] {
        // After the Hello the fragments of the Init, after the Challenge those of the Response.
        let response: Vec<_> = (2..=if modes == ModePolicy::A { 3 } else { 9 }).collect();
        for loses in [(0, &[2][..]), (0, &[3]), (1, &response)] {
            let time = time_in_spite_of_copies(modes, 0, loses);
            assert!(time.is_some_and(|time| time < 1500), "{modes:?} without {loses:?}: {time:?} ms");
        }
    }
}

#[test]
fn copies_of_a_challenge_do_not_undo_a_handshake_over_a_slow_path() {
    for modes in [ModePolicy::A, ModePolicy::B] {
        let time = time_in_spite_of_copies(modes, 700, (0, &[]));
        assert!(time.is_some_and(|time| time < 6000), "{modes:?}: {time:?} ms");
    }
}

/// The network loses the first Response, and an observer sends copies of the first Init fragment at once, which says
/// that nothing is there: what is sent for those is lost as well.
#[test]
fn copies_of_an_init_do_not_use_up_what_is_sent_again() {
    for modes in [ModePolicy::A, ModePolicy::B] {
        let mut world = World::new([constant(2), constant(2)]);
        let id = world.connect(0, 1, modes);
        let (mut sent, mut answered, mut init) = (0, 0, None);
        for turn in 0..2000 {
            let lossy = turn < 400;
            world.turn_with(&mut |flight| {
                sent += usize::from(flight.from == 0);
                if flight.from == 0 && sent == 2 {
                    init = Some(flight.clone());
                }
                answered += usize::from(flight.from == 1);
                let lost = lossy && flight.from == 1 && answered > 1;
                if lost { Vec::new() } else { vec![flight] }
            });
            if let Some(init) = init.as_ref().filter(|_| turn < 300) {
                world.wire.push(Flight { at: world.now, ..init.clone() });
            }
        }
        assert_eq!(world.opened(0), Some(id), "{modes:?}: {:?}", world.closed(0));
    }
}

#[test]
fn copies_of_a_finished_handshake_take_nothing_from_the_budget_of_its_address() {
    let mut world = World::new([constant(2), constant(2)]);
    world.connect(0, 1, ModePolicy::A);
    let mut knocks = Vec::new();
    for _ in 0..1000 {
        world.turn_with(&mut |flight| {
            if flight.from == 0 && knocks.len() < 3 {
                knocks.push(flight.clone());
            }
            vec![flight]
        });
    }
    // Beside the Hello, the fragments of the Init.
    for turn in 0..1000_usize {
        let copy = knocks[1 + turn % 2].clone();
        world.wire.push(Flight { at: world.now, ..copy });
        world.turn();
    }
    let second = world.connect(0, 1, ModePolicy::A);
    world.run(500);
    let established = |(at, event): &(usize, Event)| *at == 0 && *event == Event::Established(second);
    assert!(world.events.iter().any(established), "{:?}", world.engines[1].metrics().drops);
    let metrics = world.engines[1].metrics();
    assert_eq!((metrics.drops.limited, metrics.drops.replayed), (0, 1000));
    assert_eq!(metrics.challenges_sent, 1 + 500 + 1, "one for the fragments of one Init");
}

#[test]
fn a_handshake_survives_the_loss_of_three_finishes() {
    for (modes, fragments) in [(ModePolicy::A, 1), (ModePolicy::B, 7)] {
        let mut world = World::new([constant(2), constant(2)]);
        let id = world.connect(0, 1, modes);
        let mut sent = 0;
        for _ in 0..10_000 {
            world.turn_with(&mut |flight| {
                sent += usize::from(flight.from == 0 && flight.kind == TransmitKind::Handshake);
                // The Hello and the Init arrive.
                let lost = flight.from == 0 && (4..4 + 3 * fragments).contains(&sent);
                if lost { Vec::new() } else { vec![flight] }
            });
        }
        assert_eq!(world.opened(0), Some(id), "{modes:?}");
    }
}

/// Each copy of the Hello gets a Challenge of its own, which is as good as the first: the next is always there.
#[test]
fn fresh_challenges_all_the_time_do_not_undo_a_handshake_over_a_slow_path() {
    let mut world = World::new([constant(2), constant(2)]);
    let id = world.connect(0, 1, ModePolicy::A);
    let mut hello = None;
    for turn in 0..20_000_u32 {
        world.turn_with(&mut |flight| {
            let at = flight.at + Duration::from_millis(700);
            hello.get_or_insert_with(|| flight.clone());
            vec![Flight { at, ..flight }]
        });
        if let (Some(hello), 0) = (&hello, turn % 100) {
            world.wire.push(Flight { at: world.now, ..hello.clone() });
        }
    }
    assert_eq!(world.opened(0), Some(id), "closed: {:?}", world.closed(0));
}
