//! One session, as its user sees it.

use core::fmt;

use crate::engine::Engine;
use crate::error::{RecvError, SendError};
use crate::identity::PeerId;
use crate::metrics::SessionStats;
use crate::mode::Mode;
use crate::secret::Secret;
use crate::transmit::Path;

/// Names one session for good: a reused slot gets a new generation, so a stale id finds nothing.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl SessionId {
    /// As one integer, for foreign bindings and logs.
    pub const fn to_raw(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// The id of [`to_raw`](Self::to_raw).
    pub const fn from_raw(raw: u64) -> Self {
        Self { slot: (raw & 0xffff_ffff) as u32, generation: (raw >> 32) as u32 }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// Names one message within its session, counting from zero in the order of `send`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageId(pub u64);

/// How far along a session is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SessionState {
    /// Keys are being agreed; messages may be queued already.
    Handshaking,
    /// Messages flow.
    Open,
    /// Closing: what was queued is still delivered, nothing more can be sent.
    Closing,
}

/// A session, borrowed from its engine for one call or a few.
pub struct Session<'e> {
    pub(crate) engine: &'e mut Engine,
    pub(crate) id: SessionId,
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.id).finish()
    }
}

#[allow(unused_variables, clippy::unused_self, clippy::needless_pass_by_ref_mut)]
impl Session<'_> {
    /// This session's id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// How far along it is.
    pub fn state(&self) -> SessionState {
        todo!()
    }

    /// The peer: known from the start to the initiator, and to the responder once the session is open.
    pub fn peer(&self) -> Option<PeerId> {
        todo!()
    }

    /// The mode agreed on, once the session is open.
    pub fn mode(&self) -> Option<Mode> {
        todo!()
    }

    /// Where cells go at present.
    pub fn path(&self) -> Path {
        todo!()
    }

    /// Queues `message` whole, or not at all. Does not change when, where to or how long anything is sent. The peer
    /// gets messages exactly once, in the order of `send`; `Delivered` follows.
    pub fn send(&mut self, message: &[u8]) -> Result<MessageId, SendError> {
        todo!()
    }

    /// As [`send`](Self::send), but the peer gets the message as soon as it is whole, before or after others.
    pub fn send_unordered(&mut self, message: &[u8]) -> Result<MessageId, SendError> {
        todo!()
    }

    /// The next message's length, without taking it.
    pub fn next_len(&self) -> Option<usize> {
        todo!()
    }

    /// Takes the next message into `out` and returns its length. On error the message stays.
    pub fn recv(&mut self, out: &mut [u8]) -> Result<usize, RecvError> {
        todo!()
    }

    /// Closes the session once what is queued has been confirmed. `Closed` follows, once, as the last event for
    /// this id; cover goes on until the next leave boundary.
    pub fn close(&mut self) {
        todo!()
    }

    /// This session's numbers.
    pub fn stats(&self) -> SessionStats {
        todo!()
    }

    /// A secret of this session's own for another use, the same on both sides; `None` before the session is open.
    pub fn exporter(&self, label: &[u8]) -> Option<Secret<32>> {
        todo!()
    }
}
