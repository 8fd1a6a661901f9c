//! Sealed datagrams waiting for their slot.

use std::collections::VecDeque;
use std::time::Duration;

use b4ae_core::{Clock, DATAGRAM_LEN, Engine, Instant, Path, TransmitKind, TxBuf};

use crate::counters::Counters;
use crate::lateness::Lateness;
use crate::launch::Launch;
use crate::socket::Socket;
use crate::tick::Tick;

/// Datagrams held at most. What does not fit stays with the engine.
const CAPACITY: usize = 512;
/// The longest guard. Waking a task takes some microseconds, tens of them on a busy machine.
const GUARD: Duration = Duration::from_micros(250);

/// Datagrams for one path that leave together, in memory of their own: written once and, but for groups, not moved.
#[derive(Debug)]
struct Group {
    at: Instant,
    path: Path,
    bytes: Vec<u8>,
}

impl Group {
    fn cells(&self) -> usize {
        self.bytes.len() / DATAGRAM_LEN
    }
}

/// Cells in the order they leave, each sent at its time or never.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: VecDeque<Group>,
    cells: usize,
    /// How many of them at most. Beyond it nothing is taken from the engine, handshakes included.
    capacity: usize,
    /// No more of them than there were ever groups waiting, each as large as a tick's slots at most.
    spare: Vec<Vec<u8>>,
    tick: Tick,
    launch: Launch,
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
    fn count(&self, datagrams: &[u8], sent: usize) -> usize {
        self.counters.send_errors.add_many(datagrams.len() / DATAGRAM_LEN - sent);
        sent
    }
}

impl Outbox {
    /// An empty outbox for cells that may be so late, or for such as are never late. Where cells leave in groups, it is
    /// a tick that they may be late.
    ///
    /// `ahead` is how many cells the schedule may seal ahead, in the worst case.
    pub(crate) fn new(tolerance: Option<Duration>, ahead: usize, tick: Tick, launch: Launch) -> Self {
        let tolerance = tick.length().or(tolerance);
        let guard = tolerance.map_or(Duration::ZERO, |tolerance| (tolerance / 4).min(GUARD));
        let capacity = ahead.saturating_add(CAPACITY);
        Self { waiting: VecDeque::new(), cells: 0, capacity, spare: Vec::new(), tick, launch, tolerance, guard }
    }

    /// Whether a cell is about to be due.
    pub(crate) fn is_near(&self, now: Instant) -> bool {
        self.next_due().is_some_and(|due| due - now < self.guard)
    }

    /// Sends every cell that is due. The first thing in every turn, and between any two pieces of longer work.
    pub(crate) fn send_due(&mut self, via: Departure<'_>) {
        if self.launch.next_look().is_some()
            && let Some(settled) = self.launch.look(|| via.clock.now())
        {
            // Only this loop sets it, and once.
            let _ = via.counters.timing.launch[1].set(settled);
        }
        while let Some(first) = self.waiting.front() {
            let now = via.clock.now();
            if first.at.saturating_sub(self.launch.ahead()) > now {
                return;
            }
            let late = now - first.at;
            via.lateness.record(late, first.cells());
            if self.tolerance.is_some_and(|tolerance| late > tolerance) {
                via.counters.slots_skipped.add_many(first.cells());
            } else {
                let sent = self.launch.send(via.socket, first.path, &first.bytes, first.at);
                via.counters.slots_sent.add_many(via.count(&first.bytes, sent));
            }
            if let Some(sent) = self.waiting.pop_front() {
                self.cells -= sent.cells();
                self.spare.push(sent.bytes);
            }
        }
    }

    /// Takes what the engine has to send: cells to be held, handshake datagrams sent on the spot.
    pub(crate) fn collect(&mut self, engine: &mut Engine, via: Departure<'_>) {
        while self.cells < self.capacity {
            let mut bytes = self.spare.pop().unwrap_or_default();
            bytes.resize(DATAGRAM_LEN, 0);
            let out = TxBuf::new(&mut bytes).ok().and_then(|memory| engine.poll_transmit(memory));
            let Some(out) = out else {
                self.spare.push(bytes);
                break;
            };
            match out.kind {
                TransmitKind::Cell => self.hold(out.due, out.path, bytes, via.socket.group_limit()),
                TransmitKind::Handshake => {
                    self.send_due(via);
                    via.count(&bytes, via.socket.send(out.path, &bytes));
                    self.spare.push(bytes);
                }
            }
        }
    }

    /// On every schedule cells come in order; with random delays they do not.
    fn hold(&mut self, due: Instant, path: Path, bytes: Vec<u8>, limit: usize) {
        let at = self.tick.at_or_after(due);
        self.cells += 1;
        if self.tick.length().is_some() {
            let mut same_tick = self.waiting.iter_mut().rev().take_while(|group| group.at == at);
            if let Some(group) = same_tick.find(|group| group.path == path && group.cells() < limit) {
                group.bytes.extend_from_slice(&bytes);
                self.spare.push(bytes);
                return;
            }
        }
        let place = self.waiting.partition_point(|other| other.at <= at);
        self.waiting.insert(place, Group { at, path, bytes });
    }

    /// When to call [`send_due`](Self::send_due): when the next cell is due, or ahead of that where the kernel sends
    /// it.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let next = self.waiting.front().map(|group| group.at.saturating_sub(self.launch.ahead()));
        next.into_iter().chain(self.launch.next_look()).min()
    }

    /// What is held, and when it leaves.
    #[cfg(test)]
    pub(crate) fn held(&self) -> impl Iterator<Item = (Instant, &[u8])> {
        self.waiting.iter().map(|group| (group.at, &group.bytes[..]))
    }

    /// When the last cell held is due.
    pub(crate) fn last_due(&self) -> Option<Instant> {
        self.waiting.back().map(|group| group.at)
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use b4ae_core::Traffic;

    use super::*;
    use crate::LaunchTimes;

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
            Self::with(Outbox::new(interval, 0, Tick::NONE, Launch::OFF))
        }

        fn with(outbox: Outbox) -> Self {
            let remote = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
            remote.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
            let clock = Clock::new();
            // Later than any cell of a test could be late.
            while clock.now() < Instant::ORIGIN + INTERVAL * 3 {
                std::thread::sleep(INTERVAL);
            }
            Self {
                outbox,
                clock,
                socket: Socket::bind("127.0.0.1:0".parse().expect("an address")).expect("loopback can be bound"),
                counters: Counters::default(),
                lateness: Lateness::new(),
                remote,
            }
        }

        fn hold(&mut self, due: Instant, mark: u8) {
            let path = Path::new(self.remote.local_addr().expect("bound"), None);
            let limit = self.socket.group_limit();
            self.outbox.hold(due, path, vec![mark; DATAGRAM_LEN], limit);
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

    /// Slots of 10 µs that leave every 200.
    fn fine_grid() -> Bench {
        let interval = Duration::from_micros(10);
        let tick = Tick::new(&Traffic::constant(interval), Duration::from_micros(200));
        Bench::with(Outbox::new(Some(interval), 0, tick, Launch::OFF))
    }

    #[test]
    fn cells_of_a_tick_leave_together_each_address_in_one_group() {
        let mut bench = fine_grid();
        let other = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
        let to_other = Path::new(other.local_addr().expect("bound"), None);
        let tick = bench.outbox.tick.at_or_after(bench.clock.now());
        let (slot, limit) = (Duration::from_micros(10), bench.socket.group_limit());
        for mark in 1..=20_u8 {
            let due = tick + slot * u32::from(mark);
            if mark % 2 == 0 {
                bench.outbox.hold(due, to_other, vec![mark; DATAGRAM_LEN], limit);
            } else {
                bench.hold(due, mark);
            }
        }
        let leaves = tick + slot * 20;
        assert!(bench.outbox.waiting.iter().all(|group| group.at == leaves));
        assert_eq!(bench.outbox.waiting.len(), if limit >= 10 { 2 } else { 20_usize.div_ceil(limit) });
        bench.hold(leaves + slot, 21);
        assert_eq!(bench.outbox.last_due(), Some(leaves + slot * 20), "the next tick's");
        assert_eq!(bench.outbox.cells, 21);

        // As long ago as makes no difference to what is looked at here.
        bench.outbox.tolerance = None;
        bench.outbox.waiting.iter_mut().for_each(|group| group.at = Instant::ORIGIN);
        bench.send_due();
        assert_eq!(bench.counters.slots_sent.get(), 21);
        assert_eq!((bench.outbox.cells, bench.lateness.snapshot().count()), (0, 21));
        let odd: Vec<u8> = (1..=21).step_by(2).collect();
        assert_eq!(bench.arrive(11), odd);
        bench.remote = other;
        let even: Vec<u8> = (2..=20).step_by(2).collect();
        assert_eq!(bench.arrive(10), even);
    }

    #[test]
    fn groups_later_than_a_tick_are_dropped_whole() {
        let mut bench = fine_grid();
        let now = bench.clock.now();
        for micros in 10..=12 {
            bench.hold(now.saturating_sub(Duration::from_millis(micros)), 1);
        }
        bench.send_due();
        assert_eq!((bench.counters.slots_skipped.get(), bench.counters.slots_sent.get()), (3, 0));
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

    /// Where nothing keeps launch times, as on loopback, and where the system has none.
    #[test]
    fn launch_times_that_the_system_does_not_keep_are_given_up_and_lose_nothing() {
        let mut bench = Bench::new(None);
        match Launch::new(&bench.socket, &bench.clock, Duration::from_millis(2)) {
            Ok(launch) => bench.outbox.launch = launch,
            Err(why) => assert!(!why.is_empty() && cfg!(not(target_os = "linux")), "{why}"),
        }
        let settled = |bench: &Bench| bench.counters.timing.launch[1].get().cloned();
        for mark in 1..=200 {
            if settled(&bench).is_some() {
                break;
            }
            let due = bench.clock.now() + Duration::from_millis(2);
            bench.hold(due, mark);
            // It is not enough to be asked once: on a busy machine the time to look may pass.
            while bench.outbox.next_due().is_some() {
                bench.send_due();
            }
            assert_eq!(bench.arrive(1), [mark]);
        }
        assert!(matches!(settled(&bench), Some(LaunchTimes::Refused { .. })), "{:?}", settled(&bench));
        assert_eq!(bench.outbox.launch.ahead(), Duration::ZERO);
        assert_eq!(bench.counters.send_errors.get(), 0);
        let due = bench.clock.now() + INTERVAL;
        bench.hold(due, 77);
        assert_eq!(bench.outbox.next_due(), Some(due), "in its slot, as ever");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_kernel_that_keeps_launch_times_has_cells_ahead_and_is_not_late() {
        let mut bench = Bench::new(None);
        let mut launch = Launch::new(&bench.socket, &bench.clock, Duration::from_millis(2)).expect("Linux takes them");
        launch.trust();
        let ahead = launch.ahead();
        bench.outbox.launch = launch;
        let due = bench.clock.now() + INTERVAL;
        bench.hold(due, 5);
        assert_eq!(bench.outbox.next_due(), Some(due.saturating_sub(ahead)));
        while bench.outbox.next_due().is_some() {
            bench.send_due();
        }
        let sent = bench.clock.now();
        assert!(sent >= due.saturating_sub(ahead));
        assert_eq!((bench.arrive(1), bench.counters.slots_sent.get()), (vec![5], 1));
        assert!(bench.lateness.max() <= sent - due, "not late when it was handed over in time");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_sent_with_a_launch_time_is_what_arrives_from_the_address_asked_for() {
        let mut bench = Bench::new(None);
        let mut launch = Launch::new(&bench.socket, &bench.clock, Duration::from_millis(2)).expect("Linux takes them");
        let local = bench.socket.local().ip();
        let path = Path::new(bench.remote.local_addr().expect("bound"), Some(local));
        let cells: Vec<u8> = (1..=5).flat_map(|mark| [mark; DATAGRAM_LEN]).collect();
        let due = bench.clock.now() + Duration::from_micros(300);
        assert_eq!(launch.send(&bench.socket, path, &cells, due), 5);
        assert_eq!(bench.arrive(5), [1, 2, 3, 4, 5]);
        // The same by IPv6, where the machine has it.
        let Ok(remote) = UdpSocket::bind("[::1]:0") else { return };
        bench.socket = Socket::bind("[::]:0".parse().expect("an address")).expect("there is IPv6");
        let mut launch = Launch::new(&bench.socket, &bench.clock, Duration::from_millis(2)).expect("Linux takes them");
        let path = Path::new(remote.local_addr().expect("bound"), Some("::1".parse().expect("an address")));
        bench.remote = remote;
        assert_eq!(launch.send(&bench.socket, path, &cells, bench.clock.now()), 5);
        assert_eq!(bench.arrive(5), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_send_error_loses_the_datagram_and_is_counted() {
        let mut bench = Bench::new(None);
        // No IPv4 socket sends there.
        let path = Path::new("[::1]:9".parse().expect("an address"), None);
        let due = bench.clock.now();
        bench.outbox.hold(due, path, vec![0; DATAGRAM_LEN], 1);
        bench.send_due();
        assert_eq!((bench.counters.send_errors.get(), bench.counters.slots_sent.get()), (1, 0));
        assert_eq!(bench.outbox.next_due(), None);
    }
}
