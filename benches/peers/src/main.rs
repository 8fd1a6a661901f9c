//! Prints what B4AE v2 costs beside other protocols that do some of the same work, measured in the same run.
//!
//! `scripts/peers` prints the tables of docs/PERFORMANCE.md. `--quick` takes few rounds and
//! short ones: everything is built, run and checked, and the figures mean little.

mod figures;
mod loopback;
mod memory;
mod noise;
mod peer;
mod provider;
mod quic;
#[cfg(feature = "rosenpass")]
mod rosenpass;
mod table;
mod v1;
mod v2;
mod wireguard;
mod work;

#[path = "../../src/pacing/endpoints.rs"]
#[allow(dead_code, reason = "the product's own bench, of which this uses a part")]
mod endpoints;
#[path = "../../src/measure.rs"]
#[allow(dead_code, reason = "the product's own bench, of which this uses a part")]
mod measure;
#[path = "../../src/number.rs"]
mod number;
#[path = "../../src/pair.rs"]
#[allow(dead_code, reason = "the product's own bench, of which this uses a part")]
mod pair;
#[path = "../../src/handshake.rs"]
#[allow(dead_code, reason = "the product's own bench, of which this uses a part")]
mod strangers;

use std::alloc::System;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use b4ae_core::PROVIDER;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::figures::Figures;
use crate::measure::Case;
use crate::peer::Peer;
use crate::provider::Other;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The lengths of messages.
const MESSAGES: [usize; 3] = [64, 1 << 10, 16 << 10];

/// How thorough a run is.
#[derive(Clone, Copy)]
struct Depth {
    rounds: usize,
    handshakes: usize,
    messages: usize,
    knocks: usize,
    loopback: Duration,
}

const WHOLE: Depth = Depth { rounds: 41, handshakes: 8, messages: 8, knocks: 32, loopback: Duration::from_secs(3) };
const QUICK: Depth = Depth { rounds: 1, handshakes: 1, messages: 2, knocks: 2, loopback: Duration::from_millis(300) };

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => report(WHOLE, &[]),
        ["--quick"] => report(QUICK, &["--quick"]),
        [provider::ANSWER] => answer(WHOLE),
        [provider::ANSWER, "--quick"] => answer(QUICK),
        _ => bail!("usage: b4ae-peers [--quick]"),
    }
}

/// All of them, in the order of the tables.
fn peers() -> Result<Vec<Rc<dyn Peer>>> {
    let mut peers: Vec<Rc<dyn Peer>> = Vec::new();
    peers.extend(v2::MODES.map(|mode| Rc::new(mode) as Rc<dyn Peer>));
    peers.push(Rc::new(v1::V1));
    peers.push(Rc::new(noise::XX));
    peers.push(Rc::new(noise::XX_HFS));
    peers.push(Rc::new(wireguard::WireGuard));
    peers.push(Rc::new(quic::Quic::new()?));
    #[cfg(feature = "rosenpass")]
    peers.push(Rc::new(rosenpass::Rosenpass::new()?));
    Ok(peers)
}

fn report(depth: Depth, arguments: &[&str]) -> Result<()> {
    ensure!(PROVIDER == "rust", "to be run without the feature aws-lc, with which it builds itself");
    let mut other = Other::start(arguments)?;
    let peers = peers()?;
    let mut outcome = Ok(());
    let (mut figures, noise) = measure(&peers, depth, || {
        if outcome.is_ok() {
            outcome = other.round();
        }
    })?;
    outcome?;
    figures.extend(other.end()?);
    table::print(&peers, &figures, noise);
    Ok(())
}

/// Measures B4AE v2 alone, a round whenever the other build asks for one.
fn answer(depth: Depth) -> Result<()> {
    let ours: Vec<_> = v2::MODES.map(|mode| Rc::new(mode) as Rc<dyn Peer>).into();
    provider::asked();
    let (figures, _) = measure(&ours, depth, || {
        provider::answer();
        provider::asked();
    })?;
    print!("{figures}");
    Ok(())
}

/// Everything of these peers; and half the distance between the quartiles of the noisiest case.
fn measure(peers: &[Rc<dyn Peer>], depth: Depth, between: impl FnMut()) -> Result<(Figures, f64)> {
    let mut figures = Figures::default();
    let mut cases = Vec::new();
    for peer in peers {
        let name = peer.name();
        if peer.has_messages() {
            let [initiator, responder] = memory::idle(peer.as_ref());
            figures.set(name, "memory, initiator", initiator);
            figures.set(name, "memory, responder", responder);
        }
        let mut pair = peer.pair(1);
        let wire = pair.handshake();
        figures.set(name, "handshake, datagrams", wire.datagrams as f64);
        figures.set(name, "handshake, bytes", wire.bytes as f64);
        let mut case =
            |what: &str, work: Box<dyn measure::Work>| cases.push((name, what.to_owned(), Case::new(what, work)));
        case("handshake", Box::new(work::Handshakes::new(peer, depth.handshakes)));
        if peer.has_messages() {
            for length in MESSAGES {
                pair.settle();
                let wire = pair.message(&vec![0x5a; length]);
                figures.set(name, &format!("message {length}, bytes"), wire.bytes as f64);
                let messages = work::Messages::new(peer.as_ref(), length, depth.messages);
                case(&format!("message {length}"), Box::new(messages));
            }
        }
        for knock in peer.knocks(depth.knocks) {
            case(&format!("knock: {}", knock.what), knock.work);
        }
    }
    let (names, mut cases): (Vec<_>, Vec<_>) = cases.into_iter().map(|(peer, what, case)| ((peer, what), case)).unzip();
    measure::interleaved(&mut cases, depth.rounds, between);
    let mut noise = 0.0_f64;
    for ((peer, what), case) in names.iter().zip(&cases) {
        ensure!(case.median() > 0.0, "{peer}: {what} takes time");
        figures.set(peer, what, case.median());
        noise = noise.max(case.spread());
    }
    for peer in peers {
        if let Some(loopback) = peer.loopback(depth.loopback)? {
            figures.set(peer.name(), "loopback, MB/s", loopback.bytes / loopback.seconds / 1e6);
            figures.set(peer.name(), "loopback, CPU", loopback.cpu_seconds / loopback.bytes * 1e9);
        }
    }
    Ok((figures, noise))
}
