//! A peer's handle.

use std::net::SocketAddr;

use b4ae_core::{MessageId, Mode, PeerId, SessionId, SessionStats};
use b4ae_driver::{Closed, SendError};

/// One session with one peer. Clones are handles of the same session; when the last one is dropped, what is queued is
/// still delivered and the session closes.
#[derive(Clone, Debug)]
pub struct Peer {}

#[allow(clippy::todo, clippy::unused_async, clippy::unused_self, unused_variables)]
impl Peer {
    /// Queues a message, waiting for room. Returns once the message is in the queue, not once it has arrived.
    pub async fn send(&self, message: impl Into<Vec<u8>>) -> Result<MessageId, SendError> {
        todo!()
    }

    /// Waits until the peer has confirmed message `id`.
    pub async fn delivered(&self, id: MessageId) -> Result<(), Closed> {
        todo!()
    }

    /// Waits until the peer has confirmed every message sent so far.
    pub async fn flush(&self) -> Result<(), Closed> {
        todo!()
    }

    /// The next message. What arrived before the session ended is still returned.
    pub async fn recv(&self) -> Result<Vec<u8>, Closed> {
        todo!()
    }

    /// Closes the session once what is queued is confirmed, and waits for that.
    pub async fn close(&self) {
        todo!()
    }

    /// Waits for the session's end.
    pub async fn closed(&self) -> Closed {
        todo!()
    }

    /// This session's numbers, at most a fraction of a second old.
    pub fn stats(&self) -> SessionStats {
        todo!()
    }

    /// The peer's fingerprint.
    pub fn peer_id(&self) -> PeerId {
        todo!()
    }

    /// The mode agreed on.
    pub fn mode(&self) -> Mode {
        todo!()
    }

    /// The session's id, for logs.
    pub fn id(&self) -> SessionId {
        todo!()
    }

    /// Where the session's cells go at present.
    pub fn remote_addr(&self) -> SocketAddr {
        todo!()
    }
}
