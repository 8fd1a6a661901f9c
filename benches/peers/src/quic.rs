//! QUIC by `quinn`: its state machine in memory, and its endpoints on loopback.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::congestion::CubicConfig;
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, Event, Incoming,
    ServerConfig, StreamEvent, TransportConfig,
};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, version};

use crate::loopback::{self, Loopback, MESSAGE, Received};
use crate::measure::Work;
use crate::peer::{Knock, Pair, Peer, Wire};

const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 7000);
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)), 7000);
/// The name in the certificates.
const NAME: &str = "peer";

/// Connections on which both ends show a certificate, with X25519MLKEM768.
#[derive(Clone)]
pub(crate) struct Quic {
    client: ClientConfig,
    server: Arc<ServerConfig>,
}

impl Quic {
    /// With certificates that nobody had before.
    pub(crate) fn new() -> Result<Self> {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519MLKEM768];
        let provider = Arc::new(provider);
        let [mine, yours] = [certified()?, certified()?];
        let trust = |certificate: &CertificateDer<'static>| {
            let mut roots = RootCertStore::empty();
            roots.add(certificate.clone())?;
            anyhow::Ok(Arc::new(roots))
        };
        let client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider));
        let client = client.with_protocol_versions(&[&version::TLS13])?.with_root_certificates(trust(&yours.0)?);
        let mut client = client.with_client_auth_cert(vec![mine.0.clone()], mine.1.into())?;
        client.resumption = Resumption::disabled();
        let verifier = WebPkiClientVerifier::builder_with_provider(trust(&mine.0)?, Arc::clone(&provider)).build()?;
        let server =
            rustls::ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&version::TLS13])?;
        let mut server = server.with_client_cert_verifier(verifier).with_single_cert(vec![yours.0], yours.1.into())?;
        server.send_tls13_tickets = 0;
        Ok(Self {
            client: ClientConfig::new(Arc::new(QuicClientConfig::try_from(client)?)),
            server: Arc::new(ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server)?))),
        })
    }

    fn two(&self) -> Two {
        let mut transport = TransportConfig::default();
        // Datagrams are 1,200 bytes at most, as B4AE's are, and nothing probes for more.
        transport.initial_mtu(1200).mtu_discovery_config(None).max_idle_timeout(None);
        // As on a connection that has been used for a while: a message of 16 KiB does not wait for acknowledgements.
        let mut congestion = CubicConfig::default();
        congestion.initial_window(1 << 20);
        transport.congestion_controller_factory(Arc::new(congestion));
        let transport = Arc::new(transport);
        let (mut client, mut server) = (self.client.clone(), ServerConfig::clone(&self.server));
        client.transport_config(Arc::clone(&transport));
        server.transport_config(transport);
        let config = Arc::new(EndpointConfig::default());
        Two {
            config: client,
            client: Endpoint::new(Arc::clone(&config), None, false, None),
            server: Endpoint::new(config, Some(Arc::new(server)), false, None),
            now: now(),
            open: [Vec::new(), Vec::new()],
            buffer: Vec::new(),
        }
    }
}

fn certified() -> Result<(CertificateDer<'static>, PrivatePkcs8KeyDer<'static>)> {
    let certified = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    Ok((certified.cert.into(), certified.signing_key.serialize_der().into()))
}

#[expect(clippy::disallowed_methods, reason = "quinn takes the standard library's instants, and no others can be made")]
fn now() -> Instant {
    Instant::now()
}

impl Peer for Quic {
    fn name(&self) -> &'static str {
        "QUIC (quinn)"
    }

    fn made_of(&self) -> &'static str {
        "rustls on AWS-LC: X25519MLKEM768, AES-256-GCM, ECDSA P-256 certificates at both ends"
    }

    fn lacks(&self) -> &'static [&'static str] {
        &[
            "no post-quantum authentication: certificates are signed with ECDSA",
            "no constant rate; padding of packets to the path's MTU only if asked for, of handshakes as QUIC requires",
            "no proof of the address before the first answer, unless the application asks for it (Retry)",
            "server name and transport parameters can be read by anybody on the path; not deniable",
            "new keys by hashing the old, no ratchet",
        ]
    }

    fn pair(&self, _: usize) -> Box<dyn Pair> {
        Box::new(self.two())
    }

    fn knocks(&self, batch: usize) -> Vec<Knock> {
        let knock = |what, come| {
            let work = Strangers { quic: self.clone(), two: self.two(), come, batch, datagrams: Vec::new() };
            Knock { what, work: Box::new(work) }
        };
        vec![
            knock("1,200 random bytes: dropped, or a version negotiation", Come::Junk),
            knock("a first message (two Initials): a Retry", Come::Retry),
            knock("a first message (two Initials): computed and answered", Come::Accept),
        ]
    }

    fn loopback(&self, time: Duration) -> Result<Option<Loopback>> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let address = SocketAddr::from(([127, 0, 0, 1], 0));
            let server = quinn::Endpoint::server(ServerConfig::clone(&self.server), address)?;
            let client = quinn::Endpoint::client(address)?;
            let connecting = client.connect_with(self.client.clone(), server.local_addr()?, NAME)?;
            let accepting = async { anyhow::Ok(server.accept().await.context("an endpoint")?.await?) };
            let (ours, theirs) = tokio::join!(connecting, accepting);
            let (mut sender, theirs) = (ours?.open_uni().await?, theirs?);
            let received = Received::default();
            tokio::spawn(async move { while sender.write_all(&vec![7; MESSAGE]).await.is_ok() {} });
            let counter = received.clone();
            tokio::spawn(async move {
                let (Ok(mut receiver), mut message) = (theirs.accept_uni().await, vec![0; MESSAGE]) else { return };
                while receiver.read_exact(&mut message).await.is_ok() {
                    counter.add(&message);
                }
            });
            loopback::count(&received, time).await.map(Some)
        })
    }
}

/// Two endpoints and their connections, the client's first.
struct Two {
    config: ClientConfig,
    client: Endpoint,
    server: Endpoint,
    now: Instant,
    open: [Vec<(ConnectionHandle, Connection)>; 2],
    buffer: Vec<u8>,
}

/// Everything a connection has to tell its endpoint, and the answers.
fn talk(endpoint: &mut Endpoint, (handle, connection): &mut (ConnectionHandle, Connection)) {
    while let Some(event) = connection.poll_endpoint_events() {
        if let Some(event) = endpoint.handle_event(*handle, event) {
            connection.handle_event(event);
        }
    }
}

impl Two {
    /// Begins a connection.
    fn connect(&mut self) {
        let connection =
            self.client.connect(self.now, self.config.clone(), SERVER, NAME).expect("a sound configuration");
        self.open[0].push(connection);
    }

    /// The next datagrams of the client's newest connection.
    fn client_datagrams(&mut self) -> Vec<BytesMut> {
        let now = self.now;
        let (_, connection) = self.open[0].last_mut().expect("a connection");
        let next = || {
            self.buffer.clear();
            connection.poll_transmit(now, 1, &mut self.buffer).map(|transmit| self.buffer[..transmit.size].into())
        };
        std::iter::from_fn(next).collect()
    }

    fn accept(&mut self, incoming: Incoming) {
        self.buffer.clear();
        let accepted = self.server.accept(incoming, self.now, &mut self.buffer, None);
        self.open[1].push(accepted.map_err(|error| error.cause).expect("a sound first message"));
    }

    /// Carries what the client's newest connection has to say.
    fn carry_there(&mut self) -> Wire {
        let mut wire = Wire::default();
        for datagram in self.client_datagrams() {
            wire.carry(datagram.len());
            self.buffer.clear();
            match self.server.handle(self.now, CLIENT, None, None, datagram, &mut self.buffer) {
                Some(DatagramEvent::NewConnection(incoming)) => self.accept(incoming),
                Some(DatagramEvent::ConnectionEvent(_, event)) => {
                    self.open[1].last_mut().expect("a connection").1.handle_event(event);
                }
                Some(DatagramEvent::Response(_)) => panic!("no answer without a connection"),
                None => {}
            }
        }
        if let Some(connection) = self.open[1].last_mut() {
            talk(&mut self.server, connection);
        }
        wire
    }

    /// Carries what the server's newest connection has to say.
    fn carry_back(&mut self) -> Wire {
        let mut wire = Wire::default();
        loop {
            self.buffer.clear();
            let Some((_, connection)) = self.open[1].last_mut() else { return wire };
            let Some(transmit) = connection.poll_transmit(self.now, 1, &mut self.buffer) else { break };
            wire.carry(transmit.size);
            let datagram = self.buffer[..transmit.size].into();
            let event = self.client.handle(self.now, SERVER, None, None, datagram, &mut self.buffer);
            let Some(DatagramEvent::ConnectionEvent(_, event)) = event else { panic!("a datagram of the connection") };
            let connection = self.open[0].last_mut().expect("a connection");
            connection.1.handle_event(event);
            talk(&mut self.client, connection);
        }
        wire
    }

    /// Reads what has come on streams of the server's newest connection. Returns how much of what was expected.
    fn read(&mut self, expected: &[u8]) -> usize {
        let (_, server) = self.open[1].last_mut().expect("a connection");
        let mut arrived = 0;
        while let Some(event) = server.poll() {
            let id = match event {
                Event::Stream(StreamEvent::Opened { dir: Dir::Uni }) => server.streams().accept(Dir::Uni),
                Event::Stream(StreamEvent::Readable { id }) => Some(id),
                _ => None,
            };
            let Some(id) = id else { continue };
            let mut stream = server.recv_stream(id);
            // Its end may have been read already.
            let Ok(mut chunks) = stream.read(true) else { continue };
            while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
                assert!(expected[arrived..].starts_with(&chunk.bytes), "what was sent");
                arrived += chunk.bytes.len();
            }
            // What it may have to tell the sender goes with the next datagram.
            let _ = chunks.finalize();
        }
        arrived
    }

    /// Lets timers of the newest connections fire that are due.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        for (_, connection) in self.open.iter_mut().filter_map(|end| end.last_mut()) {
            if connection.poll_timeout().is_some_and(|due| due <= now) {
                connection.handle_timeout(now);
            }
        }
    }
}

impl Pair for Two {
    fn handshake(&mut self) -> Wire {
        self.connect();
        let sessions = self.open[0].len();
        let mut wire = Wire::default();
        loop {
            let [there, back] = [self.carry_there(), self.carry_back()];
            if there.datagrams + back.datagrams == 0 {
                break;
            }
            for part in [there, back] {
                wire.datagrams += part.datagrams;
                wire.bytes += part.bytes;
            }
            self.pass(Duration::from_millis(1));
        }
        assert_eq!(self.open[1].len(), sessions, "a connection at each end");
        let mut connected = 0;
        for (_, connection) in self.open.iter_mut().filter_map(|end| end.last_mut()) {
            while let Some(event) = connection.poll() {
                connected += usize::from(matches!(event, Event::Connected));
            }
        }
        assert_eq!(connected, 2, "both ends are connected");
        wire
    }

    fn message(&mut self, message: &[u8]) -> Wire {
        let (_, client) = self.open[0].last_mut().expect("a connection");
        let id = client.streams().open(Dir::Uni).expect("room for a stream");
        let mut stream = client.send_stream(id);
        assert_eq!(stream.write(message), Ok(message.len()), "room for a message");
        stream.finish().expect("an open stream");
        let mut wire = Wire::default();
        let mut arrived = 0;
        // As a rule, once; where the window is full, acknowledgements open it.
        for _ in 0..100 {
            let part = self.carry_there();
            wire.datagrams += part.datagrams;
            wire.bytes += part.bytes;
            arrived += self.read(&message[arrived..]);
            if arrived == message.len() {
                return wire;
            }
            self.carry_back();
            self.pass(Duration::from_millis(5));
        }
        panic!("a message arrives")
    }

    fn settle(&mut self) {
        for _ in 0..8 {
            self.pass(Duration::from_millis(30));
            self.carry_back();
            self.carry_there();
        }
        for (_, connection) in self.open.iter_mut().filter_map(|end| end.last_mut()) {
            while connection.poll().is_some() {}
        }
    }

    fn ends(self: Box<Self>) -> [Box<dyn Any>; 2] {
        let [client, server] = self.open;
        [Box::new((self.client, client)), Box::new((self.server, server))]
    }
}

/// What comes out of the blue, and what the application does.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Come {
    Junk,
    Retry,
    Accept,
}

/// Datagrams of those who have no connection.
struct Strangers {
    quic: Quic,
    two: Two,
    come: Come,
    batch: usize,
    datagrams: Vec<Vec<BytesMut>>,
}

impl Work for Strangers {
    fn prepare(&mut self) {
        // Whoever was there is forgotten.
        self.two = self.quic.two();
        let junk = || std::iter::repeat_with(|| fastrand::u8(..)).take(1200).collect();
        let one = |_| {
            if self.come == Come::Junk {
                return vec![junk()];
            }
            self.two.connect();
            self.two.client_datagrams()
        };
        self.datagrams = (0..self.batch).map(one).collect();
    }

    fn run(&mut self) -> usize {
        let (two, mut seen) = (&mut self.two, 0);
        for datagrams in self.datagrams.drain(..) {
            let mut incoming = None;
            for datagram in datagrams {
                two.buffer.clear();
                match two.server.handle(two.now, CLIENT, None, None, datagram, &mut two.buffer) {
                    Some(DatagramEvent::NewConnection(new)) => incoming = Some(new),
                    Some(DatagramEvent::ConnectionEvent(..)) => panic!("nothing is connected"),
                    Some(DatagramEvent::Response(_)) | None => {}
                }
            }
            match (self.come, incoming) {
                (Come::Junk, None) => seen += 1,
                (Come::Retry, Some(incoming)) => {
                    two.buffer.clear();
                    let retry = two.server.retry(incoming, &mut two.buffer).expect("no token yet");
                    assert!(retry.size > 0, "an answer");
                    seen += 1;
                }
                (Come::Accept, Some(incoming)) => {
                    two.accept(incoming);
                    let (_, connection) = two.open[1].last_mut().expect("a connection");
                    let mut answered = 0;
                    two.buffer.clear();
                    while let Some(transmit) = connection.poll_transmit(two.now, 1, &mut two.buffer) {
                        answered += transmit.size;
                        two.buffer.clear();
                    }
                    assert!(answered > 0, "an answer");
                    seen += 1;
                }
                // Of random bytes, some are a version that nobody has.
                (Come::Junk, Some(_)) | (_, None) => panic!("not what was to be measured"),
            }
        }
        seen
    }
}
