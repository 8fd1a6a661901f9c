//! The data phase: what is authenticated, what moves state, what keeps going.

use std::collections::BTreeSet;

use b4ae_core::ModePolicy;
use b4ae_sim::{Encounter, Forged, Network};
use b4ae_tests::{Net, Tape, cut, deliver, metrics, ms, secs};

/// An open session, one cell of the client's under way to the server, and nothing else arriving any more.
fn one_cell_under_way(n: u64) -> (Net, Forged) {
    let mut net = Net::new(n);
    net.open();
    net.run(ms(200));
    let (tape, home) = (Tape::default(), net.client_addr());
    net.world.set_attacker(tape.recorder(cut));
    net.run(ms(20));
    let cell = tape.from(home).pop().expect("the client sends a cell every millisecond");
    (net, cell)
}

/// The first sixteen bytes are the connection id and the header.
#[test]
fn header_bits_are_authenticated() {
    let (mut net, cell) = one_cell_under_way(1);
    for bit in 0..128 {
        let mut forged = cell.clone();
        forged.bytes[bit / 8] ^= 1 << (bit % 8);
        let before = net.cells_at_server();
        deliver(&mut net.world, forged);
        assert_eq!(net.cells_at_server(), before, "bit {bit} of the header is not authenticated");
    }
    let before = net.cells_at_server();
    deliver(&mut net.world, cell);
    assert_eq!(net.cells_at_server(), before + 1, "the genuine cell is accepted after all that");
}

#[test]
fn every_byte_of_a_cell_is_authenticated() {
    let (mut net, cell) = one_cell_under_way(2);
    let before = net.cells_at_server();
    for place in 0..1200 {
        for flip in [0x01, 0x80, 0xff] {
            let mut forged = cell.clone();
            forged.bytes[place] ^= flip;
            deliver(&mut net.world, forged);
            assert_eq!(net.cells_at_server(), before, "byte {place} is not authenticated");
        }
    }
}

/// Thousands of forgeries on a known connection id, then the very next genuine cells: all of them count.
#[test]
fn forged_cell_moves_no_state() {
    let mut net = Net::new(3);
    let (client, _) = net.open();
    net.run(ms(200));
    let (tape, home) = (Tape::default(), net.client_addr());
    net.world.set_attacker(tape.recorder(cut));
    net.run(ms(200));
    net.world.set_attacker(cut);
    let genuine: Vec<_> = tape.from(home).into_iter().rev().take(50).collect();
    let before = net.cells_at_server();
    for n in 0..5000_usize {
        let mut forged = genuine[n % genuine.len()].clone();
        // The connection id stays; everything else may change, header and counter first.
        for k in 0..=n % 5 {
            forged.bytes[8 + (n * 7 + k * 131) % 1192] ^= 1 << (n % 8);
        }
        if forged.bytes != genuine[n % genuine.len()].bytes {
            deliver(&mut net.world, forged);
        }
    }
    assert_eq!(net.cells_at_server(), before);
    assert!(metrics(&net.world, net.server).drops.unauthentic > 1000, "they had a known connection id");
    for cell in genuine.into_iter().rev() {
        deliver(&mut net.world, cell);
    }
    assert_eq!(net.cells_at_server(), before + 50, "the forgeries moved the receive state");
    net.world.remove_attacker();
    net.say(client, b"and it goes on");
    assert!(net.all_arrive_within(secs(5)));
}

#[test]
fn a_cell_is_accepted_once() {
    let (mut net, cell) = one_cell_under_way(4);
    let before = net.cells_at_server();
    for _ in 0..20 {
        deliver(&mut net.world, cell.clone());
    }
    assert_eq!(net.cells_at_server(), before + 1);
    assert!(metrics(&net.world, net.server).drops.replayed >= 19);
}

/// A thousand recorded cells again, in both directions, minutes later.
#[test]
fn old_cells_are_never_accepted_again() {
    let mut net = Net::new(5);
    let (client, _) = net.open();
    let tape = Tape::default();
    net.world.set_attacker(tape.recorder(|_| {}));
    net.run(ms(500));
    net.world.remove_attacker();
    for wait in [0, 1, 30] {
        net.run(secs(wait));
        net.world.set_attacker(cut);
        net.run(ms(10));
        let received = |net: &Net| (net.cells_at_server(), metrics(&net.world, net.client).cells_received);
        let before = received(&net);
        for datagram in tape.play() {
            deliver(&mut net.world, datagram);
        }
        assert_eq!(received(&net), before, "{wait} s later");
        net.world.remove_attacker();
    }
    net.say(client, b"and it goes on");
    assert!(net.all_arrive_within(secs(5)));
}

/// Keys change every 256 cells, and nobody tells the other side: through several changes at 30 % loss both keep up.
#[test]
fn key_change_needs_no_telling() {
    let mut net = Net::deniable(6).on(Network::Lossy30);
    let (client, server) = net.open();
    let before = (net.cells_at_server(), metrics(&net.world, net.client).cells_sent);
    for n in 0..40 {
        net.say(client, &[n; 400]);
        net.answer(server, &[n; 400]);
        net.run(ms(100));
    }
    let sent = metrics(&net.world, net.client).cells_sent - before.1;
    let received = net.cells_at_server() - before.0;
    assert!(sent > 3 * 256, "{sent} cells");
    assert!(received * 10 > sent * 6, "of {sent} cells {received} were understood, at 30 % loss");
    assert!(net.all_arrive_within(secs(10)));
}

/// Whole generations of cells never arrive; the next cell that does is understood.
#[test]
fn a_gap_of_many_key_changes_is_survived() {
    for gap in [ms(300), secs(1), secs(5), secs(40)] {
        let mut net = Net::deniable(7);
        let (client, server) = net.open();
        net.world.set_attacker(cut);
        net.run(gap);
        net.world.remove_attacker();
        let before = net.cells_at_server();
        net.run(ms(50));
        assert!(net.cells_at_server() > before + 30, "after {gap:?} nothing is understood");
        net.say(client, &[1; 5000]);
        net.answer(server, &[2; 5000]);
        assert!(net.all_arrive_within(secs(5)), "after {gap:?}");
    }
}

/// Hours of a session: the key exchange inside it goes round many times.
#[test]
fn a_long_session_keeps_going() {
    let mut net = Net::deniable(8).on(Network::Mobile);
    let (client, server) = net.open();
    for n in 0..12 {
        net.say(client, &[n; 1000]);
        net.answer(server, &[n; 1000]);
        net.run(secs(10));
    }
    assert!(net.all_arrive_within(secs(10)));
}

#[test]
fn chain_survives_message_100_and_disorder() {
    let mut net = Net::deniable(9);
    let (client, server) = net.open();
    // One datagram in three is held back for up to 60 ms: 60 cells overtake it.
    net.world.set_attacker(|datagram: &mut Encounter<'_>| {
        if datagram.rng().u8(0..3) == 0 {
            let time = datagram.rng().u64(1..60);
            datagram.delay(ms(time));
        }
    });
    for n in 0..300_u32 {
        net.say(client, &n.to_be_bytes());
        net.answer(server, &n.to_be_bytes());
        net.run(ms(5));
    }
    assert!(net.all_arrive_within(secs(10)));
    assert_eq!(net.world.delivery(net.server, server).taken, 300);
    assert_eq!(net.world.delivery(net.client, client).taken, 300);
}

/// Datagrams of every length and of no meaning, from strangers and as if from the peer.
#[test]
fn a_stray_datagram_ends_nothing() {
    for modes in [ModePolicy::A, ModePolicy::B] {
        let mut net = Net::new(10);
        let (client, server) = net.open_in(modes);
        let (home, there) = (net.client_addr(), net.server_addr());
        for len in (0..1500).chain([9000, 65_507]) {
            for fill in [0x00, 0xff, 0x5a] {
                let bytes = vec![fill; len];
                deliver(&mut net.world, Forged { after: ms(0), from: home, to: there, bytes: bytes.clone() });
                deliver(&mut net.world, Forged { after: ms(0), from: there, to: home, bytes });
            }
        }
        let counters = metrics(&net.world, net.server);
        assert_eq!(counters.drops.length, 3 * 1501, "all but those of 1200 bytes");
        assert_eq!(counters.drops.stranger, 3);
        net.say(client, b"still there?");
        net.answer(server, b"still there.");
        assert!(net.all_arrive_within(secs(5)));
    }
}

/// Recorded from one client, silent and busy.
fn cells(busy: bool) -> Vec<Vec<u8>> {
    let mut net = Net::deniable(11);
    let (client, _) = net.open();
    net.run(ms(200));
    let (tape, home) = (Tape::default(), net.client_addr());
    net.world.set_attacker(tape.recorder(|_| {}));
    for n in 0..20 {
        if busy {
            net.say(client, &vec![n; 40_000]);
        }
        net.run(ms(100));
    }
    tape.from(home).into_iter().map(|cell| cell.bytes).collect()
}

/// Behind the connection id no byte of a cell has a value of its own, whether the cell carries anything or not.
#[test]
fn covers_are_not_marked() {
    let (covers, payload) = (cells(false), cells(true));
    assert!(covers.len() >= 1900 && payload.len() == covers.len());
    for (what, cells) in [("cover", &covers), ("payload", &payload)] {
        assert!(cells.iter().all(|cell| cell.len() == 1200));
        for place in 8..1200 {
            let mut counts = [0_u32; 256];
            for cell in cells {
                counts[usize::from(cell[place])] += 1;
            }
            // About 2000 draws of 256 values: 8 each, none missing more often than by chance, none above 40.
            let most = counts.iter().max().copied().unwrap_or_default();
            let present = counts.iter().filter(|count| **count > 0).count();
            assert!(most < 40 && present > 240, "byte {place} of {what} cells: {present} values, one {most} times");
        }
        let bodies: BTreeSet<_> = cells.iter().map(|cell| &cell[8..]).collect();
        assert_eq!(bodies.len(), cells.len(), "a {what} cell repeats");
    }
    let ids = |cells: &[Vec<u8>]| cells.iter().map(|cell| cell[..8].to_vec()).collect::<BTreeSet<_>>().len();
    assert_eq!(ids(&covers), ids(&payload), "the connection id says what is in a cell");
}
