//! The endpoint's handle.

use std::net::SocketAddr;
use std::time::Duration;

use b4ae_core::{ModePolicy, PeerId, PeerUri};
use b4ae_driver::{
    BindError, ConnectError, Driver, EndpointConfig, EndpointStats, Handle, Peer, Placement, Stopped, address, thread,
};

use crate::task;

/// One UDP socket and every session on it. Clones are handles of the same endpoint; when the last one is dropped,
/// what is queued is still given a limited time to be delivered, and the endpoint stops, whatever peers are still held.
#[derive(Clone, Debug)]
pub struct Endpoint(Handle);

impl Endpoint {
    /// Binds the socket and starts the loop, on its own thread or as a task of the current runtime.
    ///
    /// With [`Placement::Runtime`] and outside of a Tokio runtime, that is [`BindError::NoRuntime`].
    ///
    /// # Panics
    /// With [`Placement::Runtime`], if the runtime's I/O driver or timer is not enabled.
    #[expect(clippy::unused_async, reason = "a runtime is needed, and later versions may have to wait")]
    pub async fn bind(config: EndpointConfig) -> Result<Self, BindError> {
        let (placement, real_time) = (config.asked_placement(), config.asked_real_time());
        let (driver, handle) = Driver::bind(config)?;
        match placement {
            Placement::OwnThread => thread::spawn(driver, real_time)?,
            Placement::Runtime => task::spawn(driver)?,
        }
        Ok(Self(handle))
    }

    /// Opens a session with the peer `uri` names, offering the configured modes. Resolves the host, tries each of
    /// its addresses, and returns once the peer has proved to hold its keys.
    ///
    /// Dropping the future gives the attempt up.
    pub async fn connect(&self, uri: &PeerUri) -> Result<Peer, ConnectError> {
        self.connect_with(uri, self.0.offered()).await
    }

    /// As [`connect`](Self::connect), offering `modes`.
    pub async fn connect_with(&self, uri: &PeerUri, modes: ModePolicy) -> Result<Peer, ConnectError> {
        let found = match address::literal(&uri.host, uri.port) {
            Some(addr) => vec![addr],
            None => tokio::net::lookup_host((uri.host.as_str(), uri.port))
                .await
                .map_err(|e| ConnectError::Resolve(uri.host.clone(), e))?
                .collect(),
        };
        self.0.open(uri, found, modes).await
    }

    /// The next session a peer opened. Cancel-safe: dropping the future loses no session.
    pub async fn accept(&self) -> Result<Peer, Stopped> {
        self.0.accept().await
    }

    /// The address the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }

    /// Our own fingerprint.
    pub fn peer_id(&self) -> PeerId {
        self.0.peer_id()
    }

    /// What to give to a peer so that it can connect, `host` being a name or address it can reach.
    pub fn uri(&self, host: &str) -> PeerUri {
        self.0.uri(host)
    }

    /// This endpoint's numbers.
    pub fn stats(&self) -> EndpointStats {
        self.0.stats()
    }

    /// Closes every session gracefully, stops the endpoint and waits until its socket is closed. What is not
    /// confirmed after `flush` is abandoned.
    pub async fn close(&self, flush: Duration) {
        self.0.close(flush).await;
    }
}
