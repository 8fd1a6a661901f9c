//! Whole scenarios of the simulator, which checks the engine's contract and every message against its own model.

use b4ae_core::Event;
#[allow(clippy::wildcard_imports, reason = "made for it")]
use b4ae_sim::scenario::literal::*;

use crate::program::Program;

/// No scenario breaks a promise, and every scenario runs twice the same. Counts sessions.
pub fn run(data: &[u8]) -> usize {
    let scenario = read(&mut Program::new(data));
    let run = || scenario.run().unwrap_or_else(|failure| panic!("{failure}"));
    let (one, other) = (run(), run());
    assert_eq!(one.world.trace().hash(), other.world.trace().hash(), "two runs differ:\n{scenario}");
    let opened = |event: &Event| matches!(event, Event::Established(_));
    let events = one.clients.iter().flat_map(|client| one.world.events(*client));
    events.filter(|(_, event)| opened(event)).count()
}

fn behaviour(program: &mut Program<'_>) -> Behaviour {
    let (a, b) = (u32::from(program.u8()), u32::from(program.u16()));
    match program.below(9) {
        0 => Silent,
        1 => Echo,
        2 => Burst { at_ms: a * 4, messages: b % 40, len: b % 4000 },
        3 => Steady { every_ms: 2 + a % 100, len: b % 2000 },
        4 => File { at_ms: a * 4, bytes: b },
        5 => Chat { mean_ms: 5 + a, max_len: b % 500 },
        6 => Datagrams { every_ms: 2 + a % 100, len: b % 3000 },
        7 => Eager { messages: a % 20, len: b % 2000 },
        _ => CloseAt { at_ms: a * 4 },
    }
}

fn step(program: &mut Program<'_>) -> Step {
    let (which, host, other) = (program.u8(), program.u8(), program.u8());
    let number = u32::from(other);
    match which % 18 {
        0 | 1 => WaitMs(number * 2),
        2 => Connect(host),
        3 => CloseAll(host),
        4 => Block(host, other),
        5 => Heal,
        6 => Become(Network::ALL[usize::from(other) % Network::ALL.len()]),
        7 => Rebind(host),
        8 => Expire(host),
        9 => SuspendMs(host, number),
        10 => LateUs(host, number * 20),
        11 => Crash(host),
        12 => Restart(host),
        13 => SlowSignerMs(host, number * 2),
        14 => FailSigner(host),
        15 => Corrupt(other.into()),
        16 => Truncate(other.into()),
        _ => Replay(other.into()),
    }
}

fn grid(which: u8) -> Grid {
    if which < 160 { [Balanced, Slow, Fast][usize::from(which % 3)] } else { [Random, Grouped][usize::from(which % 2)] }
}

/// Short scenarios of few sessions: one takes milliseconds, as a fuzzer needs it.
fn read(program: &mut Program<'_>) -> Scenario {
    let (seed, topology, most) = (program.u8(), program.below(3), program.u8() % 2 + 1);
    Scenario {
        seed: if seed == 0 { Zero } else { Of([seed; 32]) },
        topology: [Pair, Bundle(most), Star(most)][topology],
        network: Network::ALL[program.below(Network::ALL.len())],
        grid: grid(program.u8()),
        offer: [OfferA, OfferA, OfferAThenB, OfferB][program.below(4)],
        clients: behaviour(program),
        server: behaviour(program),
        reading: match program.below(4) {
            0 | 1 => Prompt,
            2 => Never,
            _ => FromMs(u32::from(program.u8()) * 4),
        },
        steps: std::iter::from_fn(|| (!program.is_empty()).then(|| step(program))).take(8).collect(),
        then_ms: 300,
    }
}
