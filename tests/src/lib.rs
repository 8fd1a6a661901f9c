//! Helpers the test suites share, so that each test reads as the property it states.
//!
//! They panic where a test would: a helper that cannot do its part is a failed test.
#![allow(clippy::missing_panics_doc)]

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use b4ae_core::{Accept, Config, ConfigBuilder, Event, Instant, Limits, ModePolicy, SessionId, Traffic};
use b4ae_sim::{Action, Attacker, Behaviour, Encounter, Forged, HostId, HostSpec, Latency, Network, Sighting, World};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config as ProptestConfig, TestRunner};

/// A seed from a number.
pub fn seed(n: u64) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&n.to_le_bytes());
    seed
}

/// So many random cases, or as many as `PROPTEST_CASES` says. A failure prints its scenario; nothing is written.
pub fn cases(number: u32) -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = number;
    }
    config
}

/// Runs `check` on random values; what fails is shrunk and printed.
pub fn for_all<S: Strategy>(config: ProptestConfig, values: &S, check: impl Fn(S::Value)) {
    let result = TestRunner::new(config).run(values, |value| {
        check(value);
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// Counts the cases in which something happened: a property of runs in which nothing does is no property.
#[derive(Debug, Default)]
pub struct Tally {
    all: Cell<u32>,
    some: Cell<u32>,
}

impl Tally {
    /// One more case.
    pub fn count(&self, happened: bool) {
        self.all.set(self.all.get() + 1);
        self.some.set(self.some.get() + u32::from(happened));
    }

    /// It happened in half of the cases, and there were some.
    #[track_caller]
    pub fn assert_at_least_half(&self, what: &str) {
        let (some, all) = (self.some.get(), self.all.get());
        assert!(all > 0 && some * 2 >= all, "of {all} cases only {some} {what}");
    }
}

/// So many milliseconds.
pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// So many seconds.
pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The moment so long after the start of the world.
pub fn at(time: Duration) -> Instant {
    Instant::ORIGIN + time
}

/// A millisecond grid, room for 16 sessions.
pub fn fast() -> ConfigBuilder {
    Config::builder(Traffic::constant(ms(1))).limits(Limits { sessions: 16, ..Limits::default() })
}

/// What is built, given that it can be.
pub fn built(config: ConfigBuilder) -> Config {
    config.build().expect("the configuration is valid")
}

/// [`fast`], answering anyone in both modes.
pub fn open_server() -> Config {
    built(fast().accept(Accept::Anyone(ModePolicy::A_THEN_B)))
}

/// [`fast`], answering anyone in mode A.
pub fn deniable_server() -> Config {
    built(fast().accept(Accept::Anyone(ModePolicy::A)))
}

/// [`fast`], answering nobody.
pub fn closed_client() -> Config {
    built(fast().handshake_timeout(secs(120)))
}

/// A server and a client who have not met.
#[derive(Debug)]
pub struct Net {
    /// The world they are in.
    pub world: World,
    /// Who answers.
    pub server: HostId,
    /// Who asks.
    pub client: HostId,
}

impl Net {
    /// On a perfect network, both with ML-DSA keys, jobs taking 0.2 to 3 ms.
    pub fn new(n: u64) -> Self {
        Self::of(n, HostSpec::new(open_server()), HostSpec::new(closed_client()))
    }

    /// As [`new`](Self::new), in mode A only and cheaper.
    pub fn deniable(n: u64) -> Self {
        let (server, client) = (HostSpec::new(deniable_server()), HostSpec::new(closed_client()));
        Self::of(n, server.without_signer(), client.without_signer())
    }

    /// Of these two.
    pub fn of(n: u64, server: HostSpec, client: HostSpec) -> Self {
        let mut world = World::new(seed(n));
        let jobs = Latency::Between(Duration::from_micros(200), ms(3));
        let server = world.add(server.job_latency(jobs)).expect("an engine");
        let client = world.add(client.job_latency(jobs)).expect("an engine");
        Self { world, server, client }
    }

    /// On that network from now on.
    #[must_use]
    pub fn on(mut self, network: Network) -> Self {
        self.change(network);
        self
    }

    /// The network changes.
    pub fn change(&mut self, network: Network) {
        self.act(Action::Network(network.config()));
    }

    /// Does something now.
    pub fn act(&mut self, action: Action) {
        self.world.act(action).expect("no violation");
    }

    /// Time passes.
    pub fn run(&mut self, time: Duration) {
        self.world.run_for(time).expect("no violation");
    }

    /// Begins a session, and returns its id at the client.
    pub fn connect(&mut self, modes: ModePolicy) -> SessionId {
        connect(&mut self.world, self.client, self.server, modes)
    }

    /// Opens a session in mode A; its ids at the client and at the server.
    pub fn open(&mut self) -> (SessionId, SessionId) {
        self.open_in(ModePolicy::A)
    }

    /// Opens a session; its ids at the client and at the server.
    pub fn open_in(&mut self, modes: ModePolicy) -> (SessionId, SessionId) {
        open(&mut self.world, self.client, self.server, modes)
    }

    /// The client queues a message.
    pub fn say(&mut self, session: SessionId, message: &[u8]) {
        self.world.send(self.client, session, message).expect("no violation").expect("room for a message");
    }

    /// The server queues a message.
    pub fn answer(&mut self, session: SessionId, message: &[u8]) {
        self.world.send(self.server, session, message).expect("no violation").expect("room for a message");
    }

    /// Waits until every message sent has arrived, and says whether it did within `limit`.
    pub fn all_arrive_within(&mut self, limit: Duration) -> bool {
        self.world.run_while_not(limit, World::all_arrived).expect("no violation")
    }

    /// The address the server is seen at.
    pub fn server_addr(&self) -> SocketAddr {
        self.world.addr(self.server)
    }

    /// The address the client is seen at.
    pub fn client_addr(&self) -> SocketAddr {
        self.world.addr(self.client)
    }

    /// Cells the server has received and authenticated.
    pub fn cells_at_server(&self) -> u64 {
        metrics(&self.world, self.server).cells_received
    }
}

/// A host's counters.
pub fn metrics(world: &World, host: HostId) -> b4ae_core::Metrics {
    world.engine(host).expect("the host runs").metrics()
}

/// Begins a session.
pub fn connect(world: &mut World, from: HostId, to: HostId, modes: ModePolicy) -> SessionId {
    world.connect(from, to, modes).expect("no violation").expect("room for a session")
}

/// Opens a session, beginning again where the network was too bad for a handshake; its ids at both ends.
pub fn open(world: &mut World, from: HostId, to: HostId, modes: ModePolicy) -> (SessionId, SessionId) {
    for _ in 0..20 {
        let id = connect(world, from, to, modes);
        let over = |world: &World| world.partner(from, id).is_some() || closed(world, from, id).is_some();
        world.run_while_not(secs(300), over).expect("no violation");
        if let Some((_, other)) = world.partner(from, id) {
            return (id, other);
        }
    }
    panic!("no session after twenty handshakes");
}

/// Why a session closed, if it has.
pub fn closed(world: &World, host: HostId, id: SessionId) -> Option<b4ae_core::CloseReason> {
    world.events(host).iter().find_map(|(_, event)| match event {
        Event::Closed(session, reason) if *session == id => Some(*reason),
        _ => None,
    })
}

/// How many sessions have ever opened at a host.
pub fn opened(world: &World, host: HostId) -> usize {
    let open = |event: &Event| matches!(event, Event::Incoming(_) | Event::Established(_));
    world.events(host).iter().filter(|(_, event)| open(event)).count()
}

/// What left hosts for others, as an observer sees it.
pub fn seen(world: &World) -> Vec<Sighting> {
    world.observer().leaving().collect()
}

/// What went from one address to another.
pub fn seen_between(world: &World, from: SocketAddr, to: SocketAddr) -> Vec<Sighting> {
    world.observer().leaving().filter(|seen| seen.from == from && seen.to == to).collect()
}

/// A datagram someone recorded.
pub type Recorded = Forged;

/// Everything an attacker has recorded, shared with the test.
#[derive(Clone, Debug, Default)]
pub struct Tape(Rc<RefCell<Vec<Recorded>>>);

impl Tape {
    /// An attacker who records everything, and otherwise does as `then` does.
    pub fn recorder(&self, mut then: impl FnMut(&mut Encounter<'_>) + 'static) -> impl Attacker + 'static {
        let tape = self.clone();
        move |datagram: &mut Encounter<'_>| {
            tape.record(datagram);
            then(datagram);
        }
    }

    /// Records one datagram.
    pub fn record(&self, datagram: &Encounter<'_>) {
        self.0.borrow_mut().push(Forged {
            after: Duration::ZERO,
            from: datagram.from(),
            to: datagram.to(),
            bytes: datagram.bytes().to_vec(),
        });
    }

    /// The recording so far.
    pub fn play(&self) -> Vec<Recorded> {
        self.0.borrow().clone()
    }

    /// What came from an address.
    pub fn from(&self, addr: SocketAddr) -> Vec<Recorded> {
        self.play().into_iter().filter(|datagram| datagram.from == addr).collect()
    }

    /// Records afresh.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

/// Puts a datagram before its receiver, now, and lets it be received.
pub fn deliver(world: &mut World, datagram: Forged) {
    world.act(Action::Inject(Forged { after: Duration::ZERO, ..datagram })).expect("no violation");
    let now = world.now();
    world.run_until(now).expect("no violation");
}

/// The attacker who lets nothing through.
pub fn cut(datagram: &mut Encounter<'_>) {
    datagram.drop();
}

/// An address of a stranger, another one for each number, each in a /24 of its own.
pub fn stranger(n: u32) -> SocketAddr {
    let [_, high, mid, low] = n.to_be_bytes();
    ([172, 16 + high % 16, mid, low], 4000 + (n % 1000) as u16).into()
}

/// A spread of behaviours: each kind once, busy enough to matter within two seconds.
pub const BEHAVIOURS: [Behaviour; 9] = [
    Behaviour::Echo,
    Behaviour::Burst { at_ms: 300, messages: 40, len: 3000 },
    Behaviour::Steady { every_ms: 7, len: 900 },
    Behaviour::File { at_ms: 100, bytes: 300_000 },
    Behaviour::Chat { mean_ms: 50, max_len: 400 },
    Behaviour::Datagrams { every_ms: 11, len: 1500 },
    Behaviour::Eager { messages: 5, len: 500 },
    Behaviour::CloseAt { at_ms: 400 },
    Behaviour::Silent,
];

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct Readme;
