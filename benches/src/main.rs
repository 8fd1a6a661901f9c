//! Prints what the protocol costs, against the primitives it is made of, measured in the same run.
//!
//! `cargo run --release -p b4ae-benches` prints the table of docs/PERFORMANCE.md: CPU time, ratios, memory, and
//! instructions where valgrind is installed. `--quick` takes fewer rounds and leaves instructions out.

mod callgrind;
mod cases;
mod cell;
mod handshake;
mod measure;
mod memory;
mod pair;
mod primitives;
mod table;

use std::alloc::System;

use anyhow::{Result, bail};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::cases::Size;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What callgrind runs: this, and a case's name.
const COUNT: &str = "--count";

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => report(41, true),
        ["--quick"] => report(9, false),
        [COUNT, name] => callgrind::count_here(name),
        _ => bail!("usage: b4ae-benches [--quick]"),
    }
}

fn report(rounds: usize, with_instructions: bool) -> Result<()> {
    // Before other cases leave holes in the heap.
    let memory = memory::measure();
    let instructions = if with_instructions { callgrind::count(COUNT)? } else { None };
    let mut cases: Vec<_> = cases::NAMES.iter().filter_map(|name| cases::case(name, Size::Timed)).collect();
    measure::interleaved(&mut cases, rounds);
    table::print(&cases, instructions.as_ref(), &memory);
    Ok(())
}
