//! The loop's side of all sessions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use b4ae_core::{ConnectError, Engine, Event, Instant, SessionId};

use crate::link::{Link, Look};
use crate::mailbox::{BACKLOG, Connect, Mailbox};
use crate::peer::{End, Open, Shared};
use crate::sync::{ToWake, lock, try_lock};

/// Events taken before cells get their turn again.
const EVENTS: usize = 256;
/// Rounds of events and what follows from them in one exchange.
const ROUNDS: usize = 4;
/// How often the numbers of the engine and its sessions are copied for their handles.
const STATS_EVERY: Duration = Duration::from_millis(100);
/// Sessions whose numbers are copied in one turn.
const STATS_A_TURN: usize = 16;

/// All sessions, and what waits on either side. Dropping it is how the application learns that the loop has ended.
pub(crate) struct Links {
    mailbox: Arc<Mailbox>,
    by_id: BTreeMap<SessionId, Link>,
    /// Sessions to look at.
    wanted: BTreeSet<SessionId>,
    /// Sessions to look at again in the next exchange.
    unfinished: BTreeSet<SessionId>,
    connects: VecDeque<Connect>,
    dirty: Vec<Arc<Shared>>,
    /// Sessions the engine did not open, whose handles do not know yet.
    refused: Vec<(Arc<Shared>, ConnectError)>,
    /// Sessions of others, on their way to the backlog.
    incoming: VecDeque<SessionId>,
    closing: bool,
    metrics_due: Instant,
    /// Something may have been counted since.
    metrics_old: bool,
    stats_done: Option<Instant>,
    stats_next: Option<SessionId>,
}

/// What an exchange found.
pub(crate) struct Found {
    /// Whether to come back soon.
    pub(crate) look: Look,
    /// The deadline of a requested stop.
    pub(crate) stop: Option<Instant>,
}

impl Links {
    pub(crate) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self {
            mailbox,
            by_id: BTreeMap::new(),
            wanted: BTreeSet::new(),
            unfinished: BTreeSet::new(),
            connects: VecDeque::new(),
            dirty: Vec::new(),
            refused: Vec::new(),
            incoming: VecDeque::new(),
            closing: false,
            metrics_due: Instant::ORIGIN,
            metrics_old: false,
            stats_done: None,
            stats_next: None,
        }
    }

    /// One exchange between the engine and the handles. `between` is called between any two pieces of work, so that a
    /// due cell waits for one piece at most.
    pub(crate) fn exchange(&mut self, engine: &mut Engine, now: Instant, mut between: impl FnMut()) -> Found {
        let mut wake = ToWake::default();
        let mut found = self.take(engine, now);
        between();
        // What ends makes room for what begins, and so comes first.
        let (known, new): (Vec<_>, Vec<_>) =
            mem::take(&mut self.dirty).into_iter().partition(|it| it.id.get().is_some());
        self.wanted.extend(known.iter().filter_map(|shared| shared.id.get()));
        found.look = found.look.max(self.settle(engine, &mut wake, &mut between));
        for connect in mem::take(&mut self.connects) {
            self.connect(engine, now, connect);
            between();
        }
        for shared in new {
            match shared.id.get() {
                Some(id) => _ = self.wanted.insert(*id),
                None => shared.unmark(),
            }
        }
        found.look = found.look.max(self.settle(engine, &mut wake, &mut between));
        self.wanted.append(&mut self.unfinished);
        found.look = found.look.max(self.tell_refused(&mut wake)).max(self.offer_incoming(&mut wake));
        self.refresh_stats(engine, now);
        between();
        wake.wake();
        found
    }

    /// Takes events, and looks at the sessions they are about, until there are none: taking the last message of a
    /// session or closing it brings forth more.
    fn settle(&mut self, engine: &mut Engine, wake: &mut ToWake, between: &mut impl FnMut()) -> Look {
        let mut found = Look::Done;
        for _ in 0..ROUNDS {
            let more = self.take_events(engine);
            let wanted = mem::take(&mut self.wanted);
            if wanted.is_empty() && !more {
                return found;
            }
            for id in wanted {
                between();
                found = found.max(self.look(engine, id, wake));
            }
        }
        Look::More
    }

    /// Takes the engine's events, up to a number, and tells whether there are more.
    fn take_events(&mut self, engine: &mut Engine) -> bool {
        for _ in 0..EVENTS {
            let Some(event) = engine.poll_event() else { return false };
            self.on_event(engine, event);
        }
        true
    }

    fn look(&mut self, engine: &mut Engine, id: SessionId, wake: &mut ToWake) -> Look {
        let Some(link) = self.by_id.get_mut(&id) else { return Look::Done };
        let look = link.look(engine, wake);
        if look != Look::Done {
            self.unfinished.insert(id);
        } else if link.is_over() {
            self.by_id.remove(&id);
        }
        look
    }

    /// Closes every session, those that are still to come included.
    pub(crate) fn begin_close(&mut self) {
        self.closing = true;
        for (id, link) in &mut self.by_id {
            link.begin_close();
            self.wanted.insert(*id);
        }
    }

    /// Whether the engine has all that was queued, and knows that every session is to close.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.by_id.values().all(Link::is_handed_over)
    }

    /// When the endpoint's numbers want to be copied.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.metrics_old.then_some(self.metrics_due)
    }

    /// Tells the endpoint's last numbers, after which there are no slots that somebody who holds the lock could delay.
    pub(crate) fn tell_last(&self, engine: &Engine) {
        lock(&self.mailbox.state).metrics = engine.metrics();
    }

    fn take(&mut self, engine: &Engine, now: Instant) -> Found {
        let metrics = engine.metrics();
        let Some(mut state) = try_lock(&self.mailbox.state) else { return Found { look: Look::Locked, stop: None } };
        // Under the lock that marks are set under: who marks after this, and finds no slots, wakes.
        state.slots = metrics.sessions > 0;
        // For their readers ten times a second is often enough: not a copy in every turn.
        if now >= self.metrics_due {
            state.metrics = metrics;
            self.metrics_due = now + STATS_EVERY;
            self.metrics_old = false;
        } else {
            self.metrics_old = true;
        }
        mem::swap(&mut state.connects, &mut self.connects);
        mem::swap(&mut state.dirty, &mut self.dirty);
        Found { look: Look::Done, stop: state.stop }
    }

    fn connect(&mut self, engine: &mut Engine, now: Instant, connect: Connect) {
        match engine.connect(now, connect.path, &connect.peer, connect.modes) {
            Ok(id) => {
                // Set once, here: the engine hands out an id once.
                _ = connect.shared.id.set(id);
                self.insert(id, connect.shared);
            }
            Err(error) => self.refused.push((connect.shared, error)),
        }
    }

    fn insert(&mut self, id: SessionId, shared: Arc<Shared>) -> &mut Link {
        self.wanted.insert(id);
        let link = self.by_id.entry(id).or_insert_with(|| Link::new(id, shared));
        if self.closing {
            link.begin_close();
        }
        link
    }

    fn on_event(&mut self, engine: &mut Engine, event: Event) {
        let (Event::Incoming(id)
        | Event::Established(id)
        | Event::Readable(id)
        | Event::Writable(id)
        | Event::PathChanged(id)
        | Event::Delivered(id, _)
        | Event::Closed(id, _)) = event
        else {
            return;
        };
        if let Event::Incoming(id) = event {
            self.on_incoming(engine, id);
        }
        let Some(link) = self.by_id.get_mut(&id) else { return };
        match event {
            Event::Established(_) => {
                if let Ok(session) = engine.session(id)
                    && let (Some(mode), Some(path)) = (session.mode(), session.path())
                {
                    link.on_open(Open { peer: session.peer(), mode }, path.remote());
                }
            }
            Event::PathChanged(_) => {
                if let Some(path) = engine.session(id).ok().and_then(|session| session.path()) {
                    link.on_path(path.remote());
                }
            }
            Event::Writable(_) => link.on_writable(),
            Event::Delivered(_, message) => link.on_delivered(message),
            Event::Closed(_, reason) => link.on_closed(reason),
            _ => {}
        }
        self.wanted.insert(id);
    }

    fn on_incoming(&mut self, engine: &mut Engine, id: SessionId) {
        let Ok(session) = engine.session(id) else { return };
        let (peer, Some(mode), Some(path)) = (session.peer(), session.mode(), session.path()) else { return };
        let shared = Shared::new(Arc::clone(&self.mailbox), path.remote(), Some(Open { peer, mode }));
        _ = shared.id.set(id);
        self.insert(id, Arc::new(shared));
        self.incoming.push_back(id);
    }

    /// Puts sessions of others where `accept` finds them; one that finds no room is closed.
    fn offer_incoming(&mut self, wake: &mut ToWake) -> Look {
        if self.incoming.is_empty() {
            return Look::Done;
        }
        let Some(mut state) = try_lock(&self.mailbox.state) else { return Look::Locked };
        let mut look = Look::Done;
        for id in self.incoming.drain(..) {
            let Some(link) = self.by_id.get_mut(&id) else { continue };
            if state.backlog.len() >= BACKLOG {
                // Sessions that ended unaccepted, and brought nothing, need not be accepted any more.
                state.backlog.retain(|shared| try_lock(&shared.state).is_none_or(|peer| peer.is_worth_accepting()));
            }
            if state.backlog.len() < BACKLOG {
                state.backlog.push_back(Arc::clone(link.shared()));
            } else {
                link.begin_close();
                self.wanted.insert(id);
                look = Look::More;
            }
        }
        state.accepters.drain_into(wake);
        look
    }

    fn tell_refused(&mut self, wake: &mut ToWake) -> Look {
        self.refused.retain(|(shared, error)| match try_lock(&shared.state) {
            Some(mut state) => {
                state.finish(End::Refused(*error), wake);
                false
            }
            None => true,
        });
        if self.refused.is_empty() { Look::Done } else { Look::Locked }
    }

    fn refresh_stats(&mut self, engine: &mut Engine, now: Instant) {
        if self.stats_next.is_none() && self.stats_done.is_some_and(|done| now - done < STATS_EVERY) {
            return;
        }
        let from = self.stats_next.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut copied = 0;
        for (id, link) in self.by_id.range((from, Bound::Unbounded)).take(STATS_A_TURN) {
            link.refresh_stats(engine);
            copied += 1;
            self.stats_next = Some(*id);
        }
        if copied < STATS_A_TURN {
            self.stats_next = None;
            self.stats_done = Some(now);
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        let (left, mut wake) = self.mailbox.mark_stopped();
        for link in self.by_id.values_mut() {
            link.abandon(&mut wake);
        }
        let waiting = mem::take(&mut self.connects).into_iter().map(|connect| connect.shared);
        let refused = mem::take(&mut self.refused).into_iter().map(|(shared, _)| shared);
        for shared in left.into_iter().chain(waiting).chain(refused).chain(mem::take(&mut self.dirty)) {
            lock(&shared.state).finish(End::Stopped, &mut wake);
        }
        wake.wake();
    }
}

#[cfg(all(test, loom))]
mod interleavings;
