//! What the proxy saw and did.

use std::ops::AddAssign;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::dice::Direction;

/// Counters of one direction, all clients together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Totals {
    /// Datagrams that arrived.
    pub received: u64,
    /// Their payload bytes.
    pub received_bytes: u64,
    /// Dropped because a loss was asked for.
    pub lost: u64,
    /// Dropped because a queue was full, copies included.
    pub overflowed: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// Held back.
    pub reordered: u64,
    /// Sent with a bit flipped.
    pub corrupted: u64,
    /// Datagrams that left, copies included.
    pub sent: u64,
    /// Datagrams the system refused to send.
    pub send_errors: u64,
    /// Errors the system reported on receiving, among them a server's port being closed.
    pub receive_errors: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, more: Self) {
        self.received += more.received;
        self.received_bytes += more.received_bytes;
        self.lost += more.lost;
        self.overflowed += more.overflowed;
        self.duplicated += more.duplicated;
        self.reordered += more.reordered;
        self.corrupted += more.corrupted;
        self.sent += more.sent;
        self.send_errors += more.send_errors;
        self.receive_errors += more.receive_errors;
    }
}

/// Counters of a proxy since it started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counters {
    /// From clients to the server.
    pub up: Totals,
    /// From the server to clients.
    pub down: Totals,
    /// Clients seen, which is also the next client's number.
    pub clients: u32,
    /// Datagrams of clients there was no room for.
    pub refused: u64,
}

/// One datagram as it arrived at the proxy, before anything was done to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// When, since the proxy started.
    pub at: Duration,
    /// Which way it went.
    pub direction: Direction,
    /// Whose it was: clients are numbered in order of first arrival.
    pub client: u32,
    /// Its payload's length in bytes.
    pub len: usize,
}

/// Where the tasks of a proxy write down what they see and do.
#[derive(Clone)]
pub(crate) struct Book(Arc<Mutex<Pages>>);

struct Pages {
    start: Instant,
    counters: Counters,
    seen: Vec<Seen>,
    capacity: usize,
}

impl Book {
    /// A book with room for `capacity` recorded datagrams.
    pub(crate) fn new(start: Instant, capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Pages { start, counters: Counters::default(), seen: Vec::new(), capacity })))
    }

    /// The counters stay consistent whatever panicked while holding the lock: they are only ever added to.
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self, direction: Direction, more: Totals) {
        let mut pages = self.pages();
        match direction {
            Direction::Up => pages.counters.up += more,
            Direction::Down => pages.counters.down += more,
        }
    }

    /// The next client's number.
    pub(crate) fn new_client(&self) -> u32 {
        let mut pages = self.pages();
        let number = pages.counters.clients;
        pages.counters.clients = number.saturating_add(1);
        number
    }

    pub(crate) fn refuse(&self) {
        self.pages().counters.refused += 1;
    }

    pub(crate) fn see(&self, now: Instant, direction: Direction, client: u32, len: usize) {
        let mut pages = self.pages();
        if pages.seen.len() < pages.capacity {
            let at = now.saturating_duration_since(pages.start);
            pages.seen.push(Seen { at, direction, client, len });
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        self.pages().counters
    }

    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.pages().seen)
    }
}
