//! What the tests share: fast endpoints on loopback, run under both placements.
#![allow(dead_code, reason = "each test binary uses its share")]

use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use b4ae_core::{Accept, Config, ConfigBuilder, Identity, Limits, ModePolicy, SecretIdentity, Seed, Traffic};
use b4ae_tokio::{Endpoint, EndpointConfig, Peer, Placement};
use tokio::runtime::{Builder, Runtime};

/// Long enough for any machine; reached only when something is never going to happen.
pub(crate) const NEVER: Duration = Duration::from_secs(60);

pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Runs `test` with the loop on its own thread, and again with the loop on the test's runtime.
pub(crate) fn with_both_placements<F: Future<Output = ()>>(test: impl Fn(Placement) -> F) {
    for placement in [Placement::OwnThread, Placement::Runtime] {
        let done = runtime().block_on(async { tokio::time::timeout(NEVER, test(placement)).await });
        assert!(done.is_ok(), "{placement:?}: nothing happens any more");
    }
}

/// A slot a millisecond, and few sessions so that each has many of them. A session that has been closed goes on for long
/// enough to tell so on a machine too busy to meet most of its slots.
pub(crate) fn traffic() -> Traffic {
    Traffic::constant(Duration::from_millis(1)).with_leave_boundary(Duration::from_secs(3))
}

pub(crate) fn limits() -> Limits {
    Limits { sessions: 4, ..Limits::default() }
}

pub(crate) fn config() -> ConfigBuilder {
    Config::builder(traffic()).limits(limits()).accept(Accept::Anyone(ModePolicy::A_THEN_B))
}

/// A new identity each time, the same in every run.
pub(crate) fn identity() -> Identity {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let seed = Seed::new([NEXT.fetch_add(1, Ordering::Relaxed); 32]);
    Identity::from_secret(&SecretIdentity::generate(&seed))
}

pub(crate) fn endpoint_config(config: ConfigBuilder, placement: Placement) -> EndpointConfig {
    EndpointConfig::new(identity(), config.build().expect("a valid configuration"))
        .listen("127.0.0.1:0".parse().expect("an address"))
        .placement(placement)
}

pub(crate) async fn bind(config: ConfigBuilder, placement: Placement) -> Endpoint {
    Endpoint::bind(endpoint_config(config, placement)).await.expect("loopback can be bound")
}

/// Two endpoints and a session between them: the one that connected first.
pub(crate) async fn pair(config: ConfigBuilder, placement: Placement) -> ((Endpoint, Peer), (Endpoint, Peer)) {
    let alice = bind(config.clone(), placement).await;
    let bob = bind(config, placement).await;
    let to_bob = alice.connect_with(&bob.uri("127.0.0.1"), ModePolicy::A).await.expect("bob is there");
    let to_alice = bob.accept().await.expect("bob runs");
    ((alice, to_bob), (bob, to_alice))
}

/// A message that says which one it is.
pub(crate) fn numbered(number: usize, len: usize) -> Vec<u8> {
    let mut message = vec![u8::try_from(number % 251).expect("small"); len.max(8)];
    message[..8].copy_from_slice(&(number as u64).to_be_bytes());
    message
}
