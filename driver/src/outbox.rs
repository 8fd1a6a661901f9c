//! Sealed datagrams waiting for their slot.

use std::collections::VecDeque;
use std::time::Duration;

use b4ae_core::{Clock, DATAGRAM_LEN, Engine, Instant, Path, TransmitKind, TxBuf};

use crate::counters::Counters;
use crate::lateness::Lateness;
use crate::socket::Socket;

/// Datagrams held at most. What does not fit stays with the engine.
const CAPACITY: usize = 512;

/// Boxed, so that a datagram is written once and only its pointer moves.
type Buffer = Box<[u8; DATAGRAM_LEN]>;

struct Sealed {
    due: Instant,
    path: Path,
    len: usize,
    bytes: Buffer,
}

/// Cells in the order they are due, each sent at its time or never.
pub(crate) struct Outbox {
    waiting: VecDeque<Sealed>,
    spare: Vec<Buffer>,
    /// Cells later than this are dropped: two in one slot would be a burst that shows.
    too_late: Option<Duration>,
}

/// What sending needs beside the datagrams.
#[derive(Clone, Copy)]
pub(crate) struct Departure<'a> {
    pub(crate) clock: &'a Clock,
    pub(crate) socket: &'a Socket,
    pub(crate) counters: &'a Counters,
    pub(crate) lateness: &'a Lateness,
}

impl Departure<'_> {
    /// A datagram the system does not take now is lost, as if by the network: sending it later would show.
    fn send(&self, path: Path, datagram: &[u8]) -> bool {
        let sent = self.socket.send(path, datagram).is_ok();
        if !sent {
            self.counters.send_errors.add();
        }
        sent
    }
}

impl Outbox {
    pub(crate) fn new(too_late: Option<Duration>) -> Self {
        Self { waiting: VecDeque::new(), spare: Vec::new(), too_late }
    }

    /// Sends every cell that is due. The first thing in every turn, and between any two pieces of longer work.
    pub(crate) fn send_due(&mut self, via: Departure<'_>) {
        while let Some(first) = self.waiting.front() {
            let now = via.clock.now();
            if first.due > now {
                return;
            }
            let late = now - first.due;
            via.lateness.record(late);
            if self.too_late.is_some_and(|limit| late > limit) {
                via.counters.slots_skipped.add();
            } else if via.send(first.path, &first.bytes[..first.len]) {
                via.counters.slots_sent.add();
            }
            if let Some(sent) = self.waiting.pop_front() {
                self.spare.push(sent.bytes);
            }
        }
    }

    /// Takes what the engine has to send: cells to be held, handshake datagrams sent on the spot.
    pub(crate) fn collect(&mut self, engine: &mut Engine, via: Departure<'_>) {
        while self.waiting.len() < CAPACITY {
            let mut bytes = self.spare.pop().unwrap_or_else(|| Box::new([0; DATAGRAM_LEN]));
            let Ok(memory) = TxBuf::new(&mut bytes[..]) else { return };
            let Some(out) = engine.poll_transmit(memory) else {
                self.spare.push(bytes);
                return;
            };
            let len = out.len.min(DATAGRAM_LEN);
            match out.kind {
                TransmitKind::Cell => self.hold(Sealed { due: out.due, path: out.path, len, bytes }),
                TransmitKind::Handshake => {
                    self.send_due(via);
                    via.send(out.path, &bytes[..len]);
                    self.spare.push(bytes);
                }
            }
        }
    }

    /// On a constant grid cells come in order; random delays do not.
    fn hold(&mut self, sealed: Sealed) {
        let place = self.waiting.partition_point(|other| other.due <= sealed.due);
        self.waiting.insert(place, sealed);
    }

    /// When the next cell is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.front().map(|sealed| sealed.due)
    }
}
