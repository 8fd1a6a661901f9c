//! One turn of the loop. Never blocks.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use b4ae_core::{Clock, Engine, Instant, Seed, Shutdown};
use zeroize::Zeroizing;

use crate::handle::Handle;
use crate::jobs::{Done, JobPool};
use crate::launch::Launch;
use crate::link::Look;
use crate::links::{Found, Links};
use crate::mailbox::Mailbox;
use crate::outbox::{Departure, Outbox};
use crate::socket::{Receiver, Socket};
use crate::sync::lock;
use crate::tick::Tick;
use crate::{BindError, EndpointConfig, Pacing};

/// What the loop should do after a turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Turn {
    /// Wait until this time, the socket is readable, or the waker is woken.
    Sleep(std::time::Instant),
    /// Wait until the socket is readable or the waker is woken.
    Idle,
    /// Drop the driver.
    Stop,
}

/// System calls to receive before the clock and the application get their turn.
const RECEIVE_CALLS: usize = 8;
/// Errors in a row after which the socket is left alone for a moment.
const RECEIVE_ERRORS: usize = 8;
/// How often in a row the application may be put off for a cell that is about to be due.
const POSTPONED: u8 = 3;
/// When to come back to a lock that an application thread held.
const LOCKED: Duration = Duration::from_micros(200);
/// The longest that the loop watches the clock instead of sleeping.
const MOST_SPIN: Duration = Duration::from_micros(500);
/// How often the engine is told the wall clock.
const WALL_EVERY: Duration = Duration::from_secs(10);
/// How often the engine is given fresh entropy.
const RESEED_EVERY: Duration = Duration::from_secs(3600);

/// A stop under way.
#[derive(Clone, Copy)]
struct Stopping {
    /// When it is complete, whatever is left.
    deadline: Instant,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    /// The handles' queues are emptied into the engine.
    Closing,
    /// The engine has everything, and has been told.
    Draining,
    /// Every session has ended; the cells that say so still wait for their slots.
    Leaving,
}

/// What a turn did to a stop.
enum Stop {
    Still,
    /// Something became of it that the next exchange has to tell.
    Moved,
    Complete,
}

/// The engine with everything around it, driven by a runtime: [`turn`](Self::turn), wait, [`receive`](Self::receive) if
/// the socket is readable, and again. Dropping it stops the endpoint.
pub struct Driver {
    // Fields are dropped in this order; `links` comes last, because it tells the application that the socket is
    // closed.
    clock: Clock,
    engine: Engine,
    socket: Socket,
    receiver: Receiver,
    outbox: Outbox,
    tick: Tick,
    spin: Duration,
    jobs: JobPool,
    waker: Option<Waker>,
    stopping: Option<Stopping>,
    postponed: u8,
    next_wall: Instant,
    next_reseed: Instant,
    mailbox: Arc<Mailbox>,
    links: Links,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("local", &self.local_addr()).finish_non_exhaustive()
    }
}

/// What sending needs, borrowed field by field.
macro_rules! departure {
    ($driver:ident) => {
        Departure {
            clock: &$driver.clock,
            socket: &$driver.socket,
            counters: &$driver.mailbox.counters,
            lateness: &$driver.mailbox.lateness,
        }
    };
}

impl Driver {
    /// Binds the socket, seeds an engine from the system and starts the job threads.
    pub fn bind(config: EndpointConfig) -> Result<(Self, Handle), BindError> {
        let EndpointConfig {
            identity,
            config,
            listen,
            offer,
            tick,
            spin,
            launch_times,
            job_threads,
            flush_on_drop,
            ..
        } = config;
        let clock = Clock::new();
        let now = clock.now();
        let signs = identity.can_sign();
        let engine = Engine::new(&config, identity, &seed().map_err(BindError::Entropy)?, now, Clock::wall())?;
        let socket = Socket::bind(listen)?;
        let (limits, traffic) = (config.limits(), config.traffic());
        let protected = traffic.is_protected();
        let mailbox = Arc::new(Mailbox::new(clock, socket.local(), engine.peer_id(), offer, limits, protected));
        let tick = Tick::new(traffic, tick);
        let apart = traffic.slot_distance(limits.sessions);
        let spin = spin.min(MOST_SPIN).min(tick.length().unwrap_or(apart) / 2);
        let lead = if protected { traffic.lead() } else { Duration::ZERO };
        let launch = launch_times.then(|| Launch::new(&socket, &clock, lead));
        mailbox.counters.timing.begin(tick.length(), spin, launch.as_ref());
        let launch = launch.and_then(Result::ok).unwrap_or(Launch::OFF);
        let waker = Arc::clone(&mailbox);
        let wake = move || waker.loop_waker.wake();
        let jobs = JobPool::start(job_threads, signs, &wake).map_err(BindError::Thread)?;
        let handle = Handle::new(Arc::clone(&mailbox), flush_on_drop);
        let driver = Self {
            clock,
            engine,
            socket,
            receiver: Receiver::new(),
            outbox: Outbox::new(protected.then_some(traffic.tolerance()), ahead(lead, apart), tick, launch),
            tick,
            spin,
            jobs,
            waker: None,
            stopping: None,
            postponed: 0,
            next_wall: now + WALL_EVERY,
            next_reseed: now + RESEED_EVERY,
            links: Links::new(Arc::clone(&mailbox)),
            mailbox,
        };
        Ok((driver, handle))
    }

    /// The address the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.socket.local()
    }

    /// The socket, to wait for it to be readable.
    pub fn socket(&self) -> &UdpSocket {
        self.socket.io()
    }

    /// How long it is until `at`, by the clock the driver goes by.
    pub fn remaining(&self, at: std::time::Instant) -> Duration {
        at.saturating_duration_since(self.clock.to_std(self.clock.now()))
    }

    #[cfg(test)]
    pub(crate) fn clock_now(&self) -> std::time::Instant {
        self.clock.to_std(self.clock.now())
    }

    /// When the next cell leaves.
    #[cfg(test)]
    pub(crate) fn next_departure(&self) -> Option<std::time::Instant> {
        self.outbox.next_due().map(|due| self.clock.to_std(due))
    }

    /// When to wake up for what is to be done `at` a time: the same, or earlier where the next cell is spun for.
    pub(crate) fn awake_by(&self, at: std::time::Instant) -> std::time::Instant {
        match self.outbox.next_due().filter(|_| self.spin > Duration::ZERO) {
            Some(due) => at.min(self.clock.to_std(due.saturating_sub(self.spin))),
            None => at,
        }
    }

    /// Watches the clock until the next cell is due, if that is soon.
    pub(crate) fn spin(&self) {
        let Some(due) = self.outbox.next_due() else { return };
        if self.spin > Duration::ZERO && due - self.clock.now() <= self.spin {
            while self.clock.now() < due {
                std::hint::spin_loop();
            }
        }
    }

    /// Tells the statistics how slots are kept in time.
    pub fn set_pacing(&self, pacing: Pacing) {
        lock(&self.mailbox.state).pacing = pacing;
    }

    /// Sends what is due, lets the engine act, and exchanges with the application and the job threads. `wake` must make
    /// the loop call this again soon. Extra calls do no harm.
    pub fn turn(&mut self, wake: &Waker) -> Turn {
        self.outbox.send_due(departure!(self));
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(wake)) {
            self.mailbox.loop_waker.set(wake);
            self.waker = Some(wake.clone());
        }
        let now = self.clock.now();
        self.tell_clocks(now);
        self.engine.handle_timeout(now);
        while let Some(done) = self.jobs.take() {
            match done {
                Done::Completed(completion) => self.engine.handle_completion(now, completion),
                Done::Panicked => self.mailbox.counters.job_panics.add(),
            }
            self.outbox.send_due(departure!(self));
        }

        // Before the exchange, since sealing a cell may end a session or make room in its queue.
        self.outbox.collect(&mut self.engine, departure!(self));
        self.outbox.send_due(departure!(self));

        let found = self.exchange(now);
        let stop = self.advance_stop(now, found.stop);

        while let Some(job) = self.engine.poll_job() {
            self.jobs.submit(job);
            self.outbox.send_due(departure!(self));
        }
        self.outbox.collect(&mut self.engine, departure!(self));
        self.outbox.send_due(departure!(self));
        match stop {
            Stop::Complete => {
                self.links.tell_last(&self.engine);
                Turn::Stop
            }
            Stop::Moved => self.until(now, Look::More),
            Stop::Still => self.until(now, found.look),
        }
    }

    /// Takes in what has arrived. `Ok` when there may be more, `WouldBlock` when there is not; another error when the
    /// socket keeps failing and is better left alone for some milliseconds. No error ends the loop.
    pub fn receive(&mut self) -> io::Result<()> {
        self.outbox.send_due(departure!(self));
        self.tell_clocks(self.clock.now());
        let mut errors = 0;
        for _ in 0..RECEIVE_CALLS {
            let via = departure!(self);
            let (engine, outbox) = (&mut self.engine, &mut self.outbox);
            outbox.send_due(via);
            let received = self.receiver.receive(&self.socket, |path, datagram| {
                outbox.send_due(via);
                engine.handle_datagram(via.clock.now(), path, datagram);
            });
            match received {
                Ok(true) => {}
                // What arrives from here on makes the socket readable anew.
                Ok(false) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Err(e),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    // An ICMP error about something sent earlier, or a system short of memory: neither is the peers'.
                    self.mailbox.counters.receive_errors.add();
                    errors += 1;
                    if errors == RECEIVE_ERRORS {
                        return Err(e);
                    }
                }
            }
        }
        Ok(())
    }

    /// Exchanges with the application, unless a cell is about to be due: what the application does takes time, tasks to
    /// be woken most of all, and must not show in when the cell leaves.
    fn exchange(&mut self, now: Instant) -> Found {
        if self.outbox.is_near(now) && self.postponed < POSTPONED {
            self.postponed += 1;
            return Found { look: Look::Done, stop: None };
        }
        self.postponed = 0;
        let Self { engine, outbox, links, .. } = self;
        let via = departure!(self);
        links.exchange(engine, now, || outbox.send_due(via))
    }

    fn tell_clocks(&mut self, now: Instant) {
        if now >= self.next_wall {
            self.next_wall = now + WALL_EVERY;
            self.engine.handle_wall_clock(Clock::wall());
        }
        if now >= self.next_reseed {
            self.next_reseed = now + RESEED_EVERY;
            // Without fresh entropy the old serves on.
            if let Ok(seed) = seed() {
                self.engine.reseed(&seed);
            }
        }
    }

    fn advance_stop(&mut self, now: Instant, asked: Option<Instant>) -> Stop {
        let stopping = match (&mut self.stopping, asked) {
            (None, None) => return Stop::Still,
            (None, Some(deadline)) => {
                self.stopping = Some(Stopping { deadline, stage: Stage::Closing });
                self.links.begin_close();
                return Stop::Moved;
            }
            (Some(stopping), _) => stopping,
        };
        if let Some(asked) = asked {
            stopping.deadline = stopping.deadline.min(asked);
        }
        if now >= stopping.deadline {
            self.engine.shutdown(now, Shutdown::Now);
            return Stop::Complete;
        }
        match stopping.stage {
            Stage::Closing if self.links.is_handed_over() => {
                self.engine.shutdown(now, Shutdown::Flush(stopping.deadline));
                stopping.stage = Stage::Draining;
                Stop::Moved
            }
            Stage::Draining if self.engine.is_drained() => {
                let last = self.outbox.last_due().map_or(now, |due| due + Duration::from_nanos(1));
                *stopping = Stopping { deadline: stopping.deadline.min(last), stage: Stage::Leaving };
                Stop::Moved
            }
            _ => Stop::Still,
        }
    }

    fn until(&self, now: Instant, look: Look) -> Turn {
        let look = match look {
            // Put off for a cell that has left since.
            Look::Done if self.postponed > 0 && !self.outbox.is_near(self.clock.now()) => Some(now),
            Look::Done => None,
            Look::Locked => Some(now + LOCKED),
            Look::More => Some(now),
        };
        // What was put off comes after the cell that it was put off for.
        let links = self.links.next_due().filter(|_| self.postponed == 0);
        let deadline = self.stopping.map(|stopping| stopping.deadline);
        // On a fine grid a cell is to be sealed every few microseconds; those of a tick are sealed together, well
        // ahead.
        let engine = self.engine.poll_timeout().map(|at| self.tick.at_or_after(at));
        let next = [engine, self.outbox.next_due(), links, look, deadline];
        next.into_iter().flatten().min().map_or(Turn::Idle, |at| Turn::Sleep(self.clock.to_std(at)))
    }
}

/// Cells that may be sealed at a time: those of a lead, as slots are `apart`, and as many again where chance has it.
fn ahead(lead: Duration, apart: Duration) -> usize {
    let sealed = lead.as_nanos().checked_div(apart.as_nanos()).unwrap_or(0);
    usize::try_from(sealed).unwrap_or(usize::MAX).saturating_mul(2)
}

fn seed() -> Result<Seed, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes)?;
    Ok(Seed::new(*bytes))
}

#[cfg(test)]
mod tests {
    use b4ae_core::{Accept, Config, Identity, Limits, ModePolicy, SecretIdentity, Traffic};
    use std::task::{Context, Poll};

    use super::*;
    use crate::thread;

    /// Half a second between sealing a cell and its slot, for things to happen in.
    const LEAD: Duration = Duration::from_millis(500);

    fn config(seed: u8) -> EndpointConfig {
        let traffic = Traffic::constant(Duration::from_millis(100)).with_lead(LEAD);
        let limits = Limits { sessions: 1, ..Limits::default() };
        let config = Config::builder(traffic).limits(limits).accept(Accept::Anyone(ModePolicy::A));
        let config = config.build().expect("a valid configuration");
        let identity = Identity::from_secret(&SecretIdentity::generate(&Seed::new([seed; 32])));
        EndpointConfig::new(identity, config).offer(ModePolicy::A).listen("127.0.0.1:0".parse().expect("an address"))
    }

    /// Whether a slot's cell is payload is settled when it is sealed. What is left for the slot is to send it.
    #[test]
    fn what_the_application_does_changes_no_cell_that_waits_for_its_slot() {
        let (peer, peer_handle) = Driver::bind(config(2)).expect("loopback can be bound");
        thread::spawn(peer, false).expect("a thread can be started");
        let (mut driver, handle) = Driver::bind(config(1)).expect("loopback can be bound");
        let session = handle.connect(peer_handle.local_addr(), &peer_handle.peer_id(), ModePolicy::A).expect("taken");
        let mut cx = Context::from_waker(Waker::noop());
        let step = |driver: &mut Driver| {
            let _ = driver.receive();
            let _ = driver.turn(Waker::noop());
            std::thread::sleep(Duration::from_millis(1));
        };
        for turns in 0.. {
            assert!(turns < 20_000, "no session after twenty seconds");
            step(&mut driver);
            if session.poll_established(&mut cx).is_ready() && driver.outbox.held().count() >= 3 {
                break;
            }
        }

        let sealed: Vec<_> = driver.outbox.held().map(|(at, bytes)| (at, bytes.to_vec())).collect();
        let mut message = Some(vec![7; 3000]);
        assert!(matches!(session.poll_send(&mut cx, &mut message), Poll::Ready(Ok(_))));
        let last = sealed.last().expect("three and more").0;
        while driver.clock.now() < last {
            step(&mut driver);
            // Those that are still there are what they were, and leave when they were to leave.
            let left: Vec<_> = driver.outbox.held().filter(|(at, _)| *at <= last).collect();
            let of_before: Vec<_> = sealed[sealed.len() - left.len()..].iter().map(|(at, b)| (*at, &b[..])).collect();
            assert_eq!(left, of_before);
        }
        // The message was taken meanwhile, and is in cells sealed since.
        assert_eq!(session.stats().queued_messages, 1);
        for turns in 0.. {
            assert!(turns < 20_000, "not delivered after twenty seconds");
            step(&mut driver);
            if session.poll_flushed(&mut cx, 1).is_ready() {
                break;
            }
        }
    }
}
