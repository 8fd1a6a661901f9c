//! What the properties are made of: fast endpoints on loopback, and words for what is expected of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use b4ae_core::{Accept, Config, ConfigBuilder, Identity, Limits, ModePolicy, PeerUri, SecretIdentity, Seed, Traffic};
use b4ae_tokio::{Closed, ConnectError, EndpointConfig};

use crate::driver::{Driver, Endpoint, Peer, Wait};

/// Long enough to be confirmed on any machine.
pub(crate) const FLUSH: Duration = Duration::from_secs(20);
/// Long enough for something wrong to show, and short enough to be waited for often.
pub(crate) const MOMENT: Wait = Wait::For(Duration::from_millis(60));

/// A slot a millisecond, and few sessions so that each has many of them. A session that has been closed goes on for
/// long enough to tell so on a machine too busy to meet most of its slots.
pub(crate) fn config() -> ConfigBuilder {
    let traffic = Traffic::constant(Duration::from_millis(1)).with_leave_boundary(Duration::from_secs(3));
    Config::builder(traffic).limits(limits()).accept(Accept::Anyone(ModePolicy::A_THEN_B))
}

pub(crate) fn limits() -> Limits {
    Limits { sessions: 4, ..Limits::default() }
}

/// A new identity each time.
pub(crate) fn identity() -> Identity {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Identity::from_secret(&SecretIdentity::generate(&Seed::new(seed)))
}

pub(crate) fn endpoint_config(config: ConfigBuilder) -> EndpointConfig {
    EndpointConfig::new(identity(), config.build().expect("a valid configuration"))
        .listen("127.0.0.1:0".parse().expect("an address"))
        .flush_on_drop(Duration::from_secs(2))
}

pub(crate) fn bind(driver: &dyn Driver, config: ConfigBuilder) -> Box<dyn Endpoint> {
    driver.bind(endpoint_config(config)).expect("loopback can be bound")
}

/// An endpoint and its peer.
pub(crate) type End = (Box<dyn Endpoint>, Box<dyn Peer>);

/// Two endpoints and a session between them: the one that connected first.
pub(crate) fn pair(driver: &dyn Driver, config: ConfigBuilder) -> (End, End) {
    let (alice, bob) = (bind(driver, config.clone()), bind(driver, config));
    let to_bob = connect(&*alice, &bob.uri("127.0.0.1"));
    let to_alice = accept(&*bob);
    ((alice, to_bob), (bob, to_alice))
}

/// What a wait without a limit came to.
#[track_caller]
pub(crate) fn done<T>(waited: Option<T>) -> T {
    waited.expect("nothing happens any more")
}

#[track_caller]
pub(crate) fn try_connect(
    endpoint: &dyn Endpoint,
    uri: &PeerUri,
    modes: ModePolicy,
) -> Result<Box<dyn Peer>, ConnectError> {
    done(endpoint.connect(uri, Some(modes), Wait::Long))
}

/// Requires that `from` can still open sessions; several times, where it has little time for each on a busy machine.
#[track_caller]
pub(crate) fn goes_on(from: &dyn Endpoint, to: &dyn Endpoint) {
    let opened = (0..5).any(|_| try_connect(from, &to.uri("127.0.0.1"), ModePolicy::A).is_ok());
    assert!(opened, "the endpoint goes on");
}

#[track_caller]
pub(crate) fn connect(endpoint: &dyn Endpoint, uri: &PeerUri) -> Box<dyn Peer> {
    try_connect(endpoint, uri, ModePolicy::A).expect("the peer is there")
}

#[track_caller]
pub(crate) fn accept(endpoint: &dyn Endpoint) -> Box<dyn Peer> {
    done(endpoint.accept(Wait::Long)).expect("the endpoint runs")
}

#[track_caller]
pub(crate) fn send(peer: &dyn Peer, message: impl Into<Vec<u8>>) -> b4ae_core::MessageId {
    done(peer.send(message.into(), Wait::Long)).expect("the session is open")
}

#[track_caller]
pub(crate) fn recv(peer: &dyn Peer) -> Vec<u8> {
    done(peer.recv(Wait::Long)).expect("the session is open")
}

#[track_caller]
pub(crate) fn flush(peer: &dyn Peer) {
    done(peer.flush(Wait::Long)).expect("everything arrives");
}

/// Takes messages until the session ends.
#[track_caller]
pub(crate) fn recv_all(peer: &dyn Peer) -> (Vec<Vec<u8>>, Closed) {
    let mut messages = Vec::new();
    loop {
        match done(peer.recv(Wait::Long)) {
            Ok(message) => messages.push(message),
            Err(end) => return (messages, end),
        }
    }
}

/// A message that says which one it is.
pub(crate) fn numbered(number: usize, len: usize) -> Vec<u8> {
    let mut message = vec![u8::try_from(number % 251).expect("small"); len.max(8)];
    message[..8].copy_from_slice(&(number as u64).to_be_bytes());
    message
}
