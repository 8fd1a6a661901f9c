//! A run is a function of its scenario: every scenario, run twice, leaves the same trace.

use b4ae_sim::scenario::Outcome;
use b4ae_sim::scenario::literal::*;
use b4ae_sim::strategy;
use b4ae_tests::{Tally, cases, for_all, opened};

fn run(scenario: &Scenario) -> Outcome {
    scenario.run().unwrap_or_else(|failure| panic!("{failure}"))
}

#[track_caller]
fn runs_twice_the_same(scenario: &Scenario) -> Outcome {
    let (one, other) = (run(scenario), run(scenario));
    assert_eq!(one.world.trace().hash(), other.world.trace().hash(), "two runs differ:\n{scenario}");
    one
}

/// Whatever happens in it: crashes, partitions, corruption, slow signers, suspended hosts. And nothing that happens
/// breaks the engine's contract.
#[test]
#[cfg_attr(feature = "aws-lc", ignore = "AWS-LC signs with random numbers of its own, and mode B's datagrams show it")]
fn every_scenario_runs_twice_the_same() {
    let tally = Tally::default();
    for_all(cases(96), &strategy::scenario(16, 2500), |scenario| {
        let outcome = runs_twice_the_same(&scenario);
        tally.count(outcome.clients.iter().any(|client| opened(&outcome.world, *client) > 0));
    });
    tally.assert_at_least_half("opened a session");
}

#[test]
#[cfg_attr(feature = "aws-lc", ignore = "AWS-LC signs with random numbers of its own, and mode B's datagrams show it")]
fn the_named_networks_run_twice_the_same() {
    for network in Network::ALL {
        runs_twice_the_same(&Scenario {
            topology: Star(3),
            network,
            offer: OfferB,
            clients: Chat { mean_ms: 30, max_len: 2000 },
            server: Echo,
            steps: vec![WaitMs(300), Rebind(0), LateUs(0, 3000), SuspendMs(1, 40)],
            then_ms: 700,
            ..Scenario::default()
        });
    }
}

#[test]
fn another_seed_is_another_run() {
    let scenario = Scenario { network: Mobile, then_ms: 500, ..Scenario::default() };
    let other = Scenario { seed: Of([1; 32]), ..scenario.clone() };
    assert_ne!(run(&scenario).world.trace().hash(), run(&other).world.trace().hash());
}

#[test]
fn sessions_open_and_messages_arrive_in_a_scenario_at_all() {
    let scenario = Scenario {
        topology: Star(3),
        network: Wan,
        clients: Steady { every_ms: 20, len: 100 },
        steps: vec![WaitMs(2000)],
        ..Scenario::default()
    };
    let outcome = run(&scenario);
    for client in &outcome.clients {
        let session = outcome.world.sessions(*client)[0];
        assert!(outcome.world.delivery(*client, session).arrived > 50);
    }
}
