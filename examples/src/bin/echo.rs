//! An echo service on Tokio, and a client that calls it.
//!
//! The service sends every message back to whoever sent it. On the link a busy one and an idle one look the same.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use b4ae_core::{Accept, ModePolicy, PeerUri};
use b4ae_examples::{config, fresh_identity};
use b4ae_tokio::{Endpoint, EndpointConfig, Peer};
use clap::Parser;
use tokio::time::Instant;

/// An echo service on Tokio.
#[derive(Debug, Parser)]
#[command(name = "echo")]
enum Command {
    /// Send every message back, until Ctrl-C; prints the address to call
    Serve {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Send messages, and check that they come back
    Call {
        /// The address that `serve` printed
        uri: PeerUri,
        /// What to send
        #[arg(required = true)]
        messages: Vec<String>,
    },
}

/// Slots a second. Both sides send that many cells, whatever there is to say.
const RATE: u32 = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Serve { listen } => serve(listen).await,
        Command::Call { uri, messages } => call(&uri, &messages).await,
    }
}

async fn serve(listen: SocketAddr) -> Result<()> {
    let config = config(RATE).accept(Accept::Anyone(ModePolicy::B_THEN_A)).build()?;
    let endpoint = Endpoint::bind(EndpointConfig::new(fresh_identity()?, config).listen(listen)).await?;
    println!("{}", endpoint.uri(&listen.ip().to_string()));
    loop {
        tokio::select! {
            peer = endpoint.accept() => { tokio::spawn(echo(peer?)); }
            stop = tokio::signal::ctrl_c() => { stop?; break; }
        }
    }
    // Tells the peers, and gives what is queued two seconds to arrive.
    endpoint.close(Duration::from_secs(2)).await;
    Ok(())
}

/// One session. A peer that sends faster than the grid carries is held back: `send` waits for room.
async fn echo(peer: Peer) {
    eprintln!("{}: {} in mode {:?}", peer.id(), peer.peer_id(), peer.mode());
    let mut echoed = 0;
    let end = loop {
        match peer.recv().await {
            Ok(message) => match peer.send(message).await {
                Ok(_) => echoed += 1,
                Err(e) => break e.to_string(),
            },
            Err(e) => break e.to_string(),
        }
    };
    eprintln!("{}: {echoed} messages sent back; {end}", peer.id());
}

async fn call(uri: &PeerUri, messages: &[String]) -> Result<()> {
    let endpoint = Endpoint::bind(EndpointConfig::new(fresh_identity()?, config(RATE).build()?)).await?;
    let peer = endpoint.connect(uri).await.with_context(|| format!("calling {uri}"))?;
    for message in messages {
        let sent = Instant::now();
        peer.send(message.as_bytes()).await?;
        let echo = peer.recv().await.context("waiting for the echo")?;
        ensure!(echo == message.as_bytes(), "something else came back");
        println!("{message} ({} ms)", sent.elapsed().as_millis());
    }
    endpoint.close(Duration::from_secs(2)).await;
    Ok(())
}
