//! One session's share of the mailbox: what its handles and the loop hand each other.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use b4ae_core::{CloseReason, Mode, PeerId, SessionId, SessionStats};
use zeroize::Zeroizing;

use crate::mailbox::Mailbox;
use crate::sync::{AtomicBool, Mutex, ToWake, WakerSet};
use crate::{Closed, Stopped};

/// Messages waiting between the application and the loop, each way. The engine has queues of its own behind these.
const MESSAGES: usize = 64;
/// Their bytes, each way; one message of any length fits into an empty queue.
const BYTES: usize = 256 << 10;
/// Bytes of a message in one cell.
const DATA_LEN: usize = 1024;

/// Shared by the loop and every handle of the session.
pub(crate) struct Shared {
    pub(crate) mailbox: Arc<Mailbox>,
    /// Known once the engine has the session.
    pub(crate) id: OnceLock<SessionId>,
    pub(crate) state: Mutex<State>,
    /// Whether the loop has been told to look; so that it is told once, however much happens.
    dirty: AtomicBool,
}

/// What an open session is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    pub(crate) peer: PeerId,
    pub(crate) mode: Mode,
}

/// Why nothing more happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// The engine closed the session.
    Closed(CloseReason),
    /// The engine never opened it.
    Refused(b4ae_core::ConnectError),
    /// The loop has ended.
    Stopped,
}

impl End {
    pub(crate) fn closed(self) -> Closed {
        match self {
            Self::Closed(reason) => Closed::Session(reason),
            Self::Refused(_) => Closed::Session(CloseReason::Local),
            Self::Stopped => Closed::Stopped(Stopped),
        }
    }
}

/// A message on its way through the driver, wiped when it has been passed on.
pub(crate) type Message = Zeroizing<Vec<u8>>;

/// A bounded queue of messages.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    queue: VecDeque<Message>,
    bytes: usize,
}

impl Messages {
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.queue.is_empty() || (self.queue.len() < MESSAGES && self.bytes + len <= BYTES)
    }

    /// Whether `len` bytes more are within all that the engine may have confirmed when the session closes, `window`,
    /// and what waits here by then.
    pub(crate) fn has_room_at_end(&self, len: usize, window: usize) -> bool {
        // The window is counted in cells, so that short messages take more of it than their bytes.
        let held = self.bytes.saturating_add(len).saturating_add(self.queue.len().saturating_mul(DATA_LEN));
        self.queue.is_empty() || held <= (BYTES + MESSAGES * DATA_LEN).saturating_add(window.saturating_mul(2))
    }

    pub(crate) fn push(&mut self, message: Message) {
        self.bytes += message.len();
        self.queue.push_back(message);
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.queue.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Which messages the peer has confirmed.
#[derive(Debug, Default)]
pub(crate) struct Confirmed {
    /// Every message before this one is.
    below: u64,
    /// And these, beyond a gap; no more than the engine has unconfirmed at a time.
    beyond: BTreeSet<u64>,
}

impl Confirmed {
    pub(crate) fn add(&mut self, message: u64) {
        if message >= self.below {
            self.beyond.insert(message);
        }
        while self.beyond.remove(&self.below) {
            self.below += 1;
        }
    }

    pub(crate) fn contains(&self, message: u64) -> bool {
        message < self.below || self.beyond.contains(&message)
    }

    pub(crate) fn all_below(&self, message: u64) -> bool {
        self.below >= message
    }
}

/// Everything behind the lock.
pub(crate) struct State {
    pub(crate) open: Option<Open>,
    pub(crate) end: Option<End>,
    pub(crate) remote: SocketAddr,
    pub(crate) outgoing: Messages,
    /// Messages ever queued; the next one's id.
    pub(crate) queued: u64,
    pub(crate) confirmed: Confirmed,
    pub(crate) incoming: Messages,
    /// A message waits in the engine for room in `incoming`.
    pub(crate) stalled: bool,
    /// A handle asked to close, or the last one is gone.
    pub(crate) close: bool,
    pub(crate) stats: SessionStats,
    pub(crate) readers: WakerSet,
    pub(crate) writers: WakerSet,
    pub(crate) confirmers: WakerSet,
    pub(crate) watchers: WakerSet,
}

impl State {
    /// Whether anything can still be had from the session.
    pub(crate) fn is_worth_accepting(&self) -> bool {
        self.end.is_none() || self.incoming.len() > 0
    }

    /// Ends the session for its handles. What has arrived can still be taken.
    pub(crate) fn finish(&mut self, end: End, to: &mut ToWake) {
        self.end.get_or_insert(end);
        while self.outgoing.pop().is_some() {}
        for set in [&mut self.readers, &mut self.writers, &mut self.confirmers, &mut self.watchers] {
            set.drain_into(to);
        }
    }
}

impl Shared {
    pub(crate) fn new(mailbox: Arc<Mailbox>, remote: SocketAddr, open: Option<Open>) -> Self {
        Self {
            mailbox,
            id: OnceLock::new(),
            state: Mutex::new(State {
                open,
                end: None,
                remote,
                outgoing: Messages::default(),
                queued: 0,
                confirmed: Confirmed::default(),
                incoming: Messages::default(),
                stalled: false,
                close: false,
                stats: SessionStats::default(),
                readers: WakerSet::new(),
                writers: WakerSet::new(),
                confirmers: WakerSet::new(),
                watchers: WakerSet::new(),
            }),
            dirty: AtomicBool::new(false),
        }
    }

    /// Has the loop look at this session at its next turn, without waking it. Call without holding the lock.
    pub(crate) fn mark(self: &Arc<Self>) {
        if !self.dirty.swap(true, Ordering::AcqRel) {
            self.mailbox.push_dirty(Arc::clone(self));
        }
    }

    /// The loop is about to look; what happens from here on marks anew.
    pub(crate) fn unmark(&self) {
        self.dirty.swap(false, Ordering::AcqRel);
    }
}
