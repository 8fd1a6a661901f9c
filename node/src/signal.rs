//! The signals that ask the process to stop.

use std::io;

use crate::error::Error;

/// Takes Ctrl-C and SIGTERM over from the system, from the moment it is made.
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
}

#[cfg(unix)]
impl Signals {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
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
