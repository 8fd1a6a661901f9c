//! What each of `Limits` costs: the thing it bounds is filled, at two settings, and the engine's heap counted. The bound
//! that the configuration states must hold and be no more than twice what was counted; the figures in the documentation
//! of `Limits` must be those of the bound.
//!
//! One test in a file of its own: others would count too.

use std::alloc::System;
use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::Duration;

use b4ae_core::{
    Accept, Config, DATAGRAM_LEN, Engine, Event, Identity, Instant, Job, Limits, MemoryBound, ModePolicy, Path,
    SecretIdentity, Seed, SessionId, Shutdown, Traffic, TransmitKind, TxBuf, UnixTime,
};
use b4ae_tests::secs;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const INTERVAL: Duration = Duration::from_millis(1);
/// Longer than any run.
const LONG: Duration = Duration::from_secs(1 << 20);

type Datagram = [u8; DATAGRAM_LEN];

/// Fewer and shorter than by default, so that all can be filled soon.
const BASE: Limits = Limits {
    sessions: 8,
    sessions_per_prefix: 1 << 16,
    half_open: 8,
    pending_jobs: 8,
    challenges_per_second: 1 << 16,
    handshakes_per_prefix: 1 << 16,
    prefixes: 16,
    cookies: 20_000,
    message: 16 << 10,
    send_bytes: 128 << 10,
    send_messages: 128,
    receive_bytes: 128 << 10,
    reorder_window: 64,
};

fn identity(n: usize) -> Identity {
    static IDENTITIES: OnceLock<[Identity; 2]> = OnceLock::new();
    let new = |n| Identity::from_secret(&SecretIdentity::generate(&Seed::new([n; 32])));
    IDENTITIES.get_or_init(|| [1, 2].map(new))[n].clone()
}

/// Slots as often as all tests have them.
const GRID: Traffic = Traffic::constant(INTERVAL);

fn config(limits: Limits, accept: Accept) -> Config {
    config_for(GRID, limits, accept)
}

fn config_for(traffic: Traffic, limits: Limits, accept: Accept) -> Config {
    let traffic = traffic.with_max_queue_latency(LONG).with_lead(Duration::ZERO);
    let config = Config::builder(traffic).limits(limits).accept(accept);
    config.idle_timeout(LONG).handshake_timeout(LONG).build().expect("a sound configuration")
}

fn bound(limits: Limits) -> MemoryBound {
    bound_for(GRID, limits)
}

fn bound_for(traffic: Traffic, limits: Limits) -> MemoryBound {
    config_for(traffic, limits, Accept::Anyone(ModePolicy::A_THEN_B)).memory_bound()
}

fn engine(n: u8, config: &Config) -> Engine {
    let seed = Seed::new([n + 10; 32]);
    Engine::new(config, identity(n.into()), &seed, Instant::ORIGIN, UnixTime(0)).expect("an engine")
}

fn server(limits: Limits) -> Engine {
    engine(1, &config(limits, Accept::Anyone(ModePolicy::A_THEN_B)))
}

/// What the allocator gets back.
fn freed<T>(value: T) -> f64 {
    let region = Region::new(ALLOCATOR);
    drop(value);
    let change = region.change();
    change.bytes_deallocated as f64 - change.bytes_allocated as f64
}

/// The `n`th address of many, each in a /24 of its own; the server is dialled at as many, so that answers find home.
fn place(n: usize, side: u8) -> Path {
    let [.., high, low] = (n as u32).to_be_bytes();
    Path::new(([10 + side, high, low, 1], 7000).into(), None)
}

/// The other end of a path.
fn opposite(path: Path) -> Path {
    let std::net::IpAddr::V4(ip) = path.remote().ip() else { panic!("all are IPv4") };
    let [side, high, low, _] = ip.octets();
    place(usize::from(high) << 8 | usize::from(low), 1 - (side - 10))
}

/// A client that dials from many addresses, and a server.
struct Pair {
    client: Engine,
    server: Engine,
    now: Instant,
}

impl Pair {
    fn new(client_limits: Limits, limits: Limits) -> Self {
        Self::with(GRID, client_limits, limits)
    }

    fn with(traffic: Traffic, client_limits: Limits, limits: Limits) -> Self {
        let client = config_for(traffic, client_limits, Accept::Nobody);
        let server = config_for(traffic, limits, Accept::Anyone(ModePolicy::A_THEN_B));
        Self { client: engine(0, &client), server: engine(1, &server), now: Instant::ORIGIN + Duration::from_secs(1) }
    }

    /// Dials from the `n`th address.
    fn dial(&mut self, n: usize, modes: ModePolicy) -> SessionId {
        let peer = self.server.peer_id();
        self.client.connect(self.now, place(n, 1), &peer, modes).expect("room")
    }

    /// Dials from `n` addresses.
    fn dial_all(&mut self, n: usize, modes: ModePolicy) {
        for n in 0..n {
            self.dial(n, modes);
        }
    }

    /// Handshake datagrams the client has to send, with their senders.
    fn client_says(&mut self) -> Vec<(Path, Datagram)> {
        datagrams(&mut self.client, TransmitKind::Handshake)
    }

    fn server_says(&mut self) -> Vec<(Path, Datagram)> {
        datagrams(&mut self.server, TransmitKind::Handshake)
    }

    fn server_hears(&mut self, datagrams: Vec<(Path, Datagram)>) {
        for (from, mut datagram) in datagrams {
            self.server.handle_datagram(self.now, from, &mut datagram);
        }
    }

    fn client_hears(&mut self, datagrams: Vec<(Path, Datagram)>) {
        for (from, mut datagram) in datagrams {
            self.client.handle_datagram(self.now, from, &mut datagram);
        }
    }

    /// Hello and Challenge, and the keys of the Init. Returns the Inits.
    fn inits(&mut self) -> Vec<(Path, Datagram)> {
        // In portions: no more Challenges wait at once than may.
        let hellos = self.client_says();
        for some in hellos.chunks(100) {
            self.server_hears(some.to_vec());
            let challenges = self.server_says();
            self.client_hears(challenges);
        }
        self.client.run_inline(self.now);
        self.client_says()
    }

    /// So many sessions, open for the server: the client's and the server's ids.
    fn open_unheard(&mut self, n: usize) -> [Vec<SessionId>; 2] {
        let open = |n| {
            let id = self.dial(n, ModePolicy::A);
            let inits = self.inits();
            self.server_hears(inits);
            self.server.run_inline(self.now);
            let responses = self.server_says();
            self.client_hears(responses);
            self.client.run_inline(self.now);
            let finishes = self.client_says();
            self.server_hears(finishes);
            self.server.run_inline(self.now);
            id
        };
        let ids: Vec<_> = (0..n).map(open).collect();
        let opened = |event| if let Event::Incoming(id) = event { Some(id) } else { None };
        let answered: Vec<_> = std::iter::from_fn(|| self.server.poll_event()).filter_map(opened).collect();
        assert_eq!(answered.len(), n, "every session is open");
        [ids, answered]
    }

    /// So many sessions, open at both ends.
    fn open(&mut self, n: usize) -> [Vec<SessionId>; 2] {
        let opened = self.open_unheard(n);
        let mut known = 0;
        // Of the grid's rounds one is enough.
        for _ in 0..20 {
            self.round(n);
            known += std::iter::from_fn(|| self.client.poll_event()).count();
            if known >= n {
                return opened;
            }
        }
        panic!("of {n} sessions {known} are known to be open");
    }

    /// As many slots as all sessions have in two rounds.
    fn round(&mut self, sessions: usize) {
        for _ in 0..2 * sessions.next_power_of_two() {
            self.now = self.now + INTERVAL;
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            let cells = datagrams(&mut self.client, TransmitKind::Cell);
            self.server_hears(cells);
            let cells = datagrams(&mut self.server, TransmitKind::Cell);
            self.client_hears(cells);
        }
    }
}

/// All datagrams that an engine has to send of one kind, as their receivers see them; the others are lost.
fn datagrams(engine: &mut Engine, kind: TransmitKind) -> Vec<(Path, Datagram)> {
    let mut all = Vec::new();
    let mut datagram = [0; DATAGRAM_LEN];
    while let Some(transmit) = engine.poll_transmit(TxBuf::new(&mut datagram).expect("room")) {
        if transmit.kind == kind {
            all.push((opposite(transmit.path), datagram));
        }
    }
    all
}

/// Takes every message, and counts them.
fn take_all(engine: &mut Engine, ids: &[SessionId]) -> usize {
    let mut message = vec![0; 1 << 20];
    let mut take = |id| {
        let mut session = engine.session(id).expect("open");
        std::iter::from_fn(|| session.recv(&mut message).ok()).count()
    };
    ids.iter().map(|&id| take(id)).sum()
}

fn events(engine: &mut Engine) {
    while engine.poll_event().is_some() {}
}

fn send(engine: &mut Engine, id: SessionId, len: usize) {
    engine.session(id).expect("open").send(&vec![0x5a; len]).expect("room");
}

/// A server of which every session is full: buffers of long messages kept at both ends of delivery, as many messages
/// queued as may be and as long, as many received and not taken, as many confirmations untold as there have been.
fn full(limits: Limits) -> f64 {
    full_with(GRID, limits)
}

fn full_with(traffic: Traffic, limits: Limits) -> f64 {
    let sessions = limits.sessions as usize;
    let ample = Limits { send_bytes: 1 << 24, send_messages: 1 << 12, receive_bytes: 1 << 24, ..limits };
    let mut pair = Pair::with(traffic, ample, limits);
    let [dialled, answered] = pair.open(sessions);

    // Long messages both ways leave their buffers.
    for (&there, &here) in dialled.iter().zip(&answered) {
        for _ in 0..4 {
            send(&mut pair.client, there, 16 << 10);
            send(&mut pair.server, here, 16 << 10);
        }
    }
    settle(&mut pair, &dialled, &answered, 4);
    events(&mut pair.server);

    // As many short ones as may be, confirmed, and the application does not hear of it until all are.
    for &here in &answered {
        (0..limits.send_messages).for_each(|_| send(&mut pair.server, here, 1));
    }
    settle(&mut pair, &dialled, &[], limits.send_messages);
    events(&mut pair.server);

    // What the server is sent and does not take.
    let cells = limits.receive_bytes / 1024;
    let messages = cells.min(1024);
    for &there in &dialled {
        (0..messages).for_each(|_| send(&mut pair.client, there, limits.receive_bytes / messages));
    }
    let waiting = |pair: &mut Pair, id| pair.server.session(id).expect("open").stats().waiting_messages;
    for _ in 0..4 * cells {
        pair.round(sessions);
        if answered.iter().all(|&id| waiting(&mut pair, id) == messages) {
            break;
        }
    }
    assert!(answered.iter().all(|&id| waiting(&mut pair, id) == messages), "everything has arrived");

    // And what it sends, of which nothing leaves.
    for &here in &answered {
        // The shortest there are take the buffers that were kept.
        (0..4).for_each(|_| send(&mut pair.server, here, 1));
        let long = limits.send_messages - 4;
        let len = ((limits.send_bytes - 4) / long).min(limits.message);
        (0..long).for_each(|_| send(&mut pair.server, here, len));
        let queued = pair.server.session(here).expect("open").stats();
        assert!(queued.queued_bytes * 8 >= limits.send_bytes * 7, "the queue is full: {queued:?}");
    }
    freed(pair.server)
}

/// Runs until each of these sessions has got and taken so many messages.
fn settle(pair: &mut Pair, dialled: &[SessionId], answered: &[SessionId], messages: usize) {
    let mut missing = messages * (dialled.len() + answered.len());
    let rounds = 4 * 16 * messages;
    for _ in 0..rounds {
        pair.round(dialled.len());
        missing -= take_all(&mut pair.client, dialled) + take_all(&mut pair.server, answered);
        if missing == 0 {
            // Once more for the acknowledgements.
            (0..4).for_each(|_| pair.round(dialled.len()));
            return;
        }
    }
    panic!("{missing} messages did not come");
}

/// A server with as many handshakes in mode B as there may be, of each the whole Response and all but a fragment of the
/// Finish.
fn half_open(limits: Limits) -> f64 {
    let dials = 2 * limits.half_open as usize;
    let mut pair = Pair::new(Limits { sessions: dials as u32, ..BASE }, limits);
    pair.dial_all(dials, ModePolicy::B);
    for init in pair.inits() {
        pair.server_hears(vec![init]);
        pair.server.run_inline(pair.now);
    }
    let responses = pair.server_says();
    pair.client_hears(responses);
    pair.client.run_inline(pair.now);
    let mut finishes = pair.client_says();
    // Of each address's the last is lost.
    let last = |at: usize| finishes.get(at + 1).is_none_or(|next| next.0 != finishes[at].0);
    let lost: Vec<_> = (0..finishes.len()).filter(|&at| last(at)).collect();
    for at in lost.into_iter().rev() {
        finishes.remove(at);
    }
    pair.server_hears(finishes);
    assert_eq!(pair.server.metrics().handshakes, limits.half_open, "the table is full");
    freed(pair.server)
}

/// As many jobs for handshakes of others as there may be, in mode B, when they have been run and not been taken back.
fn jobs(limits: Limits) -> f64 {
    let more = 4 * limits.pending_jobs;
    let limits = Limits { half_open: more, ..limits };
    let mut pair = Pair::new(Limits { sessions: more, ..BASE }, limits);
    pair.dial_all(more as usize, ModePolicy::B);
    let inits = pair.inits();
    pair.server_hears(inits);
    let jobs: Vec<_> = std::iter::from_fn(|| pair.server.poll_job()).collect();
    assert_eq!(jobs.len(), limits.pending_jobs as usize, "no more jobs than may be are handed out");
    let done: Vec<_> = jobs.into_iter().map(Job::run).collect();
    freed(done)
}

/// A server before which as many Hellos wait as may.
fn challenges(limits: Limits) -> f64 {
    let strangers = 2 * limits.challenges_per_second as usize;
    let mut pair = Pair::new(Limits { sessions: strangers as u32, ..BASE }, limits);
    pair.dial_all(strangers, ModePolicy::A);
    for hello in pair.client_says() {
        pair.now = pair.now + Duration::from_secs(1);
        pair.server_hears(vec![hello]);
    }
    assert!(pair.server.metrics().drops.limited > 0, "the queue is full");
    freed(pair.server)
}

/// A server at whose door more hosts have stood than it remembers.
fn prefixes(limits: Limits) -> f64 {
    let strangers = limits.prefixes as usize;
    let mut pair = Pair::new(Limits { sessions: strangers as u32, ..BASE }, limits);
    pair.dial_all(strangers, ModePolicy::A);
    let mut inits = pair.inits();
    // The first fragment of each.
    inits.dedup_by_key(|init| init.0);
    assert_eq!(inits.len(), strangers);
    pair.server_hears(inits);
    freed(pair.server)
}

/// A client all of whose sessions are being dialled in mode B, with a whole Response of each to be verified.
fn dials(limits: Limits) -> f64 {
    let n = limits.sessions;
    let mut pair = Pair::new(limits, Limits { half_open: n, pending_jobs: n, ..BASE });
    pair.dial_all(n as usize, ModePolicy::B);
    let inits = pair.inits();
    pair.server_hears(inits);
    pair.server.run_inline(pair.now);
    let responses = pair.server_says();
    pair.client_hears(responses);
    freed(pair.client)
}

type Part = fn(&MemoryBound) -> u64;

/// What one field of `Limits` bounds.
struct Field {
    name: &'static str,
    get: fn(&Limits) -> usize,
    set: fn(&mut Limits, u32),
    /// Two settings that it is filled at, the other fields being those of `BASE`.
    settings: [u32; 2],
    fill: fn(Limits) -> f64,
    /// The part of the bound that grows with it, and two settings at which its documentation speaks of it, the other
    /// fields being those of the default. `None` where it takes no memory of its own.
    part: Option<(Part, [u32; 2])>,
    /// Whether each session has so many.
    each_session: bool,
}

const FIELDS: [Field; 13] = [
    Field {
        name: "sessions",
        get: |limits| limits.sessions as usize,
        set: |limits, n| limits.sessions = n,
        settings: [4, 8],
        fill: full,
        part: Some((|bound| bound.sessions + bound.messages, [64, 128])),
        each_session: false,
    },
    Field {
        name: "sessions_per_prefix",
        get: |limits| limits.sessions_per_prefix as usize,
        set: |limits, n| limits.sessions_per_prefix = n,
        settings: [64, 128],
        fill: full,
        part: None,
        each_session: false,
    },
    Field {
        name: "half_open",
        get: |limits| limits.half_open as usize,
        set: |limits, n| limits.half_open = n,
        settings: [16, 64],
        fill: half_open,
        part: Some((|bound| bound.half_open, [64, 256])),
        each_session: false,
    },
    Field {
        name: "pending_jobs",
        get: |limits| limits.pending_jobs as usize,
        set: |limits, n| limits.pending_jobs = n,
        settings: [4, 16],
        fill: jobs,
        part: Some((|bound| bound.jobs, [64, 128])),
        each_session: false,
    },
    Field {
        name: "challenges_per_second",
        get: |limits| limits.challenges_per_second as usize,
        set: |limits, n| limits.challenges_per_second = n,
        settings: [32, 256],
        fill: challenges,
        part: Some((|bound| bound.challenges, [32, 256])),
        each_session: false,
    },
    Field {
        name: "handshakes_per_prefix",
        get: |limits| limits.handshakes_per_prefix as usize,
        set: |limits, n| limits.handshakes_per_prefix = n,
        settings: [100, 200],
        fill: prefixes,
        part: None,
        each_session: false,
    },
    Field {
        name: "prefixes",
        get: |limits| limits.prefixes as usize,
        set: |limits, n| limits.prefixes = n,
        settings: [128, 1024],
        fill: prefixes,
        part: Some((|bound| bound.prefixes, [4096, 8 << 10])),
        each_session: false,
    },
    Field {
        name: "cookies",
        get: |limits| limits.cookies as usize,
        set: |limits, n| limits.cookies = n,
        settings: [10_000, 100_000],
        fill: |limits| freed(server(limits)),
        part: Some((|bound| bound.cookies, [100_000, 200_000])),
        each_session: false,
    },
    Field {
        name: "message",
        get: |limits| limits.message,
        set: |limits, n| limits.message = n as usize,
        settings: [16 << 10, 64 << 10],
        fill: full,
        part: None,
        each_session: true,
    },
    Field {
        name: "send_bytes",
        get: |limits| limits.send_bytes,
        set: |limits, n| limits.send_bytes = n as usize,
        settings: [128 << 10, 512 << 10],
        fill: full,
        part: Some((|bound| bound.messages, [2 << 20, 4 << 20])),
        each_session: true,
    },
    Field {
        name: "send_messages",
        get: |limits| limits.send_messages,
        set: |limits, n| limits.send_messages = n as usize,
        settings: [64, 256],
        fill: full,
        part: Some((|bound| bound.sessions, [256, 512])),
        each_session: true,
    },
    Field {
        name: "receive_bytes",
        get: |limits| limits.receive_bytes,
        set: |limits, n| limits.receive_bytes = n as usize,
        settings: [128 << 10, 512 << 10],
        fill: full,
        part: Some((|bound| bound.messages + bound.sessions, [2 << 20, 4 << 20])),
        each_session: true,
    },
    Field {
        name: "reorder_window",
        get: |limits| limits.reorder_window,
        set: |limits, n| limits.reorder_window = n as usize,
        settings: [64, 256],
        fill: full,
        part: Some((|bound| bound.sessions, [64, 128])),
        each_session: true,
    },
];

impl Field {
    fn at(&self, mut limits: Limits, n: u32) -> Limits {
        (self.set)(&mut limits, n);
        limits
    }

    /// How much more of something there is at the second setting, for each one more of this.
    fn unit(&self, limits: Limits, settings: [u32; 2], what: impl Fn(Limits) -> f64) -> f64 {
        let [less, more] = settings.map(|n| what(self.at(limits, n)));
        let sessions = if self.each_session { f64::from(limits.sessions) } else { 1.0 };
        (more - less) / f64::from(settings[1] - settings[0]) / sessions
    }

    /// What the field's documentation says: the number in "Memory: at most N bytes", or that there is none.
    fn documented(&self) -> Option<f64> {
        let source = include_str!("../../core/src/config.rs");
        let limits = source.split("pub struct Limits {").nth(1).expect("there are limits");
        let before = limits.split(&format!("    pub {}:", self.name)).next().expect("the field is there");
        let lines = before.lines().rev().take_while(|line| line.trim_start().starts_with("///"));
        let lines: Vec<_> = lines.map(|line| line.trim_start_matches([' ', '/'])).collect();
        let text = lines.into_iter().rev().collect::<Vec<_>>().join(" ");
        let Some((_, number)) = text.split_once("Memory: at most ") else {
            assert!(text.contains("No memory of its own"), "{}: it is not said what it takes: {text}", self.name);
            return None;
        };
        let number = number.split(" byte").next().expect("there is always one").replace(' ', "");
        Some(number.parse().unwrap_or_else(|_| panic!("{}: not a number: {number}", self.name)))
    }
}

#[test]
fn no_more_memory_is_taken_than_the_configuration_says() {
    // The whole, at two sizes.
    let open = |bound: &MemoryBound| bound.sessions + bound.messages + bound.cookies;
    for sessions in [4, 8, 16] {
        let limits = Limits { sessions, ..BASE };
        within(&format!("{sessions} full sessions"), full(limits), open(&bound(limits)) as f64);
    }
    // As many cells in a round of as many slots, at random or in groups.
    let round = INTERVAL * BASE.sessions.next_power_of_two();
    for traffic in [Traffic::poisson(round), Traffic::burst(round * 4, 4).with_spacing(INTERVAL)] {
        let bound = open(&bound_for(traffic, BASE)) as f64;
        within(&format!("{} full sessions, {traffic:?}", BASE.sessions), full_with(traffic, BASE), bound);
    }
    for sessions in [16, 64] {
        let limits = Limits { sessions, ..BASE };
        within(&format!("{sessions} dialled sessions"), dials(limits), bound(limits).dials as f64);
    }

    // Each field by itself.
    let default = Limits::default();
    let mut table = String::from(
        "| field | default | bytes each, counted | at most | at most, by default |\n|---|--:|--:|--:|--:|\n",
    );
    for field in &FIELDS {
        let Field { name, fill, .. } = *field;
        let counted = field.unit(BASE, field.settings, fill);
        let documented = field.documented();
        let Some((part, settings)) = field.part else {
            assert!(documented.is_none(), "{name}: no memory is bounded by it");
            assert!(counted.abs() < 0.01, "{name} takes {counted} bytes each");
            let [less, more] = field.settings.map(|n| bound(field.at(BASE, n)).total());
            assert_eq!(less, more, "{name} is not in the bound");
            continue;
        };
        let part = |limits| part(&bound(limits)) as f64;
        within(name, counted, field.unit(BASE, field.settings, part));
        let most = field.unit(default, settings, part);
        let documented = documented.unwrap_or_else(|| panic!("{name} takes memory, and its documentation denies it"));
        assert!((most..most * 1.25).contains(&documented), "{name}: {documented} is said, {most} is so");
        // No more than the second setting count for anything.
        let by_default = most * (field.get)(&default).min(settings[1] as usize) as f64;
        let all = by_default * if field.each_session { f64::from(default.sessions) } else { 1.0 };
        let _ = writeln!(table, "| `{name}` | {} | {counted:.1} | {most:.1} | {all:.0} |", (field.get)(&default));
    }
    println!("{table}\nby default at most {:?}: {}", bound(default), bound(default).total());

    neglect();
}

/// What was counted is no more than the bound, and the bound no more than twice that.
fn within(what: &str, counted: f64, bound: f64) {
    println!("{what}: {counted:.1} bytes counted, at most {bound:.1}");
    assert!(counted <= bound, "{what}: {counted} bytes are held, and {bound} are the most");
    assert!(bound <= 2.0 * counted, "{what}: {bound} bytes are said, and no more than {counted} are ever held");
}

/// A driver that does not fetch what the engine has for it, and an application that asks for too much, make it hold no
/// more than the first time.
fn neglect() {
    // Cells that are due, of low-overhead sessions.
    let due = |seconds| {
        let limits = Limits { sessions: 8, ..BASE };
        let config = config_for(Traffic::low_overhead_unprotected(), limits, Accept::Anyone(ModePolicy::A));
        let mut pair = Pair::new(limits, limits);
        pair.server = engine(1, &config);
        pair.open_unheard(8);
        for _ in 0..seconds {
            pair.now = pair.now + secs(1);
            pair.server.handle_timeout(pair.now);
        }
        freed(pair.server)
    };
    assert_eq!(due(100).to_bits(), due(10_000).to_bits(), "cells that were not fetched pile up");

    // Jobs of handshakes that were given up.
    let jobs = |times| {
        let mut pair = Pair::new(Limits { sessions: 1, ..BASE }, BASE);
        for n in 0..times {
            let id = pair.dial(n, ModePolicy::A);
            let hello = pair.client_says();
            pair.server_hears(hello);
            let challenge = pair.server_says();
            pair.client_hears(challenge);
            pair.client.session(id).expect("dialled").close();
            events(&mut pair.client);
        }
        freed(pair.client)
    };
    assert_eq!(jobs(1).to_bits(), jobs(100).to_bits(), "jobs that were not fetched pile up");

    // Shutdowns.
    let shutdowns = |times| {
        let mut engine = server(BASE);
        (0..times).for_each(|n| engine.shutdown(Instant::ORIGIN, Shutdown::Flush(Instant::ORIGIN + secs(n))));
        freed(engine)
    };
    assert_eq!(shutdowns(1).to_bits(), shutdowns(1000).to_bits(), "shutdowns pile up");
}
