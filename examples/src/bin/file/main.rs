//! Sends a file, with a progress bar, and goes on where it stopped when either side was restarted.

mod message;
mod receive;
mod send;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use b4ae_core::PeerUri;
use clap::Parser;

/// Sends a file, and goes on where it stopped when either side was restarted.
#[derive(Debug, Parser)]
#[command(name = "file")]
enum Command {
    /// Take files into a folder, until Ctrl-C; prints the address to send to
    Receive {
        /// The folder; also keeps the identity, so that the address stays the same
        folder: PathBuf,
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:46255")]
        listen: SocketAddr,
        /// Slots a second, each for up to 1024 bytes
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
        rate: u32,
    },
    /// Send a file, trying again while the other side is away
    Send {
        /// The address that `receive` printed
        uri: PeerUri,
        /// The file
        file: PathBuf,
        /// Slots a second, each for up to 1024 bytes
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
        rate: u32,
        /// How many seconds to try without a byte getting through
        #[arg(long, default_value_t = 60)]
        patience: u64,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Receive { folder, listen, rate } => receive::run(&folder, listen, rate).await,
        Command::Send { uri, file, rate, patience } => {
            send::run(&uri, &file, rate, Duration::from_secs(patience)).await
        }
    }
}
