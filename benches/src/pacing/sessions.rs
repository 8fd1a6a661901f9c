//! Very many sessions on one node: this process is the node, another one dials.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use b4ae_core::{ModePolicy, PeerUri};
use b4ae_tokio::{ConnectError, Endpoint, EndpointStats, Peer};
use tokio::task::JoinSet;

use crate::endpoints::{self, REAL_TIME};
use crate::table::{heading, micros, percent, row};
use crate::threads::Threads;

/// What the other process is called with, before an address, a fingerprint and a number of sessions.
pub(crate) const DIAL: &str = "--dial";
/// Between two slots, of all sessions together: 20,000 a second.
const INTERVAL: Duration = Duration::from_micros(50);
/// Handshakes that the other process has under way at a time.
const AT_ONCE: u32 = 1024;

/// Opens so many sessions, and prints the table.
pub(crate) fn print(sessions: u32, seconds: u64) -> Result<()> {
    ensure!((1..1 << 16).contains(&sessions), "1 to 65,535 sessions");
    let runtime = endpoints::runtime()?;
    runtime.block_on(serve(sessions, Duration::from_secs(seconds)))
}

/// Where things stand.
struct Mark {
    at: Instant,
    stats: EndpointStats,
    looped: Threads,
    jobs: Threads,
    resident: u64,
    dialler_resident: u64,
}

#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn now() -> Instant {
    Instant::now()
}

async fn serve(sessions: u32, time: Duration) -> Result<()> {
    let server = endpoints::bind(REAL_TIME, endpoints::config(INTERVAL, sessions)?).await?;
    let mut dialler = Dialler::start(server.local_addr(), &server.uri("127.0.0.1"), sessions)?;
    let process = dialler.process.id();
    let mark = |server: &Endpoint| Mark {
        at: now(),
        stats: server.stats(),
        looped: Threads::named("b4ae-loop"),
        jobs: Threads::named("b4ae-job"),
        resident: resident("self"),
        dialler_resident: resident(&process.to_string()),
    };

    let begun = mark(&server);
    let mut peers = Vec::with_capacity(sessions as usize);
    while peers.len() < sessions as usize {
        let next = tokio::time::timeout(Duration::from_secs(60), server.accept());
        let Ok(peer) = next.await else {
            bail!("only {} of {sessions} sessions: {}", peers.len(), server.stats().pacing);
        };
        peers.push(peer?);
    }
    let open = mark(&server);
    let failed = tokio::task::block_in_place(|| dialler.wait_until_open())?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let settled = mark(&server);
    tokio::time::sleep(time).await;
    let end = mark(&server);
    let alive = end.stats.metrics.sessions;

    println!("### {sessions} sessions on one node, a slot every {INTERVAL:?}\n");
    heading(
        &[
            "",
            "time",
            "cells out/s",
            "cells in/s",
            "late p50",
            "p99",
            "max",
            "skipped",
            "CPU of the loop",
            "of handshakes",
        ],
        1,
    );
    print_phase("while they are opened", &begun, &open);
    print_phase("once they are open", &settled, &end);
    let a_session = |bytes: u64| bytes / u64::from(sessions);
    println!();
    println!(
        "{alive} sessions are open at the end; {failed} attempts failed on the way. The node has {} of memory resident, {} \
         a session more than before them; who dialled them {}, {} a session. Send errors: {}.\n",
        mib(end.resident),
        bytes(a_session(end.resident.saturating_sub(begun.resident))),
        mib(end.dialler_resident),
        bytes(a_session(end.dialler_resident.saturating_sub(begun.dialler_resident))),
        end.stats.send_errors,
    );
    drop(peers);
    server.close(Duration::ZERO).await;
    Ok(())
}

fn print_phase(what: &str, from: &Mark, to: &Mark) {
    let time = to.at.saturating_duration_since(from.at);
    let lateness = to.stats.lateness.since(&from.stats.lateness);
    let rate = |later: u64, earlier: u64| format!("{:.0}", (later - earlier) as f64 / time.as_secs_f64());
    row(&[
        what.to_owned(),
        format!("{:.1} s", time.as_secs_f64()),
        rate(to.stats.slots_sent, from.stats.slots_sent),
        rate(to.stats.metrics.cells_received, from.stats.metrics.cells_received),
        micros(lateness.quantile(0.5)),
        micros(lateness.quantile(0.99)),
        micros(lateness.max()),
        (to.stats.slots_skipped - from.stats.slots_skipped).to_string(),
        percent(from.looped.until(&to.looped), time),
        percent(from.jobs.until(&to.jobs), time),
    ]);
}

/// Resident memory of a process in bytes, zero where there is no procfs.
fn resident(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

fn bytes(bytes: u64) -> String {
    format!("{:.1} kB", bytes as f64 / 1e3)
}

/// The other process.
struct Dialler {
    process: Child,
}

impl Dialler {
    fn start(to: SocketAddr, uri: &PeerUri, sessions: u32) -> Result<Self> {
        let arguments = [DIAL.to_owned(), to.to_string(), uri.peer.to_string(), sessions.to_string()];
        let process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("this program cannot be started again")?;
        Ok(Self { process })
    }

    /// Waits until it has opened them all. Tells how many attempts failed.
    fn wait_until_open(&mut self) -> Result<u64> {
        let output = self.process.stdout.take().context("the dialler's output is piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        line.trim().parse().context("the dialler ended early")
    }
}

impl Drop for Dialler {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The other process's part: opens so many sessions from one endpoint, prints how many attempts failed, and keeps them
/// until its input ends.
pub(crate) fn dial(to: &str, peer: &str, sessions: &str) -> Result<()> {
    let (to, peer, sessions) = (to.parse::<SocketAddr>()?, peer.parse()?, sessions.parse::<u32>()?);
    let uri = PeerUri { host: to.ip().to_string(), port: to.port(), peer };
    let runtime = endpoints::runtime()?;
    runtime.block_on(async {
        let client = endpoints::bind(REAL_TIME, endpoints::config(INTERVAL, sessions)?).await?;
        let (mut tasks, mut open, mut failed) = (JoinSet::new(), Vec::new(), 0_u64);
        let mut left = sessions;
        while left > 0 || !tasks.is_empty() {
            while left > 0 && tasks.len() < AT_ONCE as usize {
                let (client, uri) = (client.clone(), uri.clone());
                tasks.spawn(async move {
                    loop {
                        match client.connect_with(&uri, ModePolicy::A).await {
                            // So many may wait for the loop, and so many for the peer.
                            Err(ConnectError::Core(b4ae_core::ConnectError::Full)) => {
                                tokio::time::sleep(Duration::from_millis(5)).await;
                            }
                            settled => return settled,
                        }
                    }
                });
                left -= 1;
            }
            match tasks.join_next().await {
                Some(Ok(Ok(session))) => open.push(session),
                Some(Ok(Err(error))) => {
                    failed += 1;
                    ensure!(failed < u64::from(sessions), "as many attempts failed as were asked for: {error}");
                    left += 1;
                }
                Some(Err(panic)) => return Err(panic.into()),
                None => {}
            }
        }
        println!("{failed}");
        tokio::task::block_in_place(|| std::io::stdin().read(&mut [0])).context("the input ends, at most")?;
        drop::<Vec<Peer>>(open);
        client.close(Duration::ZERO).await;
        Ok(())
    })
}
