//! What a driver is to the suite: an endpoint, its peers, and calls whose waiting can be cut short. Blocking, so that
//! one text says what all drivers have to do, and so that a fault can be put between it and any of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use b4ae_core::{MessageId, Mode, ModePolicy, PeerId, PeerUri, SessionStats, Signer};
use b4ae_tokio::{BindError, Closed, ConnectError, EndpointConfig, EndpointStats, SendError, Stopped};

/// How long a call is waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wait {
    /// As long as any machine needs: when this runs out, what was waited for is never going to happen.
    Long,
    /// For this long, and then the call is given up.
    For(Duration),
    /// The future is polled this often and dropped; a blocking call gets as much time as those polls take.
    Polls(u32),
}

impl Wait {
    /// [`Wait::Long`].
    pub(crate) const LONG: Duration = Duration::from_secs(40);
    /// Between two polls of [`Wait::Polls`].
    pub(crate) const GAP: Duration = Duration::from_micros(250);
}

/// What a call that is waited for comes to: `None` when it was given up.
pub(crate) type Waited<T> = Option<T>;

/// An adapter, on an executor of its own where it has one.
pub(crate) trait Driver: Send + Sync {
    fn bind(&self, config: EndpointConfig) -> Result<Box<dyn Endpoint>, BindError>;

    /// Whether an endpoint's loop has a thread of its own; else it is a task of the executor.
    fn has_own_thread(&self) -> bool;

    /// What stands for `signer` in the endpoint that is bound next: itself, but where a fault has to see it at work.
    fn signer(&self, signer: Arc<dyn Signer>) -> Arc<dyn Signer> {
        signer
    }

    /// Ends the executor that endpoints were bound on. Calls are made on another one, and go on.
    fn end_executor(&self);
}

/// Any adapter's endpoint.
pub(crate) trait Endpoint: Send + Sync {
    /// Without `modes`, in those configured.
    fn connect(
        &self,
        uri: &PeerUri,
        modes: Option<ModePolicy>,
        wait: Wait,
    ) -> Waited<Result<Box<dyn Peer>, ConnectError>>;
    fn accept(&self, wait: Wait) -> Waited<Result<Box<dyn Peer>, Stopped>>;
    fn close(&self, flush: Duration, wait: Wait) -> Waited<()>;
    fn local_addr(&self) -> SocketAddr;
    fn peer_id(&self) -> PeerId;
    fn uri(&self, host: &str) -> PeerUri;
    fn stats(&self) -> EndpointStats;
    fn another(&self) -> Box<dyn Endpoint>;
}

/// Any adapter's peer.
pub(crate) trait Peer: Send + Sync {
    fn send(&self, message: Vec<u8>, wait: Wait) -> Waited<Result<MessageId, SendError>>;
    fn recv(&self, wait: Wait) -> Waited<Result<Vec<u8>, Closed>>;
    /// As `recv`, and how often whoever waited had to run for it.
    fn recv_counted(&self, wait: Wait) -> (Waited<Result<Vec<u8>, Closed>>, u64);
    fn delivered(&self, id: MessageId, wait: Wait) -> Waited<Result<(), Closed>>;
    fn flush(&self, wait: Wait) -> Waited<Result<(), Closed>>;
    fn close(&self, wait: Wait) -> Waited<()>;
    fn closed(&self, wait: Wait) -> Waited<Closed>;
    fn stats(&self) -> SessionStats;
    fn peer_id(&self) -> PeerId;
    fn mode(&self) -> Mode;
    fn remote_addr(&self) -> SocketAddr;
    fn another(&self) -> Box<dyn Peer>;
}
