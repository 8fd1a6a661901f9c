//! Requires that time does not tell the secrets of `b4ae-core`: see `docs/SECURITY_ANALYSIS.md`, "Constant time".
//!
//! ```text
//! constant-time branches      under memcheck: no branch and no address depends on a secret
//! constant-time instructions  under callgrind: as many instructions for one class of input as for another
//! constant-time time          by the clock, for a quiet machine: reports, and judges nothing
//! ```
//!
//! Built with `--cfg b4ae_leaks`, the core leaks where it says so, and the first two require that this is found.

mod branches;
mod controls;
mod instructions;
mod statistics;
mod time;
mod valgrind;

use std::process::ExitCode;

/// Whether something went other than it must, said as it is found.
#[derive(Default)]
struct Findings(u32);

impl Findings {
    /// Notes that `what` leaks or not, which is as it must be if it was made to leak.
    fn note(&mut self, what: &str, leaks: bool, planted: bool, detail: &str) {
        let verdict = match (leaks, planted) {
            (false, false) => "ok",
            (true, true) => "leaks, as planted",
            (true, false) => "LEAKS",
            (false, true) => "LEAK NOT FOUND",
        };
        println!("{verdict:17}  {what}: {detail}");
        self.0 += u32::from(leaks != planted);
    }

    fn exit_code(&self) -> ExitCode {
        if self.0 == 0 {
            return ExitCode::SUCCESS;
        }
        println!("{} not as they must be", self.0);
        ExitCode::FAILURE
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["branches"] => branches::run(),
        ["branches", "watched"] => Ok(branches::watched()),
        ["instructions"] => instructions::run(),
        ["instructions", "watched"] => Ok(instructions::watched()),
        ["time"] => Ok(time::run(200_000)),
        _ => {
            eprintln!("usage: constant-time branches | instructions | time");
            return ExitCode::from(2);
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("constant-time: {error}");
        ExitCode::FAILURE
    })
}
