//! Trace non-interference: for a fixed seed, network and session set, when, where to and how long what leaves is the
//! same whatever the applications do.

use std::fmt;

use b4ae_core::{Config, Event, Instant, TransmitKind};
use b4ae_sim::scenario::literal::*;
use b4ae_sim::scenario::{Failure, Outcome};
use b4ae_sim::{Difference, Observer, Sighting, strategy};
use b4ae_tests::{BEHAVIOURS, Tally, cases, for_all, ms, opened, seen_between};
use proptest::prelude::*;

/// What the applications of a scenario do, in place of what the scenario says.
#[derive(Clone, Copy, Debug)]
struct Applications {
    clients: Behaviour,
    server: Behaviour,
    reading: Reading,
}

const SILENT: Applications = Applications { clients: Silent, server: Silent, reading: Prompt };

/// How the adversary got to know something.
enum Leak {
    /// The traffic differs.
    Wire(Box<Difference>),
    /// A cell left later than one may, or two left one host at one instant where slots are apart: slots that were
    /// missed were made up for.
    Burst(Instant),
    /// A host with an open session sent no cell: what is sent is not the schedule's, whatever it depends on.
    Silence(usize),
    /// The engine broke its contract.
    Contract(Box<Failure>),
    /// The driver is woken at other times.
    Wakes(usize),
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(difference) => write!(f, "the traffic differs: {difference}"),
            Self::Burst(time) => write!(f, "a cell that was missed left at {} ns", time.as_nanos()),
            Self::Silence(host) => write!(f, "host {host} has an open session and sends nothing"),
            Self::Contract(failure) => write!(f, "{failure}"),
            Self::Wakes(host) => write!(f, "the driver of host {host} is woken at other times"),
        }
    }
}

impl fmt::Debug for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn run(scenario: &Scenario, applications: Applications, config: &Config) -> Result<Outcome, Leak> {
    let Applications { clients, server, reading } = applications;
    let outcome = Scenario { clients, server, reading, ..scenario.clone() }.run_with(config).map_err(Leak::Contract)?;
    for (n, host) in outcome.clients.iter().chain([&outcome.server]).enumerate() {
        let cells = outcome.world.departures(*host).iter().filter(|sent| sent.kind == TransmitKind::Cell);
        let cells: Vec<_> = cells.copied().collect();
        if let Some(late) = cells.iter().find(|sent| sent.time - sent.due >= config.traffic().tolerance()) {
            return Err(Leak::Burst(late.time));
        }
        let times: Vec<_> = cells.iter().map(|sent| sent.time).collect();
        // Random points may be as close as the driver is late.
        let apart = scenario.grid != Random;
        if let Some(pair) = times.windows(2).find(|pair| apart && pair[0] >= pair[1]) {
            return Err(Leak::Burst(pair[1]));
        }
        let opened = outcome.world.events(*host).first().map(|(time, _)| *time);
        if times.is_empty() && opened.is_some_and(|time| outcome.world.now() - time > ms(500)) {
            return Err(Leak::Silence(n));
        }
    }
    Ok(outcome)
}

fn wire_is_equal(left: &Outcome, right: &Outcome) -> Result<(), Leak> {
    Observer::difference(&left.observations(), &right.observations())
        .map_or(Ok(()), |found| Err(Leak::Wire(Box::new(found))))
}

fn wakes_are_equal(left: &Outcome, right: &Outcome) -> Result<(), Leak> {
    for (n, host) in left.clients.iter().chain([&left.server]).enumerate() {
        if left.world.wakes(*host) != right.world.wakes(*host) {
            return Err(Leak::Wakes(n));
        }
    }
    Ok(())
}

/// The property: the scenario looks the same with these applications and with silent ones.
fn nothing_shows(scenario: &Scenario, applications: Applications, config: &Config) -> Result<Outcome, Leak> {
    let silent = run(scenario, SILENT, config)?;
    let busy = run(scenario, applications, config)?;
    wire_is_equal(&silent, &busy)?;
    wakes_are_equal(&silent, &busy)?;
    Ok(busy)
}

#[track_caller]
fn assert_nothing_shows(scenario: &Scenario, applications: Applications) -> Outcome {
    let config = scenario.config().expect("every schedule is valid");
    match nothing_shows(scenario, applications, &config) {
        Ok(busy) => busy,
        Err(leak) => panic!("{leak}\nwith {applications:?}\nin {scenario}"),
    }
}

/// Every behaviour there is, closing included: the scenarios' leave boundary lies beyond their end.
fn any_behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![6 => strategy::behaviour(), 1 => (0..1000_u32).prop_map(|at_ms| CloseAt { at_ms })]
}

fn any_applications() -> impl Strategy<Value = Applications> {
    (any_behaviour(), any_behaviour(), strategy::reading()).prop_map(|(clients, server, reading)| Applications {
        clients,
        server,
        reading,
    })
}

#[test]
fn the_wire_does_not_show_what_applications_do() {
    let tally = Tally::default();
    for_all(cases(96), &(strategy::stage(10, 2000), any_applications()), |(scenario, applications)| {
        let busy = assert_nothing_shows(&scenario, applications);
        tally.count(busy.clients.iter().any(|client| opened(&busy.world, *client) > 0));
    });
    tally.assert_at_least_half("opened a session");
}

#[test]
fn no_behaviour_shows_on_any_network() {
    let stages = [
        (Perfect, Fast),
        (Mobile, Balanced),
        (Lossy30, Fast),
        (Satellite, Balanced),
        (Perfect, Random),
        (Lossy30, Random),
        (Mobile, Grouped),
        (Satellite, Grouped),
    ];
    for (network, grid) in stages {
        let scenario = Scenario {
            topology: Star(2),
            network,
            grid,
            steps: vec![LateUs(0, 3000), WaitMs(500), SuspendMs(0, 35), LateUs(1, 800), WaitMs(1500)],
            ..Scenario::default()
        };
        for behaviour in BEHAVIOURS {
            for reading in [Prompt, Never] {
                assert_nothing_shows(&scenario, Applications { clients: behaviour, server: Silent, reading });
            }
            assert_nothing_shows(&scenario, Applications { clients: behaviour, server: Echo, reading: FromMs(900) });
            assert_nothing_shows(&scenario, Applications { clients: Silent, server: behaviour, reading: Prompt });
        }
    }
}

/// The runs above would be equal too if nothing was ever said in them.
#[test]
fn the_busy_runs_are_busy() {
    for (grid, then_ms, cells) in [(Fast, 2000, 3000), (Random, 8000, 1400), (Grouped, 40_000, 900)] {
        let scenario = Scenario { grid, then_ms, ..Scenario::default() };
        let applications = Applications { clients: File { at_ms: 100, bytes: 300_000 }, ..SILENT };
        let config = scenario.config().expect("every schedule is valid");
        let outcome = run(&scenario, applications, &config).expect("no leak");
        let client = outcome.clients[0];
        let session = outcome.world.sessions(client)[0];
        let arrived = outcome.world.delivery(client, session).arrived;
        assert_eq!(arrived, 300_000_u64.div_ceil(16 * 1024), "{grid:?}");
        assert!(outcome.observations().len() > cells, "a cell per slot and side: {grid:?}");
    }
}

/// A close shows when the session leaves the schedule: at a multiple of the leave boundary, whenever it came.
#[test]
fn a_close_changes_nothing_before_the_leave_boundary_and_the_traffic_at_it() {
    let boundary = ms(2000);
    let config = |scenario: &Scenario| {
        let traffic = scenario.grid.traffic(boundary);
        let accept = b4ae_core::Accept::Anyone(scenario.offer.policy());
        Config::builder(traffic)
            .limits(b4ae_core::Limits { sessions: 16, ..b4ae_core::Limits::default() })
            .accept(accept)
            .build()
            .expect("the configuration is valid")
    };
    for grid in [Fast, Random, Grouped] {
        let scenario = Scenario { grid, then_ms: 7000, ..Scenario::default() };
        let config = config(&scenario);
        let close = |at_ms| Applications { clients: CloseAt { at_ms }, ..SILENT };
        let stays = run(&scenario, SILENT, &config).expect("no leak").observations();
        let mut left_at = Vec::new();
        for at_ms in [400, 1100] {
            let closes = run(&scenario, close(at_ms), &config).expect("no leak").observations();
            let found = Observer::difference(&stays, &closes).expect("a session that closed leaves some time");
            let first = found.left.expect("the session that stays goes on sending").time;
            assert!(first >= Instant::ORIGIN + boundary, "{grid:?}: the close at {at_ms} ms shows at {first:?}");
            let last = closes.last().expect("something was sent").time;
            assert!(last < Instant::ORIGIN + boundary * 3, "{grid:?}: the session has not left at {last:?}");
            left_at.push(closes);
        }
        assert_eq!(left_at[0], left_at[1], "{grid:?}: the traffic shows when the session was closed");
    }
}

/// An insider: another client of the same server, who sees what the server sends to her, and when her own messages
/// are confirmed.
#[test]
fn a_client_does_not_learn_what_another_client_does() {
    for grid in [Fast, Random, Grouped] {
        let scenario = Scenario {
            topology: Star(3),
            network: Wan,
            grid,
            then_ms: 2500,
            steps: vec![WaitMs(200), LateUs(0, 2000)],
            ..Scenario::default()
        };
        let quiet = insider(&scenario, Silent);
        let loud = insider(&scenario, Steady { every_ms: 5, len: 4000 });
        assert!(quiet.1.len() > 10, "the insider's messages are confirmed: {grid:?}");
        assert!(quiet == loud, "{grid:?}: what the victim does shows");
    }
}

/// What an insider who talks sees on her link, and is told, while a victim does something.
fn insider(scenario: &Scenario, victim: Behaviour) -> (Vec<Sighting>, Vec<(Instant, Event)>) {
    let config = scenario.config().expect("every schedule is valid");
    let mut outcome = run(scenario, SILENT, &config).expect("no leak");
    let (victims, insider) = (outcome.clients[0], outcome.clients[1]);
    let own = outcome.world.sessions(insider)[0];
    let other = outcome.world.sessions(victims)[0];
    for n in 0..400_u32 {
        if n % 10 == 0 {
            // Where cells are rare her own queue is full at times.
            let _ = outcome.world.send(insider, own, &[1; 300]).expect("no violation");
        }
        if let Steady { len, .. } = victim {
            // A full queue is as busy as it gets.
            let _ = outcome.world.send(victims, other, &vec![2; len as usize]).expect("no violation");
        }
        outcome.world.run_for(ms(5)).expect("no violation");
    }
    let to_insider = seen_between(&outcome.world, outcome.world.addr(outcome.server), outcome.world.addr(insider));
    (to_insider, outcome.world.events(insider).to_vec())
}

/// Where the mutants below are looked for: late timers and hosts that stand still, one session and several.
fn hard_scenarios(grid: Grid) -> [Scenario; 3] {
    [Pair, Bundle(3), Star(3)].map(|topology| Scenario {
        topology,
        network: Wan,
        grid,
        steps: vec![WaitMs(600), SuspendMs(0, 50), SuspendMs(1, 70), WaitMs(200), LateUs(0, 8000), LateUs(1, 8000)],
        then_ms: 1000,
        ..Scenario::default()
    })
}

/// The first leak with any of the behaviours on either side, given a way to make the configuration.
fn first_leak(grid: Grid, config: impl Fn(&Scenario) -> Config) -> Option<Leak> {
    let sides =
        |behaviour| [Applications { clients: behaviour, ..SILENT }, Applications { server: behaviour, ..SILENT }];
    hard_scenarios(grid).iter().find_map(|scenario| {
        let mut applications = BEHAVIOURS.into_iter().flat_map(sides);
        applications.find_map(|applications| nothing_shows(scenario, applications, &config(scenario)).err())
    })
}

/// One of each kind.
const SCHEDULES: [Grid; 3] = [Fast, Random, Grouped];

#[test]
fn the_scenarios_that_find_mutants_find_nothing_else() {
    for grid in SCHEDULES {
        let leak = first_leak(grid, |scenario| scenario.config().expect("every schedule is valid"));
        assert!(leak.is_none(), "{grid:?}: {leak:?}");
    }
}

/// Engines broken on purpose, one promise each: the property above must fail for every one of them.
#[cfg(b4ae_mutants)]
mod mutants {
    use b4ae_core::{Accept, Limits, Mutant};

    use super::*;

    fn mutated(scenario: &Scenario, mutant: Mutant) -> Config {
        Config::builder(scenario.grid.traffic(ms(3_600_000)))
            .limits(Limits { sessions: 16, ..Limits::default() })
            .accept(Accept::Anyone(scenario.offer.policy()))
            .mutant(mutant)
            .build()
            .expect("the configuration is valid")
    }

    #[test]
    fn the_property_finds_every_mutant() {
        let mut survivors = Vec::new();
        for grid in SCHEDULES {
            for mutant in Mutant::ALL.into_iter().filter(|mutant| mutant.applies_to(&grid.traffic(ms(1000)))) {
                match first_leak(grid, |scenario| mutated(scenario, mutant)) {
                    Some(leak) => println!("{grid:?}, {mutant:?}: found, {leak:?}"),
                    None => {
                        println!("{grid:?}, {mutant:?}: NOT FOUND");
                        survivors.push((grid, mutant));
                    }
                }
            }
        }
        assert!(survivors.is_empty(), "the property holds for broken engines: {survivors:?}");
    }
}
