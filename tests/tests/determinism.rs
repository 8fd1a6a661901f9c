//! A run is a function of its scenario: every scenario, run twice, leaves the same trace.

use b4ae_sim::scenario::literal::*;
use b4ae_sim::strategy;
use b4ae_tests::cases;
use proptest::prelude::*;

fn trace(scenario: &Scenario) -> ([u8; 32], u64) {
    let outcome = scenario.run().unwrap_or_else(|failure| panic!("{failure}"));
    (outcome.world.trace().hash(), outcome.world.trace().events())
}

#[track_caller]
fn runs_twice_the_same(scenario: &Scenario) {
    assert_eq!(trace(scenario), trace(scenario), "two runs differ:\n{scenario}");
}

proptest! {
    #![proptest_config(cases(48))]

    /// Whatever happens in it: crashes, partitions, corruption, slow signers, suspended hosts. And nothing that happens
    /// breaks the engine's contract.
    #[test]
    fn every_scenario_runs_twice_the_same(scenario in strategy::scenario(12, 500)) {
        runs_twice_the_same(&scenario);
    }
}

#[test]
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
    assert_ne!(trace(&scenario), trace(&other));
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
    let outcome = scenario.run().unwrap_or_else(|failure| panic!("{failure}"));
    for client in &outcome.clients {
        let session = outcome.world.sessions(*client)[0];
        assert!(outcome.world.delivery(*client, session).arrived > 50);
    }
}
