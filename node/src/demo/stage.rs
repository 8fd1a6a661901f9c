//! The set-up: a server, three clients, and on each link the relay that observes it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use b4ae_core::{Accept, Clock, Config, Identity, Instant, Limits, Mode, ModePolicy, PeerUri, Traffic};
use b4ae_tokio::{Endpoint, EndpointConfig, EndpointStats, Peer};
use tokio::time::{sleep, timeout};

use super::apps::End;
use super::record::{Activity, Link};
use super::relay::Relay;
use crate::error::Error;
use crate::identity;
use crate::net;

/// Slots a second on each link, each way.
pub(crate) const RATE: u32 = 200;
/// Slots a second at the server. Sessions are counted in powers of two, so three of them get a quarter each.
const SERVER_RATE: u32 = RATE * 4;
/// How long the server may take to report a session that its client knows to be open.
const ACCEPT: Duration = Duration::from_secs(5);
/// Between the last handshake and the beginning of the watch: the server's rounds take the new sessions in.
const SETTLE: Duration = Duration::from_millis(300);

/// The clients: name, and what they do.
const CLIENTS: [(&str, &str); 3] = [
    ("chat", "sends bursts of short messages, and gets answers"),
    ("file", "sends one file of 200 KiB"),
    ("silent", "sends nothing at all"),
];

/// Everything in place, and every session open.
#[derive(Debug)]
pub(crate) struct Stage {
    clock: Clock,
    mode: Mode,
    endpoints: Vec<Endpoint>,
    clients: [End; 3],
    servers: [End; 3],
    links: Vec<Link>,
    handshakes: Vec<Duration>,
    // Last, so that they outlive what they relay.
    _relays: Vec<Relay>,
}

impl Stage {
    /// Binds sockets, starts relays and opens three sessions in `mode`.
    pub(crate) async fn set(mode: Mode) -> Result<Self, Error> {
        let clock = Clock::new();
        let server = bind(SERVER_RATE, Accept::Anyone(ModePolicy::only(mode))).await?;
        let mut stage = Parts::default();
        for (name, does) in CLIENTS {
            let relay = Relay::start(server.local_addr(), clock).map_err(Error::io("starting a relay"))?;
            let uri =
                PeerUri { host: relay.addr().ip().to_string(), port: relay.addr().port(), peer: server.peer_id() };
            let node = bind(RATE, Accept::Nobody).await?;
            let start = clock.now();
            let peer = node.connect_with(&uri, ModePolicy::only(mode)).await.map_err(failed)?;
            stage.handshakes.push(clock.now() - start);
            let other = timeout(ACCEPT, server.accept()).await.map_err(failed)?.map_err(failed)?;
            let activity = Activity::default();
            let end = |peer: Peer| End { peer, activity: activity.clone(), clock };
            stage.clients.push(end(peer));
            stage.servers.push(end(other));
            stage.links.push(Link { name, does, activity: activity.clone(), sightings: relay.sightings() });
            stage.relays.push(relay);
            stage.endpoints.push(node);
        }
        stage.endpoints.push(server);
        sleep(SETTLE).await;
        let three = |ends: Vec<End>| <[End; 3]>::try_from(ends).map_err(|_| failed("a client is missing"));
        Ok(Self {
            clock,
            mode,
            endpoints: stage.endpoints,
            clients: three(stage.clients)?,
            servers: three(stage.servers)?,
            links: stage.links,
            handshakes: stage.handshakes,
            _relays: stage.relays,
        })
    }

    /// The time now.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The mode of all sessions.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// The clients' ends of the links: chat, file, silent.
    pub(crate) fn clients(&self) -> &[End; 3] {
        &self.clients
    }

    /// Both ends of each link, the client's first.
    pub(crate) fn ends(&self) -> impl Iterator<Item = (&End, &End)> {
        self.clients.iter().zip(&self.servers)
    }

    /// The links' records.
    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// How long each client's handshake took.
    pub(crate) fn handshakes(&self) -> &[Duration] {
        &self.handshakes
    }

    /// Slots kept and slots skipped so far, at all endpoints.
    pub(crate) fn slots(&self) -> (u64, u64) {
        self.stats().fold((0, 0), |(sent, skipped), stats| (sent + stats.slots_sent, skipped + stats.slots_skipped))
    }

    /// How late slots were, median and 99th percentile, at the endpoint where they were latest.
    pub(crate) fn lateness(&self) -> (Duration, Duration) {
        let most = |of: fn(&EndpointStats) -> Duration| self.stats().map(|stats| of(&stats)).max().unwrap_or_default();
        (most(|stats| stats.lateness_p50), most(|stats| stats.lateness_p99))
    }

    fn stats(&self) -> impl Iterator<Item = EndpointStats> {
        self.endpoints.iter().map(Endpoint::stats)
    }

    /// Ends everything at once.
    pub(crate) async fn close(&self) {
        for endpoint in &self.endpoints {
            endpoint.close(Duration::ZERO).await;
        }
    }
}

#[derive(Default)]
struct Parts {
    endpoints: Vec<Endpoint>,
    clients: Vec<End>,
    servers: Vec<End>,
    links: Vec<Link>,
    handshakes: Vec<Duration>,
    relays: Vec<Relay>,
}

async fn bind(rate: u32, accept: Accept) -> Result<Endpoint, Error> {
    let config: Config = Config::builder(Traffic::constant(Duration::from_secs(1) / rate))
        .accept(accept)
        .limits(Limits { sessions: 4, ..Limits::default() })
        .build()
        .map_err(Error::Config)?;
    let identity = Identity::from_secret(&identity::generate()?);
    net::bind(EndpointConfig::new(identity, config).listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))).await
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::Verdict(format!("the demo's sessions could not be opened: {why}"))
}
