//! Two engines and a network that does what the bytes say.

use std::time::Duration;

use b4ae_core::{Instant, Seed, SendError, Shutdown, UnixTime};

use crate::program::Program;
use crate::watched::{Watched, address};
use crate::wire::{Flight, Wire};

/// Network instructions, in the order of [`Pair::network`].
pub(crate) const NETWORK: usize = 9;
/// Application instructions, in the order of [`Pair::application`].
pub(crate) const APPLICATION: usize = 6;
/// Turns of one run instruction at most.
const TURNS: usize = 32;
/// Turns of all run instructions of an input.
const ALL_TURNS: usize = 96;

/// Two engines in virtual time, and what is under way between them.
pub(crate) struct Pair {
    pub(crate) nodes: [Watched; 2],
    pub(crate) wire: Wire,
    pub(crate) now: Instant,
    /// Turns that are left.
    turns: usize,
    /// Where the engines seem to be.
    places: [usize; 2],
    /// The last datagram delivered, for replays.
    last: Option<Flight>,
    /// Messages that each side's engine took to send, in order, and whether others may come before them.
    pub(crate) sent: [Vec<(Vec<u8>, bool)>; 2],
    messages: u32,
}

/// A message like no other of its length, but for the shortest.
fn message(number: u32, len: usize) -> Vec<u8> {
    number.to_le_bytes().into_iter().cycle().take(len).collect()
}

impl Pair {
    pub(crate) fn new(nodes: [Watched; 2]) -> Self {
        Self {
            nodes,
            wire: Wire::default(),
            now: Instant::ORIGIN,
            turns: ALL_TURNS,
            places: [0, 1],
            last: None,
            sent: Default::default(),
            messages: 0,
        }
    }

    pub(crate) fn settle(&mut self) {
        for node in &mut self.nodes {
            node.settle(self.now, &mut self.wire);
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.settle();
    }

    /// Goes on to the next deadline.
    fn turn(&mut self) -> bool {
        let next = self.nodes.iter().filter_map(|node| node.engine.poll_timeout()).min();
        let Some(next) = next.filter(|_| self.turns > 0) else { return false };
        self.turns -= 1;
        self.now = self.now.max(next);
        self.settle();
        true
    }

    pub(crate) fn deliver(&mut self, flight: Flight) {
        let Flight { from, to, mut bytes } = flight.clone();
        self.last = Some(flight);
        // An answer to an address that was left behind does not arrive.
        let Some(at) = (0..2).find(|&n| to == address(self.places[n])) else { return };
        let from = if from == self.nodes[1 - at].address { address(self.places[1 - at]) } else { from };
        self.nodes[at].feed(self.now, from, &mut bytes, &mut self.wire);
    }

    fn deliver_all(&mut self) {
        for flight in self.wire.all() {
            self.deliver(flight);
        }
    }

    /// One thing that a network may do.
    pub(crate) fn network(&mut self, which: usize, program: &mut Program<'_>) {
        match which {
            0 => self.deliver_all(),
            1 => {
                if let Some(flight) = self.wire.pick(program, false) {
                    self.deliver(flight);
                }
            }
            2 => drop(self.wire.pick(program, false)),
            3 => {
                if let Some(flight) = self.wire.pick(program, true) {
                    self.deliver(flight);
                }
            }
            4 => {
                let stays = program.bool();
                if let Some(mut flight) = self.wire.pick(program, stays) {
                    program.edit(&mut flight.bytes);
                    self.deliver(flight);
                }
            }
            5 => self.pass(Duration::from_micros(program.u16().into())),
            6 => {
                let milliseconds = program.number(60_000);
                self.pass(Duration::from_millis(milliseconds));
            }
            7 => {
                // The network works for a while.
                for _ in 0..program.below(TURNS) {
                    if !self.turn() {
                        break;
                    }
                    self.deliver_all();
                }
            }
            _ => {
                let (who, how) = (program.below(2), program.u8());
                match how % 4 {
                    0 => self.places[who] = who + 2 * program.below(3),
                    1 => self.places[who] = who,
                    2 => {
                        // Seen again, from elsewhere.
                        if let Some(mut flight) = self.last.clone() {
                            flight.from = address(4 + program.below(3));
                            self.deliver(flight);
                        }
                    }
                    _ => {
                        let mut bytes = [how; 1200];
                        let len = 1190 + program.below(20);
                        program.edit(&mut bytes);
                        let from = address(program.below(6));
                        self.nodes[who].feed(self.now, from, &mut bytes[..len.min(1200)], &mut self.wire);
                    }
                }
            }
        }
    }

    /// One thing that an application may do.
    pub(crate) fn application(&mut self, which: usize, program: &mut Program<'_>) {
        let who = program.below(2);
        let node = &mut self.nodes[who];
        let Some(id) = node.session(program.below(4)) else { return };
        match which {
            0 | 1 => {
                let (len, unordered) = (usize::from(program.u16()) % 12_000, which == 1);
                let mut session = node.engine.session(id).expect("not closed");
                let message = message(self.messages, len);
                self.messages += 1;
                let sent = if unordered { session.send_unordered(&message) } else { session.send(&message) };
                match sent {
                    Ok(_) => self.sent[who].push((message, unordered)),
                    Err(SendError::TooLong { max }) => assert!(len > max, "too long, and not longer than the longest"),
                    Err(_) => {}
                }
            }
            2 => node.engine.session(id).expect("not closed").close(),
            3 => node.read(id),
            4 => node.reads = program.bool(),
            _ => match program.below(8) {
                0 => node.engine.shutdown(self.now, Shutdown::Now),
                1 => node.engine.shutdown(self.now, Shutdown::Flush(self.now + Duration::from_secs(1))),
                2 => node.engine.handle_wall_clock(UnixTime(program.number(0))),
                3 => node.engine.session(id).expect("not closed").begin_close(),
                4 => node.keeps_jobs = !node.keeps_jobs,
                _ => node.engine.reseed(&Seed::new([7; 32])),
            },
        }
    }
}
