//! Prints what the protocol costs, against the primitives it is made of, measured in the same run.
//!
//! `cargo run --release -p b4ae-benches` prints the table of docs/PERFORMANCE.md: CPU time, ratios, memory, and
//! instructions where valgrind is installed. `--quick` takes fewer rounds and leaves instructions out. With `--both` it
//! builds and runs itself with the feature `aws-lc` too, and prints the times of both beside each other.

mod callgrind;
mod cases;
mod cell;
mod handshake;
mod measure;
mod memory;
mod number;
mod pair;
mod primitives;
mod results;
mod table;

use std::alloc::System;
use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};
use b4ae_core::PROVIDER;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::cases::{FEW_SESSIONS, MANY_SESSIONS, Size};
use crate::measure::Case;
use crate::results::Results;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What callgrind runs: this, and a case's name.
const COUNT: &str = "--count";
/// Prints results for another build of this program to read.
const VALUES: &str = "--values";

/// How thorough a run is.
#[derive(Clone, Copy)]
struct Depth {
    rounds: usize,
    with_instructions: bool,
}

const WHOLE: Depth = Depth { rounds: 41, with_instructions: true };
const QUICK: Depth = Depth { rounds: 9, with_instructions: false };

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => report(WHOLE).map(drop),
        ["--quick"] => report(QUICK).map(drop),
        ["--both"] => both(WHOLE, &[]),
        ["--both", "--quick"] => both(QUICK, &["--quick"]),
        [VALUES] => values(WHOLE),
        [VALUES, "--quick"] => values(QUICK),
        [COUNT, name] => callgrind::count_here(name),
        _ => bail!("usage: b4ae-benches [--both] [--quick]"),
    }
}

fn report(depth: Depth) -> Result<Results> {
    // Before other cases leave holes in the heap.
    let memory = memory::measure();
    let (cases, results) = measure(depth)?;
    println!("Provider of the primitives: {PROVIDER}.\n");
    table::print(&results, &memory);
    table::print_noise(&cases);
    Ok(results)
}

fn measure(depth: Depth) -> Result<(Vec<Case>, Results)> {
    let instructions = if depth.with_instructions { callgrind::count(COUNT)? } else { None };
    let mut cases = Vec::new();
    for names in [&FEW_SESSIONS[..], &MANY_SESSIONS] {
        let mut some: Vec<_> = names.iter().filter_map(|name| cases::case(name, Size::Timed)).collect();
        measure::interleaved(&mut some, depth.rounds, || ());
        cases.extend(some);
    }
    let results = Results::new(&cases, instructions.as_ref());
    Ok((cases, results))
}

fn values(depth: Depth) -> Result<()> {
    print!("{}", measure(depth)?.1);
    Ok(())
}

/// The report of this build, then its times beside those of another build with the feature `aws-lc`: a provider is
/// compiled in, so that two are two programs. It is built first, and measured last.
fn both(depth: Depth, arguments: &[&str]) -> Result<()> {
    ensure!(PROVIDER == "rust", "both providers: to be run without the feature aws-lc");
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let build = |command: &str| {
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.current_dir(workspace).args([command, "--release", "--quiet", "--locked", "--package", "b4ae-benches"]);
        build.args(["--features", "aws-lc", "--target-dir", "target/aws-lc"]).stderr(Stdio::inherit());
        build
    };
    ensure!(build("build").status()?.success(), "the build with the feature aws-lc fails");
    let ours = report(depth)?;
    let output = build("run").args(["--", VALUES]).args(arguments).output()?;
    ensure!(output.status.success(), "the run with the feature aws-lc fails");
    let theirs = String::from_utf8(output.stdout)?.parse()?;
    println!();
    table::print_both(&ours, &theirs);
    Ok(())
}
