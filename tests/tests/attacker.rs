//! A man in the middle of every link: no session with anyone but the peer, no mode but the preferred, no panic, state
//! within the limits, and a session as soon as he stops.

use b4ae_core::{CloseReason, ModePolicy};
use b4ae_sim::{Encounter, Forged, HostSpec, Network, World};
use b4ae_tests::{Net, cases, connect, metrics, ms, open, open_server, secs, seed};
use proptest::prelude::*;

/// What the attacker does to how many datagrams in a thousand.
#[derive(Clone, Copy, Debug, Default)]
struct Habits {
    drop: u16,
    edit: u16,
    hold: u16,
    replay: u16,
    reflect: u16,
    splice: u16,
    cross: u16,
    spoof: u16,
}

fn habits() -> impl Strategy<Value = Habits> {
    let rate = || prop_oneof![2 => Just(0_u16), 1 => 0..400_u16];
    (rate(), rate(), rate(), rate(), rate(), rate(), rate(), rate()).prop_map(
        |(drop, edit, hold, replay, reflect, splice, cross, spoof)| Habits {
            drop,
            edit,
            hold,
            replay,
            reflect,
            splice,
            cross,
            spoof,
        },
    )
}

/// Keeps up to 500 datagrams, and acts as his habits say.
fn attacker(habits: Habits) -> impl FnMut(&mut Encounter<'_>) {
    let mut past: Vec<Forged> = Vec::new();
    move |datagram| {
        let own = Forged { after: ms(1), from: datagram.from(), to: datagram.to(), bytes: datagram.bytes().to_vec() };
        let mut does = |permille: u16| datagram.rng().u16(0..1000) < permille;
        let (drops, edits, holds, replays) =
            (does(habits.drop), does(habits.edit), does(habits.hold), does(habits.replay));
        let (reflects, splices, crosses, spoofs) =
            (does(habits.reflect), does(habits.splice), does(habits.cross), does(habits.spoof));
        let pick = datagram.rng().usize(..);
        let other = past.get(pick % past.len().max(1)).cloned();
        if let (true, Some(other)) = (replays, &other) {
            datagram.inject(Forged { after: ms(2), ..other.clone() });
        }
        // Another's datagram on this one's way: from one handshake or session into the next.
        if let (true, Some(other)) = (crosses, &other) {
            datagram.inject(Forged { bytes: other.bytes.clone(), ..own.clone() });
        }
        if reflects {
            datagram.reflect();
        }
        if let (true, Some(other)) = (splices, &other) {
            let cut = pick % 1200;
            let bytes = datagram.bytes_mut();
            let tail = other.bytes.get(cut..).unwrap_or_default().to_vec();
            bytes.truncate(cut);
            bytes.extend(tail);
        }
        if edits {
            let flip = datagram.rng().u8(1..);
            let bytes = datagram.bytes_mut();
            if let Some(byte) = bytes.get_mut(pick % 1200) {
                *byte ^= flip;
            }
        }
        if let (true, Some(other)) = (spoofs, &other) {
            datagram.spoof(other.from);
        }
        if holds {
            let time = datagram.rng().u64(1..80);
            datagram.delay(ms(time));
        }
        if drops {
            datagram.drop();
        }
        if past.len() < 500 {
            past.push(own);
        } else {
            past[pick % 500] = own;
        }
    }
}

/// A server, two clients.
fn world(n: u64) -> (World, [b4ae_sim::HostId; 3]) {
    let mut world = World::new(seed(n));
    let hosts = [(); 3].map(|()| world.add(HostSpec::new(open_server())).expect("an engine"));
    (world, hosts)
}

/// Every session that opened is in the mode its initiator prefers, and both sides are at most as full as they may be.
fn assert_no_harm(world: &mut World, hosts: [b4ae_sim::HostId; 3], preferred: b4ae_core::Mode) {
    for host in hosts {
        let counters = metrics(world, host);
        assert!(counters.sessions <= 16, "{counters:?}");
        assert!(counters.handshakes <= 256 + 16, "{counters:?}");
        for session in world.sessions(host) {
            let mode = world.engine_mut(host).and_then(|engine| engine.session(session).ok()?.mode());
            assert_eq!(mode, Some(preferred), "a session in another mode than preferred");
        }
    }
}

proptest! {
    #![proptest_config(cases(48))]

    /// Who is at the other end of each session that opened, and in which mode, is checked by the reference model.
    #[test]
    fn no_habit_of_his_gets_him_anything(n in any::<u64>(), habits in habits(), b in any::<bool>()) {
        let (mut world, hosts) = world(n);
        let [server, first, second] = hosts;
        let modes = if b { ModePolicy::B_THEN_A } else { ModePolicy::A_THEN_B };
        let preferred = if b { b4ae_core::Mode::B } else { b4ae_core::Mode::A };
        world.set_attacker(attacker(habits));
        for client in [first, second] {
            let id = connect(&mut world, client, server, modes);
            world.send(client, id, b"a message under way while he is at work").expect("no violation").expect("room");
        }
        for _ in 0..8 {
            world.run_for(ms(500)).expect("no violation");
            assert_no_harm(&mut world, hosts, preferred);
        }
        world.remove_attacker();
        let (id, _) = open(&mut world, first, server, modes);
        world.send(first, id, b"after he has gone").expect("no violation").expect("room");
        let arrived = world.run_while_not(secs(10), |world| world.delivery(first, id).arrived == 1);
        prop_assert!(arrived.expect("no violation"), "no session although he has gone");
    }
}

/// Each handshake datagram of both sides, with one byte changed, at every place: the handshake ends with the right
/// peer in the preferred mode, or it does not end.
#[test]
fn one_changed_byte_anywhere_gains_nothing() {
    for modes in [ModePolicy::A_THEN_B, ModePolicy::B_THEN_A] {
        let preferred = modes.iter().next().expect("a mode");
        for place in (0..1200).step_by(23) {
            let (mut world, hosts) = world(place as u64);
            let [server, client, _] = hosts;
            let mut count = 0_u32;
            world.set_attacker(move |datagram: &mut Encounter<'_>| {
                count += 1;
                if count < 30 {
                    datagram.bytes_mut()[place] ^= 1 << (count % 8);
                }
            });
            connect(&mut world, client, server, modes);
            world.run_for(secs(8)).expect("no violation");
            assert_no_harm(&mut world, hosts, preferred);
        }
    }
}

/// He relays everything, faithfully, between a client and another server than she asked for.
#[test]
fn a_server_with_another_identity_is_not_taken_for_the_peer() {
    for modes in [ModePolicy::A, ModePolicy::B] {
        let (mut world, [server, impostor, client]) = world(1);
        let (there, here) = (world.addr(server), world.addr(impostor));
        world.set_attacker(move |datagram: &mut Encounter<'_>| {
            if datagram.to() == there {
                datagram.redirect(here);
            }
            if datagram.from() == here {
                datagram.spoof(there);
            }
        });
        let id = connect(&mut world, client, server, modes);
        world.run_for(secs(30)).expect("no violation");
        assert_eq!(b4ae_tests::opened(&world, client), 0);
        assert_eq!(b4ae_tests::opened(&world, impostor), 0);
        assert_eq!(b4ae_tests::closed(&world, client, id), Some(CloseReason::Unreachable));
    }
}

/// Two clients' handshakes, each datagram of one put in the other's place.
#[test]
fn two_handshakes_swapped_into_each_other_do_not_mix() {
    for modes in [ModePolicy::A, ModePolicy::B] {
        let (mut world, hosts) = world(2);
        let [server, first, second] = hosts;
        let (a, b) = (world.addr(first), world.addr(second));
        let mut count = 0_u32;
        world.set_attacker(move |datagram: &mut Encounter<'_>| {
            let (from, to) = (datagram.from(), datagram.to());
            count += 1;
            // The Hellos and their answers go through, so that there is something to mix; then every other is swapped.
            if count <= 4 || count.is_multiple_of(2) {
                return;
            }
            if from == a || from == b {
                datagram.spoof(if from == a { b } else { a });
            } else if to == a || to == b {
                datagram.redirect(if to == a { b } else { a });
            }
        });
        let mut sessions = Vec::new();
        for client in [first, second] {
            let id = connect(&mut world, client, server, modes);
            world.send(client, id, b"mine").expect("no violation").expect("room");
            sessions.push((client, id));
        }
        world.run_for(secs(5)).expect("no violation");
        assert_no_harm(&mut world, hosts, modes.iter().next().expect("a mode"));
        world.remove_attacker();
        world.run_for(secs(14)).expect("no violation");
        for (client, id) in sessions {
            assert!(world.partner(client, id).is_some(), "no session although he lets them: {modes:?}");
            assert_eq!(world.delivery(client, id).arrived, 1, "{modes:?}");
        }
    }
}

/// What a client sends comes back to her, as if from the server, and the other way round.
#[test]
fn ones_own_packets_are_not_taken_for_the_peers() {
    for modes in [ModePolicy::A, ModePolicy::B] {
        let mut net = Net::new(3).on(Network::Wan);
        net.world.set_attacker(|datagram: &mut Encounter<'_>| datagram.reflect());
        let (client, server) = net.open_in(modes);
        for n in 0..10 {
            net.say(client, &[n; 1500]);
            net.answer(server, &[n; 1500]);
        }
        assert!(net.all_arrive_within(secs(10)));
        net.world.set_attacker(|datagram: &mut Encounter<'_>| {
            datagram.reflect();
            datagram.drop();
        });
        let before = (net.cells_at_server(), metrics(&net.world, net.client).cells_received);
        net.run(ms(60));
        let settled = (net.cells_at_server(), metrics(&net.world, net.client).cells_received);
        net.run(secs(5));
        let after = (net.cells_at_server(), metrics(&net.world, net.client).cells_received);
        assert!(settled.0 >= before.0);
        assert_eq!(settled, after, "a reflected cell was authenticated");
    }
}
