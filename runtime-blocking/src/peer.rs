//! A peer's handle.

use std::future::poll_fn;
use std::iter;
use std::net::SocketAddr;
use std::time::Duration;

use b4ae_core::{MessageId, Mode, PeerId, SessionId, SessionStats};
use b4ae_driver::wait::{block_on, block_on_for, poll_once};
use b4ae_driver::{Closed, SendError};

use crate::{RecvTimeoutError, SendTimeoutError, TimeoutError, TryRecvError, TrySendError};

/// One session with one peer. Clones are handles of the same session, for any thread; when the last one is dropped,
/// what is queued is still delivered and the session closes.
///
/// A call whose time ran out has lost no message and no confirmation.
#[derive(Clone, Debug)]
pub struct Peer(pub(crate) b4ae_driver::Peer);

impl Peer {
    /// Queues a message, waiting for room. Returns once the message is in the queue, not once it has arrived.
    ///
    /// The peer gets messages exactly once and in this order.
    pub fn send(&self, message: impl Into<Vec<u8>>) -> Result<MessageId, SendError> {
        block_on(self.0.send(message))
    }

    /// Queues a message, waiting for room for `limit` at most. A message that finds none comes back and is not sent.
    pub fn send_timeout(&self, message: impl Into<Vec<u8>>, limit: Duration) -> Result<MessageId, SendTimeoutError> {
        let mut message = Some(message.into());
        match block_on_for(poll_fn(|cx| self.0.handle().poll_send(cx, &mut message)), limit) {
            Some(queued) => Ok(queued?),
            None => Err(SendTimeoutError::Timeout(message.unwrap_or_default())),
        }
    }

    /// Queues a message if there is room for it.
    pub fn try_send(&self, message: impl Into<Vec<u8>>) -> Result<MessageId, TrySendError> {
        self.send_timeout(message, Duration::ZERO).map_err(|e| match e {
            SendTimeoutError::Timeout(message) => TrySendError::Full(message),
            SendTimeoutError::Failed(e) => TrySendError::Failed(e),
        })
    }

    /// Waits until the peer has confirmed message `id`. On an error it may or may not have arrived.
    pub fn delivered(&self, id: MessageId) -> Result<(), Closed> {
        block_on(self.0.delivered(id))
    }

    /// As [`delivered`](Self::delivered), waiting for `limit` at most.
    pub fn delivered_timeout(&self, id: MessageId, limit: Duration) -> Result<(), TimeoutError<Closed>> {
        TimeoutError::of(block_on_for(self.0.delivered(id), limit))
    }

    /// Waits until the peer has confirmed every message queued so far, on any handle of the session.
    pub fn flush(&self) -> Result<(), Closed> {
        block_on(self.0.flush())
    }

    /// As [`flush`](Self::flush), waiting for `limit` at most.
    pub fn flush_timeout(&self, limit: Duration) -> Result<(), TimeoutError<Closed>> {
        TimeoutError::of(block_on_for(self.0.flush(), limit))
    }

    /// Waits for the next message. What arrived before the session ended is still returned.
    pub fn recv(&self) -> Result<Vec<u8>, Closed> {
        block_on(self.0.recv())
    }

    /// Waits for the next message, for `limit` at most.
    pub fn recv_timeout(&self, limit: Duration) -> Result<Vec<u8>, RecvTimeoutError> {
        Ok(block_on_for(self.0.recv(), limit).ok_or(RecvTimeoutError::Timeout)??)
    }

    /// The next message, if one has arrived.
    pub fn try_recv(&self) -> Result<Vec<u8>, TryRecvError> {
        Ok(poll_once(self.0.recv()).ok_or(TryRecvError::Empty)??)
    }

    /// The messages that arrive, one [`recv`](Self::recv) each, until the session ends; why it did tells
    /// [`closed`](Self::closed).
    pub fn messages(&self) -> impl Iterator<Item = Vec<u8>> + use<'_> {
        iter::from_fn(|| self.recv().ok())
    }

    /// Closes the session once what is queued is confirmed, and waits for that. A peer that takes none of it for the
    /// idle timeout, or for `max_queue_latency` if that is longer, is not waited for.
    pub fn close(&self) {
        block_on(self.0.close());
    }

    /// As [`close`](Self::close), waiting for `limit` at most. Whether the session has ended by then; if not, it is
    /// closing all the same.
    pub fn close_timeout(&self, limit: Duration) -> bool {
        block_on_for(self.0.close(), limit).is_some()
    }

    /// Waits for the session's end, and tells why it ended.
    pub fn closed(&self) -> Closed {
        block_on(self.0.closed())
    }

    /// Why the session ended, waiting for its end for `limit` at most; `None` when it has not ended by then.
    pub fn closed_timeout(&self, limit: Duration) -> Option<Closed> {
        block_on_for(self.0.closed(), limit)
    }

    /// This session's numbers, at most a few tenths of a second old.
    pub fn stats(&self) -> SessionStats {
        self.0.stats()
    }

    /// The peer's fingerprint.
    pub fn peer_id(&self) -> PeerId {
        self.0.peer_id()
    }

    /// The mode agreed on.
    pub fn mode(&self) -> Mode {
        self.0.mode()
    }

    /// The session's id, for logs.
    pub fn id(&self) -> SessionId {
        self.0.id()
    }

    /// Where the session's cells go at present.
    pub fn remote_addr(&self) -> SocketAddr {
        self.0.remote_addr()
    }
}
