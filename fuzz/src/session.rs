//! Two engines with a session between them, in a network that does what the bytes say and knows no key.

use std::time::Duration;

use b4ae_core::{Accept, Config, Limits, ModePolicy, Path, Traffic};

use crate::pair::{APPLICATION, NETWORK, Pair};
use crate::program::Program;
use crate::watched::{Watched, address, identity};

/// Small, so that limits are met.
pub(crate) const LIMITS: Limits = Limits {
    sessions: 3,
    sessions_per_prefix: 2,
    half_open: 3,
    pending_jobs: 2,
    pending_signatures: 1,
    challenges_per_second: 30,
    handshakes_per_prefix: 8,
    prefixes: 16,
    cookies: 64,
    message: 9000,
    send_bytes: 20_000,
    send_messages: 8,
    receive_bytes: 17 << 10,
    reorder_window: 16,
};

pub(crate) const BURST_PERIOD: Duration = Duration::from_millis(500);
/// For each session.
pub(crate) const BURST_CELLS: u32 = 4;
pub(crate) const BURST: Traffic = Traffic::burst(BURST_PERIOD, BURST_CELLS).with_spacing(Duration::from_millis(5));
/// The bits of a byte that choose the traffic; the others choose modes and puzzles.
pub(crate) const TRAFFIC: u8 = 0b1110_0011;

/// A configuration chosen by a byte.
pub(crate) fn config(which: u8) -> Config {
    let traffic = match (which >> 5, which % 4) {
        (6, _) => Traffic::poisson(Duration::from_millis(10)),
        (7, _) => BURST,
        (_, 0) => Traffic::constant(Duration::from_millis(1)),
        (_, 1) => Traffic::balanced(),
        (_, 2) => Traffic::constant(Duration::from_millis(7)).with_leave_boundary(Duration::from_millis(50)),
        _ => Traffic::low_overhead_unprotected(),
    };
    let modes = if which & 4 == 0 { ModePolicy::A } else { ModePolicy::A_THEN_B };
    let accept = match which >> 5 {
        5 => Accept::Listed(vec![(identity(0, which & 4 != 0).peer_id(), modes)]),
        _ => Accept::Anyone(modes),
    };
    let builder = Config::builder(traffic).limits(LIMITS).accept(accept);
    builder.puzzle_bits_min(which >> 3 & 3).build().expect("a sound configuration")
}

/// Every message arrives whole, at most once and in its order, whatever the network does. Counts messages.
pub fn run(data: &[u8]) -> usize {
    let mut program = Program::new(data);
    let config = config(program.u8() & TRAFFIC);
    let mut pair = Pair::new([0, 1].map(|n| Watched::new(n, &config, false)));
    for n in 0..2 {
        let peer = pair.nodes[1 - n].engine.peer_id();
        let id = pair.nodes[n].engine.open_known(Path::new(address(1 - n), None), peer, n == 0).expect("room");
        if n == 0 {
            pair.nodes[n].began(id);
        }
    }
    pair.settle();
    let mut arrived = 0;
    for _ in 0..200 {
        if program.is_empty() {
            break;
        }
        let which = program.below(NETWORK + APPLICATION);
        if which < NETWORK {
            pair.network(which, &mut program);
        } else {
            pair.application(which - NETWORK, &mut program);
            pair.settle();
        }
        arrived += check_messages(&mut pair);
    }
    arrived
}

/// What was taken is the next of what was sent, or one of those that need not wait.
fn check_messages(pair: &mut Pair) -> usize {
    let mut arrived = 0;
    for n in 0..2 {
        for (_, message) in pair.nodes[1 - n].taken.drain(..) {
            let sent = &mut pair.sent[n];
            let next = sent.iter().position(|(_, unordered)| !unordered).filter(|&at| sent[at].0 == message);
            let at = next.or_else(|| sent.iter().position(|(other, unordered)| *unordered && *other == message));
            sent.remove(at.expect("a message that nobody sent, or out of order, or twice"));
            arrived += 1;
        }
    }
    arrived
}
