//! A peer for the laboratory: one session, messages of the lengths that standard input asks for, and the time of
//! everything the application learns on standard output. It knows configurations that `b4ae` does not offer, because
//! they protect less: the laboratory has to find what they give away.
//!
//! A line of standard input, `[?]LENGTH`, is a message of that many bytes; one with `?` asks for an answer, which is
//! for whoever drives the other side to give. Lines of standard output, times in nanoseconds since 1970:
//!
//! ```text
//! listening URI
//! open TIME
//! sent ID TIME
//! delivered ID TIME
//! received [?]LENGTH TIME
//! ```

use std::io::{self, BufRead as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail};
use b4ae_core::{Accept, Config, Identity, Limits, ModePolicy, PeerUri, SecretIdentity, Seed, Traffic};
use b4ae_tokio::{Endpoint, EndpointConfig, Peer, Placement};
use clap::{Parser, ValueEnum};
use tokio::sync::mpsc;

/// Messages that wait for their confirmation to be told.
const UNTOLD: usize = 1024;
const SESSIONS: u32 = 1;
/// As `b4ae` has them, for the same reason: the other end's cells may be rare.
const IDLE: Duration = Duration::from_secs(120);
const HANDSHAKE: Duration = Duration::from_secs(20);

/// Says as much as it is told to, and when.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// The peer to connect to
    #[arg(required_unless_present = "listen", conflicts_with = "listen")]
    uri: Option<PeerUri>,
    /// Wait for one peer at this address instead
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// When cells leave
    #[arg(long, value_enum, default_value_t = Pattern::Constant)]
    traffic: Pattern,
    /// Slots a second, of a constant rate; cells a second, of random gaps
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Seconds from one group of cells to the next
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    period: u32,
    /// Cells in a group
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=128))]
    cells: u32,
    /// The share of slots kept for cover
    #[arg(long, default_value_t = 0.0)]
    dummy_rate: f64,
    /// Run the loop as a task beside the application
    #[arg(long)]
    shared: bool,
    /// What the application computes before each message, in microseconds
    #[arg(long, default_value_t = 0)]
    work: u64,
}

/// When cells leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Pattern {
    /// On a grid
    Constant,
    /// At random
    Poisson,
    /// In groups
    Burst,
    /// When there is something to say: obfuscation, not protection
    LowOverhead,
}

impl Args {
    fn traffic(&self) -> Traffic {
        let gap = Duration::from_secs(1) / self.rate;
        let traffic = match self.traffic {
            Pattern::Constant => Traffic::constant(gap),
            Pattern::Poisson => Traffic::poisson(gap),
            Pattern::Burst => Traffic::burst(Duration::from_secs(self.period.into()), self.cells),
            Pattern::LowOverhead => return Traffic::low_overhead_unprotected(),
        };
        let latency = traffic.max_queue_latency().max(Duration::from_secs(60));
        traffic.with_dummy_rate(self.dummy_rate).with_max_queue_latency(latency)
    }

    fn endpoint(&self) -> Result<EndpointConfig> {
        let accept = if self.listen.is_some() { Accept::Anyone(ModePolicy::A) } else { Accept::Nobody };
        let traffic = self.traffic();
        let config = Config::builder(traffic)
            .limits(Limits { sessions: SESSIONS, ..Limits::default() })
            .idle_timeout(IDLE.max(traffic.shortest_idle_timeout(SESSIONS)))
            .handshake_timeout(HANDSHAKE.max(traffic.shortest_handshake_timeout(SESSIONS)))
            .accept(accept)
            .build()?;
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).map_err(|e| anyhow!("no entropy: {e}"))?;
        let identity = Identity::from_secret(&SecretIdentity::generate(&Seed::new(entropy)));
        let placement = if self.shared { Placement::Runtime } else { Placement::OwnThread };
        let mut endpoint = EndpointConfig::new(identity, config).offer(ModePolicy::A).placement(placement);
        if let Some(listen) = self.listen {
            endpoint = endpoint.listen(listen);
        }
        Ok(endpoint)
    }
}

/// A message to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Order {
    len: usize,
    asks: bool,
}

impl Order {
    fn parse(line: &str) -> Result<Self> {
        let (asks, len) = match line.strip_prefix('?') {
            Some(len) => (true, len),
            None => (false, line),
        };
        Ok(Self { len: len.trim().parse().with_context(|| format!("not a length: {line}"))?, asks })
    }

    fn text(self) -> Vec<u8> {
        let mut text = vec![b'x'; self.len];
        if let (true, Some(first)) = (self.asks, text.first_mut()) {
            *first = b'?';
        }
        text
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let endpoint = Endpoint::bind(args.endpoint()?).await?;
    let peer = if let Some(uri) = &args.uri {
        endpoint.connect(uri).await?
    } else {
        tell(&format!("listening {}", endpoint.uri("127.0.0.1")))?;
        endpoint.accept().await?
    };
    tell(&format!("open {}", now()))?;
    let said = tokio::select! {
        said = say(&peer, orders(), Duration::from_micros(args.work)) => said,
        heard = hear(&peer) => heard,
    };
    endpoint.close(Duration::ZERO).await;
    said
}

/// Lines of standard input, read by a thread of their own.
fn orders() -> mpsc::Receiver<Result<Order>> {
    let (give, take) = mpsc::channel(UNTOLD);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let order = line.map_err(Into::into).and_then(|line| Order::parse(&line));
            if give.blocking_send(order).is_err() {
                return;
            }
        }
    });
    take
}

/// Sends what is ordered, until there are no more orders.
async fn say(peer: &Peer, mut orders: mpsc::Receiver<Result<Order>>, work: Duration) -> Result<()> {
    let (sent, mut unconfirmed) = mpsc::channel(UNTOLD);
    let send = async {
        while let Some(order) = orders.recv().await {
            compute(work);
            let id = peer.send(order?.text()).await?;
            tell(&format!("sent {} {}", id.0, now()))?;
            if sent.send(id).await.is_err() {
                break;
            }
        }
        drop(sent);
        Ok(())
    };
    let confirm = async {
        while let Some(id) = unconfirmed.recv().await {
            peer.delivered(id).await?;
            tell(&format!("delivered {} {}", id.0, now()))?;
        }
        Ok(())
    };
    tokio::try_join!(send, confirm).map(|_: ((), ())| ())
}

async fn hear(peer: &Peer) -> Result<()> {
    loop {
        let message = match peer.recv().await {
            Ok(message) => message,
            Err(closed) => bail!("the session is over: {closed}"),
        };
        let mark = if message.first() == Some(&b'?') { "?" } else { "" };
        tell(&format!("received {mark}{} {}", message.len(), now()))?;
    }
}

/// Keeps the thread busy, as an application that computes.
#[expect(clippy::disallowed_methods, reason = "how long something takes is the point")]
fn compute(work: Duration) {
    let start = Instant::now();
    while start.elapsed() < work {
        std::hint::spin_loop();
    }
}

/// As the kernel stamps datagrams.
#[expect(clippy::disallowed_methods, reason = "the stamps of the system are in wall time")]
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}

fn tell(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_lengths_with_or_without_a_question_mark() {
        assert_eq!(Order::parse("12").unwrap(), Order { len: 12, asks: false });
        assert_eq!(Order::parse("?3").unwrap(), Order { len: 3, asks: true });
        assert_eq!(Order::parse("?3").unwrap().text(), b"?xx");
        for wrong in ["", "x", "-1", "3?"] {
            assert!(Order::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_given_away_on_purpose_has_to_be_asked_for() {
        let traffic =
            |args: &[&str]| Args::parse_from([&["b4ae-lab-peer", "--listen", "127.0.0.1:0"], args].concat()).traffic();
        assert!(traffic(&[]).is_constant_rate());
        for protected in ["constant", "poisson", "burst"] {
            assert!(traffic(&["--traffic", protected]).is_protected(), "{protected}");
        }
        assert!(!traffic(&["--traffic", "low-overhead"]).is_protected());
    }

    #[test]
    fn every_schedule_is_one_that_an_endpoint_takes() {
        for pattern in ["constant", "poisson", "burst"] {
            for more in [&[][..], &["--rate", "1", "--period", "600", "--cells", "128"]] {
                let args = [&["b4ae-lab-peer", "--listen", "127.0.0.1:0", "--traffic", pattern], more].concat();
                assert!(Args::parse_from(&args).endpoint().is_ok(), "{args:?}");
            }
        }
    }
}
