//! Strategies for `proptest`: every part alone, and whole scenarios. The plain case comes first, so shrinking ends
//! there.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::app::{Behaviour, Reading};
use crate::link::Network;
use crate::scenario::{Grid, Offer, Scenario, SimSeed, Step, Topology};

/// Any seed; shrinks to zero.
pub fn seed() -> impl Strategy<Value = SimSeed> {
    prop_oneof![1 => Just(SimSeed::Zero), 9 => any::<[u8; 32]>().no_shrink().prop_map(SimSeed::Of)]
}

/// Any named network; shrinks to the perfect one.
pub fn network() -> impl Strategy<Value = Network> {
    prop::sample::select(Network::ALL.to_vec())
}

/// A pair, a bundle or a star of up to `most` sessions.
pub fn topology(most: u8) -> impl Strategy<Value = Topology> {
    prop_oneof![Just(Topology::Pair), (1..=most).prop_map(Topology::Bundle), (1..=most).prop_map(Topology::Star),]
}

/// Any behaviour that closes nothing; shrinks to silence.
pub fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        Just(Behaviour::Silent),
        Just(Behaviour::Echo),
        (0..1000_u32, 1..40_u32, 0..4000_u32).prop_map(|(at_ms, messages, len)| Behaviour::Burst {
            at_ms,
            messages,
            len
        }),
        (1..100_u32, 0..2000_u32).prop_map(|(every_ms, len)| Behaviour::Steady { every_ms, len }),
        (0..1000_u32, 1..200_000_u32).prop_map(|(at_ms, bytes)| Behaviour::File { at_ms, bytes }),
        (5..300_u32, 0..500_u32).prop_map(|(mean_ms, max_len)| Behaviour::Chat { mean_ms, max_len }),
        (1..100_u32, 0..3000_u32).prop_map(|(every_ms, len)| Behaviour::Datagrams { every_ms, len }),
        (1..20_u32, 0..2000_u32).prop_map(|(messages, len)| Behaviour::Eager { messages, len }),
    ]
}

/// When messages are taken; shrinks to at once.
pub fn reading() -> impl Strategy<Value = Reading> {
    prop_oneof![3 => Just(Reading::Prompt), 1 => Just(Reading::Never), 1 => (1..2000_u32).prop_map(Reading::FromMs)]
}

/// Steps that leave hosts and sessions alone: time, networks, addresses, late timers.
pub fn gentle_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..400_u32).prop_map(Step::WaitMs),
        1 => network().prop_map(Step::Become),
        1 => (0..6_u8).prop_map(Step::Rebind),
        1 => (0..6_u8).prop_map(Step::Expire),
        1 => (0..6_u8, 1..60_u32).prop_map(|(host, ms)| Step::SuspendMs(host, ms)),
        1 => (0..6_u8, 0..5000_u32).prop_map(|(host, us)| Step::LateUs(host, us)),
        1 => (0..6_u8, 0..6_u8).prop_map(|(from, to)| Step::Block(from, to)),
        1 => Just(Step::Heal),
    ]
}

/// Any step.
pub fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => gentle_step(),
        1 => (0..6_u8).prop_map(Step::Connect),
        1 => (0..6_u8).prop_map(Step::CloseAll),
        1 => (0..6_u8).prop_map(Step::Crash),
        1 => (0..6_u8).prop_map(Step::Restart),
        1 => (0..6_u8, 0..500_u32).prop_map(|(host, ms)| Step::SlowSignerMs(host, ms)),
        1 => (0..6_u8).prop_map(Step::FailSigner),
        1 => (0..200_u16).prop_map(Step::Corrupt),
        1 => (0..200_u16).prop_map(Step::Truncate),
        1 => (0..200_u16).prop_map(Step::Replay),
    ]
}

/// Steps, after a wait that mostly is long enough for sessions to open.
fn steps(step: impl Strategy<Value = Step>, most: usize) -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![1 => Just(0), 4 => 0..2000_u32];
    (wait, vec(step, 0..=most)).prop_map(|(wait, mut steps)| {
        if wait > 0 {
            steps.insert(0, Step::WaitMs(wait));
        }
        steps
    })
}

/// A whole scenario of up to `most` steps, `then_ms` after the last.
pub fn scenario(most: usize, then_ms: u32) -> impl Strategy<Value = Scenario> {
    let offer = prop::sample::select(vec![Offer::OfferA, Offer::OfferB, Offer::OfferAThenB]);
    let grid = prop::sample::select(Grid::ALL.to_vec());
    let steps = steps(step(), most);
    (seed(), topology(5), network(), grid, offer, behaviour(), behaviour(), reading(), steps).prop_map(
        move |(seed, topology, network, grid, offer, clients, server, reading, steps)| Scenario {
            seed,
            topology,
            network,
            grid,
            offer,
            clients,
            server,
            reading,
            steps,
            then_ms,
        },
    )
}

/// A scenario of up to `most` gentle steps in which applications are silent: a stage for what they may do instead.
pub fn stage(most: usize, then_ms: u32) -> impl Strategy<Value = Scenario> {
    let offer = prop::sample::select(vec![Offer::OfferA, Offer::OfferB]);
    let grid = prop::sample::select(vec![Grid::Fast, Grid::Balanced, Grid::Random, Grid::Grouped]);
    (seed(), topology(5), network(), grid, offer, steps(gentle_step(), most)).prop_map(
        move |(seed, topology, network, grid, offer, steps)| Scenario {
            seed,
            topology,
            network,
            grid,
            offer,
            steps,
            then_ms,
            ..Scenario::default()
        },
    )
}
