//! Engines on a wire that a test may interfere with.

#![allow(dead_code, reason = "each suite uses its part")]
#![allow(unreachable_pub, missing_docs, missing_debug_implementations, reason = "helpers of tests")]

use std::time::Duration;

use b4ae_core::{
    Accept, CloseReason, Config, ConfigBuilder, DATAGRAM_LEN, Engine, Event, Identity, Instant, Job, Limits, MessageId,
    ModePolicy, Path, SecretIdentity, Seed, SessionId, Traffic, TransmitKind, TxBuf, UnixTime,
};

const STEP: Duration = Duration::from_millis(1);
const LATENCY: Duration = Duration::from_millis(5);

/// A datagram on its way, and what it was when it left.
#[derive(Clone)]
pub struct Flight {
    pub at: Instant,
    pub from: usize,
    pub to: Path,
    pub kind: TransmitKind,
    pub bytes: [u8; DATAGRAM_LEN],
}

/// Engines at addresses of their own, and a wire that a test may interfere with.
pub struct World {
    pub engines: Vec<Engine>,
    pub now: Instant,
    pub wire: Vec<Flight>,
    /// Every datagram that left: time, sender, destination.
    pub trace: Vec<(Instant, usize, Path)>,
    pub events: Vec<(usize, Event)>,
    pub received: Vec<(usize, Vec<u8>)>,
    /// Where each engine is at present.
    pub places: Vec<Path>,
    /// How many of each engine's next jobs get lost.
    pub lost_jobs: Vec<usize>,
    /// Engines whose application takes neither events nor messages.
    pub deaf: Vec<usize>,
    /// Engines whose signer never comes back, and the jobs that are with it.
    pub stuck: Vec<usize>,
    pub held: Vec<(usize, Job)>,
    /// Of every job that was run, whose it was and whether it said that it signs.
    pub jobs: Vec<(usize, bool)>,
}

pub fn address(n: usize) -> Path {
    Path::new(([192, 0, 2, 1 + n as u8], 7000).into(), None)
}

/// The keys of the `n`th engine.
pub fn secret(n: usize) -> SecretIdentity {
    SecretIdentity::generate(&Seed::new([n as u8 + 1; 32]))
}

pub fn config(traffic: Traffic) -> ConfigBuilder {
    Config::builder(traffic).accept(Accept::Anyone(ModePolicy::A_THEN_B))
}

pub fn few() -> Limits {
    Limits { sessions: 4, ..Limits::default() }
}

pub fn constant(millis: u64) -> ConfigBuilder {
    config(Traffic::constant(Duration::from_millis(millis)).with_max_queue_latency(Duration::from_secs(600)))
        .idle_timeout(Duration::from_secs(600))
        .limits(few())
}

impl World {
    pub fn new(configs: impl IntoIterator<Item = ConfigBuilder>) -> Self {
        Self::of(configs.into_iter().enumerate().map(|(n, config)| (config, Identity::from_secret(&secret(n)))))
    }

    pub fn of(hosts: impl IntoIterator<Item = (ConfigBuilder, Identity)>) -> Self {
        let engines = hosts.into_iter().enumerate().map(|(n, (config, identity))| {
            let seed = Seed::new([n as u8 + 101; 32]);
            let config = config.build().expect("a sound configuration");
            Engine::new(&config, identity, &seed, Instant::ORIGIN, UnixTime(0)).expect("an engine")
        });
        let engines: Vec<_> = engines.collect();
        Self {
            places: (0..engines.len()).map(address).collect(),
            lost_jobs: vec![0; engines.len()],
            engines,
            now: Instant::ORIGIN,
            wire: Vec::new(),
            trace: Vec::new(),
            events: Vec::new(),
            received: Vec::new(),
            deaf: Vec::new(),
            stuck: Vec::new(),
            held: Vec::new(),
            jobs: Vec::new(),
        }
    }

    pub fn connect(&mut self, from: usize, to: usize, modes: ModePolicy) -> SessionId {
        let peer = self.engines[to].peer_id();
        self.engines[from].connect(self.now, self.places[to], &peer, modes).expect("room for a session")
    }

    pub fn send(&mut self, from: usize, id: SessionId, message: &[u8]) -> MessageId {
        self.engines[from].session(id).expect("a session").send(message).expect("room for a message")
    }

    /// A millisecond. `wire` sees each datagram as it leaves, and may drop it, change it or add others.
    pub fn turn_with(&mut self, wire: &mut impl FnMut(Flight) -> Vec<Flight>) {
        self.now = self.now + STEP;
        let now = self.now;
        let (arrived, still) = std::mem::take(&mut self.wire).into_iter().partition(|flight| flight.at <= now);
        self.wire = still;
        for Flight { from, to, mut bytes, .. } in arrived {
            if let Some(place) = self.places.iter().position(|place| *place == to) {
                let source = self.places[from];
                self.engines[place].handle_datagram(now, source, &mut bytes);
            }
        }
        for me in 0..self.engines.len() {
            let engine = &mut self.engines[me];
            if engine.poll_timeout().is_some_and(|at| at <= now) {
                engine.handle_timeout(now);
            }
            while self.lost_jobs[me] > 0
                && let Some(job) = engine.poll_job()
            {
                drop(job);
                self.lost_jobs[me] -= 1;
            }
            while let Some(job) = engine.poll_job() {
                if job.signs() && self.stuck.contains(&me) {
                    self.held.push((me, job));
                } else {
                    self.jobs.push((me, job.signs()));
                    engine.handle_completion(now, job.run());
                }
            }
            let mut bytes = [0; DATAGRAM_LEN];
            while let Some(transmit) = engine.poll_transmit(TxBuf::new(&mut bytes).expect("room")) {
                self.trace.push((transmit.due, me, transmit.path));
                let at = transmit.due + LATENCY;
                self.wire.extend(wire(Flight { at, from: me, to: transmit.path, kind: transmit.kind, bytes }));
            }
            if !self.deaf.contains(&me) {
                self.listen(me);
            }
        }
    }

    pub fn listen(&mut self, me: usize) {
        let engine = &mut self.engines[me];
        while let Some(event) = engine.poll_event() {
            self.events.push((me, event));
            if let Event::Readable(id) = event {
                let mut session = engine.session(id).expect("it has just spoken");
                while let Some(len) = session.next_len() {
                    let mut message = vec![0; len];
                    session.recv(&mut message).expect("room");
                    self.received.push((me, message));
                }
            }
        }
    }

    pub fn turn(&mut self) {
        self.turn_with(&mut |flight| vec![flight]);
    }

    pub fn run(&mut self, millis: u64) {
        (0..millis).for_each(|_| self.turn());
    }

    pub fn delivered(&self, at: usize) -> usize {
        self.events.iter().filter(|(n, event)| *n == at && matches!(event, Event::Delivered(..))).count()
    }

    pub fn closed(&self, at: usize) -> Option<CloseReason> {
        self.events.iter().find_map(|(n, event)| match event {
            Event::Closed(_, reason) if *n == at => Some(*reason),
            _ => None,
        })
    }

    pub fn opened(&self, at: usize) -> Option<SessionId> {
        self.events.iter().find_map(|(n, event)| match event {
            Event::Incoming(id) | Event::Established(id) if *n == at => Some(*id),
            _ => None,
        })
    }
}
