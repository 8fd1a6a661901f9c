//! The loop's side of one session: moves messages and news between the engine and the session's handles.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use b4ae_core::{CloseReason, Engine, MessageId, SendError, SessionId};

use crate::peer::{End, Message, Open, Shared, State};
use crate::sync::{ToWake, lock, try_lock};

/// Bytes moved for one session before the others, and due cells, get their turn, each way.
const BUDGET: usize = 64 << 10;
/// What handling a message costs beside its bytes, in bytes, so that empty ones are not free.
const OVERHEAD: usize = 1024;

/// Whether a session needs another look soon.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Look {
    /// Nothing left to do until something happens.
    Done,
    /// An application thread held the lock.
    Locked,
    /// The budget is spent, there is more.
    More,
}

/// What the engine told that the handles do not know yet.
#[derive(Debug, Default)]
struct News {
    open: Option<Open>,
    remote: Option<SocketAddr>,
    confirmed: Vec<u64>,
    end: Option<CloseReason>,
}

impl News {
    fn is_empty(&self) -> bool {
        self.open.is_none() && self.remote.is_none() && self.confirmed.is_empty() && self.end.is_none()
    }
}

/// How far the session is towards its end.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Stage {
    Open,
    /// To be closed once the handles' queue is empty.
    Closing,
    /// The engine has everything and has been told to close, or has closed by itself.
    HandedOver,
    /// The handles know that the session has ended.
    Over,
}

/// One session.
pub(crate) struct Link {
    id: SessionId,
    shared: Arc<Shared>,
    news: News,
    /// Taken from the handles' queue, refused by the engine for want of room.
    held: Option<Message>,
    /// The engine is full; `Writable` follows.
    full: bool,
    /// Messages handed to the engine: as it names them, and as we do.
    unconfirmed: VecDeque<(MessageId, u64)>,
    handed_over: u64,
    /// Taken from the engine, waiting for room or the lock.
    arrived: Option<Message>,
    stage: Stage,
}

impl Link {
    pub(crate) fn new(id: SessionId, shared: Arc<Shared>) -> Self {
        Self {
            id,
            shared,
            news: News::default(),
            held: None,
            full: false,
            unconfirmed: VecDeque::new(),
            handed_over: 0,
            arrived: None,
            stage: Stage::Open,
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn on_open(&mut self, open: Open, remote: SocketAddr) {
        self.news.open = Some(open);
        self.news.remote = Some(remote);
    }

    pub(crate) fn on_path(&mut self, remote: SocketAddr) {
        self.news.remote = Some(remote);
    }

    pub(crate) fn on_writable(&mut self) {
        self.full = false;
    }

    pub(crate) fn on_delivered(&mut self, id: MessageId) {
        if let Some(place) = self.unconfirmed.iter().position(|(theirs, _)| *theirs == id)
            && let Some((_, ours)) = self.unconfirmed.remove(place)
        {
            self.news.confirmed.push(ours);
        }
    }

    pub(crate) fn on_closed(&mut self, reason: CloseReason) {
        self.news.end = Some(reason);
        self.reach(Stage::HandedOver);
    }

    /// Closes once the handles' queue is empty, whoever still holds one.
    pub(crate) fn begin_close(&mut self) {
        self.reach(Stage::Closing);
    }

    /// Whether the engine has everything this session's handles queued, and knows that it is to close.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.stage >= Stage::HandedOver
    }

    /// Whether the session has ended and its handles know.
    pub(crate) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    fn reach(&mut self, stage: Stage) {
        self.stage = self.stage.max(stage);
    }

    /// Moves whatever can be moved.
    pub(crate) fn look(&mut self, engine: &mut Engine, wake: &mut ToWake) -> Look {
        self.shared.unmark();
        let news = self.publish(wake);
        if self.is_over() {
            return news;
        }
        news.max(self.send(engine, wake)).max(self.receive(engine, wake))
    }

    /// Tells the handles that the loop has ended.
    pub(crate) fn abandon(&mut self, wake: &mut ToWake) {
        let shared = Arc::clone(&self.shared);
        let mut state = lock(&shared.state);
        self.tell(&mut state, wake);
        state.finish(End::Stopped, wake);
    }

    /// Copies the engine's numbers for the handles.
    pub(crate) fn refresh_stats(&self, engine: &mut Engine) {
        if let Ok(session) = engine.session(self.id) {
            let stats = session.stats();
            if let Some(mut state) = try_lock(&self.shared.state) {
                state.stats = stats;
            }
        }
    }

    fn publish(&mut self, wake: &mut ToWake) -> Look {
        if self.news.is_empty() {
            return Look::Done;
        }
        let shared = Arc::clone(&self.shared);
        match try_lock(&shared.state) {
            Some(mut state) => {
                self.tell(&mut state, wake);
                Look::Done
            }
            None => Look::Locked,
        }
    }

    fn tell(&mut self, state: &mut State, wake: &mut ToWake) {
        if let Some(open) = self.news.open.take() {
            state.open = Some(open);
            state.watchers.drain_into(wake);
        }
        if let Some(remote) = self.news.remote.take() {
            state.remote = remote;
        }
        if !self.news.confirmed.is_empty() {
            self.news.confirmed.drain(..).for_each(|message| state.confirmed.add(message));
            state.confirmers.drain_into(wake);
        }
        if let Some(reason) = self.news.end.take() {
            if let Some(message) = self.arrived.take() {
                state.incoming.push(message);
            }
            state.finish(End::Closed(reason), wake);
            self.reach(Stage::Over);
        }
    }

    /// From the handles to the engine, until it is full.
    fn send(&mut self, engine: &mut Engine, wake: &mut ToWake) -> Look {
        let mut budget = BUDGET;
        while !self.full && self.stage < Stage::HandedOver {
            let message = match self.next_outgoing(wake) {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(look) => return look,
            };
            // An unknown session has a `Closed` on its way.
            let Ok(mut session) = engine.session(self.id) else { return Look::Done };
            match session.send(&message) {
                Ok(id) => self.unconfirmed.push_back((id, self.handed_over)),
                Err(SendError::Full) => {
                    self.held = Some(message);
                    self.full = true;
                    break;
                }
                // It will never be confirmed, which is what its sender learns when the session ends.
                Err(_) => self.reach(Stage::Closing),
            }
            self.handed_over += 1;
            budget = budget.saturating_sub(message.len() + OVERHEAD);
            if budget == 0 {
                return Look::More;
            }
        }
        if self.full && self.stage == Stage::Open {
            let Some(state) = try_lock(&self.shared.state) else { return Look::Locked };
            if state.close {
                self.stage = Stage::Closing;
            }
        }
        if self.stage == Stage::Closing {
            if !self.full {
                // The peer has been told that these arrived, and the engine keeps nothing for a session that we closed.
                let left = self.receive(engine, wake);
                if left != Look::Done {
                    return left;
                }
            }
            if let Ok(mut session) = engine.session(self.id) {
                // A peer that takes nothing makes no room for the rest either, and is not to keep the session for that.
                if self.full { session.begin_close() } else { session.close() }
            }
            if !self.full {
                self.reach(Stage::HandedOver);
            }
        }
        Look::Done
    }

    fn next_outgoing(&mut self, wake: &mut ToWake) -> Result<Option<Message>, Look> {
        if self.held.is_some() {
            return Ok(self.held.take());
        }
        let Some(mut state) = try_lock(&self.shared.state) else { return Err(Look::Locked) };
        if state.close {
            self.stage = self.stage.max(Stage::Closing);
        }
        // Set under the lock that senders take: nothing is queued behind a queue found empty.
        state.close = self.stage >= Stage::Closing;
        let message = state.outgoing.pop();
        if message.is_some() {
            state.writers.drain_into(wake);
        }
        Ok(message)
    }

    /// From the engine to the handles, while there is room: what stays with the engine is what holds the sender back.
    /// Once the session is to close, all that there is.
    fn receive(&mut self, engine: &mut Engine, wake: &mut ToWake) -> Look {
        let mut budget = BUDGET;
        loop {
            let message = match self.next_arrived(engine) {
                Ok(Some(message)) => message,
                Ok(None) => return Look::Done,
                Err(look) => return look,
            };
            budget = budget.saturating_sub(message.len() + OVERHEAD);
            let Some(mut state) = try_lock(&self.shared.state) else {
                self.arrived = Some(message);
                return Look::Locked;
            };
            // Only this loop fills the queue, so the room that was found is still there.
            state.incoming.push(message);
            state.readers.drain_into(wake);
            drop(state);
            if budget == 0 {
                return Look::More;
            }
        }
    }

    fn next_arrived(&mut self, engine: &mut Engine) -> Result<Option<Message>, Look> {
        if self.arrived.is_some() {
            return Ok(self.arrived.take());
        }
        let Ok(mut session) = engine.session(self.id) else { return Ok(None) };
        let Some(len) = session.next_len() else { return Ok(None) };
        {
            let Some(mut state) = try_lock(&self.shared.state) else { return Err(Look::Locked) };
            let room = match self.stage {
                Stage::Open => state.incoming.has_room(len),
                _ => state.incoming.has_room_at_end(len, self.shared.mailbox.receive_bytes),
            };
            state.stalled = !room;
            if state.stalled {
                return Ok(None);
            }
        }
        let mut message = Message::new(vec![0; len]);
        let Ok(len) = session.recv(&mut message) else { return Ok(None) };
        message.truncate(len);
        Ok(Some(message))
    }
}
