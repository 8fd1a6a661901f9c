//! Secrets as memory that was never written: memcheck then finds each branch and each address that depends on one.

use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use b4ae_core::constant_time;

use crate::{Findings, controls, valgrind};

/// Runs this program under memcheck.
pub(crate) fn run() -> io::Result<ExitCode> {
    let log = scratch()?.join("memcheck.log");
    let status = Command::new("valgrind")
        .args([
            "--tool=memcheck",
            "--quiet",
            "--error-limit=no",
            "--expensive-definedness-checks=yes",
            "--num-callers=30",
        ])
        .arg(format!("--log-file={}", log.display()))
        .arg(std::env::current_exe()?)
        .args(["branches", "watched"])
        .status()?;
    if status.success() {
        return Ok(ExitCode::SUCCESS);
    }
    // The controls are in it too.
    print!("{}", std::fs::read_to_string(log)?);
    Ok(ExitCode::FAILURE)
}

/// A directory for what valgrind writes, beside this program.
pub(crate) fn scratch() -> io::Result<PathBuf> {
    let directory = std::env::current_exe()?.with_extension("valgrind");
    if directory.exists() {
        std::fs::remove_dir_all(&directory)?;
    }
    std::fs::create_dir(&directory)?;
    Ok(directory)
}

/// What runs there.
pub(crate) fn watched() -> ExitCode {
    assert!(valgrind::is_watched(), "nobody would notice");
    constant_time::watch(valgrind::secret, valgrind::declassify);
    let mut findings = Findings::default();
    for control in controls::CONTROLS {
        let before = valgrind::errors();
        (control.run)();
        let found = valgrind::errors() - before;
        findings.note(control.name, found > 0, true, &format!("{found} found"));
    }
    for case in constant_time::cases() {
        let before = valgrind::errors();
        let outcomes = (case.run)();
        let found = valgrind::errors() - before;
        let declassified = valgrind::take_declassified();
        // Were no secret to come out at the other end, none would have gone in.
        assert!(declassified > 0 || found > outcomes, "{}: nothing secret was at work", case.name);
        let detail = format!("{found} found, {outcomes} of them public outcomes; {declassified} bytes declassified");
        findings.note(case.name, found != outcomes, case.planted && cfg!(b4ae_leaks), &detail);
    }
    findings.exit_code()
}
