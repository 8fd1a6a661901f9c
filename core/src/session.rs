//! One session, as its user sees it.

pub(crate) mod breaker;
pub(crate) mod chain;
pub(crate) mod entry;
pub(crate) mod inbox;
pub(crate) mod link;
pub(crate) mod pool;
pub(crate) mod queue;
pub(crate) mod received;

use core::fmt;

use crate::engine::Engine;
use crate::error::{BufferTooSmall, RecvError, SendError};
use crate::identity::PeerId;
use crate::metrics::SessionStats;
use crate::mode::Mode;
use crate::secret::Secret;
use crate::session::entry::Entry;
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

impl Session<'_> {
    /// This session's id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    fn entry(&self) -> &Entry {
        self.engine.entry(self.id)
    }

    /// How far along it is.
    pub fn state(&self) -> SessionState {
        let entry = self.entry();
        if entry.is_closed() || entry.ended.is_some() {
            SessionState::Closing
        } else if entry.dial.is_some() {
            SessionState::Handshaking
        } else {
            SessionState::Open
        }
    }

    /// The peer.
    pub fn peer(&self) -> PeerId {
        self.entry().peer
    }

    /// The mode agreed on, once the peer has proved who it is.
    pub fn mode(&self) -> Option<Mode> {
        self.entry().mode
    }

    /// Where cells go at present; `None` once it has left the schedule.
    pub fn path(&self) -> Option<Path> {
        let entry = self.entry();
        let link = entry.link.as_ref().map(|link| link.route.current());
        link.or_else(|| entry.dial.as_ref().map(|dial| dial.path()))
    }

    /// Queues `message` whole, or not at all. With protected traffic this changes neither when, nor where to, nor how
    /// long anything is sent. The peer gets messages exactly once, in the order of `send`; `Delivered` follows. An
    /// empty message is a message.
    pub fn send(&mut self, message: &[u8]) -> Result<MessageId, SendError> {
        self.queue(message, false)
    }

    /// As [`send`](Self::send), but the peer gets the message as soon as it is whole, before or after others.
    pub fn send_unordered(&mut self, message: &[u8]) -> Result<MessageId, SendError> {
        self.queue(message, true)
    }

    fn queue(&mut self, message: &[u8], unordered: bool) -> Result<MessageId, SendError> {
        let config = self.engine.config();
        let (max, padding) = (config.limits().message, config.padding);
        if self.state() == SessionState::Closing {
            return Err(SendError::Closing);
        }
        if message.len() > max {
            return Err(SendError::TooLong { max });
        }
        let cells = u16::try_from(padding.cells(message.len())).expect("16 MiB are fewer cells than 2^16");
        if let Some(window) = self.entry().queue.window().filter(|&window| u64::from(cells) > window) {
            return Err(padding
                .longest(window, max)
                .map_or(SendError::PeerTakesNone, |max| SendError::TooLong { max }));
        }
        if !self.engine.has_room(self.entry(), message.len()) {
            let refused = &mut self.engine.entry_mut(self.id).want_write;
            *refused = Some(refused.map_or(message.len(), |len| len.min(message.len())));
            return Err(SendError::Full);
        }
        let now = self.engine.now();
        let entry = self.engine.entry_mut(self.id);
        let id = entry.queue.push(message, cells, unordered, now);
        entry.closing = entry.closing.map(|_| now);
        self.engine.pace_low_overhead(self.id.slot, false);
        #[cfg(b4ae_mutants)]
        if self.engine.mutant_wakes() {
            self.engine.cell_now(self.id);
        }
        Ok(id)
    }

    /// The next message's length, without taking it.
    pub fn next_len(&self) -> Option<usize> {
        self.entry().inbox.next_len()
    }

    /// Takes the next message into `out` and returns its length. On error the message stays.
    pub fn recv(&mut self, out: &mut [u8]) -> Result<usize, RecvError> {
        let needed = self.next_len().ok_or(RecvError::Empty)?;
        if out.len() < needed {
            return Err(RecvError::BufferTooSmall(BufferTooSmall { needed }));
        }
        let taken = self.engine.entry_mut(self.id).inbox.take(out).ok_or(RecvError::Empty)?;
        self.engine.count_received();
        // On a low-overhead session the peer may be waiting for this room, and cover may be long in coming.
        self.engine.pace_low_overhead(self.id.slot, true);
        // What ended the session may be told once the last message has been taken.
        self.engine.list(self.id.slot);
        Ok(taken)
    }

    /// Closes the session once what is queued has been confirmed, or the idle timeout, or `max_queue_latency` if that
    /// is longer, has passed. `Closed` follows, once, as the last event for this id; cover goes on until the next
    /// leave boundary.
    pub fn close(&mut self) {
        self.engine.close_session(self.id.slot);
        self.engine.pace_low_overhead(self.id.slot, false);
    }

    /// Says that [`close`](Self::close) follows once messages that found no room here have been queued. What limits the
    /// time of a close does so from now on, and anew from each message queued: a peer that takes nothing does not keep
    /// the session, and one that makes room in time gets everything. Until `close` it is told nothing.
    pub fn begin_close(&mut self) {
        self.engine.begin_close_session(self.id.slot);
    }

    /// This session's numbers.
    pub fn stats(&self) -> SessionStats {
        let entry = self.entry();
        let link = entry.link.as_deref();
        SessionStats {
            queued_messages: entry.queue.len(),
            queued_bytes: entry.queue.bytes(),
            waiting_messages: entry.inbox.waiting(),
            cells_sent: link.map_or(0, |link| link.cells_sent),
            cells_received: link.map_or(0, |link| link.cells_received),
            retransmissions: entry.queue.retransmissions,
            rtt: entry.queue.rtt(),
        }
    }

    /// A secret of this session's own for another use, the same on both sides; `None` before the keys are agreed.
    pub fn exporter(&self, label: &[u8]) -> Option<Secret<32>> {
        self.entry().link.as_ref().map(|link| link.exporter.export(label))
    }
}
