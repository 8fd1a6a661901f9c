//! Pings a node: sends a message to the address given and waits for the peer to confirm it.

use std::error::Error;
use std::time::Duration;

use b4ae_blocking::{Endpoint, EndpointConfig};
use b4ae_core::{Config, Identity, PeerUri, SecretIdentity, Seed, Traffic};

const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let uri: PeerUri = std::env::args().nth(1).ok_or("usage: ping b4ae://HOST:PORT#FINGERPRINT")?.parse()?;
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).map_err(|e| e.to_string())?;
    let identity = Identity::from_secret(&SecretIdentity::generate(&Seed::new(entropy)));
    let endpoint = Endpoint::bind(EndpointConfig::new(identity, Config::builder(Traffic::balanced()).build()?))?;

    let peer = endpoint.connect_timeout(&uri, PATIENCE)?;
    let id = peer.send_timeout("ping", PATIENCE)?;
    peer.delivered_timeout(id, PATIENCE)?;
    println!("{} has it, in mode {}", peer.peer_id(), peer.mode());
    endpoint.close(PATIENCE);
    Ok(())
}
