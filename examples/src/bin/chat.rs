//! A conversation between two terminals, without an async runtime: one thread reads the keyboard, one the peer.

use std::io::{self, BufRead as _};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use b4ae_blocking::{Endpoint, EndpointConfig, Peer};
use b4ae_core::{Accept, ConfigBuilder, Limits, ModePolicy, PeerUri};
use b4ae_examples::{config, fresh_identity};
use clap::Parser;

/// A conversation between two terminals. End the input (Ctrl-D) to leave.
#[derive(Debug, Parser)]
#[command(name = "chat")]
enum Command {
    /// Wait for somebody to call; prints the address to give away
    Listen {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Call somebody who listens
    Call {
        /// The address that `listen` printed
        uri: PeerUri,
    },
}

/// Ten cells a second each way, typing or not.
const RATE: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    match Command::parse() {
        Command::Listen { listen } => {
            let config = alone().accept(Accept::Anyone(ModePolicy::A)).build()?;
            let endpoint = Endpoint::bind(EndpointConfig::new(fresh_identity()?, config).listen(listen))?;
            println!("{}", endpoint.uri(&listen.ip().to_string()));
            converse(&endpoint.accept()?);
            endpoint.close(PATIENCE);
        }
        Command::Call { uri } => {
            let endpoint = Endpoint::bind(EndpointConfig::new(fresh_identity()?, alone().build()?))?;
            // Deniable: nobody can prove afterwards who said what.
            converse(&endpoint.connect_with(&uri, ModePolicy::A).with_context(|| format!("calling {uri}"))?);
            endpoint.close(PATIENCE);
        }
    }
    Ok(())
}

/// One session, so that every slot is this conversation's.
fn alone() -> ConfigBuilder {
    config(RATE).limits(Limits { sessions: 1, ..Limits::default() })
}

fn converse(peer: &Peer) {
    eprintln!("connected with {}", peer.peer_id());
    let keyboard = peer.clone();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if keyboard.send(line).is_err() {
                return;
            }
        }
        // What was typed last still arrives.
        keyboard.close();
    });
    for message in peer.messages() {
        println!("{}", String::from_utf8_lossy(&message));
    }
    eprintln!("{}", peer.closed());
}
