//! The same program with the feature `aws-lc`: a provider is compiled in, so that two of them are two programs. Their
//! rounds take turns, so that both see the same machine.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::figures::Figures;

/// Has a build of this program answer to another.
pub(crate) const ANSWER: &str = "--answer";

/// The other build, running.
pub(crate) struct Other {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Other {
    /// Builds it, and starts it with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self> {
        let cargo = |command: &str| {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
            cargo.args([command, "--release", "--quiet", "--locked", "--features", "aws-lc"]).stderr(Stdio::inherit());
            cargo.args(["--manifest-path", "benches/peers/Cargo.toml", "--target-dir", "target/peers"]);
            cargo
        };
        ensure!(cargo("build").status()?.success(), "the build with the feature aws-lc fails");
        let mut run = cargo("run");
        run.args(["--", ANSWER]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = run.spawn()?;
        let ask = child.stdin.take().context("a pipe to it")?;
        let answers = BufReader::new(child.stdout.take().context("a pipe from it")?);
        Ok(Self { child, ask, answers })
    }

    /// Has it do one round, and waits.
    pub(crate) fn round(&mut self) -> Result<()> {
        self.ask.write_all(b"\n")?;
        ensure!(self.answers.read_line(&mut String::new())? > 0, "the build with the feature aws-lc has ended");
        Ok(())
    }

    /// Takes what it has measured.
    pub(crate) fn end(mut self) -> Result<Figures> {
        drop(self.ask);
        let mut text = String::new();
        self.answers.read_to_string(&mut text)?;
        ensure!(self.child.wait()?.success(), "the run with the feature aws-lc fails");
        text.parse()
    }
}

/// Waits until the other build wants a round.
pub(crate) fn asked() {
    // At its end there is nothing to wait for.
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Tells the other build that the round is done.
pub(crate) fn answer() {
    println!();
}
