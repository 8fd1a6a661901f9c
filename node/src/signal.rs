//! The signals that ask the process to stop.

use std::io;

use crate::error::Error;

/// Returns when the process is asked to stop, by Ctrl-C or SIGTERM.
pub(crate) async fn stop() -> Result<(), Error> {
    wait().await.map_err(Error::io("watching for signals"))
}

#[cfg(unix)]
async fn wait() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn wait() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
