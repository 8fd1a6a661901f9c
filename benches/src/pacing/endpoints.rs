//! The product's own endpoints on loopback, as an application makes them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use b4ae_core::{Accept, Config, Identity, Limits, ModePolicy, SecretIdentity, Seed, Traffic};
use b4ae_tokio::{Endpoint, EndpointConfig, Placement};
use tokio::runtime::Runtime;

/// How the loop under test runs.
#[derive(Clone, Copy)]
pub(crate) struct Loop {
    /// The table's word for it.
    pub(crate) name: &'static str,
    pub(crate) placement: Placement,
    pub(crate) real_time: bool,
    pub(crate) spin: Duration,
}

/// A thread of its own at real-time priority: the product's default.
pub(crate) const REAL_TIME: Loop =
    Loop { name: "own thread, SCHED_FIFO", placement: Placement::OwnThread, real_time: true, spin: Duration::ZERO };
/// The same, and it watches the clock for the last of the wait.
pub(crate) const SPINNING: Loop =
    Loop { name: "own thread, SCHED_FIFO, 50 µs spun", spin: Duration::from_micros(50), ..REAL_TIME };
/// A thread of its own where priority is refused.
pub(crate) const NORMAL: Loop = Loop { name: "own thread, normal priority", real_time: false, ..REAL_TIME };
/// A task of the application's runtime.
pub(crate) const TASK: Loop = Loop { name: "task of Tokio", placement: Placement::Runtime, ..NORMAL };

/// A runtime like the one `#[tokio::main]` makes.
pub(crate) fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("Tokio does not start")
}

/// An identity that nobody had before.
pub(crate) fn identity() -> Identity {
    let mut bytes = [0; 32];
    fastrand::fill(&mut bytes);
    Identity::from_secret(&SecretIdentity::generate(&Seed::new(bytes)))
}

/// A grid for so many sessions, with the time limits that the product asks for at that rate.
pub(crate) fn config(interval: Duration, sessions: u32) -> Result<Config> {
    let gap = interval * sessions.next_power_of_two() * 2;
    let limits = Limits {
        sessions,
        sessions_per_prefix: 1 << 16,
        handshakes_per_prefix: 1 << 16,
        half_open: 4096,
        pending_jobs: 1024,
        ..Limits::default()
    };
    let traffic = Traffic::constant(interval).with_max_queue_latency(gap.max(Duration::from_secs(10)));
    let idle = (gap * 4).max(Duration::from_secs(60));
    let accept = Accept::Anyone(ModePolicy::A);
    Ok(Config::builder(traffic).limits(limits).accept(accept).idle_timeout(idle).build()?)
}

/// An endpoint on a loopback port of the system's choice.
pub(crate) async fn bind(how: Loop, config: Config) -> Result<Endpoint> {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let endpoint = EndpointConfig::new(identity(), config).listen(listen).offer(ModePolicy::A);
    let endpoint =
        endpoint.placement(how.placement).real_time(how.real_time).spin(how.spin).flush_on_drop(Duration::ZERO);
    Ok(Endpoint::bind(endpoint).await?)
}
