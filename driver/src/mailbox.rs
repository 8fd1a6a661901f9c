//! Between the application's threads and the loop: bounded, and no lock is held across the engine's work.

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use b4ae_core::{Clock, Instant, Limits, Metrics, ModePolicy, Path, PeerId};

use crate::Pacing;
use crate::counters::Counters;
use crate::lateness::Lateness;
use crate::peer::Shared;
use crate::sync::{LoopWaker, Mutex, ToWake, WakerSet, lock};

/// Sessions others opened that nobody has accepted yet; further ones are closed at once.
pub(crate) const BACKLOG: usize = 256;
/// Sessions asked for that the loop has not yet begun.
const CONNECTS: usize = 256;

/// A session the application asked for.
pub(crate) struct Connect {
    pub(crate) shared: Arc<Shared>,
    pub(crate) path: Path,
    pub(crate) peer: PeerId,
    pub(crate) modes: ModePolicy,
}

/// Everything behind the lock.
pub(crate) struct State {
    pub(crate) connects: VecDeque<Connect>,
    /// Sessions the loop is to look at, each once.
    pub(crate) dirty: Vec<Arc<Shared>>,
    pub(crate) backlog: VecDeque<Arc<Shared>>,
    /// Whether any session had slots when the loop last looked here: it looks again before the next.
    pub(crate) slots: bool,
    /// The deadline of a requested stop.
    pub(crate) stop: Option<Instant>,
    pub(crate) stopped: bool,
    pub(crate) metrics: Metrics,
    pub(crate) pacing: Pacing,
    pub(crate) accepters: WakerSet,
    pub(crate) stop_watchers: WakerSet,
}

/// Shared by the loop and every handle.
pub(crate) struct Mailbox {
    pub(crate) state: Mutex<State>,
    pub(crate) counters: Counters,
    pub(crate) lateness: Lateness,
    pub(crate) loop_waker: LoopWaker,
    pub(crate) clock: Clock,
    pub(crate) local: SocketAddr,
    pub(crate) peer_id: PeerId,
    pub(crate) offer: ModePolicy,
    pub(crate) longest_message: usize,
    /// What the engine holds of messages received in one session, in bytes.
    pub(crate) receive_bytes: usize,
    pub(crate) protected: bool,
}

/// Why a connect request was not taken.
pub(crate) enum NotTaken {
    Full,
    Stopped,
}

impl Mailbox {
    pub(crate) fn new(
        clock: Clock,
        local: SocketAddr,
        peer_id: PeerId,
        offer: ModePolicy,
        limits: &Limits,
        protected: bool,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                connects: VecDeque::new(),
                dirty: Vec::new(),
                backlog: VecDeque::new(),
                slots: false,
                stop: None,
                stopped: false,
                metrics: Metrics::default(),
                pacing: Pacing::Runtime,
                accepters: WakerSet::new(),
                stop_watchers: WakerSet::new(),
            }),
            counters: Counters::default(),
            lateness: Lateness::new(),
            loop_waker: LoopWaker::default(),
            clock,
            local,
            peer_id,
            offer,
            longest_message: limits.message,
            receive_bytes: limits.receive_bytes,
            protected,
        }
    }

    /// Wakes the loop on behalf of the application.
    pub(crate) fn wake(&self) {
        self.counters.wakes.add();
        self.loop_waker.wake();
    }

    /// Has the loop look at what has been marked, where it does not do so by itself before the next slot: without need
    /// it may sleep for long. Where traffic is protected this wakes the loop only when no slot is to come.
    pub(crate) fn wake_without_slots(&self) {
        if !self.protected || !lock(&self.state).slots {
            self.wake();
        }
    }

    pub(crate) fn push_dirty(&self, shared: Arc<Shared>) {
        let mut state = lock(&self.state);
        if !state.stopped {
            state.dirty.push(shared);
        }
    }

    pub(crate) fn push_connect(&self, connect: Connect) -> Result<(), NotTaken> {
        {
            let mut state = lock(&self.state);
            if state.stopped || state.stop.is_some() {
                return Err(NotTaken::Stopped);
            }
            if state.connects.len() >= CONNECTS {
                return Err(NotTaken::Full);
            }
            state.connects.push_back(connect);
        }
        self.wake();
        Ok(())
    }

    /// Asks the loop to stop; of several requests the most impatient counts.
    pub(crate) fn request_stop(&self, flush: Duration) {
        let deadline = self.clock.now() + flush;
        {
            let mut state = lock(&self.state);
            if state.stopped {
                return;
            }
            state.stop = Some(state.stop.map_or(deadline, |asked| asked.min(deadline)));
        }
        self.wake();
    }

    /// Marks the loop as ended, wakes whoever waits, and returns the sessions that still wait for the loop.
    pub(crate) fn mark_stopped(&self) -> (Vec<Arc<Shared>>, ToWake) {
        self.loop_waker.clear();
        let mut wake = ToWake::default();
        let mut state = lock(&self.state);
        state.stopped = true;
        let mut left: Vec<_> = mem::take(&mut state.connects).into_iter().map(|connect| connect.shared).collect();
        left.append(&mut state.dirty);
        left.extend(mem::take(&mut state.backlog));
        state.accepters.drain_into(&mut wake);
        state.stop_watchers.drain_into(&mut wake);
        (left, wake)
    }
}
