//! An engine with a session whose peer holds the keys and writes into its cells what the bytes say.

use std::time::Duration;

use b4ae_core::fuzzing::TEXT_LEN;
use b4ae_core::{Config, Engine, Instant, Path, SendError, SessionId};

use crate::program::Program;
use crate::session::{TRAFFIC, config};
use crate::watched::{Watched, address};
use crate::wire::{Flight, Wire};

struct Scene {
    now: Instant,
    victim: Watched,
    /// Holds the peer's keys and does nothing by itself.
    peer: Engine,
    peer_id: SessionId,
    wire: Wire,
    /// What the victim last said.
    heard: [u8; TEXT_LEN],
    largest: u64,
    sealed: Vec<Flight>,
}

/// Nothing that an authentic peer says breaks an engine, or makes it hold more than its limits. Counts messages taken
/// and messages confirmed.
pub fn run(data: &[u8]) -> usize {
    let mut program = Program::new(data);
    let how = program.u8();
    let config = config(how & TRAFFIC);
    let mut scene = Scene::new(&config, how & 4 != 0);
    for _ in 0..200 {
        if program.is_empty() {
            break;
        }
        scene.instruction(&mut program);
        scene.victim.settle(scene.now, &mut scene.wire);
        scene.victim.taken.clear();
        scene.listen();
    }
    let metrics = scene.victim.engine.metrics();
    (metrics.messages_received + metrics.messages_delivered) as usize
}

impl Scene {
    fn new(config: &Config, initiator: bool) -> Self {
        let mut victim = Watched::new(0, config, false);
        let mut peer = Watched::new(1, config, false).engine;
        let (victim_id, peer_id) = (victim.engine.peer_id(), peer.peer_id());
        let id = victim.engine.open_known(Path::new(address(1), None), peer_id, initiator).expect("room");
        if initiator {
            victim.began(id);
        }
        let peer_id = peer.open_known(Path::new(address(0), None), victim_id, !initiator).expect("room");
        let mut wire = Wire::default();
        victim.settle(Instant::ORIGIN, &mut wire);
        let (now, heard) = (Instant::ORIGIN, [0; TEXT_LEN]);
        Self { now, victim, peer, peer_id, wire, heard, largest: 0, sealed: Vec::new() }
    }

    /// The peer reads what the victim sent.
    fn listen(&mut self) {
        for flight in self.wire.all() {
            if let Some(text) = self.peer.open_text(self.peer_id, &flight.bytes) {
                self.heard = text;
                self.largest += 1;
            }
        }
    }

    fn instruction(&mut self, program: &mut Program<'_>) {
        match program.below(12) {
            0..=3 => {
                let mut text = [0; TEXT_LEN];
                self.write(&mut text, program);
                self.send(&text, program);
            }
            4 => {
                // What the victim said, said back to it.
                let mut text = self.heard;
                program.edit(&mut text);
                self.send(&text, program);
            }
            5 => {
                // Cells that do not arrive.
                for _ in 0..program.u8() {
                    let _ = self.peer.seal_text(self.peer_id, &[0; TEXT_LEN]);
                }
            }
            6 => {
                // One that arrives late, or again.
                let at = program.below(self.sealed.len());
                if let Some(mut flight) = self.sealed.get(at).cloned() {
                    self.victim.feed(self.now, flight.from, &mut flight.bytes, &mut self.wire);
                }
            }
            7 => self.now = self.now + Duration::from_micros(u64::from(program.u16()) * 4),
            8 => self.now = self.now + Duration::from_millis(program.number(60_000)),
            9 => {
                for _ in 0..program.below(32) {
                    let Some(next) = self.victim.engine.poll_timeout() else { break };
                    self.now = self.now.max(next);
                    self.victim.settle(self.now, &mut self.wire);
                }
            }
            10 => self.say(program),
            _ => {
                let Some(id) = self.victim.session(0) else { return };
                match program.below(4) {
                    0 => self.victim.engine.session(id).expect("not closed").close(),
                    1 => self.victim.reads = program.bool(),
                    _ => self.victim.read(id),
                }
            }
        }
    }

    /// The victim's application sends.
    fn say(&mut self, program: &mut Program<'_>) {
        let Some(id) = self.victim.session(0) else { return };
        let mut session = self.victim.engine.session(id).expect("not closed");
        let message = vec![1; usize::from(program.u16()) % 9001];
        let sent = if program.bool() { session.send_unordered(&message) } else { session.send(&message) };
        if let Err(SendError::TooLong { max }) = sent {
            assert!(message.len() > max, "too long, and not longer than the longest");
        }
    }

    /// A cell's text as the protocol lays it out, with numbers where things break.
    fn write(&mut self, text: &mut [u8; TEXT_LEN], program: &mut Program<'_>) {
        fn put48(out: &mut [u8], value: u64) {
            out[..6].copy_from_slice(&value.to_le_bytes()[..6]);
        }
        let which = program.u8();
        let heard = |at: usize| *self.heard[at..].first_chunk::<8>().expect("inside the text");
        // Generous and silent, but for what the bits of a byte say otherwise.
        put48(&mut text[40..], 1 << 40);
        put48(&mut text[46..], 1 << 40);
        put48(&mut text[68..], self.largest);
        put48(&mut text[74..], self.largest);
        if which & 1 != 0 {
            text[6] = program.u8();
            put48(text, program.number(self.largest));
            text[8..40].fill(0xff);
            text[60..68].copy_from_slice(&heard(52));
        }
        if which & 2 != 0 {
            let at = [0, 40, 46, 68, 74][program.below(5)];
            put48(&mut text[at..], program.number(self.largest));
        }
        if which & 4 != 0 {
            let frame = &mut text[128..];
            frame[0] = 1;
            frame[1] = program.u8() & 1;
            let (index, count) = (program.number(0), program.number(9));
            frame[2..4].copy_from_slice(&(index as u16).to_le_bytes());
            frame[4..6].copy_from_slice(&(count as u16).to_le_bytes());
            let len = program.number(count.wrapping_mul(1024));
            frame[6..10].copy_from_slice(&(len as u32).to_le_bytes());
            put48(&mut frame[10..], program.number(0));
        }
        if which & 8 != 0 {
            program.edit(text);
        }
        if which & 16 != 0 {
            program.edit(&mut text[..144]);
        }
    }

    fn send(&mut self, text: &[u8; TEXT_LEN], program: &mut Program<'_>) {
        let from = address(1 + program.below(8).saturating_sub(4));
        let Some(bytes) = self.peer.seal_text(self.peer_id, text) else { return };
        let mut flight = Flight { from, to: self.victim.address, bytes };
        if self.sealed.len() < 32 {
            self.sealed.push(flight.clone());
        }
        if program.below(8) < 7 {
            self.victim.feed(self.now, from, &mut flight.bytes, &mut self.wire);
        }
    }
}
