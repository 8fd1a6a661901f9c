//! Two engines that shake hands, in a network that does what the bytes say, and with a peer who says what the bytes
//! say under the right keys.

use b4ae_core::fuzzing::TEXT_LEN;
use b4ae_core::{DATAGRAM_LEN, ModePolicy, Path};

use crate::pair::{APPLICATION, NETWORK, Pair};
use crate::program::Program;
use crate::session::config;
use crate::watched::{Watched, address};
use crate::wire::Flight;

/// Key exchanges and signatures of each engine: an input must not take for ever.
const JOBS: usize = 8;

/// Nothing that arrives during a handshake breaks an engine. Counts handshakes that were completed.
pub fn run(data: &[u8]) -> usize {
    let mut program = Program::new(data);
    let (which, how) = (program.u8(), program.u8());
    let config = config(which);
    let mut pair = Pair::new([0, 1].map(|n| {
        let mut node = Watched::new(n, &config, which & 4 != 0);
        node.jobs_left = JOBS;
        node.holds_jobs = how & 1 != 0;
        node
    }));
    connect(&mut pair, 0, usize::from(how >> 1));
    for _ in 0..200 {
        if program.is_empty() {
            break;
        }
        match program.below(NETWORK + APPLICATION + 4) {
            0 => connect(&mut pair, program.below(2), program.below(4)),
            1 => {
                let node = program.below(2);
                pair.nodes[node].complete(pair.now, program.bool(), program.below(8) == 7);
            }
            2 => {
                if let Some(flight) = fragment(&mut pair, &mut program) {
                    pair.deliver(flight);
                }
            }
            3 => pair.network(7, &mut program),
            which if which < NETWORK + 4 => pair.network(which - 4, &mut program),
            which => pair.application(which - NETWORK - 4, &mut program),
        }
        pair.settle();
        pair.nodes.iter_mut().for_each(|node| node.taken.clear());
    }
    pair.nodes.iter().map(|node| node.engine.metrics().handshakes_completed as usize).sum()
}

fn connect(pair: &mut Pair, from: usize, modes: usize) {
    let all = [ModePolicy::A, ModePolicy::B, ModePolicy::A_THEN_B, ModePolicy::B_THEN_A];
    let peer = pair.nodes[1 - from].engine.peer_id();
    let path = Path::new(address(1 - from), None);
    if let Ok(id) = pair.nodes[from].engine.connect(pair.now, path, &peer, all[modes % all.len()]) {
        pair.nodes[from].began(id);
    }
    pair.settle();
}

/// A fragment that its receiver will take for authentic.
fn fragment(pair: &mut Pair, program: &mut Program<'_>) -> Option<Flight> {
    let from = program.below(2);
    let node = &mut pair.nodes[from];
    let id = node.session(program.below(3));
    // Kinds 4 to 6 are Response, Finish and Status.
    let mut header: [u8; 16] = program.bytes();
    let what = program.below(4);
    if what < 3 {
        header[0] = 4 + what as u8;
    }
    let mut chunk = [header[9]; DATAGRAM_LEN];
    program.edit(&mut chunk);
    let bytes: [u8; DATAGRAM_LEN] = match what {
        0 => node.engine.seal_answer(false, &header, &chunk)?,
        2 => node.engine.seal_answer(true, &header, &chunk)?,
        1 => node.engine.seal_finish(id?, &header, &chunk)?,
        _ => {
            let mut text = [0; TEXT_LEN];
            program.edit(&mut text);
            node.engine.seal_text(id?, &text)?
        }
    };
    Some(Flight { from: node.address, to: address(1 - from), bytes })
}
