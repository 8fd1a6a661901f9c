//! The world: hosts, the links between them, and what happens next.

mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use b4ae_core::{ConfigError, ConnectError, Instant, MessageId, ModePolicy, Path, PeerId, SendError, SessionId};

use crate::action::Action;
use crate::attacker::{Attacker, Encounter, Forged};
use crate::draws::Draws;
use crate::fault::{FaultState, Faults};
use crate::host::{Host, Surroundings};
use crate::link::{Link, LinkConfig, Network};
use crate::model::Model;
use crate::observer::{Observer, Sighting};
use crate::spec::HostSpec;
use crate::trace::Trace;
use crate::violation::Violation;

/// Names a host of a world.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct HostId(u16);

enum Happening {
    Enter { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    Arrive { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    Act(Action),
}

/// Hosts, links, and a clock that stands still until the next thing is due. See the [crate page](crate).
pub struct World {
    now: Instant,
    draws: Draws,
    hosts: Vec<Host>,
    network: LinkConfig,
    faults: Faults,
    links: BTreeMap<(u16, u16), (Link, FaultState)>,
    queue: BTreeMap<(Instant, u64), Happening>,
    sequence: u64,
    attacker: Option<Box<dyn Attacker>>,
    coins: fastrand::Rng,
    observer: Observer,
    model: Model,
    trace: Trace,
    wire: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now", &self.now).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl World {
    /// An empty world. Everything random in it comes from `seed`.
    pub fn new(seed: [u8; 32]) -> Self {
        let draws = Draws::new(seed);
        Self {
            now: Instant::ORIGIN,
            coins: draws.stream("attacker", 0),
            draws,
            hosts: Vec::new(),
            network: Network::Perfect.config(),
            faults: Faults::default(),
            links: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            attacker: None,
            observer: Observer::default(),
            model: Model::default(),
            trace: Trace::new(),
            wire: Vec::new(),
        }
    }

    /// Adds a host; its engine starts now.
    ///
    /// # Panics
    ///
    /// At 65 536 hosts.
    pub fn add(&mut self, spec: HostSpec) -> Result<HostId, ConfigError> {
        let id = u16::try_from(self.hosts.len()).expect("fewer than 65 536 hosts");
        let draws = self.draws.child("host", id.into());
        self.hosts.push(Host::new(id, spec.into_parts(id, &draws), draws, self.now)?);
        Ok(HostId(id))
    }

    /// Puts someone on every link.
    pub fn set_attacker(&mut self, attacker: impl Attacker + 'static) {
        self.attacker = Some(Box::new(attacker));
    }

    /// Takes the attacker off.
    pub fn remove_attacker(&mut self) {
        self.attacker = None;
    }

    /// Keeps the trace's lines, not only their hash.
    pub fn keep_trace(&mut self) {
        self.trace.keep_lines();
    }

    /// The time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Does something now.
    pub fn act(&mut self, action: Action) -> Result<(), Violation> {
        self.trace.line(self.now, format_args!("{action:?}"));
        match action {
            Action::Connect { from, to, modes } => {
                // No room is an answer like any other here; `connect` tells.
                let _ = self.connect(from, to, modes)?;
            }
            Action::CloseAll(id) => {
                for session in self.sessions(id) {
                    self.close(id, session)?;
                }
            }
            Action::Network(config) => {
                self.network = config;
                self.links.values_mut().for_each(|(link, _)| link.set(config));
            }
            Action::Faults(faults) => {
                self.faults = faults;
                self.links.values_mut().for_each(|(_, state)| state.faults = faults);
            }
            Action::Block(from, to) => self.link(from.0, to.0).1.faults.blocked = true,
            Action::Heal => {
                self.faults = Faults::default();
                self.links.values_mut().for_each(|(_, state)| state.faults = Faults::default());
            }
            Action::Rebind(id, to) => self.host_mut(id).nat.rebind(to),
            Action::Expire(id) => self.host_mut(id).nat.expire(),
            Action::Suspend(id, time) => {
                let until = self.now + time;
                self.host_mut(id).suspend(until);
            }
            Action::Lateness(id, lateness) => self.host_mut(id).set_lateness(lateness),
            Action::Crash(id) => {
                self.model.crashes(id.0);
                self.host_mut(id).crash();
            }
            Action::Restart(id) => {
                self.model.crashes(id.0);
                let now = self.now;
                // The configuration was good the first time.
                let _ = self.host_mut(id).restart(now);
            }
            Action::SlowSigner(id, time) => self.host_mut(id).signing = time,
            Action::FailSigner(id, failing) => self.host_mut(id).set_signer_failing(failing),
            Action::Shutdown(id, how) => {
                let now = self.now;
                if let Some(engine) = &mut self.host_mut(id).engine {
                    engine.shutdown(now, how);
                }
                self.with(id, Host::after_command)?;
            }
            Action::Wall(id, wall) => {
                if let Some(engine) = &mut self.host_mut(id).engine {
                    engine.handle_wall_clock(wall);
                }
            }
            Action::Inject(Forged { after, from, to, bytes }) => {
                self.queue(self.now + after, Happening::Arrive { from, to, bytes });
            }
        }
        Ok(())
    }

    /// Does something at `time`, or now if that has passed.
    pub fn at(&mut self, time: Instant, action: Action) {
        self.queue(time.max(self.now), Happening::Act(action));
    }

    /// Opens a session from one host to the address and fingerprint of another.
    pub fn connect(
        &mut self,
        from: HostId,
        to: HostId,
        modes: ModePolicy,
    ) -> Result<Result<SessionId, ConnectError>, Violation> {
        let (addr, peer) = (self.addr(to), self.peer_id(to));
        self.connect_to(from, addr, &peer, modes)
    }

    /// Opens a session from a host to any address, with any fingerprint.
    pub fn connect_to(
        &mut self,
        from: HostId,
        addr: SocketAddr,
        peer: &PeerId,
        modes: ModePolicy,
    ) -> Result<Result<SessionId, ConnectError>, Violation> {
        let now = self.now;
        let Some(engine) = &mut self.host_mut(from).engine else { return Ok(Err(ConnectError::ShuttingDown)) };
        let result = engine.connect(now, Path::new(addr, None), peer, modes);
        self.trace.line(now, format_args!("host {} connects to {addr}: {result:?}", from.0));
        if let Ok(id) = result {
            self.model.connects(self.hosts[usize::from(from.0)].end(id), *peer, modes);
            self.with(from, |host, around| host.began(around, id))?;
        }
        Ok(result)
    }

    /// Queues a message, as an application would.
    pub fn send(
        &mut self,
        host: HostId,
        session: SessionId,
        message: &[u8],
    ) -> Result<Result<MessageId, SendError>, Violation> {
        self.with(host, |host, around| {
            let result = host.send(around, session, message, true)?;
            host.after_command(around)?;
            Ok(result)
        })
    }

    /// Queues a message that may overtake others.
    pub fn send_unordered(
        &mut self,
        host: HostId,
        session: SessionId,
        message: &[u8],
    ) -> Result<Result<MessageId, SendError>, Violation> {
        self.with(host, |host, around| {
            let result = host.send(around, session, message, false)?;
            host.after_command(around)?;
            Ok(result)
        })
    }

    /// Closes a session, as an application would.
    pub fn close(&mut self, host: HostId, session: SessionId) -> Result<(), Violation> {
        self.with(host, |host, around| {
            host.close(session);
            host.after_command(around)
        })
    }

    /// Lets the next thing happen; `false` if nothing ever will.
    pub fn step(&mut self) -> Result<bool, Violation> {
        let network = self.queue.keys().next().map(|key| key.0);
        let host = self.hosts.iter().filter_map(|host| Some((host.due()?, host))).min_by_key(|(due, _)| *due);
        let host = host.map(|(due, host)| (due, HostId(host.end(SessionId::from_raw(0)).host)));
        match (network, host) {
            (None, None) => return Ok(false),
            (Some(at), other) if other.is_none_or(|(due, _)| at <= due) => {
                self.now = self.now.max(at);
                let Some((_, happening)) = self.queue.pop_first() else { return Ok(false) };
                self.happen(happening)?;
            }
            (_, Some((due, id))) => {
                self.now = self.now.max(due);
                self.with(id, Host::serve)?;
            }
            (Some(_), None) => {}
        }
        Ok(true)
    }

    /// Lets everything happen that is due until `time`, that moment included.
    pub fn run_until(&mut self, time: Instant) -> Result<(), Violation> {
        while self.next_due().is_some_and(|due| due <= time) {
            self.step()?;
        }
        self.now = self.now.max(time);
        Ok(())
    }

    /// Lets everything happen for this long.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Violation> {
        self.run_until(self.now + time)
    }

    /// Lets things happen until `done` says so, for `limit` at most. Whether it did.
    pub fn run_while_not(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> Result<bool, Violation> {
        let end = self.now + limit;
        loop {
            if done(self) {
                return Ok(true);
            }
            if self.next_due().is_none_or(|due| due > end) {
                self.now = end;
                return Ok(false);
            }
            self.step()?;
        }
    }

    fn host(&self, id: HostId) -> &Host {
        &self.hosts[usize::from(id.0)]
    }

    fn host_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.hosts[usize::from(id.0)]
    }

    fn queue(&mut self, at: Instant, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), happening);
    }

    /// Runs `work` on a host, then puts on the links what it sent.
    fn with<T>(
        &mut self,
        id: HostId,
        work: impl FnOnce(&mut Host, &mut Surroundings<'_>) -> Result<T, Violation>,
    ) -> Result<T, Violation> {
        let Self { now, hosts, model, trace, wire, .. } = self;
        let mut around = Surroundings { now: *now, model, trace, wire };
        let result = work(&mut hosts[usize::from(id.0)], &mut around);
        for (from, to, bytes) in std::mem::take(&mut self.wire) {
            self.leaves(from, to, bytes);
        }
        result
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Act(action) => self.act(action),
            Happening::Enter { from, to, bytes } => {
                self.enters(from, to, bytes);
                Ok(())
            }
            Happening::Arrive { from, to, bytes } => {
                let Some(id) = self.owner(to) else {
                    self.trace.line(self.now, format_args!("nobody has {to}"));
                    return Ok(());
                };
                self.trace.line(self.now, format_args!("{to} gets {} bytes from {from}", bytes.len()));
                self.observer.arrives(Sighting { time: self.now, from, to, len: bytes.len() });
                self.with(id, |host, around| host.arrive(around, from, bytes))
            }
        }
    }

    fn owner(&self, addr: SocketAddr) -> Option<HostId> {
        let host = self.hosts.iter().position(|host| host.nat.is_mapped() && host.nat.public() == addr)?;
        u16::try_from(host).ok().map(HostId)
    }

    /// A datagram leaves its host: it is seen, and met.
    fn leaves(&mut self, from: SocketAddr, to: SocketAddr, mut bytes: Vec<u8>) {
        self.observer.leaves(Sighting { time: self.now, from, to, len: bytes.len() });
        // The last bytes of a datagram depend on all the others, so they stand for its content.
        let tag = bytes.last_chunk().map_or(0, |tag| u64::from_be_bytes(*tag));
        self.trace.line(self.now, format_args!("{from} -> {to} {} bytes {tag:016x}", bytes.len()));
        let Some(attacker) = &mut self.attacker else { return self.enters(from, to, bytes) };
        let mut forged = Vec::new();
        let mut encounter = Encounter {
            now: self.now,
            from,
            to,
            bytes: &mut bytes,
            rng: &mut self.coins,
            forged: &mut forged,
            dropped: false,
            delay: Duration::ZERO,
        };
        attacker.meet(&mut encounter);
        let Encounter { from, to, dropped, delay, .. } = encounter;
        for Forged { after, from, to, bytes } in forged {
            self.queue(self.now + after, Happening::Arrive { from, to, bytes });
        }
        if !dropped {
            self.queue(self.now + delay, Happening::Enter { from, to, bytes });
        }
    }

    /// A datagram enters the link to its destination.
    fn enters(&mut self, from: SocketAddr, to: SocketAddr, mut bytes: Vec<u8>) {
        let source = self.owner(from).map_or(u16::MAX, |host| host.0);
        let Some(target) = self.owner(to) else {
            self.trace.line(self.now, format_args!("nobody has {to}"));
            return;
        };
        let now = self.now;
        let (link, state) = self.link(source, target.0);
        let times = link.carry(now, bytes.len());
        if state.faults.blocked {
            return;
        }
        let again = state.apply(&mut bytes);
        for at in times.into_iter().flatten() {
            self.queue(at, Happening::Arrive { from, to, bytes: bytes.clone() });
            if let Some(bytes) = again.clone() {
                self.queue(at + Duration::from_micros(50), Happening::Arrive { from, to, bytes });
            }
        }
    }

    fn link(&mut self, from: u16, to: u16) -> &mut (Link, FaultState) {
        let (draws, network, faults) = (&self.draws, self.network, self.faults);
        self.links.entry((from, to)).or_insert_with(|| {
            let index = u64::from(from) << 16 | u64::from(to);
            (Link::new(network, draws.stream("link", index)), FaultState::new(faults, draws.stream("fault", index)))
        })
    }
}
