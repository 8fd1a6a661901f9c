//! The endpoint's handle.

use std::io;
use std::iter;
use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use b4ae_core::{Clock, ModePolicy, PeerId, PeerUri};
use b4ae_driver::wait::{block_on, block_on_for, poll_once};
use b4ae_driver::{
    BindError, ConnectError, Driver, EndpointConfig, EndpointStats, Handle, Placement, Stopped, address,
};

use crate::{Peer, TimeoutError};

/// One UDP socket and every session on it. Clones are handles of the same endpoint, for any thread; when the last one
/// is dropped, what is queued is still given a limited time to be delivered, and the endpoint stops, whatever peers are
/// still held.
#[derive(Clone, Debug)]
pub struct Endpoint(Handle);

impl Endpoint {
    /// Binds the socket and starts the loop on its own thread. There is no other place for it here:
    /// [`Placement::Runtime`] is refused.
    pub fn bind(config: EndpointConfig) -> Result<Self, BindError> {
        if config.asked_placement() == Placement::Runtime {
            return Err(BindError::NoRuntime);
        }
        let real_time = config.asked_real_time();
        let (driver, handle) = Driver::bind(config)?;
        b4ae_driver::thread::spawn(driver, real_time)?;
        Ok(Self(handle))
    }

    /// Opens a session with the peer `uri` names, offering the configured modes. Resolves the host, tries each of
    /// its addresses, and returns once the peer has proved to hold its keys.
    pub fn connect(&self, uri: &PeerUri) -> Result<Peer, ConnectError> {
        self.connect_with(uri, self.0.offered())
    }

    /// As [`connect`](Self::connect), offering `modes`.
    pub fn connect_with(&self, uri: &PeerUri, modes: ModePolicy) -> Result<Peer, ConnectError> {
        let found = address::resolve(&uri.host, uri.port).map_err(|e| ConnectError::Resolve(uri.host.clone(), e))?;
        block_on(self.0.open(uri, found, modes)).map(Peer)
    }

    /// As [`connect`](Self::connect), and gives the attempt up after `limit`.
    ///
    /// The system's resolver takes no limit: a name that it has not resolved by then leaves a thread behind until it
    /// has.
    pub fn connect_timeout(&self, uri: &PeerUri, limit: Duration) -> Result<Peer, TimeoutError<ConnectError>> {
        self.connect_with_timeout(uri, self.0.offered(), limit)
    }

    /// As [`connect_timeout`](Self::connect_timeout), offering `modes`.
    pub fn connect_with_timeout(
        &self,
        uri: &PeerUri,
        modes: ModePolicy,
        limit: Duration,
    ) -> Result<Peer, TimeoutError<ConnectError>> {
        let clock = Clock::new();
        let deadline = clock.now() + limit;
        let found = resolve_within(uri, limit)?;
        let left = deadline - clock.now();
        TimeoutError::of(block_on_for(self.0.open(uri, found, modes), left)).map(Peer)
    }

    /// Waits for the next session a peer opens.
    pub fn accept(&self) -> Result<Peer, Stopped> {
        block_on(self.0.accept()).map(Peer)
    }

    /// Waits for the next session a peer opens, for `limit` at most.
    pub fn accept_timeout(&self, limit: Duration) -> Result<Peer, TimeoutError<Stopped>> {
        TimeoutError::of(block_on_for(self.0.accept(), limit)).map(Peer)
    }

    /// The next session a peer opened, if there is one.
    pub fn try_accept(&self) -> Result<Option<Peer>, Stopped> {
        poll_once(self.0.accept()).transpose().map(|peer| peer.map(Peer))
    }

    /// The sessions that peers open, one [`accept`](Self::accept) each, until the endpoint stops.
    pub fn incoming(&self) -> impl Iterator<Item = Peer> + use<'_> {
        iter::from_fn(|| self.accept().ok())
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
    pub fn close(&self, flush: Duration) {
        block_on(self.0.close(flush));
    }
}

/// The addresses of the host that `uri` names, resolved on a thread that can be left alone.
fn resolve_within(uri: &PeerUri, limit: Duration) -> Result<Vec<SocketAddr>, TimeoutError<ConnectError>> {
    if let Some(addr) = address::literal(&uri.host, uri.port) {
        return Ok(vec![addr]);
    }
    let failed = |e| TimeoutError::Failed(ConnectError::Resolve(uri.host.clone(), e));
    let (found, resolved) = sync_channel(1);
    let (host, port) = (uri.host.clone(), uri.port);
    thread::Builder::new()
        .name(String::from("b4ae-resolve"))
        .spawn(move || {
            // Nobody listens any more once the limit has passed.
            let _ = found.send(address::resolve(&host, port));
        })
        .map_err(failed)?;
    match resolved.recv_timeout(limit) {
        Ok(found) => found.map_err(failed),
        Err(RecvTimeoutError::Timeout) => Err(TimeoutError::Timeout),
        Err(RecvTimeoutError::Disconnected) => Err(failed(io::Error::other("the system's resolver failed"))),
    }
}
