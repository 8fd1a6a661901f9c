//! The async spelling of a session's handle. It waits on wakers alone, and so serves every runtime.

use std::future::poll_fn;
use std::net::SocketAddr;

use b4ae_core::{MessageId, Mode, PeerId, SessionId, SessionStats};

use crate::{Closed, PeerHandle, SendError};

/// One session with one peer, of any runtime. Clones are handles of the same session; when the last one is dropped,
/// what is queued is still delivered and the session closes.
///
/// Every method is cancel-safe: dropping its future loses no message and no confirmation.
#[derive(Clone, Debug)]
pub struct Peer {
    handle: PeerHandle,
    id: SessionId,
    fingerprint: PeerId,
    mode: Mode,
}

impl Peer {
    /// `None` unless the session is or was open.
    pub(crate) fn new(handle: PeerHandle) -> Option<Self> {
        let (id, fingerprint, mode) = (handle.id()?, handle.peer_id()?, handle.mode()?);
        Some(Self { handle, id, fingerprint, mode })
    }

    /// Queues a message, waiting for room. Returns once the message is in the queue, not once it has arrived.
    ///
    /// The peer gets messages exactly once and in this order. When the future is dropped before it is ready, the
    /// message has not been queued.
    pub async fn send(&self, message: impl Into<Vec<u8>>) -> Result<MessageId, SendError> {
        let mut message = Some(message.into());
        poll_fn(|cx| self.handle.poll_send(cx, &mut message)).await
    }

    /// Waits until the peer has confirmed message `id`. On an error it may or may not have arrived.
    pub async fn delivered(&self, id: MessageId) -> Result<(), Closed> {
        poll_fn(|cx| self.handle.poll_delivered(cx, id)).await
    }

    /// Waits until the peer has confirmed every message queued so far, on any handle of the session.
    pub async fn flush(&self) -> Result<(), Closed> {
        let queued = self.handle.queued();
        poll_fn(|cx| self.handle.poll_flushed(cx, queued)).await
    }

    /// The next message. What arrived before the session ended is still returned, whichever side ended it.
    pub async fn recv(&self) -> Result<Vec<u8>, Closed> {
        poll_fn(|cx| self.handle.poll_recv(cx)).await
    }

    /// Closes the session once what is queued is confirmed, and waits for that. Begun even if the future is dropped
    /// after its first poll. A peer that takes none of it for the idle timeout, or for `max_queue_latency` if that is
    /// longer, is not waited for.
    pub async fn close(&self) {
        self.handle.close();
        self.closed().await;
    }

    /// Waits for the session's end, and tells why it ended.
    pub async fn closed(&self) -> Closed {
        poll_fn(|cx| self.handle.poll_closed(cx)).await
    }

    /// This session's numbers, at most a few tenths of a second old.
    pub fn stats(&self) -> SessionStats {
        self.handle.stats()
    }

    /// The peer's fingerprint.
    pub fn peer_id(&self) -> PeerId {
        self.fingerprint
    }

    /// The mode agreed on.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The handle behind it, for whoever polls by hand.
    pub fn handle(&self) -> &PeerHandle {
        &self.handle
    }

    /// The session's id, for logs.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Where the session's cells go at present.
    pub fn remote_addr(&self) -> SocketAddr {
        self.handle.remote_addr()
    }
}
