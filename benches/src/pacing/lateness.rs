//! How well slots are kept in time: what the driver's histogram says, and what somebody on the path can measure.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use b4ae_core::{ModePolicy, PeerUri};
use b4ae_tokio::{LatenessHistogram, Pacing, Placement};

use crate::busy::Busy;
use crate::endpoints::{self, Loop, NORMAL, REAL_TIME, SPINNING, TASK};
use crate::observer::Observer;
use crate::table::{heading, micros, percent, row};
use crate::threads::Threads;

/// Slots a second.
const RATES: [u32; 3] = [100, 1_000, 10_000];

/// What the peer's own cells are apart: few, so that they do not disturb.
const PEER_INTERVAL: Duration = Duration::from_millis(20);

/// One line of the table.
struct Measured {
    lateness: LatenessHistogram,
    skipped: u64,
    /// By how much gaps between datagrams differ from the interval, sorted.
    gaps: Vec<Duration>,
    processor: Duration,
    /// Real-time priority was asked for, and the system refused it.
    refused: bool,
}

/// Prints the table.
pub(crate) fn print(seconds: u64) -> Result<()> {
    let processors = thread::available_parallelism()?.get();
    println!("### Lateness of slots, {seconds} s each\n");
    heading(
        &["slots/s", "loop", "processors", "p50", "p99", "max", "skipped", "gaps p50", "gaps p99", "gaps max", "CPU"],
        3,
    );
    for rate in RATES {
        for how in [REAL_TIME, SPINNING, NORMAL, TASK] {
            for busy in [false, true] {
                let load = busy.then(|| Busy::on(processors));
                let measured = measure(how, Duration::from_secs(1) / rate, Duration::from_secs(seconds))?;
                drop(load);
                let gap = |share: f64| match measured.gaps.len() {
                    0 => "-".to_owned(),
                    len => micros(measured.gaps[((len - 1) as f64 * share) as usize]),
                };
                row(&[
                    rate.to_string(),
                    format!("{}{}", how.name, if measured.refused { " (REFUSED)" } else { "" }),
                    if busy { "busy" } else { "idle" }.to_owned(),
                    micros(measured.lateness.quantile(0.5)),
                    micros(measured.lateness.quantile(0.99)),
                    micros(measured.lateness.max()),
                    measured.skipped.to_string(),
                    gap(0.5),
                    gap(0.99),
                    gap(1.0),
                    percent(measured.processor, Duration::from_secs(seconds)),
                ]);
            }
        }
    }
    println!();
    Ok(())
}

fn measure(how: Loop, interval: Duration, time: Duration) -> Result<Measured> {
    let runtime = endpoints::runtime()?;
    runtime.block_on(async {
        let server = endpoints::bind(REAL_TIME, endpoints::config(PEER_INTERVAL, 1)?).await?;
        let observer = Observer::before(server.local_addr())?;
        let others = Threads::named("b4ae-loop");
        let client = endpoints::bind(how, endpoints::config(interval, 1)?).await?;
        let to: SocketAddr = observer.addr();
        let uri = PeerUri { host: to.ip().to_string(), port: to.port(), peer: server.peer_id() };
        let session = client.connect_with(&uri, ModePolicy::A).await?;
        let _other_end = server.accept().await?;
        // The beginning is not what is measured: pages are touched for the first time.
        tokio::time::sleep(Duration::from_millis(300)).await;

        let threads = || match how.placement {
            Placement::OwnThread => Threads::named("b4ae-loop").without(&others),
            Placement::Runtime => Threads::named("tokio"),
        };
        let (before, spent_before) = (client.stats(), threads());
        observer.watch(true);
        tokio::time::sleep(time).await;
        observer.watch(false);
        let (after, spent_after) = (client.stats(), threads());
        drop((session, client, server));

        let times = observer.finish()?;
        ensure!(times.len() > 1, "the observer saw no datagrams: are there kernel time stamps here?");
        Ok(Measured {
            lateness: after.lateness.since(&before.lateness),
            skipped: after.slots_skipped - before.slots_skipped,
            gaps: gaps(&times, interval),
            processor: spent_before.until(&spent_after),
            refused: how.real_time && !matches!(after.pacing, Pacing::RealTime { .. }),
        })
    })
}

/// By how much the gaps between datagrams differ from a whole number of intervals, sorted: an observer knows the
/// configuration, and that a slot may have been skipped.
fn gaps(times: &[Duration], interval: Duration) -> Vec<Duration> {
    let mut off: Vec<_> = times
        .windows(2)
        .map(|pair| {
            let gap = pair[1].saturating_sub(pair[0]);
            let slots = (gap.as_secs_f64() / interval.as_secs_f64()).round().max(1.0);
            gap.abs_diff(interval.mul_f64(slots))
        })
        .collect();
    off.sort_unstable();
    off
}
