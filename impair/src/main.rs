//! `b4ae-impair`: a seeded UDP impairment proxy for the command line.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use b4ae_impair::{Counters, Direction, Impairment, Options, Proxy, Seen, Totals};
use clap::{Parser, ValueEnum};
use humantime::parse_duration;
use tokio::signal::unix::{SignalKind, signal};

/// Impairs UDP between clients and a server, the same way every time for the same seed.
///
/// Prints the address it listens on, then, at the end (Ctrl-C, SIGTERM or --run-for), what it did.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where clients send to; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The server.
    #[arg(long, value_name = "ADDRESS")]
    to: SocketAddr,
    /// Decides every datagram's fate.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The direction to impair; the other passes untouched.
    #[arg(long, value_enum, default_value_t = Way::Both)]
    direction: Way,
    /// Added to every datagram.
    #[arg(long, value_parser = parse_duration, default_value = "0ms")]
    delay: Duration,
    /// At most this much more, without reordering.
    #[arg(long, value_parser = parse_duration, default_value = "0ms")]
    jitter: Duration,
    /// Share lost: 5% or 0.05.
    #[arg(long, value_parser = share, default_value = "0%")]
    loss: f64,
    /// Mean number of datagrams lost in a row.
    #[arg(long, value_name = "LENGTH")]
    burst: Option<f64>,
    /// Share sent twice.
    #[arg(long, value_parser = share, default_value = "0%")]
    duplicate: f64,
    /// Share held back so that later ones overtake.
    #[arg(long, value_parser = share, default_value = "0%")]
    reorder: f64,
    /// How long a reordered datagram is held back.
    #[arg(long, value_parser = parse_duration, default_value = "20ms")]
    reorder_by: Duration,
    /// Share with one bit flipped.
    #[arg(long, value_parser = share, default_value = "0%")]
    corrupt: f64,
    /// Bits per second of payload: 500k, 10M, 1G.
    #[arg(long, value_parser = rate)]
    rate: Option<u64>,
    /// Clients at once.
    #[arg(long, default_value_t = 256)]
    clients: usize,
    /// Bytes that may wait, per client and direction.
    #[arg(long, default_value_t = 4 << 20)]
    queue_bytes: usize,
    /// Stop after this long.
    #[arg(long, value_parser = parse_duration)]
    run_for: Option<Duration>,
    /// Write what arrived, the first million datagrams, as CSV: nanoseconds,direction,client,length.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Way {
    Up,
    Down,
    Both,
}

const RECORDED: usize = 1_000_000;

impl Args {
    fn options(&self) -> Options {
        let impairment = Impairment {
            delay: self.delay,
            jitter: self.jitter,
            loss: self.loss,
            burst: self.burst,
            duplicate: self.duplicate,
            reorder: self.reorder,
            reorder_by: self.reorder_by,
            corrupt: self.corrupt,
            rate: self.rate,
        };
        let mut options = Options::new(self.listen, self.to, self.seed);
        if self.direction != Way::Down {
            options.up = impairment;
        }
        if self.direction != Way::Up {
            options.down = impairment;
        }
        options.clients = self.clients;
        options.queue_bytes = self.queue_bytes;
        options.record = if self.record.is_some() { RECORDED } else { 0 };
        options
    }
}

/// A share as `5%` or `0.05`.
fn share(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text, 1.0),
    };
    let share = number.trim().parse::<f64>().map_err(|e| e.to_string())? / scale;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("must be between 0% and 100%, or 0.0 and 1.0".into()) }
}

/// Bits per second, with a decimal multiplier.
fn rate(text: &str) -> Result<u64, String> {
    let (number, scale) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1_000),
        Some(b'M') => (&text[..text.len() - 1], 1_000_000),
        Some(b'G') => (&text[..text.len() - 1], 1_000_000_000),
        _ => (text, 1),
    };
    let rate = number.parse::<u64>().map_err(|e| e.to_string())?;
    rate.checked_mul(scale).ok_or_else(|| "too large".into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let proxy = Proxy::start(args.options()).await?;
    writeln!(io::stdout(), "listening on {}", proxy.local_addr())?;
    wait(args.run_for).await?;
    let seen = proxy.take_seen();
    let counters = proxy.stop().await;
    if let Some(path) = &args.record {
        record(path, &seen).with_context(|| format!("cannot write {}", path.display()))?;
    }
    write!(io::stdout(), "{}", Report(counters))?;
    Ok(())
}

async fn wait(run_for: Option<Duration>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let over = async {
        match run_for {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
        () = over => Ok(()),
    }
}

fn record(path: &Path, seen: &[Seen]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "nanoseconds,direction,client,length")?;
    for seen in seen {
        let direction = match seen.direction {
            Direction::Up => "up",
            Direction::Down => "down",
        };
        writeln!(file, "{},{direction},{},{}", seen.at.as_nanos(), seen.client, seen.len)?;
    }
    file.flush()
}

struct Report(Counters);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counters { up, down, clients, refused, .. } = self.0;
        for (name, totals) in [("up", up), ("down", down)] {
            let Totals { received, received_bytes, lost, overflowed, duplicated, reordered, corrupted, sent, .. } =
                totals;
            writeln!(
                f,
                "{name}: received {received} ({received_bytes} bytes), lost {lost}, overflowed {overflowed}, \
                 duplicated {duplicated}, reordered {reordered}, corrupted {corrupted}, sent {sent}, \
                 send errors {}, receive errors {}",
                totals.send_errors, totals.receive_errors
            )?;
        }
        writeln!(f, "clients {clients}, refused {refused}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_rates_read_as_people_write_them() {
        assert_eq!(share("5%"), Ok(0.05));
        assert_eq!(share("0.05"), Ok(0.05));
        assert_eq!(share("100%"), Ok(1.0));
        for wrong in ["5", "101%", "-1%", "NaN", "", "%"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        assert_eq!(rate("500k"), Ok(500_000));
        assert_eq!(rate("10M"), Ok(10_000_000));
        assert_eq!(rate("8"), Ok(8));
        for wrong in ["", "k", "1.5M", "99999999999999999999G", "10€"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_direction_leaves_the_other_untouched() {
        let args = ["b4ae-impair", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--loss", "5%"];
        let way = |way| Args::parse_from(args.into_iter().chain(["--direction", way])).options();
        let clean = Impairment::default();
        assert!(way("up").down == clean && way("up").up != clean);
        assert!(way("down").up == clean && way("down").down != clean);
        assert!(way("both").up == way("both").down && way("both").up != clean);
    }
}
