//! A fresh engine that accepts anyone, and strangers: noise, and those who know its fingerprint and receive what it
//! answers.

use std::time::Duration;

use b4ae_core::fuzzing::{INIT_CHUNK, InitFields, Stranger};
use b4ae_core::{DATAGRAM_LEN, Instant, ModePolicy};

use crate::program::Program;
use crate::session::config;
use crate::watched::{Watched, address};
use crate::wire::{Flight, Wire};

/// Responses made for one input at most.
const JOBS: usize = 6;

/// Where they are: two prefixes each, so that there are more than the engine remembers.
const ADDRESSES: usize = 12;

struct Scene {
    now: Instant,
    server: Watched,
    strangers: Vec<Stranger>,
    wire: Wire,
    /// What arrived, to arrive again.
    arrived: Vec<Flight>,
}

/// Public keys that an Init may show: X25519's base point, and ML-KEM-1024 with every coefficient zero.
const KEYS: [u8; 32 + 1568] = {
    let mut keys = [0; 32 + 1568];
    keys[0] = 9;
    keys
};

/// Nothing that a stranger sends breaks an engine, and a minute later it remembers none of them. Counts the answers
/// that were worth a key exchange.
pub fn run(data: &[u8]) -> usize {
    let mut program = Program::new(data);
    let which = program.u8();
    let mut server = Watched::new(1, &config(which), which & 4 != 0);
    server.jobs_left = JOBS;
    let peer = server.engine.peer_id();
    let modes = [ModePolicy::A, ModePolicy::B, ModePolicy::A_THEN_B];
    let strangers = modes.into_iter().zip(1..).map(|(modes, n)| Stranger::new(peer, modes, n)).collect();
    let mut scene = Scene { now: Instant::ORIGIN, server, strangers, wire: Wire::default(), arrived: Vec::new() };
    for _ in 0..300 {
        if program.is_empty() {
            break;
        }
        scene.instruction(&mut program);
        scene.server.settle(scene.now, &mut scene.wire);
    }
    if scene.now.as_nanos() > u64::MAX / 2 {
        // Near the end of time there may be no minute left.
        return JOBS - scene.server.jobs_left;
    }
    scene.now = scene.now + Duration::from_secs(60);
    scene.server.settle(scene.now, &mut scene.wire);
    assert_eq!(scene.server.engine.metrics().handshakes, 0, "a stranger is remembered");
    assert_eq!(scene.server.engine.metrics().sessions, 0, "a session of nobody");
    JOBS - scene.server.jobs_left
}

impl Scene {
    fn arrive(&mut self, from: usize, mut bytes: [u8; DATAGRAM_LEN]) {
        if self.arrived.len() < 32 {
            self.arrived.push(Flight { from: address(from), to: self.server.address, bytes });
        }
        self.server.feed(self.now, address(from), &mut bytes, &mut self.wire);
    }

    fn instruction(&mut self, program: &mut Program<'_>) {
        let which = program.below(9);
        let who = program.below(self.strangers.len());
        match which {
            0 => {
                let mut bytes = [program.u8(); DATAGRAM_LEN + 8];
                let len = if program.bool() { DATAGRAM_LEN } else { usize::from(program.u16()) % bytes.len() };
                program.edit(&mut bytes);
                self.server.feed(self.now, address(program.below(ADDRESSES)), &mut bytes[..len], &mut self.wire);
            }
            1 => {
                let hello = self.strangers[who].hello();
                self.arrive(program.below(ADDRESSES), hello);
            }
            2 => program.edit(self.strangers[who].text()),
            3 => {
                // What it says comes to the strangers.
                for flight in self.wire.all() {
                    for stranger in &mut self.strangers {
                        stranger.challenged(&flight.bytes);
                    }
                }
            }
            4 => self.init(who, program),
            5 => self.whole_init(who, program),
            6 => self.now = self.now + Duration::from_millis(program.number(20_000)),
            7 => self.now = self.now + Duration::from_millis(program.u8().into()),
            _ => {
                let at = program.below(self.arrived.len());
                if let Some(mut flight) = self.arrived.get(at).cloned() {
                    program.edit(&mut flight.bytes);
                    let from = if program.bool() { flight.from } else { address(program.below(ADDRESSES)) };
                    self.server.feed(self.now, from, &mut flight.bytes, &mut self.wire);
                }
            }
        }
    }

    /// A whole Init that is sound but for a few bytes.
    fn whole_init(&mut self, who: usize, program: &mut Program<'_>) {
        let (mut init, mut tag) = self.strangers[who].init(&KEYS);
        program.edit(&mut init);
        if program.bool() {
            (init, tag) = self.strangers[who].init(&init[96..]);
        }
        let from = program.below(ADDRESSES);
        for index in 0..2 {
            let fields = InitFields {
                index,
                have: 0,
                len: init.len() as u16,
                tag,
                puzzle: u64::from(program.u8()),
                hello_hash: 0,
                cookie: [0; 4],
            };
            let chunk = &init[usize::from(index) * INIT_CHUNK..];
            if let Some(bytes) = self.strangers[who].fragment(&fields, chunk) {
                self.arrive(from, bytes);
            }
        }
    }

    /// An Init fragment that says anything.
    fn init(&mut self, who: usize, program: &mut Program<'_>) {
        let fields = InitFields {
            index: program.number(0) as u8,
            have: program.number(0) as u16,
            len: program.number(96 + 32 + 1568) as u16,
            tag: [program.u8(); 8],
            puzzle: program.number(0),
            hello_hash: program.u8() & program.u8(),
            cookie: if program.bool() { [0; 4] } else { program.bytes() },
        };
        let chunk = [program.u8(); INIT_CHUNK];
        if let Some(bytes) = self.strangers[who].fragment(&fields, &chunk) {
            self.arrive(program.below(ADDRESSES), bytes);
        }
    }
}
