//! The signals that ask the process to stop.

use std::io;

use crate::error::Error;

/// Takes Ctrl-C and SIGTERM over from the system from the moment it is made, and the hangup of its terminal on Linux.
#[derive(Debug)]
pub(crate) struct Stop(Signals);

impl Stop {
    /// From now on these signals end nothing by themselves. Must be called within the runtime.
    pub(crate) fn install() -> Result<Self, Error> {
        Signals::install().map(Self).map_err(Error::io("watching for signals"))
    }

    /// Returns when the process has been asked to stop since the last time this returned.
    pub(crate) async fn asked(&mut self) {
        self.0.recv().await;
    }
}

#[cfg(unix)]
#[derive(Debug)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        // Whoever runs this under nohup wants it to go on.
        let hangup = (!hangup_is_ignored()).then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hangup })
    }

    async fn recv(&mut self) {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => _ = hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hung_up => {}
        }
    }
}

/// Whether SIGHUP, signal 1, is ignored. Where the system does not tell, it is left as it is.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 1 == 1)
}

#[cfg(windows)]
#[derive(Debug)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn install() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn recv(&mut self) {
        self.0.recv().await;
    }
}
