//! An engine whose contract is checked after every turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::OnceLock;

use b4ae_core::{
    Config, DATAGRAM_LEN, Engine, Event, Identity, Instant, Job, MessageId, Metrics, Path, SecretIdentity, Seed,
    SessionId, SessionState, TransmitKind, TxBuf, UnixTime,
};

use crate::session::{BURST, BURST_CELLS, BURST_PERIOD, LIMITS};
use crate::wire::{Flight, Wire};

/// Rounds of draining after which an engine is taken for spinning.
const SPIN: usize = 64;

/// What is known of a session from its events.
#[derive(Default)]
struct Seen {
    opened: bool,
    closed: bool,
    delivered: BTreeSet<MessageId>,
}

/// An engine, and what has been seen of it.
pub(crate) struct Watched {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    /// Sessions that are not closed, in the order they appeared.
    pub(crate) sessions: Vec<SessionId>,
    /// What the application took: whose it was and what.
    pub(crate) taken: Vec<(SessionId, Vec<u8>)>,
    /// Whether messages are taken as soon as they can be.
    pub(crate) reads: bool,
    /// Jobs that may still be run; the others are lost.
    pub(crate) jobs_left: usize,
    /// Whether jobs wait for [`complete`](Self::complete).
    pub(crate) holds_jobs: bool,
    /// Whether jobs stay in the engine, as with a driver whose threads are all busy.
    pub(crate) keeps_jobs: bool,
    jobs: VecDeque<Job>,
    config: Config,
    seen: BTreeMap<SessionId, Seen>,
    fed: u64,
    last_cell: Option<Instant>,
    before: Metrics,
}

/// The identity number `n`, with a signing key or without; made once.
pub(crate) fn identity(n: usize, signs: bool) -> Identity {
    static MADE: [OnceLock<Identity>; 4] = [const { OnceLock::new() }; 4];
    let make = || {
        let mut secret = SecretIdentity::generate(&Seed::new([n as u8 + 1; 32]));
        if !signs {
            secret.ml_dsa = None;
        }
        Identity::from_secret(&secret)
    };
    MADE[n % 2 * 2 + usize::from(signs)].get_or_init(make).clone()
}

/// The address number `n`.
pub(crate) fn address(n: usize) -> SocketAddr {
    let ip: IpAddr = match n as u8 {
        n @ 0..4 => [192, 0, 2, n].into(),
        n @ 4..7 => [198, 51, n, 1].into(),
        7 => Ipv4Addr::new(203, 0, 113, 1).to_ipv6_mapped().into(),
        n => [0x2001, 0xdb8, n.into(), 0, 0, 0, 0, 1].into(),
    };
    (ip, 7000).into()
}

impl Watched {
    pub(crate) fn new(n: usize, config: &Config, signs: bool) -> Self {
        let seed = Seed::new([n as u8 + 101; 32]);
        let engine = Engine::new(config, identity(n, signs), &seed, Instant::ORIGIN, UnixTime(0));
        Self {
            engine: engine.expect("a sound configuration"),
            address: address(n),
            sessions: Vec::new(),
            taken: Vec::new(),
            reads: true,
            jobs_left: usize::MAX,
            holds_jobs: false,
            keeps_jobs: false,
            jobs: VecDeque::new(),
            config: config.clone(),
            seen: BTreeMap::new(),
            fed: 0,
            last_cell: None,
            before: Metrics::default(),
        }
    }

    /// The session number `n` of those that are not closed.
    pub(crate) fn session(&self, n: usize) -> Option<SessionId> {
        self.sessions.get(n % self.sessions.len().max(1)).copied()
    }

    /// Notes a session that this side began.
    pub(crate) fn began(&mut self, id: SessionId) {
        assert!(self.seen.insert(id, Seen::default()).is_none(), "a session id is used twice");
        self.sessions.push(id);
    }

    /// A datagram arrives; no cell leaves because of it.
    pub(crate) fn feed(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8], wire: &mut Wire) {
        self.fed += 1;
        self.engine.handle_datagram(now, Path::new(from, Some(self.address.ip())), bytes);
        self.transmit(now, wire, false);
        self.settle(now, wire);
    }

    /// Does what a driver does in a turn, and checks the outcome.
    pub(crate) fn settle(&mut self, now: Instant, wire: &mut Wire) {
        let due = self.engine.poll_timeout().is_some_and(|at| at <= now);
        if due {
            self.engine.handle_timeout(now);
        }
        for round in 0.. {
            assert!(round < SPIN, "outputs without end");
            let sent = self.transmit(now, wire, due);
            let jobs = self.run_jobs(now);
            let events = self.events();
            if sent + jobs + events == 0 {
                break;
            }
        }
        if let Some(next) = self.engine.poll_timeout() {
            // The engine's time ends a nanosecond before the type's does: there its deadlines are all at once.
            let now = now.min(Instant::from_nanos(u64::MAX - 2));
            assert!(next >= now, "a deadline at {next:?} is past at {now:?}");
        }
        self.check_numbers();
    }

    fn transmit(&mut self, now: Instant, wire: &mut Wire, may_have_cells: bool) -> usize {
        let mut memory = [0xaa; DATAGRAM_LEN + 1];
        for sent in 0.. {
            assert!(sent < 4096, "datagrams without end");
            let buf = TxBuf::new(&mut memory).expect("room");
            let Some(transmit) = self.engine.poll_transmit(buf) else { return sent };
            assert_eq!((transmit.len, memory[DATAGRAM_LEN]), (DATAGRAM_LEN, 0xaa));
            if transmit.kind == TransmitKind::Cell && self.config.traffic().is_protected() {
                self.check_slot(now, transmit.due, may_have_cells);
            }
            let bytes = *memory.first_chunk().expect("a datagram");
            wire.push(Flight { from: self.address, to: transmit.path.remote(), bytes });
        }
        unreachable!("the count ends first")
    }

    /// A cell belongs to one slot of its schedule, which is not over.
    fn check_slot(&mut self, now: Instant, due: Instant, may: bool) {
        let traffic = self.config.traffic();
        let [interval, nanos] = [traffic.interval().as_nanos() as u64, due.as_nanos()];
        assert!(may, "a cell without a deadline");
        assert!(now - due < traffic.tolerance(), "a late cell");
        if traffic.is_constant_rate() {
            assert_eq!(nanos % interval, 0, "a cell beside the grid");
        } else if *traffic == BURST {
            let group = u64::from(LIMITS.sessions.next_power_of_two() * BURST_CELLS) * interval;
            let offset = nanos % BURST_PERIOD.as_nanos() as u64;
            assert!(offset < group && offset.is_multiple_of(interval), "a cell beside its group");
        }
        // Points of two sessions may be as close as chance has it.
        let apart = u64::from(traffic.is_constant_rate() || *traffic == BURST);
        assert!(self.last_cell.is_none_or(|last| last.as_nanos() + apart <= nanos), "two cells in a slot");
        self.last_cell = Some(due);
    }

    fn run_jobs(&mut self, now: Instant) -> usize {
        let mut ran = 0;
        if self.keeps_jobs {
            return 0;
        }
        while let Some(job) = self.engine.poll_job() {
            if self.jobs_left == 0 {
                continue;
            }
            self.jobs_left -= 1;
            if self.holds_jobs {
                self.jobs.push_back(job);
            } else {
                ran += 1;
                self.engine.handle_completion(now, job.run());
            }
        }
        ran
    }

    /// Runs a job that was held, the oldest or the newest, or loses it.
    pub(crate) fn complete(&mut self, now: Instant, newest: bool, lost: bool) {
        let job = if newest { self.jobs.pop_back() } else { self.jobs.pop_front() };
        if let Some(job) = job.filter(|_| !lost) {
            self.engine.handle_completion(now, job.run());
        }
    }

    fn events(&mut self) -> usize {
        for n in 0.. {
            assert!(n < 4096, "events without end");
            let Some(event) = self.engine.poll_event() else { return n };
            self.event(event);
        }
        unreachable!("the count ends first")
    }

    fn event(&mut self, event: Event) {
        let id = match event {
            Event::Incoming(id) => {
                self.began(id);
                id
            }
            Event::Established(id)
            | Event::Readable(id)
            | Event::Writable(id)
            | Event::Delivered(id, _)
            | Event::PathChanged(id)
            | Event::Closed(id, _) => id,
            other => panic!("{other:?} is new here"),
        };
        let seen = self.seen.get_mut(&id).expect("an event of a session that began");
        assert!(!seen.closed, "{event:?} after Closed");
        match event {
            Event::Incoming(_) | Event::Established(_) => {
                assert!(!std::mem::replace(&mut seen.opened, true), "opened twice");
                let session = self.engine.session(id).expect("it has just opened");
                let known = session.mode().is_some() && session.exporter(b"label").is_some();
                assert!(known || session.state() == SessionState::Closing, "open without a mode or keys");
            }
            Event::Delivered(_, message) => assert!(seen.delivered.insert(message), "confirmed twice"),
            Event::Readable(_) if self.reads => self.read(id),
            Event::Closed(..) => {
                seen.closed = true;
                assert!(self.engine.session(id).is_err(), "closed and still there");
                self.sessions.retain(|&other| other != id);
            }
            _ => assert!(self.engine.session(id).is_ok(), "{event:?} of no session"),
        }
    }

    /// Takes all messages that can be taken.
    pub(crate) fn read(&mut self, id: SessionId) {
        let Ok(mut session) = self.engine.session(id) else { return };
        while let Some(len) = session.next_len() {
            let mut message = vec![0; len];
            assert_eq!(session.recv(&mut message), Ok(len));
            self.taken.push((id, message));
        }
    }

    /// Numbers only grow, and none is beyond its limit.
    fn check_numbers(&mut self) {
        let (now, before, limits) = (self.engine.metrics(), self.before, self.config.limits());
        assert!(now.sessions <= limits.sessions);
        assert!(now.handshakes <= limits.sessions + limits.half_open);
        assert!(now.cells_received <= self.fed && now.messages_received <= now.cells_received);
        assert!(now.puzzle_bits <= 20);
        assert!(now.cells_sent >= before.cells_sent && now.slots_skipped >= before.slots_skipped);
        assert!(now.handshakes_completed >= before.handshakes_completed);
        assert!(now.messages_delivered >= before.messages_delivered);
        let drops = now.drops;
        let sum = [drops.length, drops.stranger, drops.unauthentic, drops.replayed, drops.cookie, drops.puzzle];
        assert!(sum.iter().sum::<u64>() <= self.fed, "a datagram was dropped twice");
        self.before = now;
        for id in self.sessions.clone() {
            let session = self.engine.session(id).expect("not closed");
            let stats = session.stats();
            assert!(stats.queued_bytes <= limits.send_bytes && stats.queued_messages <= limits.send_messages);
            assert!(stats.waiting_messages <= 1024);
            assert!(session.next_len().is_none_or(|len| len <= limits.message));
            assert!(session.state() != SessionState::Open || session.path().is_some());
        }
    }
}
