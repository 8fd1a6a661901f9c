//! `b4ae demo`: three clients do different things; the network sees them do the same.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use console::style;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::cli::Demo;
use crate::demo::apps::{self, Arrived, FILE_LEN};
use crate::demo::record::{Link, Window};
use crate::demo::stage::{RATE, Stage};
use crate::demo::svg::{self, Caption};
use crate::demo::verdict::{self, Check, Totals};
use crate::demo::view::View;
use crate::error::Error;
use crate::signal::Stop;
use crate::{net, output};

/// How long messages may take to arrive after the end of the watch.
const LATE: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// The measurements, for programs.
#[derive(Serialize)]
struct Measurements {
    seconds: u32,
    mode: String,
    handshake_ms: Vec<f64>,
    messages_sent: u64,
    messages_delivered: u64,
    bytes_delivered: u64,
    datagram_lengths: Vec<u16>,
    datagrams_per_link: Vec<u64>,
    slot_lateness_us: Lateness,
}

#[derive(Serialize)]
struct Lateness {
    p50: u64,
    p99: u64,
}

/// Shows it, and judges what was measured.
pub(crate) fn run(args: &Demo) -> Result<(), Error> {
    // Early, so that nobody watches in vain.
    let svg = args.svg.as_deref().map(|path| open(path).map(|file| (path, file))).transpose()?;
    net::run(None, async {
        let mut stop = Stop::install()?;
        let stage = Stage::set(args.mode.into()).await?;
        let done = tokio::select! {
            done = perform(&stage, args, svg) => done,
            () = stop.asked() => Err(Error::NoVerdict),
        };
        stage.close().await;
        done
    })
}

async fn perform(stage: &Stage, args: &Demo, svg: Option<(&Path, File)>) -> Result<(), Error> {
    let title = format!("b4ae demo: mode {}, {RATE} slots a second each way on each link", stage.mode());
    let mut view = (!args.json).then(|| View::new(title.clone(), RATE * 2, FILE_LEN));
    let arrived = Arc::new(Arrived::default());
    let mut receivers = JoinSet::new();
    for (client, server) in stage.ends() {
        let (client, server) = (client.clone(), server.clone());
        let (taken, served) = (arrived.clone(), arrived.clone());
        receivers.spawn(async move { apps::take(&client.peer, &taken).await });
        receivers.spawn(async move { apps::serve(&server, &served).await });
    }
    let window = Window { start: stage.now(), length: Duration::from_secs(args.seconds.into()) };
    let [chat, file, _silent] = stage.clients();
    let acting = async {
        let acts = async { tokio::try_join!(apps::chat(chat, window), apps::send_file(file, window)) };
        // What does not arrive in time is missing in the record, and that is for the verdict to say.
        timeout(window.length + LATE, acts).await.map_or(Ok(()), |done| done.map(|_| ()))
    };
    let ((slots_sent, slots_skipped), ()) = tokio::try_join!(watch(stage, window, view.as_mut()), acting)?;
    let trips: Vec<_> = stage.links().iter().flat_map(|link| link.activity.trips()).collect();
    let totals = Totals {
        sent: trips.len() as u64,
        confirmed: trips.iter().filter(|trip| trip.end.is_some()).count() as u64,
        delivered: arrived.messages(),
        files: arrived.files(),
        slots_sent,
        slots_skipped,
    };
    let checks = verdict::checks(stage.links(), &stage.links()[1], window, &totals);
    let measured = measurements(stage, args.seconds, window, &totals, arrived.bytes());
    if args.json {
        let json = serde_json::to_string(&measured).map_err(|e| Error::io("writing JSON")(e.into()))?;
        output::line(&json)?;
    } else {
        tell(&measured, &checks)?;
    }
    if let Some((path, file)) = svg {
        let caption = Caption { title: &title, rate: RATE * 2, most: FILE_LEN, checks: &checks };
        let picture = svg::draw(stage.links(), window, caption);
        replace(file, &picture).map_err(Error::io(format!("writing {}", path.display())))?;
    }
    let failed: Vec<_> = checks.into_iter().filter(|check| !check.holds).map(|check| check.what).collect();
    if failed.is_empty() { Ok(()) } else { Err(Error::Verdict(failed.join("; and: "))) }
}

/// Opens a file to be written later, without a change to what it holds.
fn open(path: &Path) -> Result<File, Error> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    file.map_err(Error::io(format!("writing {}", path.display())))
}

/// Makes `text` all that there is in `file`.
fn replace(mut file: File, text: &str) -> std::io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(text.as_bytes())
}

/// Shows the links until the window is over. Returns how many slots were kept and skipped in it, at all
/// endpoints.
async fn watch(stage: &Stage, window: Window, mut view: Option<&mut View>) -> Result<(u64, u64), Error> {
    let before = stage.slots();
    loop {
        let now = stage.now();
        if let Some(view) = &mut view {
            view.show(stage.links(), window, now).map_err(Error::io("writing to standard output"))?;
        }
        let left = window.end().saturating_since(now);
        if left.is_zero() {
            let after = stage.slots();
            return Ok((after.0.saturating_sub(before.0), after.1.saturating_sub(before.1)));
        }
        sleep(left.min(LOOK)).await;
    }
}

fn measurements(stage: &Stage, seconds: u32, window: Window, totals: &Totals, bytes_delivered: u64) -> Measurements {
    let lengths: std::collections::BTreeSet<u16> = stage.links().iter().flat_map(Link::lengths).collect();
    let (p50, p99) = stage.lateness();
    let micros = |lateness: Duration| u64::try_from(lateness.as_micros()).unwrap_or(u64::MAX);
    Measurements {
        seconds,
        mode: stage.mode().to_string().to_lowercase(),
        handshake_ms: stage.handshakes().iter().map(|took| (took.as_secs_f64() * 1e5).round() / 1e2).collect(),
        messages_sent: totals.sent,
        messages_delivered: totals.delivered,
        bytes_delivered,
        datagram_lengths: lengths.into_iter().collect(),
        datagrams_per_link: stage.links().iter().map(|link| link.count(window).iter().sum()).collect(),
        slot_lateness_us: Lateness { p50: micros(p50), p99: micros(p99) },
    }
}

/// The measurements and the verdict, for people.
fn tell(measured: &Measurements, checks: &[Check]) -> Result<(), Error> {
    let handshakes: Vec<_> = measured.handshake_ms.iter().map(|ms| format!("{ms:.1}")).collect();
    let Measurements { messages_sent, messages_delivered, bytes_delivered, .. } = measured;
    let Lateness { p50, p99 } = measured.slot_lateness_us;
    output::line(&format!(
        "\n  handshakes in {} ms; {messages_sent} messages sent, {messages_delivered} delivered, {bytes_delivered} bytes\n  \
         slots late by {p50} µs (median), {p99} µs (99th percentile)\n",
        handshakes.join(", ")
    ))?;
    for check in checks {
        let mark = if check.holds { style("holds ").green() } else { style("FAILED").red().bold() };
        output::line(&format!("  {mark}  {}", check.what))?;
    }
    Ok(())
}
