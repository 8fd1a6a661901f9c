//! The B4AE node and command line.

mod address;
mod cli;
mod commands;
mod error;
mod identity;
mod keyfile;
mod keystore;
mod output;
mod passphrase;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Keygen(args) => commands::keygen::run(&args),
        Command::Id(args) => commands::id::run(&args),
        Command::Serve(_) | Command::Send(_) | Command::Chat(_) | Command::Demo(_) => Ok(()),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    // Standard error may be closed; the exit code still tells.
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "b4ae: {error}");
    if let Some(advice) = error.advice() {
        let _ = writeln!(err, "      {advice}");
    }
    ExitCode::from(error.exit_code())
}
