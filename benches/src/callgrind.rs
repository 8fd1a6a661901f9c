//! Instruction counts: the same cases under valgrind's callgrind, which no other process on the machine can disturb.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::cases::{self, Size};

/// Instructions an operation, by the name of the case.
pub(crate) type Instructions = BTreeMap<&'static str, u64>;

/// Runs a case in this process, for callgrind to watch, and prints how many operations it saw.
pub(crate) fn count_here(name: &str) -> Result<()> {
    let mut case = cases::case(name, Size::Counted).context("a case's name")?;
    println!("{}", case.count());
    Ok(())
}

/// Runs this program under callgrind with `argument` and a case's name, for all cases with few sessions. `None`
/// where there is no valgrind.
pub(crate) fn count(argument: &str) -> Result<Option<Instructions>> {
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Ok(None);
    }
    let mut instructions = Instructions::new();
    for name in cases::FEW_SESSIONS {
        instructions.insert(name, count_one(argument, name)?);
    }
    Ok(Some(instructions))
}

fn count_one(argument: &str, name: &str) -> Result<u64> {
    let directory = tempfile::tempdir()?;
    let dump = directory.path().join("dump");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no", "--toggle-collect=*measure*measured*"])
        .arg(format!("--callgrind-out-file={}", dump.display()))
        .arg(std::env::current_exe()?)
        .args([argument, name])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "valgrind ended with {}", output.status);
    let operations: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
    let dump = std::fs::read_to_string(dump)?;
    let total = dump.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: u64 = total.context("a dump has a total")?.trim().parse()?;
    ensure!(total > 0, "callgrind has seen nothing of `{name}`");
    Ok(total / operations.max(1))
}
