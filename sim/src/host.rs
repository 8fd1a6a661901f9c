//! One host: an engine, its scripted application, its slow jobs, its socket and its clock's lateness.
//!
//! It drives the engine as a driver does: inputs, then every output; datagrams held until they are due; the timer
//! armed at `poll_timeout`. An application's call never makes a turn happen: it waits for the timer.

mod application;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use b4ae_core::{
    Completion, Config, ConfigError, DATAGRAM_LEN, Engine, Event, Identity, Instant, Path, Seed, SessionId,
    TransmitKind, TxBuf, UnixTime,
};

use crate::app::{App, Behaviour, Reading};
use crate::draws::Draws;
use crate::fault::Nat;
use crate::job::{Latency, SignerSwitch};
use crate::model::{End, Model};
use crate::trace::Trace;
use crate::violation::Violation;

/// Datagrams the socket of a suspended host keeps.
const SOCKET_BUFFER: usize = 256;
/// Turns at one instant that are taken for spinning.
const SPIN: u32 = 1000;
/// 2027-01-15, for no reason but that a certificate may know it.
const WALL: UnixTime = UnixTime(1_800_000_000);

/// A datagram that left a host, as the host knows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Departure {
    /// When it left.
    pub time: Instant,
    /// When it was to leave.
    pub due: Instant,
    /// Where to.
    pub to: SocketAddr,
    /// What for.
    pub kind: TransmitKind,
}

/// What a host is made of; see [`HostSpec`](crate::HostSpec).
pub(crate) struct Parts {
    pub(crate) addr: SocketAddr,
    pub(crate) identity: Identity,
    pub(crate) switch: Arc<SignerSwitch>,
    pub(crate) config: Config,
    pub(crate) behaviour: Behaviour,
    pub(crate) reading: Reading,
    pub(crate) job_latency: Latency,
    pub(crate) lateness: Latency,
    pub(crate) keep_messages: bool,
}

/// What a host touches outside itself during a turn.
pub(crate) struct Surroundings<'w> {
    pub(crate) now: Instant,
    pub(crate) model: &'w mut Model,
    pub(crate) trace: &'w mut Trace,
    pub(crate) wire: &'w mut Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
}

pub(crate) struct Host {
    id: u16,
    parts: Parts,
    draws: Draws,
    pub(crate) engine: Option<Engine>,
    life: u32,
    pub(crate) nat: Nat,
    apps: BTreeMap<SessionId, App>,
    held: BTreeMap<(Instant, u64), (Path, TransmitKind, Vec<u8>)>,
    jobs: BTreeMap<(Instant, u64), Completion>,
    sequence: u64,
    job_moment: (Instant, u64),
    timer: Option<Instant>,
    reads_at: Option<Instant>,
    suspended: Option<Instant>,
    socket: VecDeque<(SocketAddr, Vec<u8>)>,
    spinning: (Instant, u32),
    pub(crate) signing: Duration,
    pub(crate) events: Vec<(Instant, Event)>,
    pub(crate) departures: Vec<Departure>,
    pub(crate) wakes: Vec<Instant>,
    pub(crate) messages: Vec<(SessionId, Vec<u8>)>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({}, {})", self.id, self.parts.addr)
    }
}

impl Host {
    pub(crate) fn new(id: u16, parts: Parts, draws: Draws, now: Instant) -> Result<Self, ConfigError> {
        let mut host = Self {
            id,
            nat: Nat::new(parts.addr),
            reads_at: parts.reading.starts(),
            parts,
            draws,
            engine: None,
            life: 0,
            apps: BTreeMap::new(),
            held: BTreeMap::new(),
            jobs: BTreeMap::new(),
            sequence: 0,
            job_moment: (Instant::ORIGIN, 0),
            timer: None,
            suspended: None,
            socket: VecDeque::new(),
            spinning: (Instant::ORIGIN, 0),
            signing: Duration::ZERO,
            events: Vec::new(),
            departures: Vec::new(),
            wakes: Vec::new(),
            messages: Vec::new(),
        };
        host.boot(now)?;
        Ok(host)
    }

    fn boot(&mut self, now: Instant) -> Result<(), ConfigError> {
        let seed = Seed::new(self.draws.bytes("engine", self.life.into()));
        self.engine = Some(Engine::new(&self.parts.config, self.parts.identity.clone(), &seed, now, WALL)?);
        self.arm();
        Ok(())
    }

    pub(crate) fn crash(&mut self) {
        self.engine = None;
        self.apps.clear();
        self.held.clear();
        self.jobs.clear();
        self.socket.clear();
        (self.timer, self.suspended) = (None, None);
    }

    pub(crate) fn restart(&mut self, now: Instant) -> Result<(), ConfigError> {
        self.crash();
        self.life += 1;
        self.boot(now)
    }

    pub(crate) fn suspend(&mut self, until: Instant) {
        if self.engine.is_some() {
            self.suspended = Some(self.suspended.map_or(until, |at| at.max(until)));
        }
    }

    pub(crate) const fn identity(&self) -> &Identity {
        &self.parts.identity
    }

    pub(crate) const fn addr(&self) -> SocketAddr {
        self.parts.addr
    }

    /// From the next deadline on, the one the timer is set to included.
    pub(crate) fn set_lateness(&mut self, lateness: Latency) {
        self.parts.lateness = lateness;
        self.arm();
    }

    pub(crate) fn set_signer_failing(&self, failing: bool) {
        self.parts.switch.set_failing(failing);
    }

    pub(crate) const fn end(&self, session: SessionId) -> End {
        End { host: self.id, life: self.life, session }
    }

    /// When this host does something next.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.engine.as_ref()?;
        if self.suspended.is_some() {
            return self.suspended;
        }
        let reads = self.reads_at.filter(|at| *at > Instant::ORIGIN);
        let held = self.held.keys().next().map(|key| key.0);
        let job = self.jobs.keys().next().map(|key| key.0);
        let app = self.apps.values().filter_map(App::due).min();
        [self.timer, reads, held, job, app].into_iter().flatten().min()
    }

    /// A datagram arrives.
    pub(crate) fn arrive(
        &mut self,
        around: &mut Surroundings<'_>,
        from: SocketAddr,
        mut bytes: Vec<u8>,
    ) -> Result<(), Violation> {
        let Some(engine) = &mut self.engine else { return Ok(()) };
        if self.suspended.is_some() {
            if self.socket.len() < SOCKET_BUFFER {
                self.socket.push_back((from, bytes));
            }
            return Ok(());
        }
        engine.handle_datagram(around.now, Path::new(from, None), &mut bytes);
        self.turn(around)
    }

    /// Does everything that is due.
    pub(crate) fn serve(&mut self, around: &mut Surroundings<'_>) -> Result<(), Violation> {
        let now = around.now;
        self.count_turn(now)?;
        if self.suspended.is_some_and(|until| until <= now) {
            self.resume(around)?;
        }
        self.launch(around);
        let mut completed = false;
        while let Some(entry) = self.jobs.first_entry().filter(|entry| entry.key().0 <= now) {
            let done = entry.remove();
            if let Some(engine) = &mut self.engine {
                engine.handle_completion(now, done);
                completed = true;
            }
        }
        if completed || self.timer.is_some_and(|timer| timer <= now) {
            if self.timer.is_some_and(|timer| timer <= now) {
                self.wakes.push(now);
            }
            self.turn(around)?;
        }
        self.applications(around)
    }

    /// The process runs again: what its socket kept comes first, and cells whose slot has passed are not sent.
    fn resume(&mut self, around: &mut Surroundings<'_>) -> Result<(), Violation> {
        self.suspended = None;
        self.held = self.held.split_off(&(around.now, 0));
        while let Some((from, mut bytes)) = self.socket.pop_front() {
            if let Some(engine) = &mut self.engine {
                engine.handle_datagram(around.now, Path::new(from, None), &mut bytes);
                self.drain(around)?;
            }
        }
        self.turn(around)
    }

    /// What a driver does when something woke it: lets the time pass if a deadline has come, and takes the outputs.
    fn turn(&mut self, around: &mut Surroundings<'_>) -> Result<(), Violation> {
        let now = around.now;
        let Some(engine) = &mut self.engine else { return Ok(()) };
        if engine.poll_timeout().is_some_and(|deadline| deadline <= now) {
            engine.handle_timeout(now);
        }
        self.drain(around)?;
        self.arm();
        // A deadline that has passed is for the next turn, if this one was not for time; after one that was, it is a
        // deadline that no turn can meet.
        let late = self.engine.as_ref().and_then(Engine::poll_timeout).filter(|deadline| *deadline < now);
        late.map_or(Ok(()), |deadline| Err(Violation::DeadlineInPast { now, deadline }))
    }

    /// A deadline is met late by as much as the seed says for that deadline.
    fn arm(&mut self) {
        let deadline = self.engine.as_ref().and_then(Engine::poll_timeout);
        let lateness = self.parts.lateness;
        self.timer = deadline.map(|at| at + lateness.draw(&self.draws, "late", at.as_nanos()));
    }

    fn count_turn(&mut self, now: Instant) -> Result<(), Violation> {
        if self.spinning.0 != now {
            self.spinning = (now, 0);
        }
        self.spinning.1 += 1;
        if self.spinning.1 > SPIN { Err(Violation::Spin { now }) } else { Ok(()) }
    }

    fn drain(&mut self, around: &mut Surroundings<'_>) -> Result<(), Violation> {
        loop {
            self.transmit(around)?;
            self.hand_out_jobs(around.now);
            let Some(event) = self.engine.as_mut().and_then(Engine::poll_event) else { return Ok(()) };
            self.event(around, event)?;
        }
    }

    fn transmit(&mut self, around: &mut Surroundings<'_>) -> Result<(), Violation> {
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let mut memory = [0; DATAGRAM_LEN + 400];
        loop {
            let Ok(buf) = TxBuf::new(&mut memory) else { return Ok(()) };
            let Some(transmit) = engine.poll_transmit(buf) else { break };
            if transmit.len != DATAGRAM_LEN {
                return Err(Violation::Length { len: transmit.len });
            }
            self.sequence += 1;
            let bytes = memory[..transmit.len].to_vec();
            self.held.insert((transmit.due, self.sequence), (transmit.path, transmit.kind, bytes));
        }
        self.launch(around);
        Ok(())
    }

    /// Puts on the wire what is due.
    fn launch(&mut self, around: &mut Surroundings<'_>) {
        while let Some(entry) = self.held.first_entry().filter(|entry| entry.key().0 <= around.now) {
            let due = entry.key().0;
            let (path, kind, bytes) = entry.remove();
            let from = self.nat.outgoing();
            self.departures.push(Departure { time: around.now, due, to: path.remote(), kind });
            around.wire.push((from, path.remote(), bytes));
        }
    }

    /// Runs each job now and gives its result back later: a job owns all it needs, so only the result has a time.
    fn hand_out_jobs(&mut self, now: Instant) {
        while let Some(job) = self.engine.as_mut().and_then(Engine::poll_job) {
            if self.job_moment.0 != now {
                self.job_moment = (now, 0);
            }
            let moment = self.draws.child("jobs", now.as_nanos());
            let latency = self.parts.job_latency.draw(&moment, "job", self.job_moment.1);
            self.job_moment.1 += 1;
            let before = self.parts.switch.calls();
            let done = job.run();
            let signed = self.parts.switch.calls() > before;
            let at = now + latency + if signed { self.signing } else { Duration::ZERO };
            self.sequence += 1;
            self.jobs.insert((at, self.sequence), done);
        }
    }
}
