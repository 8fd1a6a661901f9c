//! The engine: every session of one socket.

pub(crate) mod admit;
pub(crate) mod bound;
pub(crate) mod dial;
pub(crate) mod half_open;
mod lifecycle;
pub(crate) mod pressure;
mod receive;
pub(crate) mod routes;
mod slab;
mod transmit;

#[cfg(fuzzing)]
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::fmt;

use crate::config::{Accept, Config};
use crate::engine::admit::Pending;
use crate::engine::half_open::HalfOpen;
use crate::engine::pressure::Pressure;
use crate::engine::routes::{Route, Routes};
use crate::engine::slab::Slab;
use crate::error::{CloseReason, ConfigError, UnknownSession};
use crate::handshake::cookie::CookieJar;
use crate::handshake::limiter::{Bucket, Limiter, Places, Signatures};
use crate::handshake::message;
use crate::handshake::replay::Replay;
use crate::identity::{Identity, PeerId};
use crate::job::{Completion, Job, Outcome, Outstanding, Ticket};
use crate::metrics::Metrics;
use crate::mode::Mode;
use crate::random::{Random, Seed};
use crate::scheduler::Scheduler;
use crate::session::chain::Workspace;
use crate::session::entry::Entry;
#[cfg(fuzzing)]
use crate::session::link::Link;
use crate::session::{MessageId, Session, SessionId};
use crate::time::{Instant, UnixTime, nanos};
use crate::wire::knock::KnockKeys;

/// Something the application may want to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A peer opened this session; it is open.
    Incoming(SessionId),
    /// The session that `connect` began is open, and the peer has proved to hold its keys.
    Established(SessionId),
    /// Messages can be taken. Comes once for any number of them: take until `RecvError::Empty`.
    Readable(SessionId),
    /// There is room again after `SendError::Full`.
    Writable(SessionId),
    /// The peer has this message.
    Delivered(SessionId, MessageId),
    /// The session's cells go to another address, which has proved to be the peer's.
    PathChanged(SessionId),
    /// The session has ended. Comes once, last; messages without a `Delivered` may not have arrived.
    Closed(SessionId, CloseReason),
}

/// How to shut down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shutdown {
    /// Close every session gracefully; what is not confirmed by the deadline is abandoned.
    Flush(Instant),
    /// Drop everything at once.
    Now,
}

/// Who has handshake datagrams to send.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Outgoing {
    Session(u32),
    HalfOpen(u32),
}

/// What happens at a time of its own, outside the schedule. Names carry a generation: a stale one does nothing.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Timer {
    Dial(u32, u32),
    HalfOpen(u32, u32),
    Cover(u32, u32),
    Payload(u32, u32),
    Shutdown,
}

/// Cookies that an engine has room for which never hands one out.
const UNUSED_COOKIES: u32 = 64;
/// Every session of one socket. See the [crate page](crate) for how it is driven.
pub struct Engine {
    config: Config,
    identity: Identity,
    random: Random,
    now: Instant,
    wall: UnixTime,

    sessions: Slab<Entry>,
    /// Keys of the cell that is being sealed or opened.
    work: Workspace,
    routes: Routes,
    /// Sessions with events, each once.
    events: VecDeque<u32>,
    jobs: VecDeque<Job>,
    outgoing: BTreeSet<Outgoing>,
    timers: BTreeSet<(Instant, Timer)>,
    scheduler: Scheduler,
    /// Low-overhead cells that are due.
    due: VecDeque<(u32, u32, Instant)>,
    shutdown: Option<Shutdown>,
    metrics: Metrics,

    accept_bits: u8,
    own_keys: KnockKeys,
    jar: CookieJar,
    replay: Replay,
    limiter: Limiter,
    /// Open sessions of others, by where they were opened from.
    places: Places,
    challenge_bucket: Bucket,
    challenges: VecDeque<Pending>,
    pressure: Pressure,
    /// Of the signatures that are waited for.
    signing_pressure: Pressure,
    half_open: Slab<HalfOpen>,
    by_cookie: BTreeMap<[u8; 32], u32>,
    pending_jobs: Outstanding,
    pending_signatures: Signatures,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("identity", &self.identity)
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine with no sessions. The seed must never be used twice.
    pub fn new(
        config: &Config,
        identity: Identity,
        seed: &Seed,
        now: Instant,
        wall: UnixTime,
    ) -> Result<Self, ConfigError> {
        let accept_bits = match &config.accept {
            Accept::Nobody => 0,
            Accept::Anyone(modes) => message::accept_bits(*modes),
            Accept::Listed(peers) => peers.iter().fold(0, |bits, (_, modes)| bits | message::accept_bits(*modes)),
        };
        if !identity.can_sign() && message::select([Mode::B].into_iter(), accept_bits).is_some() {
            return Err(ConfigError::NoSigner);
        }
        let limits = config.limits;
        let mut random = Random::new(seed);
        let replay = Replay::new(if accept_bits == 0 { UNUSED_COOKIES } else { limits.cookies }, &mut random.public);
        #[allow(unused_mut, reason = "mutants change it")]
        let mut scheduler = Scheduler::new(&config.traffic, seed.derive(b"B4AE2-slot-owner"));
        #[cfg(b4ae_mutants)]
        {
            scheduler.burst_catch_up = config.mutant == Some(crate::mutant::Mutant::BurstCatchUp);
        }
        Ok(Self {
            own_keys: KnockKeys::new(identity.peer_id()),
            identity,
            random,
            now: now.min(Instant::LAST),
            wall,
            sessions: Slab::new(limits.sessions),
            work: Workspace::new(),
            routes: Routes::new(&seed.derive(b"B4AE2-routes-key")),
            events: VecDeque::new(),
            jobs: VecDeque::new(),
            outgoing: BTreeSet::new(),
            timers: BTreeSet::new(),
            scheduler,
            due: VecDeque::new(),
            shutdown: None,
            metrics: Metrics::default(),
            accept_bits,
            jar: CookieJar::new(seed.derive(b"B4AE2-cookie-jar")),
            replay,
            limiter: Limiter::new(limits.prefixes, limits.handshakes_per_prefix),
            places: Places::default(),
            challenge_bucket: Bucket::full(),
            challenges: VecDeque::new(),
            pressure: Pressure::new(now),
            signing_pressure: Pressure::new(now),
            half_open: Slab::new(limits.half_open),
            by_cookie: BTreeMap::new(),
            pending_jobs: Outstanding::default(),
            pending_signatures: Signatures::default(),
            config: config.clone(),
        })
    }

    /// Our own fingerprint.
    pub fn peer_id(&self) -> PeerId {
        self.identity.peer_id()
    }

    /// Notes the time. Time that runs backwards stands still, and so does time at its end: a deadline that recurs would
    /// recur for ever at an instant that no deadline lies beyond.
    fn tick(&mut self, now: Instant) {
        self.now = self.now.max(now.min(Instant::LAST));
    }

    /// Lets time pass: acts on deadlines, and lets [`poll_transmit`](Self::poll_transmit) seal the cells that are due.
    /// Nothing else makes a cell appear. Extra calls do no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.tick(now);
        self.scheduler.arm(self.now);
        while let Some(&(at, timer)) = self.timers.first() {
            if at > self.now {
                break;
            }
            self.timers.pop_first();
            match timer {
                Timer::Dial(slot, generation) => self.dial_timeout(slot, generation),
                Timer::HalfOpen(slot, generation) => self.half_open_timeout(slot, generation),
                Timer::Cover(slot, generation) => self.cover_due(slot, generation, at),
                Timer::Payload(slot, generation) => self.payload_due(slot, generation, at),
                Timer::Shutdown => self.drop_all(),
            }
        }
    }

    /// Takes back a finished job.
    pub fn handle_completion(&mut self, now: Instant, done: Completion) {
        self.tick(now);
        match done.outcome.signature() {
            Some(true) => self.metrics.signatures += 1,
            Some(false) => self.metrics.signatures_failed += 1,
            None => {}
        }
        match (done.ticket, done.outcome) {
            (Ticket::Session(id), Outcome::Init { state, solution }) => self.dial_prepared(id, state, solution),
            (Ticket::Session(id), Outcome::Finish(result)) => self.dial_confirmed(id, result),
            (Ticket::HalfOpen { slot, generation }, Outcome::Respond(result)) => {
                self.responded(slot, generation, result);
            }
            (Ticket::HalfOpen { slot, generation }, Outcome::Accept(result)) => self.accepted(slot, generation, result),
            (_, Outcome::Forgotten)
            | (Ticket::Session(_), Outcome::Respond(_) | Outcome::Accept(_))
            | (Ticket::HalfOpen { .. }, Outcome::Init { .. } | Outcome::Finish(_)) => {}
        }
    }

    /// Tells the wall clock. It decides whether a peer's identity has expired, and nothing else.
    pub fn handle_wall_clock(&mut self, wall: UnixTime) {
        self.wall = wall;
    }

    /// Mixes fresh entropy into all that is drawn from now on.
    ///
    /// Open sessions keep their keys. Of two copies of one running machine each would seal other text under the same
    /// ones: a driver that learns that it has been cloned has to [`shutdown`](Self::shutdown) and begin anew.
    pub fn reseed(&mut self, seed: &Seed) {
        self.random.reseed(seed);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next: at once if the time has passed, never if `None`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|&(at, _)| at);
        let next = match (timer, self.scheduler.next_call()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        next.filter(|&at| at <= Instant::LAST)
    }

    /// The next event. O(1).
    pub fn poll_event(&mut self) -> Option<Event> {
        while let Some(slot) = self.events.pop_front() {
            let Some(generation) = self.sessions.generation(slot) else { continue };
            let Some(entry) = self.sessions.get_mut(slot) else { continue };
            entry.listed = false;
            let event = entry.next_event(SessionId { slot, generation });
            // What was confirmed and not told took room.
            self.note_room(slot);
            self.list(slot);
            self.retire(slot);
            if event.is_some() {
                return event;
            }
        }
        None
    }

    /// The next piece of slow work. Run it anywhere, or at once with [`run_inline`](Self::run_inline).
    pub fn poll_job(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// Runs every waiting job on this thread, for those who do not mind the pause.
    pub fn run_inline(&mut self, now: Instant) {
        while let Some(job) = self.poll_job() {
            self.handle_completion(now, job.run());
        }
    }

    /// A session by its id.
    pub fn session(&mut self, id: SessionId) -> Result<Session<'_>, UnknownSession> {
        match self.sessions.named(id.slot, id.generation) {
            Some(entry) if !entry.told => Ok(Session { engine: self, id }),
            _ => Err(UnknownSession),
        }
    }

    /// Ends every session, and accepts no more.
    pub fn shutdown(&mut self, now: Instant, how: Shutdown) {
        self.tick(now);
        if let Some(Shutdown::Flush(deadline)) = self.shutdown.replace(how) {
            self.timers.remove(&(deadline, Timer::Shutdown));
        }
        match how {
            Shutdown::Now => self.drop_all(),
            Shutdown::Flush(deadline) => {
                self.timers.insert((deadline, Timer::Shutdown));
                let slots: Vec<_> = self.sessions.iter().map(|(slot, _)| slot).collect();
                slots.into_iter().for_each(|slot| {
                    self.close_session(slot);
                    self.pace_low_overhead(slot, false);
                });
            }
        }
    }

    /// Whether a shutdown is complete: every session has ended, and its peer has been told often enough to know.
    pub fn is_drained(&self) -> bool {
        let told = |entry: &Entry| entry.link.as_ref().is_none_or(|link| link.has_said_farewell());
        self.shutdown.is_some() && self.sessions.iter().all(|(_, entry)| entry.ended.is_some() && told(entry))
    }

    /// Counters, as one copy. O(1).
    pub fn metrics(&self) -> Metrics {
        let half_open = u32::try_from(self.half_open.len()).unwrap_or(u32::MAX);
        Metrics {
            // Those of others, besides our own.
            handshakes: self.metrics.handshakes.saturating_add(half_open),
            slots_skipped: self.scheduler.skipped(),
            puzzle_bits: self.puzzle_bits(true),
            ..self.metrics
        }
    }

    /// Puts a session with events on the list of those.
    pub(crate) fn list(&mut self, slot: u32) {
        let Some(entry) = self.sessions.get_mut(slot) else { return };
        if entry.has_event() && !entry.listed {
            entry.listed = true;
            self.events.push_back(slot);
        }
    }

    /// Tells a session that was refused room when there is some.
    pub(crate) fn note_room(&mut self, slot: u32) {
        let room = |entry: &Entry| entry.want_write.is_some_and(|len| self.has_room(entry, len));
        let room = self.sessions.get(slot).is_some_and(room);
        if room && let Some(entry) = self.sessions.get_mut(slot) {
            entry.set_writable();
            self.list(slot);
        }
    }

    /// Whether a message of `len` bytes may be queued: bounded in number, in bytes, and in how long what is queued
    /// already will take to leave.
    pub(crate) fn has_room(&self, entry: &Entry, len: usize) -> bool {
        let limits = &self.config.limits;
        if entry.outstanding() >= limits.send_messages || entry.queue.bytes() + len > limits.send_bytes {
            return false;
        }
        let traffic = &self.config.traffic;
        let share = u64::from(1000 - traffic.dummy_permille);
        let slots = entry.link.as_ref().map_or(1, |link| link.breaker.slots_per_cell());
        let gap = self.scheduler.gap().saturating_mul(slots).saturating_mul(1000) / share;
        (entry.queue.waiting_cells() as u64).saturating_mul(gap) <= nanos(traffic.max_queue_latency)
    }

    pub(crate) fn entry(&self, id: SessionId) -> &Entry {
        self.sessions.get(id.slot).expect("Engine::session checked the id and holds the engine")
    }

    pub(crate) fn entry_mut(&mut self, id: SessionId) -> &mut Entry {
        self.sessions.get_mut(id.slot).expect("Engine::session checked the id and holds the engine")
    }

    /// Begins a session whose keys came from elsewhere than a handshake.
    #[cfg(fuzzing)]
    pub(crate) fn open_known_link(&mut self, entry: Entry, link: Box<Link>) -> Option<SessionId> {
        let (slot, generation) = self.sessions.insert(entry).ok()?;
        self.join(slot, link);
        self.list(slot);
        Some(SessionId { slot, generation })
    }

    /// A session's keys, and room to use them.
    #[cfg(fuzzing)]
    pub(crate) fn known_link(&mut self, id: SessionId) -> Option<(&mut Link, &mut Workspace)> {
        Some((self.sessions.named(id.slot, id.generation)?.link.as_deref_mut()?, &mut self.work))
    }

    /// A handshake of another's, the first there is.
    #[cfg(fuzzing)]
    pub(crate) fn some_half_open(&self) -> Option<&HalfOpen> {
        self.half_open.iter().next().map(|(_, half)| half)
    }

    #[cfg(b4ae_mutants)]
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.sessions.iter().filter(|(_, entry)| entry.link.is_some()).map(|(slot, _)| slot)
    }

    #[cfg(b4ae_mutants)]
    pub(crate) fn slot_entry(&self, slot: u32) -> Option<&Entry> {
        self.sessions.get(slot)
    }

    #[cfg(b4ae_mutants)]
    pub(crate) fn draw_once_more(&mut self) {
        self.scheduler.draw_once_more();
    }

    #[cfg(b4ae_mutants)]
    pub(crate) fn hasten(&mut self) {
        self.scheduler.hasten();
    }

    #[cfg(b4ae_mutants)]
    pub(crate) fn stretch(&mut self) {
        self.scheduler.stretch();
    }

    #[cfg(b4ae_mutants)]
    pub(crate) fn cell_now(&mut self, id: SessionId) {
        self.due.push_back((id.slot, id.generation, self.now));
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn count_received(&mut self) {
        self.metrics.messages_received += 1;
    }
}
