//! The endpoint's handle.

use std::net::SocketAddr;
use std::time::Duration;

use b4ae_core::{ModePolicy, PeerId, PeerUri};
use b4ae_driver::{BindError, ConnectError, EndpointConfig, EndpointStats, Stopped};

use crate::Peer;

/// One UDP socket and every session on it. Clones are handles of the same endpoint; when the last one is dropped,
/// what is queued is still delivered within a limit, and the endpoint stops.
#[derive(Clone, Debug)]
pub struct Endpoint {}

#[allow(clippy::todo, clippy::unused_async, clippy::unused_self, unused_variables)]
impl Endpoint {
    /// Binds the socket and starts the loop, on its own thread or as a task of the current runtime.
    pub async fn bind(config: EndpointConfig) -> Result<Self, BindError> {
        todo!()
    }

    /// Opens a session with the peer `uri` names, offering the configured modes. Resolves the host, tries each of
    /// its addresses, and returns once the peer has proved to hold its keys.
    pub async fn connect(&self, uri: &PeerUri) -> Result<Peer, ConnectError> {
        todo!()
    }

    /// As [`connect`](Self::connect), offering `modes`.
    pub async fn connect_with(&self, uri: &PeerUri, modes: ModePolicy) -> Result<Peer, ConnectError> {
        todo!()
    }

    /// The next session a peer opened.
    pub async fn accept(&self) -> Result<Peer, Stopped> {
        todo!()
    }

    /// The address the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        todo!()
    }

    /// Our own fingerprint.
    pub fn peer_id(&self) -> PeerId {
        todo!()
    }

    /// What to give to a peer so that it can connect, `host` being a name or address it can reach.
    pub fn uri(&self, host: &str) -> PeerUri {
        todo!()
    }

    /// This endpoint's numbers.
    pub fn stats(&self) -> EndpointStats {
        todo!()
    }

    /// Closes every session gracefully, stops the endpoint and waits until its socket is closed. What is not
    /// confirmed after `flush` is abandoned.
    pub async fn close(&self, flush: Duration) {
        todo!()
    }
}
