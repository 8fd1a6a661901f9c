//! Endpoints made from options, and what goes wrong with them in this program's words.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use b4ae_core::{
    Accept, CloseReason, Config, ConfigBuilder, ConfigError, Identity, Limits, MessageId, ModePolicy, PeerUri, Traffic,
};
use b4ae_hsm::Pkcs11Signer;
use b4ae_tokio::{BindError, Closed, ConnectError, Endpoint, EndpointConfig, Peer};

use tokio::time::{sleep, timeout};

use crate::cli::{ModeArg, Profile, TrafficArgs};
use crate::error::Error;
use crate::signal::Stop;

/// How long the handshake may take unless told otherwise.
const HANDSHAKE: Duration = Duration::from_secs(20);
/// The longest stay after the end of a session whose slots come often.
const LINGER: Duration = Duration::from_secs(1);
/// How long a session lives without a sign of life, at least: long enough for a peer with the profile `burst`.
const IDLE: Duration = Duration::from_secs(120);
/// From one group of cells to the next unless told otherwise, in seconds, and how many a group has for each session.
const BURST: (u32, u32) = (30, 4);
/// How long a message waits before it may take a slot kept for cover, at least.
const QUEUE: Duration = Duration::from_secs(60);

/// Runs `work` on a Tokio runtime of its own. The endpoints keep their slots on threads of their own, so one thread
/// is enough for the rest. In the end `signer` is closed, whose key the work has signed with.
pub(crate) fn run<T>(
    signer: Option<Arc<Pkcs11Signer>>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("starting the runtime"))?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    if let Some(signer) = signer {
        // A thread may still hold it, and no module is to be called while the process ends.
        signer.close();
    }
    done
}

/// The traffic `args` ask for.
fn traffic(args: TrafficArgs) -> Result<Traffic, Error> {
    let refuse = |what: &str| Err(Error::Usage(what.into()));
    match (args.profile, args) {
        (Profile::Burst, TrafficArgs { rate: Some(_), .. }) => {
            return refuse("--rate does not go with --profile burst: its rate is --cells every --period seconds");
        }
        (Profile::Burst, _) | (_, TrafficArgs { period: None, cells: None, .. }) => {}
        _ => return refuse("--period and --cells go with --profile burst alone"),
    }
    let every = args.rate.map(|rate| Duration::from_secs(1) / rate.max(1));
    Ok(match (args.profile, every) {
        (Profile::Balanced, None) => Traffic::balanced(),
        (Profile::Balanced, Some(interval)) => Traffic::constant(interval).with_dummy_rate(0.2),
        (Profile::HighSecurity, None) => Traffic::high_security(),
        (Profile::HighSecurity, Some(interval)) => Traffic::constant(interval).with_dummy_rate(0.5),
        (Profile::Poisson, mean) => Traffic::poisson(mean.unwrap_or(Duration::from_millis(100))).with_dummy_rate(0.2),
        (Profile::Burst, _) => {
            let (period, cells) = (args.period.unwrap_or(BURST.0), args.cells.unwrap_or(BURST.1));
            Traffic::burst(Duration::from_secs(period.into()), cells)
        }
    })
}

/// The traffic `args` ask for, with time limits that fit `sessions` at its rate.
fn config(args: TrafficArgs, sessions: u32) -> Result<ConfigBuilder, Error> {
    let traffic = traffic(args)?;
    // What a full house gives each session at worst, and what a message may wait for by the schedule's own default.
    let queue = QUEUE.max(traffic.longest_gap(sessions)).max(traffic.max_queue_latency());
    Ok(Config::builder(traffic.with_max_queue_latency(queue))
        .limits(Limits { sessions, ..Limits::default() })
        .handshake_timeout(HANDSHAKE.max(traffic.shortest_handshake_timeout(sessions)))
        .idle_timeout(IDLE.max(traffic.shortest_idle_timeout(sessions))))
}

/// What a node that only connects is configured with.
pub(crate) fn client(args: TrafficArgs, timeout: Option<Duration>) -> Result<Config, Error> {
    let builder = config(args, 1)?;
    let builder = match timeout {
        // However short it is, it is kept outside; a peer whose cells are rare may need more than the default.
        Some(timeout) => builder.handshake_timeout(timeout.max(traffic(args)?.shortest_handshake_timeout(1))),
        None => builder,
    };
    build(builder)
}

/// What a node that listens for up to `sessions` peers is configured with.
pub(crate) fn server(args: TrafficArgs, sessions: u32, accept: Accept) -> Result<Config, Error> {
    build(config(args, sessions)?.accept(accept))
}

fn build(builder: ConfigBuilder) -> Result<Config, Error> {
    builder.build().map_err(|error| match error {
        // In the options' words and units.
        ConfigError::Period { needed_ms } => Error::Usage(format!(
            "--period must be at least {} seconds for so many --cells and --sessions, and at most a day",
            needed_ms.div_ceil(1000)
        )),
        error => Error::Config(error),
    })
}

/// The modes meant by `mode` for an identity that may have no signing key.
pub(crate) fn modes(mode: ModeArg, identity: &Identity) -> Result<ModePolicy, Error> {
    match mode {
        ModeArg::Both if !identity.can_sign() => Ok(ModePolicy::A),
        ModeArg::B if !identity.can_sign() => Err(Error::KeyCannotSign),
        _ => Ok(mode.policy()),
    }
}

/// Binds an endpoint.
pub(crate) async fn bind(config: EndpointConfig) -> Result<Endpoint, Error> {
    Endpoint::bind(config).await.map_err(|error| match error {
        BindError::Config(ConfigError::NoSigner) => Error::KeyCannotSign,
        BindError::Config(error) => Error::Config(error),
        error => Error::Bind(error),
    })
}

/// Opens a session with the peer at `uri`, offering `modes`.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    uri: &PeerUri,
    mode: ModeArg,
    modes: ModePolicy,
) -> Result<Peer, Error> {
    endpoint.connect_with(uri, modes).await.map_err(|error| match error {
        ConnectError::Resolve(host, source) => Error::Resolve { host, source },
        ConnectError::Core(b4ae_core::ConnectError::ModeUnavailable) => Error::KeyCannotSign,
        ConnectError::Failed(CloseReason::Unreachable | CloseReason::Idle) => Error::Unreachable(place(uri)),
        ConnectError::Failed(CloseReason::NoCommonMode) => {
            Error::NoCommonMode { peer: place(uri), offered: mode.describe() }
        }
        ConnectError::Failed(CloseReason::SignerFailed) => Error::SignerFailed(place(uri)),
        ConnectError::Failed(_) => Error::NotThePeer(place(uri)),
        error => Error::Io { doing: format!("connecting to {}", place(uri)), source: io::Error::other(error) },
    })
}

/// How long it takes at most, but for chance, until something said now has been confirmed by a peer with the same
/// traffic.
pub(crate) fn there_and_back(traffic: &Traffic) -> Duration {
    traffic.longest_gap(1) * 2
}

/// How long until a session has had a cell or two.
fn linger(traffic: &Traffic) -> Duration {
    LINGER.min(traffic.interval() * 4).max(traffic.longest_gap(1))
}

/// Ends the session within `limit`, having told the peer, and stops the endpoint. `false` if asked to `stop` meanwhile:
/// whoever asks again means at once.
pub(crate) async fn leave(
    endpoint: &Endpoint,
    peer: &Peer,
    limit: Duration,
    traffic: &Traffic,
    stop: &mut Stop,
) -> bool {
    let told = async {
        // Ready as soon as the peer has confirmed the end: nobody has to wait for the whole endpoint to fall silent.
        peer.close().await;
        if peer.closed().await == Closed::Session(CloseReason::Peer) {
            // It was the peer who ended it, and is still waiting for the confirmation in one of our next slots.
            sleep(linger(traffic)).await;
        }
    };
    let undisturbed = tokio::select! {
        _ = timeout(limit, told) => true,
        () = stop.asked() => false,
    };
    endpoint.close(Duration::ZERO).await;
    undisturbed
}

/// How many of the first `sent` messages the peer has confirmed without a gap.
pub(crate) async fn confirmed(peer: &Peer, sent: u64) -> u64 {
    let mut count = 0;
    // No waiting: a confirmation that is there answers at once, whatever the time limit.
    while count < sent && matches!(timeout(Duration::ZERO, peer.delivered(MessageId(count))).await, Ok(Ok(()))) {
        count += 1;
    }
    count
}

/// Host and port of a peer, for messages.
pub(crate) fn place(uri: &PeerUri) -> String {
    if uri.host.contains(':') { format!("[{}]:{}", uri.host, uri.port) } else { format!("{}:{}", uri.host, uri.port) }
}
