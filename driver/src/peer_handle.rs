//! The application's end of one session.

use std::fmt;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use b4ae_core::{MessageId, Mode, PeerId, SessionId, SessionStats};

use crate::peer::{End, Message, Shared};
use crate::sync::lock;
use crate::{Closed, ConnectError, SendError, Stopped};

/// A handle of one session. Clone freely; when the last clone is dropped, the session closes as by
/// [`close`](Self::close).
///
/// Every `poll_*` may be called from any task, and dropping the future around it loses nothing: the state is in the
/// endpoint, not in the future.
#[derive(Clone)]
pub struct PeerHandle(Arc<Owner>);

/// Counts the handles.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        request_close(&self.0);
    }
}

fn request_close(shared: &Arc<Shared>) {
    let asked = {
        let mut state = lock(&shared.state);
        let asked = state.end.is_none() && !state.close;
        state.close |= asked;
        asked
    };
    if asked {
        shared.mark();
        shared.mailbox.wake();
    }
}

impl PeerHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(Arc::new(Owner(shared)))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }

    /// Waits until the session is open. An error is final.
    pub fn poll_established(&self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        let mut state = lock(&self.shared().state);
        if let Some(end) = state.end {
            return Poll::Ready(Err(match end {
                End::Closed(reason) => ConnectError::Failed(reason),
                End::Refused(error) => ConnectError::Core(error),
                End::Stopped => ConnectError::Stopped(Stopped),
            }));
        }
        if state.open.is_some() {
            return Poll::Ready(Ok(()));
        }
        let spill = state.watchers.register(cx.waker());
        drop(state);
        spill.wake();
        Poll::Pending
    }

    /// Queues the message in `message` and leaves `None` behind, or waits for room.
    ///
    /// Where traffic is protected this does not wake the loop: the message waits for a slot of its session, and nothing
    /// that can be measured from outside depends on when it was queued.
    ///
    /// # Panics
    /// When `message` is `None`, as after it was taken.
    pub fn poll_send(&self, cx: &mut Context<'_>, message: &mut Option<Vec<u8>>) -> Poll<Result<MessageId, SendError>> {
        let shared = self.shared();
        let len = message.as_ref().expect("polled again after the message was taken").len();
        let max = shared.mailbox.longest_message;
        if len > max {
            return Poll::Ready(Err(SendError::TooLong { len, max }));
        }
        let mut state = lock(&shared.state);
        if let Some(end) = state.end {
            return Poll::Ready(Err(SendError::Closed(end.closed())));
        }
        if state.close {
            return Poll::Ready(Err(SendError::Closed(Closed::Session(b4ae_core::CloseReason::Local))));
        }
        if !state.outgoing.has_room(len) {
            let spill = state.writers.register(cx.waker());
            drop(state);
            spill.wake();
            return Poll::Pending;
        }
        let id = MessageId(state.queued);
        state.queued += 1;
        state.outgoing.push(Message::new(message.take().unwrap_or_default()));
        drop(state);
        shared.mark();
        if !shared.mailbox.protected {
            shared.mailbox.wake();
        }
        Poll::Ready(Ok(id))
    }

    /// Messages queued so far, on any handle of the session.
    pub fn queued(&self) -> u64 {
        lock(&self.shared().state).queued
    }

    /// Waits until the peer has confirmed message `id`. One not yet sent is waited for as well.
    pub fn poll_delivered(&self, cx: &mut Context<'_>, id: MessageId) -> Poll<Result<(), Closed>> {
        self.poll_confirmed(cx, |confirmed| confirmed.contains(id.0))
    }

    /// Waits until the peer has confirmed the first `count` messages, as of [`queued`](Self::queued).
    pub fn poll_flushed(&self, cx: &mut Context<'_>, count: u64) -> Poll<Result<(), Closed>> {
        self.poll_confirmed(cx, |confirmed| confirmed.all_below(count))
    }

    fn poll_confirmed(
        &self,
        cx: &mut Context<'_>,
        enough: impl FnOnce(&crate::peer::Confirmed) -> bool,
    ) -> Poll<Result<(), Closed>> {
        let mut state = lock(&self.shared().state);
        if enough(&state.confirmed) {
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = state.end {
            return Poll::Ready(Err(end.closed()));
        }
        let spill = state.confirmers.register(cx.waker());
        drop(state);
        spill.wake();
        Poll::Pending
    }

    /// The next message. What arrived before the session ended comes before the error.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, Closed>> {
        let shared = self.shared();
        let mut state = lock(&shared.state);
        if let Some(mut message) = state.incoming.pop() {
            let stalled = state.stalled;
            drop(state);
            if stalled {
                shared.mark();
                shared.mailbox.wake_without_slots();
            }
            return Poll::Ready(Ok(mem::take(&mut *message)));
        }
        if let Some(end) = state.end {
            return Poll::Ready(Err(end.closed()));
        }
        let spill = state.readers.register(cx.waker());
        drop(state);
        spill.wake();
        Poll::Pending
    }

    /// Asks to close the session once what is queued is confirmed. Nothing more can be queued.
    ///
    /// A peer that takes none of it for the idle timeout, or for `max_queue_latency` if that is longer, is not waited
    /// for.
    pub fn close(&self) {
        request_close(self.shared());
    }

    /// Waits for the end of the session.
    pub fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Closed> {
        let mut state = lock(&self.shared().state);
        if let Some(end) = state.end {
            return Poll::Ready(end.closed());
        }
        let spill = state.watchers.register(cx.waker());
        drop(state);
        spill.wake();
        Poll::Pending
    }

    /// The session's numbers, at most a few tenths of a second old; messages queued in the driver are included.
    pub fn stats(&self) -> SessionStats {
        let state = lock(&self.shared().state);
        let mut stats = state.stats;
        stats.queued_messages += state.outgoing.len();
        stats.queued_bytes += state.outgoing.bytes();
        stats.waiting_messages += state.incoming.len();
        stats
    }

    /// The session's id, once the engine has taken the session on.
    pub fn id(&self) -> Option<SessionId> {
        self.shared().id.get().copied()
    }

    /// The peer's fingerprint, once the session is open.
    pub fn peer_id(&self) -> Option<PeerId> {
        lock(&self.shared().state).open.map(|open| open.peer)
    }

    /// The mode agreed on, once the session is open.
    pub fn mode(&self) -> Option<Mode> {
        lock(&self.shared().state).open.map(|open| open.mode)
    }

    /// Where the session's cells go at present.
    pub fn remote_addr(&self) -> SocketAddr {
        lock(&self.shared().state).remote
    }
}

impl fmt::Debug for PeerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerHandle").field("id", &self.id()).field("remote", &self.remote_addr()).finish()
    }
}
