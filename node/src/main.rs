//! The B4AE node and command line.

mod address;
mod cli;
mod commands;
mod credential;
mod demo;
mod error;
mod identity;
mod input;
mod keyfile;
mod keystore;
mod net;
mod output;
mod printer;
mod private;
mod progress;
mod signal;
mod token;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Keygen(args) => commands::keygen::run(&args),
        Command::Id(args) => commands::id::run(&args),
        Command::Serve(args) => commands::serve::run(&args),
        Command::Send(args) => commands::send::run(&args),
        Command::Chat(args) => commands::chat::run(&args),
        Command::Hsm(args) => commands::hsm::run(&args),
        Command::Rotation(args) => commands::rotation::run(&args),
        Command::Demo(args) => commands::demo::run(&args),
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
