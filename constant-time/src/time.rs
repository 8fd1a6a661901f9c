//! The clock: dudect (Reparaz, Balasch, Verbauwhede 2017) on the same classes of input.

use std::process::ExitCode;
use std::time::Instant;

use b4ae_core::constant_time::{self, Race};

use crate::statistics::Sample;

/// Reports what `runs` runs of each race took.
pub(crate) fn run(runs: u64) -> ExitCode {
    println!("of {runs} runs; beyond |t| = 4.5 the clock tells the classes apart, if the machine is quiet");
    for race in constant_time::races() {
        let times = measure(race, runs);
        // Interrupts are the same for both, and drown what is not: only what is below the 90th percentile counts.
        let mut sorted: Vec<u64> = times.iter().map(|&(_, time)| time).collect();
        sorted.sort_unstable();
        let limit = sorted[sorted.len() * 9 / 10];
        let class = |wanted| {
            let kept = times.iter().filter(|&&(second, time)| second == wanted && time <= limit);
            kept.map(|&(_, time)| time as f64).collect::<Sample>()
        };
        let (first, second) = (class(false), class(true));
        let t = first.welch(&second);
        println!("t = {t:9.1}  {:9.1} and {:9.1} ns  {}", first.mean(), second.mean(), race.name);
    }
    ExitCode::SUCCESS
}

#[allow(clippy::disallowed_methods, reason = "this is about the clock")]
fn measure(race: &Race, runs: u64) -> Vec<(bool, u64)> {
    let mut run = (race.build)();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut once = |second, round| {
        let mut nanos = 0;
        run(second, round, &mut |work| {
            let start = Instant::now();
            work();
            nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        });
        (second, nanos)
    };
    (0..runs)
        .map(|n| {
            // Xorshift (Marsaglia 2003): the order of the classes is not to follow anything that recurs.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            once(random & 1 == 1, n)
        })
        .collect()
}
