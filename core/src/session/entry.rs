//! Everything the engine keeps about one session.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::config::{Config, Limits};
use crate::engine::Event;
use crate::engine::dial::Dial;
use crate::error::CloseReason;
use crate::identity::PeerId;
use crate::memory;
use crate::mode::Mode;
use crate::session::inbox::Inbox;
use crate::session::link::Link;
use crate::session::queue::SendQueue;
use crate::session::{MessageId, SessionId};
use crate::time::Instant;
use crate::wire::cell::Ack;

/// What a slot reads stands together: the end of the inbox, what follows it here, and the beginning of the queue. With
/// many sessions it is in no cache.
#[repr(C)]
pub(crate) struct Entry {
    pub(crate) inbox: Inbox,
    /// Keys and slots; outlives the application's interest until the leave boundary.
    pub(crate) link: Option<Box<Link>>,
    /// The handshake we began, until it is confirmed.
    pub(crate) dial: Option<Box<Dial>>,
    /// Since when the application has been closing: since it last queued a message, if it did so meanwhile.
    pub(crate) closing: Option<Instant>,
    /// It may still queue some.
    pub(crate) more: bool,
    /// The session is over; told once the inbox has been emptied.
    pub(crate) ended: Option<CloseReason>,
    /// The shortest message that `send` refused for want of room.
    pub(crate) want_write: Option<usize>,
    opened: Option<Opened>,
    readable: bool,
    writable: bool,
    path_changed: bool,
    /// The application has been told, and knows the session no more.
    pub(crate) told: bool,
    /// Waits in the engine's list of sessions with events.
    pub(crate) listed: bool,
    pub(crate) queue: SendQueue,
    /// Confirmed messages that no event has told of yet.
    delivered: VecDeque<MessageId>,
    pub(crate) mode: Option<Mode>,
    pub(crate) peer: PeerId,
}

#[derive(Clone, Copy)]
pub(crate) enum Opened {
    ByUs,
    ByPeer,
}

impl Entry {
    pub(crate) fn new(peer: PeerId, config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            peer,
            mode: None,
            dial: None,
            link: None,
            queue: SendQueue::new(limits.message, config.traffic.rest(), config.traffic.is_protected()),
            inbox: Inbox::new(limits.receive_bytes, limits.message),
            delivered: VecDeque::new(),
            opened: None,
            readable: false,
            writable: false,
            path_changed: false,
            want_write: None,
            closing: None,
            more: false,
            ended: None,
            told: false,
            listed: false,
        }
    }

    /// The most bytes of heap that an open session holds, beside the text of messages and its place in the table.
    pub(crate) fn bound(limits: &Limits) -> u64 {
        let queue = SendQueue::bound(limits.send_messages, limits.message);
        let inbox = Inbox::bound(limits.receive_bytes, limits.message);
        Link::bound(limits) + queue + inbox + memory::vec::<MessageId>(limits.send_messages)
    }

    pub(crate) fn open(&mut self, how: Opened) {
        self.opened = Some(how);
    }

    /// Takes in an acknowledgement. Returns how many messages it confirmed; an event tells of each.
    pub(crate) fn acknowledged(&mut self, ack: Option<&Ack>, heard: u64, now: Instant) -> u64 {
        let before = self.delivered.len();
        self.queue.acknowledged(ack, heard, now, |id| self.delivered.push_back(id));
        (self.delivered.len() - before) as u64
    }

    /// Messages sent whose `Delivered` has not been handed out.
    pub(crate) fn outstanding(&self) -> usize {
        self.queue.len() + self.delivered.len()
    }

    pub(crate) fn set_readable(&mut self) {
        self.readable = true;
    }

    pub(crate) fn set_writable(&mut self) {
        self.want_write = None;
        self.writable = true;
    }

    pub(crate) fn set_path_changed(&mut self) {
        self.path_changed = true;
    }

    /// Whether the application has closed, and queues no more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closing.is_some() && !self.more
    }

    /// Whether it has, and all it had queued is confirmed.
    pub(crate) fn has_said_all(&self) -> bool {
        self.is_closed() && self.queue.is_empty()
    }

    /// Ends the session, once; the first reason stands.
    pub(crate) fn end(&mut self, reason: CloseReason) {
        self.ended.get_or_insert(reason);
        self.dial = None;
    }

    /// Whether `Closed` may be told: what has arrived is not lost unless the application itself closed.
    fn can_tell(&self) -> bool {
        match self.ended {
            None => false,
            Some(CloseReason::Local) => true,
            Some(_) => self.inbox.waiting() == 0 || self.closing.is_some(),
        }
    }

    /// Whether there is an event to hand out.
    pub(crate) fn has_event(&self) -> bool {
        !self.told
            && (self.opened.is_some()
                || !self.delivered.is_empty()
                || self.path_changed
                || self.readable
                || self.writable
                || self.can_tell())
    }

    /// The next event; `Closed` comes last.
    pub(crate) fn next_event(&mut self, id: SessionId) -> Option<Event> {
        if self.told {
            return None;
        }
        if let Some(opened) = self.opened.take() {
            return Some(match opened {
                Opened::ByUs => Event::Established(id),
                Opened::ByPeer => Event::Incoming(id),
            });
        }
        if let Some(message) = self.delivered.pop_front() {
            return Some(Event::Delivered(id, message));
        }
        if core::mem::take(&mut self.path_changed) {
            return Some(Event::PathChanged(id));
        }
        if core::mem::take(&mut self.readable) {
            return Some(Event::Readable(id));
        }
        if core::mem::take(&mut self.writable) && self.ended.is_none() {
            return Some(Event::Writable(id));
        }
        let reason = self.ended.filter(|_| self.can_tell())?;
        self.told = true;
        Some(Event::Closed(id, reason))
    }
}
