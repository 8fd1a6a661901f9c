//! A whole run as one value: enums that shrink to the plain case, printed as Rust to paste into a test.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use b4ae_core::{Accept, Config, ConfigError, Instant, Limits, ModePolicy, Traffic};

use crate::action::Action;
use crate::app::{Behaviour, Reading, millis};
use crate::fault::Faults;
use crate::job::Latency;
use crate::link::Network;
use crate::observer::Sighting;
use crate::spec::HostSpec;
use crate::violation::Violation;
use crate::world::{HostId, World};

/// Everything a printed scenario names, for `use b4ae_sim::scenario::literal::*` above a pasted one.
pub mod literal {
    pub use super::Grid::{self, Balanced, Fast, Grouped, Random, Slow};
    pub use super::Offer::{self, OfferA, OfferAThenB, OfferB};
    pub use super::Scenario;
    pub use super::SimSeed::{self, Of, Zero};
    pub use super::Step::{self, *};
    pub use super::Topology::{self, Bundle, Pair, Star};
    pub use crate::app::Behaviour::{self, *};
    pub use crate::app::Reading::{self, FromMs, Never, Prompt};
    pub use crate::link::Network::{self, *};
}

/// Where a scenario's randomness comes from. Shrinks to zero: what still fails then does not depend on the seed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SimSeed {
    /// Thirty-two zero bytes.
    #[default]
    Zero,
    /// These bytes.
    Of([u8; 32]),
}

impl SimSeed {
    /// The bytes.
    pub const fn bytes(self) -> [u8; 32] {
        match self {
            Self::Zero => [0; 32],
            Self::Of(bytes) => bytes,
        }
    }
}

/// Who connects to whom. Host 0 is the server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Topology {
    /// One client, one session.
    #[default]
    Pair,
    /// One client, this many sessions.
    Bundle(u8),
    /// This many clients, a session each.
    Star(u8),
}

/// When cells leave: how fast the grid is, or which other schedule there is instead.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Grid {
    /// 1 ms.
    #[default]
    Fast,
    /// 10 ms, one slot in five reserved.
    Balanced,
    /// 100 ms, every other slot reserved.
    Slow,
    /// No grid: at random, for each session 10 ms apart in the mean.
    Random,
    /// No grid: four cells for each session every 300 ms, 2 ms apart.
    Grouped,
}

impl Grid {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Fast, Self::Balanced, Self::Slow, Self::Random, Self::Grouped];

    /// The traffic, with the leave boundary given.
    pub const fn traffic(self, leave_boundary: Duration) -> Traffic {
        let traffic = match self {
            Self::Fast => Traffic::constant(Duration::from_millis(1)),
            Self::Balanced => Traffic::balanced(),
            Self::Slow => Traffic::high_security(),
            Self::Random => Traffic::poisson(Duration::from_millis(10)),
            Self::Grouped => Traffic::burst(Duration::from_millis(300), 4).with_spacing(Duration::from_millis(2)),
        };
        traffic.with_leave_boundary(leave_boundary)
    }
}

/// What clients offer; servers accept all of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Offer {
    /// Mode A.
    #[default]
    OfferA,
    /// Mode B.
    OfferB,
    /// Both, A preferred.
    OfferAThenB,
}

impl Offer {
    /// As the engine takes it.
    pub const fn policy(self) -> ModePolicy {
        match self {
            Self::OfferA => ModePolicy::A,
            Self::OfferB => ModePolicy::B,
            Self::OfferAThenB => ModePolicy::A_THEN_B,
        }
    }
}

/// One thing after another that happens to a world. Hosts are taken modulo their number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Time passes.
    WaitMs(u32),
    /// A client connects once more.
    Connect(u8),
    /// A host closes every session.
    CloseAll(u8),
    /// Nothing gets from one host to another.
    Block(u8, u8),
    /// Blocks and faults end.
    Heal,
    /// The network changes.
    Become(Network),
    /// A client's source port changes.
    Rebind(u8),
    /// A host's address mapping expires.
    Expire(u8),
    /// A host gets no turns for so many milliseconds.
    SuspendMs(u8, u32),
    /// A host's timers fire up to so many microseconds late.
    LateUs(u8, u32),
    /// A host ends.
    Crash(u8),
    /// A host starts again.
    Restart(u8),
    /// A host's signatures take so many milliseconds more.
    SlowSignerMs(u8, u32),
    /// A host's signer fails.
    FailSigner(u8),
    /// So many datagrams in a thousand are corrupted.
    Corrupt(u16),
    /// So many are cut short.
    Truncate(u16),
    /// So many are followed by an earlier one.
    Replay(u16),
}

/// A run. [`Scenario::run`] makes it happen; printed, it is Rust.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scenario {
    /// The source of everything random.
    pub seed: SimSeed,
    /// Who connects to whom.
    pub topology: Topology,
    /// The network at the start.
    pub network: Network,
    /// The traffic of every host.
    pub grid: Grid,
    /// What clients offer.
    pub offer: Offer,
    /// What the clients' applications do.
    pub clients: Behaviour,
    /// What the server's application does.
    pub server: Behaviour,
    /// When applications take messages.
    pub reading: Reading,
    /// What happens meanwhile.
    pub steps: Vec<Step>,
    /// How long the world goes on after the last step.
    pub then_ms: u32,
}

/// Rust to paste into a test, below `use b4ae_sim::scenario::literal::*`.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format!("{self:?}").replace("steps: [", "steps: vec!["))
    }
}

/// What a run left behind.
#[derive(Debug)]
pub struct Outcome {
    /// The world after the run.
    pub world: World,
    /// Host 0.
    pub server: HostId,
    /// The others.
    pub clients: Vec<HostId>,
}

impl Outcome {
    /// What the adversary saw leave every host.
    pub fn observations(&self) -> Vec<Sighting> {
        self.world.observer().leaving().collect()
    }
}

/// A run that broke a promise, with the scenario that did it.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What happened.
    pub violation: Violation,
    /// When.
    pub at: Instant,
    /// In which scenario.
    pub scenario: Scenario,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at {} ns) in\n{}", self.violation, self.at.as_nanos(), self.scenario)
    }
}

impl std::error::Error for Failure {}

/// Sessions a host of a scenario has room for.
const SESSIONS: u32 = 16;

impl Scenario {
    /// The configuration of every host.
    pub fn config(&self) -> Result<Config, ConfigError> {
        Config::builder(self.grid.traffic(Duration::from_secs(3600)))
            .limits(Limits { sessions: SESSIONS, ..Limits::default() })
            .accept(Accept::Anyone(self.offer.policy()))
            .build()
    }

    /// Runs it with [`config`](Self::config).
    ///
    /// # Panics
    ///
    /// Never: the configuration is a constant but for the schedule, and every schedule is valid.
    pub fn run(&self) -> Result<Outcome, Box<Failure>> {
        self.run_with(&self.config().expect("every grid is valid"))
    }

    /// Runs it with another configuration.
    ///
    /// # Panics
    ///
    /// When no engine can be made of `config`.
    pub fn run_with(&self, config: &Config) -> Result<Outcome, Box<Failure>> {
        let mut world = World::new(self.seed.bytes());
        let spec = |behaviour| {
            let spec = HostSpec::new(config.clone())
                .behaviour(behaviour)
                .reading(self.reading)
                .job_latency(Latency::Between(Duration::from_micros(200), Duration::from_millis(3)));
            if self.offer == Offer::OfferA { spec.without_signer() } else { spec }
        };
        let server = world.add(spec(self.server)).expect("the configuration is valid");
        let (clients, sessions) = match self.topology {
            Topology::Pair => (1, 1),
            Topology::Bundle(sessions) => (1, sessions),
            Topology::Star(clients) => (clients.max(1), 1),
        };
        let clients: Vec<_> =
            (0..clients).map(|_| world.add(spec(self.clients)).expect("the configuration is valid")).collect();
        match self.play(&mut world, server, &clients, sessions) {
            Ok(()) => Ok(Outcome { world, server, clients }),
            Err(violation) => Err(Box::new(Failure { violation, at: world.now(), scenario: self.clone() })),
        }
    }

    fn play(&self, world: &mut World, server: HostId, clients: &[HostId], sessions: u8) -> Result<(), Violation> {
        world.act(Action::Network(self.network.config()))?;
        for client in clients {
            for _ in 0..sessions {
                world.act(Action::Connect { from: *client, to: server, modes: self.offer.policy() })?;
            }
        }
        let mut faults = Faults::default();
        for (n, step) in self.steps.iter().enumerate() {
            self.step(world, server, clients, &mut faults, n, *step)?;
        }
        world.run_for(millis(self.then_ms))
    }

    fn step(
        &self,
        world: &mut World,
        server: HostId,
        clients: &[HostId],
        faults: &mut Faults,
        n: usize,
        step: Step,
    ) -> Result<(), Violation> {
        let client = |n: u8| clients[usize::from(n) % clients.len()];
        let host = |n: u8| match usize::from(n) % (clients.len() + 1) {
            0 => server,
            n => clients[n - 1],
        };
        world.act(match step {
            Step::WaitMs(ms) => return world.run_for(millis(ms)),
            Step::Connect(n) => Action::Connect { from: client(n), to: server, modes: self.offer.policy() },
            Step::CloseAll(n) => Action::CloseAll(host(n)),
            Step::Block(from, to) => Action::Block(host(from), host(to)),
            Step::Heal => {
                *faults = Faults::default();
                Action::Heal
            }
            Step::Become(network) => Action::Network(network.config()),
            Step::Rebind(id) => {
                let port = 30_000 + u16::try_from(n % 30_000).unwrap_or(0);
                Action::Rebind(client(id), SocketAddr::new(world.addr(client(id)).ip(), port))
            }
            Step::Expire(n) => Action::Expire(client(n)),
            Step::SuspendMs(n, ms) => Action::Suspend(host(n), millis(ms)),
            Step::LateUs(n, us) => {
                Action::Lateness(host(n), Latency::Between(Duration::ZERO, Duration::from_micros(us.into())))
            }
            Step::Crash(n) => Action::Crash(host(n)),
            Step::Restart(n) => Action::Restart(host(n)),
            Step::SlowSignerMs(n, ms) => Action::SlowSigner(host(n), millis(ms)),
            Step::FailSigner(n) => Action::FailSigner(host(n), true),
            Step::Corrupt(permille) => {
                faults.corrupt = permille;
                Action::Faults(*faults)
            }
            Step::Truncate(permille) => {
                faults.truncate = permille;
                Action::Faults(*faults)
            }
            Step::Replay(permille) => {
                faults.replay = permille;
                Action::Faults(*faults)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::literal::*;

    #[test]
    fn a_scenario_prints_as_the_rust_that_makes_it() {
        let scenario = Scenario {
            seed: Of([3; 32]),
            topology: Star(3),
            network: Mobile,
            clients: Burst { at_ms: 5, messages: 2, len: 10 },
            steps: vec![WaitMs(10), Become(Lossy30), Rebind(0)],
            ..Scenario::default()
        };
        let seed = ["3"; 32].join(", ");
        assert_eq!(
            scenario.to_string(),
            format!(
                "Scenario {{ seed: Of([{seed}]), topology: Star(3), network: Mobile, grid: Fast, offer: OfferA, clients: \
                 Burst {{ at_ms: 5, messages: 2, len: 10 }}, server: Silent, reading: Prompt, steps: vec![WaitMs(10), \
                 Become(Lossy30), Rebind(0)], then_ms: 0 }}"
            )
        );
    }
}
