//! How many cells a second two endpoints exchange, each with a slot every ten microseconds, and what a cell costs.

use std::time::Duration;

use anyhow::Result;
use b4ae_core::ModePolicy;
use b4ae_tokio::Endpoint;

use crate::endpoints::{self, REAL_TIME};
use crate::table::{heading, micros, percent, row};
use crate::threads::Threads;

/// The finest grid there is.
const FINEST: Duration = Duration::from_micros(10);

/// Prints the table.
pub(crate) fn print(seconds: u64) -> Result<()> {
    println!("### Throughput on loopback, {seconds} s each\n");
    heading(
        &["", "sent/s", "arrived/s", "skipped", "p50", "p99", "CPU of the sender", "of the receiver", "CPU a cell"],
        1,
    );
    one_way(seconds)?;
    println!();
    Ok(())
}

/// What an endpoint has done so far.
struct Mark {
    stats: b4ae_tokio::EndpointStats,
    spent: Threads,
}

fn one_way(seconds: u64) -> Result<()> {
    let time = Duration::from_secs(seconds);
    for (what, back) in [("one way, a cell a millisecond back", Duration::from_millis(1)), ("both ways", FINEST)] {
        let runtime = endpoints::runtime()?;
        runtime.block_on(async {
            let none = Threads::default();
            let server = endpoints::bind(REAL_TIME, endpoints::config(back, 1)?).await?;
            let of_server = Threads::named("b4ae-loop");
            let client = endpoints::bind(REAL_TIME, endpoints::config(FINEST, 1)?).await?;
            let session = client.connect_with(&server.uri("127.0.0.1"), ModePolicy::A).await?;
            let _other_end = server.accept().await?;
            tokio::time::sleep(Duration::from_millis(500)).await;

            let mark = |endpoint: &Endpoint, others: &Threads| Mark {
                stats: endpoint.stats(),
                spent: Threads::named("b4ae-loop").without(others),
            };
            let before = (mark(&client, &of_server), mark(&server, &none));
            tokio::time::sleep(time).await;
            let after = (mark(&client, &of_server), mark(&server, &none));
            drop(session);

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
            ]);
            anyhow::Ok(())
        })?;
    }
    Ok(())
}
