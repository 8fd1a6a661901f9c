//! Two engines and the datagrams between them, in virtual time.

use std::sync::OnceLock;
use std::time::Duration;

use b4ae_core::{
    Accept, Config, DATAGRAM_LEN, Engine, Event, Identity, Instant, Limits, ModePolicy, Path, SecretIdentity, Seed,
    SessionId, Traffic, Transmit, TransmitKind, TxBuf, UnixTime,
};

/// One datagram.
pub(crate) type Datagram = [u8; DATAGRAM_LEN];

/// Between two slots of the grid.
pub(crate) const INTERVAL: Duration = Duration::from_millis(1);
/// Longer than any run, so that a peer that is not simulated is not missed.
const LONG: Duration = Duration::from_secs(1 << 20);

/// A client and a server that know each other's addresses.
pub(crate) struct Pair {
    /// Who dials.
    pub(crate) client: Engine,
    /// Who answers.
    pub(crate) server: Engine,
    /// Virtual time, the same for both.
    pub(crate) now: Instant,
}

/// Where the client is seen.
pub(crate) fn client_path() -> Path {
    Path::new(([192, 0, 2, 1], 7000).into(), None)
}

/// Where the server is seen.
pub(crate) fn server_path() -> Path {
    Path::new(([192, 0, 2, 2], 7000).into(), None)
}

/// The two identities, made once.
fn identities() -> &'static [Identity; 2] {
    static IDENTITIES: OnceLock<[Identity; 2]> = OnceLock::new();
    IDENTITIES.get_or_init(|| [1, 2].map(|n| Identity::from_secret(&SecretIdentity::generate(&Seed::new([n; 32])))))
}

/// A seed that has not been used in this process.
fn seed() -> Seed {
    let mut bytes = [0; 32];
    fastrand::fill(&mut bytes);
    Seed::new(bytes)
}

/// Bounds as they are by default, but for those that keep one address from opening many sessions in a moment.
pub(crate) fn limits(sessions: usize) -> Limits {
    Limits {
        sessions: u32::try_from(sessions).expect("below 2^16"),
        sessions_per_prefix: 1 << 16,
        handshakes_per_prefix: 1 << 16,
        challenges_per_second: 1 << 24,
        ..Limits::default()
    }
}

/// A server with room for `limits.sessions`.
pub(crate) fn server(limits: Limits) -> Engine {
    engine(&identities()[1], limits, Accept::Anyone(ModePolicy::A_THEN_B))
}

/// A client with room for `limits.sessions`.
pub(crate) fn client(limits: Limits) -> Engine {
    engine(&identities()[0], limits, Accept::Nobody)
}

fn engine(identity: &Identity, limits: Limits, accept: Accept) -> Engine {
    let traffic = Traffic::constant(INTERVAL).with_max_queue_latency(LONG).with_lead(Duration::ZERO);
    let config = Config::builder(traffic).limits(limits).accept(accept).idle_timeout(LONG).build();
    Engine::new(&config.expect("a sound configuration"), identity.clone(), &seed(), Instant::ORIGIN, UnixTime(0))
        .expect("an engine")
}

/// The next datagram to leave, of whatever kind.
pub(crate) fn transmit(engine: &mut Engine, out: &mut Datagram) -> Option<Transmit> {
    engine.poll_transmit(TxBuf::new(out).expect("room for a datagram"))
}

impl Pair {
    /// Two engines that have not met.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { client: client(limits), server: server(limits), now: Instant::ORIGIN + Duration::from_secs(1) }
    }

    /// Two engines with so many open sessions, all confirmed. Returns the client's ids.
    pub(crate) fn open(limits: Limits, sessions: usize, modes: ModePolicy) -> (Self, Vec<SessionId>) {
        let mut pair = Self::new(limits);
        let ids = (0..sessions).map(|_| {
            pair.now = pair.now + INTERVAL;
            let id = pair.connect(modes);
            pair.exchange();
            id
        });
        let ids = ids.collect();
        let mut established = 0;
        while established < sessions {
            pair.server_slot();
            established += events(&mut pair.client, |event| matches!(event, Event::Established(_)));
        }
        // A full round of cells each way: both are past their beginnings.
        for _ in 0..2 * sessions.next_power_of_two() {
            pair.server_slot();
            pair.client_slot();
        }
        events(&mut pair.server, |_| true);
        (pair, ids)
    }

    /// Begins a session.
    pub(crate) fn connect(&mut self, modes: ModePolicy) -> SessionId {
        let peer = self.server.peer_id();
        self.client.connect(self.now, server_path(), &peer, modes).expect("room for a session")
    }

    /// Carries handshake datagrams to and fro until nobody has anything to say. No slot passes. Returns how many they
    /// were.
    pub(crate) fn exchange(&mut self) -> usize {
        let (mut datagram, mut carried) = ([0; DATAGRAM_LEN], 0);
        loop {
            let before = carried;
            while transmit(&mut self.client, &mut datagram).is_some() {
                carried += 1;
                self.server.handle_datagram(self.now, client_path(), &mut datagram);
                self.server.run_inline(self.now);
            }
            while transmit(&mut self.server, &mut datagram).is_some() {
                carried += 1;
                self.client.handle_datagram(self.now, server_path(), &mut datagram);
                self.client.run_inline(self.now);
            }
            if carried == before {
                return carried;
            }
        }
    }

    /// The server's next slot, its cell received.
    pub(crate) fn server_slot(&mut self) {
        let mut datagram = [0; DATAGRAM_LEN];
        self.now = self.now + INTERVAL;
        self.server.handle_timeout(self.now);
        while transmit(&mut self.server, &mut datagram).is_some() {
            self.client.handle_datagram(self.now, server_path(), &mut datagram);
        }
    }

    /// The client's next slot, its cell received. Datagrams of handshakes, sent again for want of an answer, are lost.
    pub(crate) fn client_slot(&mut self) {
        let mut datagram = [0; DATAGRAM_LEN];
        self.now = self.now + INTERVAL;
        self.client.handle_timeout(self.now);
        while let Some(transmit) = transmit(&mut self.client, &mut datagram) {
            if transmit.kind == TransmitKind::Cell {
                self.server.handle_datagram(self.now, client_path(), &mut datagram);
            }
        }
    }
}

/// Takes all events, and counts those that `which` picks.
pub(crate) fn events(engine: &mut Engine, which: impl Fn(&Event) -> bool) -> usize {
    std::iter::from_fn(|| engine.poll_event()).filter(which).count()
}
