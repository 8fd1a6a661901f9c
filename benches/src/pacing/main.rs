//! Prints how well slots are kept in time, and how many cells a second two endpoints exchange.
//!
//! `cargo run --release -p b4ae-benches --bin b4ae-pacing` prints the tables of docs/PERFORMANCE.md; `lateness`,
//! `throughput` or `sessions [COUNT]` one of them; `--quick` takes two seconds a line instead of ten. Real-time
//! priority needs root, `CAP_SYS_NICE` or a limit on real-time priority (`RLIMIT_RTPRIO`).

mod busy;
mod endpoints;
mod lateness;
mod observer;
mod sessions;
mod table;
mod threads;
mod throughput;

use anyhow::{Result, bail};

/// Sessions of the table.
const MANY: u32 = 10_000;

fn main() -> Result<()> {
    let mut arguments: Vec<_> = std::env::args().skip(1).collect();
    let all = arguments.len();
    arguments.retain(|argument| argument != "--quick");
    let seconds = if arguments.len() < all { 2 } else { 10 };
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            lateness::print(seconds)?;
            throughput::print(seconds)?;
            sessions::print(MANY, seconds)
        }
        ["lateness"] => lateness::print(seconds),
        ["throughput"] => throughput::print(seconds),
        ["sessions"] => sessions::print(MANY, seconds),
        ["sessions", count] => sessions::print(count.parse()?, seconds),
        [sessions::DIAL, to, peer, count] => sessions::dial(to, peer, count),
        _ => bail!("usage: b4ae-pacing [lateness | throughput | sessions [COUNT]] [--quick]"),
    }
}
