//! Sealed datagrams waiting for their slot.

use std::collections::VecDeque;
use std::time::Duration;

use b4ae_core::{Clock, DATAGRAM_LEN, Engine, Instant, Path, TransmitKind, TxBuf};

use crate::counters::Counters;
use crate::lateness::Lateness;
use crate::socket::Socket;

/// Datagrams held at most. What does not fit stays with the engine.
const CAPACITY: usize = 512;
/// The longest guard. Waking a task takes some microseconds, tens of them on a busy machine.
const GUARD: Duration = Duration::from_micros(250);

/// Boxed, so that a datagram is written once and only its pointer moves.
type Buffer = Box<[u8; DATAGRAM_LEN]>;

#[derive(Debug)]
struct Sealed {
    due: Instant,
    path: Path,
    len: usize,
    bytes: Buffer,
}

/// Cells in the order they are due, each sent at its time or never.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: VecDeque<Sealed>,
    spare: Vec<Buffer>,
    /// Cells later than this are dropped: made up for, they would be a burst that shows.
    tolerance: Option<Duration>,
    /// How long before a cell is due nothing that can wait is begun.
    guard: Duration,
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
    /// An empty outbox for cells that may be so late, or for such as are never late.
    pub(crate) fn new(tolerance: Option<Duration>) -> Self {
        let guard = tolerance.map_or(Duration::ZERO, |tolerance| (tolerance / 4).min(GUARD));
        Self { waiting: VecDeque::new(), spare: Vec::new(), tolerance, guard }
    }

    /// Whether a cell is about to be due.
    pub(crate) fn is_near(&self, now: Instant) -> bool {
        self.next_due().is_some_and(|due| due - now < self.guard)
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
            if self.tolerance.is_some_and(|tolerance| late > tolerance) {
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

    /// On every schedule cells come in order; with random delays they do not.
    fn hold(&mut self, sealed: Sealed) {
        let place = self.waiting.partition_point(|other| other.due <= sealed.due);
        self.waiting.insert(place, sealed);
    }

    /// When the next cell is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.front().map(|sealed| sealed.due)
    }

    /// When the last cell held is due.
    pub(crate) fn last_due(&self) -> Option<Instant> {
        self.waiting.back().map(|sealed| sealed.due)
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(20);

    /// An outbox with a socket, and what it sends to.
    struct Bench {
        outbox: Outbox,
        clock: Clock,
        socket: Socket,
        counters: Counters,
        lateness: Lateness,
        remote: UdpSocket,
    }

    impl Bench {
        fn new(interval: Option<Duration>) -> Self {
            let remote = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
            let clock = Clock::new();
            // Later than any cell of a test could be late.
            while clock.now() < Instant::ORIGIN + INTERVAL * 3 {
                std::thread::sleep(INTERVAL);
            }
            Self {
                outbox: Outbox::new(interval),
                clock,
                socket: Socket::bind("127.0.0.1:0".parse().expect("an address")).expect("loopback can be bound"),
                counters: Counters::default(),
                lateness: Lateness::new(),
                remote,
            }
        }

        fn hold(&mut self, due: Instant, mark: u8) {
            let path = Path::new(self.remote.local_addr().expect("bound"), None);
            self.outbox.hold(Sealed { due, path, len: DATAGRAM_LEN, bytes: Box::new([mark; DATAGRAM_LEN]) });
        }

        fn send_due(&mut self) {
            let via = Departure {
                clock: &self.clock,
                socket: &self.socket,
                counters: &self.counters,
                lateness: &self.lateness,
            };
            self.outbox.send_due(via);
        }

        /// The first bytes of the next datagrams to arrive.
        fn arrive(&self, count: usize) -> Vec<u8> {
            let mut buffer = [0; 2 * DATAGRAM_LEN];
            let mut next = || {
                let len = self.remote.recv(&mut buffer).expect("loopback loses nothing");
                assert_eq!(len, DATAGRAM_LEN);
                buffer[0]
            };
            (0..count).map(|_| next()).collect()
        }
    }

    #[test]
    fn a_cell_is_held_until_it_is_due_and_then_sent() {
        let mut bench = Bench::new(None);
        let due = bench.clock.now() + INTERVAL;
        bench.hold(due, 1);
        bench.send_due();
        // On a machine that slept through the interval the cell has left rightly.
        if bench.clock.now() < due {
            assert_eq!((bench.counters.slots_sent.get(), bench.outbox.next_due()), (0, Some(due)));
        }
        while bench.clock.now() < due {
            std::thread::sleep(INTERVAL);
        }
        bench.send_due();
        assert_eq!((bench.counters.slots_sent.get(), bench.outbox.next_due()), (1, None));
        assert_eq!(bench.arrive(1), [1]);
    }

    #[test]
    fn cells_later_than_a_slot_are_dropped_and_counted_not_sent_in_a_burst() {
        let mut bench = Bench::new(Some(INTERVAL));
        let now = bench.clock.now();
        bench.hold(now.saturating_sub(INTERVAL * 2), 1);
        bench.hold(now.saturating_sub(INTERVAL + Duration::from_nanos(1)), 2);
        bench.send_due();
        assert_eq!((bench.counters.slots_skipped.get(), bench.counters.slots_sent.get()), (2, 0));
        assert!(bench.lateness.max() >= INTERVAL * 2, "what was dropped was late, too");
    }

    #[test]
    fn without_a_grid_a_late_cell_is_sent() {
        let mut bench = Bench::new(None);
        bench.hold(bench.clock.now().saturating_sub(INTERVAL * 2), 1);
        bench.send_due();
        assert_eq!(bench.arrive(1), [1]);
    }

    #[test]
    fn cells_leave_in_the_order_they_are_due() {
        let mut bench = Bench::new(None);
        let now = bench.clock.now();
        for (earlier, mark) in [(1, 3), (3, 1), (2, 2)] {
            bench.hold(now.saturating_sub(Duration::from_micros(earlier)), mark);
        }
        bench.send_due();
        assert_eq!(bench.arrive(3), [1, 2, 3]);
    }

    #[test]
    fn what_can_wait_waits_just_before_a_cell_is_due() {
        let mut bench = Bench::new(Some(INTERVAL));
        let now = bench.clock.now();
        assert!(!bench.outbox.is_near(now));
        bench.hold(now + INTERVAL, 1);
        assert!(!bench.outbox.is_near(now));
        assert!(bench.outbox.is_near(now + INTERVAL.saturating_sub(GUARD / 2)));
    }

    #[test]
    fn a_send_error_loses_the_datagram_and_is_counted() {
        let mut bench = Bench::new(None);
        // No IPv4 socket sends there.
        let path = Path::new("[::1]:9".parse().expect("an address"), None);
        let due = bench.clock.now();
        bench.outbox.hold(Sealed { due, path, len: DATAGRAM_LEN, bytes: Box::new([0; DATAGRAM_LEN]) });
        bench.send_due();
        assert_eq!((bench.counters.send_errors.get(), bench.counters.slots_sent.get()), (1, 0));
        assert_eq!(bench.outbox.next_due(), None);
    }
}
