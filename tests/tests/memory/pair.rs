//! Two engines, a client that dials from many addresses and a server, and what is carried between them.

use std::sync::OnceLock;
use std::time::Duration;

use b4ae_core::{
    Accept, Config, DATAGRAM_LEN, Engine, Event, Identity, Instant, Limits, MemoryBound, ModePolicy, Path,
    SecretIdentity, Seed, SessionId, Traffic, TransmitKind, TxBuf, UnixTime,
};

pub(crate) const INTERVAL: Duration = Duration::from_millis(1);
/// Longer than any run.
pub(crate) const LONG: Duration = Duration::from_secs(1 << 20);

pub(crate) type Datagram = [u8; DATAGRAM_LEN];

/// Fewer and shorter than by default, so that all can be filled soon.
pub(crate) const BASE: Limits = Limits {
    sessions: 8,
    sessions_per_prefix: 1 << 16,
    half_open: 8,
    pending_jobs: 8,
    pending_signatures: 8,
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

pub(crate) fn identity(n: usize) -> Identity {
    static IDENTITIES: OnceLock<[Identity; 2]> = OnceLock::new();
    let new = |n| Identity::from_secret(&SecretIdentity::generate(&Seed::new([n; 32])));
    IDENTITIES.get_or_init(|| [1, 2].map(new))[n].clone()
}

/// Slots as often as all tests have them.
pub(crate) const GRID: Traffic = Traffic::constant(INTERVAL);

pub(crate) fn config(limits: Limits, accept: Accept) -> Config {
    config_for(GRID, limits, accept)
}

pub(crate) fn config_for(traffic: Traffic, limits: Limits, accept: Accept) -> Config {
    let traffic = traffic.with_max_queue_latency(LONG).with_lead(Duration::ZERO);
    let config = Config::builder(traffic).limits(limits).accept(accept);
    config.idle_timeout(LONG).handshake_timeout(LONG).build().expect("a sound configuration")
}

pub(crate) fn bound(limits: Limits) -> MemoryBound {
    bound_for(GRID, limits)
}

pub(crate) fn bound_for(traffic: Traffic, limits: Limits) -> MemoryBound {
    config_for(traffic, limits, Accept::Anyone(ModePolicy::A_THEN_B)).memory_bound()
}

pub(crate) fn engine(n: u8, config: &Config) -> Engine {
    let seed = Seed::new([n + 10; 32]);
    Engine::new(config, identity(n.into()), &seed, Instant::ORIGIN, UnixTime(0)).expect("an engine")
}

pub(crate) fn server(limits: Limits) -> Engine {
    engine(1, &config(limits, Accept::Anyone(ModePolicy::A_THEN_B)))
}

/// The `n`th address of many, each in a /24 of its own; the server is dialled at as many, so that answers find home.
pub(crate) fn place(n: usize, side: u8) -> Path {
    let [.., high, low] = (n as u32).to_be_bytes();
    Path::new(([10 + side, high, low, 1], 7000).into(), None)
}

/// The other end of a path.
pub(crate) fn opposite(path: Path) -> Path {
    let std::net::IpAddr::V4(ip) = path.remote().ip() else { panic!("all are IPv4") };
    let [side, high, low, _] = ip.octets();
    place(usize::from(high) << 8 | usize::from(low), 1 - (side - 10))
}

/// A client that dials from many addresses, and a server.
pub(crate) struct Pair {
    pub(crate) client: Engine,
    pub(crate) server: Engine,
    pub(crate) now: Instant,
}

impl Pair {
    pub(crate) fn new(client_limits: Limits, limits: Limits) -> Self {
        Self::with(GRID, client_limits, limits)
    }

    pub(crate) fn with(traffic: Traffic, client_limits: Limits, limits: Limits) -> Self {
        let client = config_for(traffic, client_limits, Accept::Nobody);
        let server = config_for(traffic, limits, Accept::Anyone(ModePolicy::A_THEN_B));
        Self { client: engine(0, &client), server: engine(1, &server), now: Instant::ORIGIN + Duration::from_secs(1) }
    }

    /// Dials from the `n`th address.
    pub(crate) fn dial(&mut self, n: usize, modes: ModePolicy) -> SessionId {
        let peer = self.server.peer_id();
        self.client.connect(self.now, place(n, 1), &peer, modes).expect("room")
    }

    /// Dials from `n` addresses.
    pub(crate) fn dial_all(&mut self, n: usize, modes: ModePolicy) {
        for n in 0..n {
            self.dial(n, modes);
        }
    }

    /// Handshake datagrams the client has to send, with their senders.
    pub(crate) fn client_says(&mut self) -> Vec<(Path, Datagram)> {
        datagrams(&mut self.client, TransmitKind::Handshake)
    }

    pub(crate) fn server_says(&mut self) -> Vec<(Path, Datagram)> {
        datagrams(&mut self.server, TransmitKind::Handshake)
    }

    pub(crate) fn server_hears(&mut self, datagrams: Vec<(Path, Datagram)>) {
        for (from, mut datagram) in datagrams {
            self.server.handle_datagram(self.now, from, &mut datagram);
        }
    }

    pub(crate) fn client_hears(&mut self, datagrams: Vec<(Path, Datagram)>) {
        for (from, mut datagram) in datagrams {
            self.client.handle_datagram(self.now, from, &mut datagram);
        }
    }

    /// Hello and Challenge, and the keys of the Init. Returns the Inits.
    pub(crate) fn inits(&mut self) -> Vec<(Path, Datagram)> {
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
    pub(crate) fn open_unheard(&mut self, n: usize) -> [Vec<SessionId>; 2] {
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
    pub(crate) fn open(&mut self, n: usize) -> [Vec<SessionId>; 2] {
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
    pub(crate) fn round(&mut self, sessions: usize) {
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
pub(crate) fn datagrams(engine: &mut Engine, kind: TransmitKind) -> Vec<(Path, Datagram)> {
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
pub(crate) fn take_all(engine: &mut Engine, ids: &[SessionId]) -> usize {
    let mut message = vec![0; 1 << 20];
    let mut take = |id| {
        let mut session = engine.session(id).expect("open");
        std::iter::from_fn(|| session.recv(&mut message).ok()).count()
    };
    ids.iter().map(|&id| take(id)).sum()
}

pub(crate) fn events(engine: &mut Engine) {
    while engine.poll_event().is_some() {}
}

pub(crate) fn send(engine: &mut Engine, id: SessionId, len: usize) {
    engine.session(id).expect("open").send(&vec![0x5a; len]).expect("room");
}
