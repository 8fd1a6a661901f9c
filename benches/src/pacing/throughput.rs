//! How many cells a second two endpoints exchange, each with a slot every ten microseconds, and what a cell costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use b4ae_core::ModePolicy;
use b4ae_tokio::{Endpoint, Peer};

use crate::endpoints::{self, REAL_TIME};
use crate::table::{heading, micros, percent, row};
use crate::threads::Threads;

/// The finest grid there is.
const FINEST: Duration = Duration::from_micros(10);
/// A message's length.
const MESSAGE: usize = 16 << 10;

/// Prints the table.
pub(crate) fn print(seconds: u64) -> Result<()> {
    println!("### Throughput on loopback, {seconds} s each\n");
    heading(
        &[
            "",
            "sent/s",
            "arrived/s",
            "skipped",
            "p50",
            "p99",
            "CPU of the sender",
            "of the receiver",
            "CPU a cell",
            "messages",
        ],
        1,
    );
    for (what, back, messages) in [
        ("one way, a cell a millisecond back", Duration::from_millis(1), false),
        ("both ways", FINEST, false),
        ("one way, full of messages of 16 kB", Duration::from_millis(1), true),
    ] {
        line(what, back, messages, seconds)?;
    }
    println!();
    Ok(())
}

/// Sends messages for as long as the session lasts.
async fn talk(session: Peer) {
    while session.send(vec![7; MESSAGE]).await.is_ok() {}
}

/// Takes messages for as long as the session lasts, and counts them.
async fn listen(session: Peer, count: Arc<AtomicU64>) {
    while session.recv().await.is_ok() {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// What an endpoint has done so far.
struct Mark {
    stats: b4ae_tokio::EndpointStats,
    spent: Threads,
}

fn line(what: &str, back: Duration, messages: bool, seconds: u64) -> Result<()> {
    let time = Duration::from_secs(seconds);
    let runtime = endpoints::runtime()?;
    runtime.block_on(async {
        let none = Threads::default();
        let server = endpoints::bind(REAL_TIME, endpoints::config(back, 1)?).await?;
        let of_server = Threads::named("b4ae-loop");
        let client = endpoints::bind(REAL_TIME, endpoints::config(FINEST, 1)?).await?;
        let session = client.connect_with(&server.uri("127.0.0.1"), ModePolicy::A).await?;
        let other_end = server.accept().await?;
        let arrived_messages = Arc::new(AtomicU64::new(0));
        if messages {
            tokio::spawn(talk(session.clone()));
            tokio::spawn(listen(other_end.clone(), Arc::clone(&arrived_messages)));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;

        let mark = |endpoint: &Endpoint, others: &Threads| Mark {
            stats: endpoint.stats(),
            spent: Threads::named("b4ae-loop").without(others),
        };
        let messages_before = arrived_messages.load(Ordering::Relaxed);
        let before = (mark(&client, &of_server), mark(&server, &none));
        tokio::time::sleep(time).await;
        let after = (mark(&client, &of_server), mark(&server, &none));
        let text = (arrived_messages.load(Ordering::Relaxed) - messages_before) * MESSAGE as u64 / seconds;
        drop((session, other_end));

        let sent = after.0.stats.slots_sent - before.0.stats.slots_sent;
        let arrived = after.1.stats.metrics.cells_received - before.1.stats.metrics.cells_received;
        let by_server = after.1.stats.slots_sent - before.1.stats.slots_sent;
        let client_spent = before.0.spent.until(&after.0.spent);
        // The server's mark has both loops.
        let server_spent = before.1.spent.until(&after.1.spent).saturating_sub(client_spent);
        let lateness = after.0.stats.lateness.since(&before.0.stats.lateness);
        let cells = u32::try_from(sent + by_server).unwrap_or(u32::MAX).max(1);
        row(&[
            what.to_owned(),
            (sent / seconds).to_string(),
            (arrived / seconds).to_string(),
            (after.0.stats.slots_skipped - before.0.stats.slots_skipped).to_string(),
            micros(lateness.quantile(0.5)),
            micros(lateness.quantile(0.99)),
            percent(client_spent, time),
            percent(server_spent, time),
            micros((client_spent + server_spent) / cells),
            if messages { format!("{:.1} MB/s", text as f64 / 1e6) } else { "-".to_owned() },
        ]);
        anyhow::Ok(())
    })
}
