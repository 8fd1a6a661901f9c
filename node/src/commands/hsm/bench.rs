//! `b4ae hsm bench`: signatures a second, and how long one takes.

use std::time::Duration;
use std::{iter, thread};

use b4ae_core::Clock;
use b4ae_hsm::{Pkcs11Signer, SignerOptions};
use serde::Serialize;

use crate::cli::hsm::Bench;
use crate::error::Error;
use crate::output;
use crate::token::{self, Access};

/// What was measured with one number of sessions.
#[derive(Debug, Serialize)]
struct Figures {
    sessions: usize,
    signatures: usize,
    per_second: f64,
    median_ms: f64,
    p99_ms: f64,
    longest_ms: f64,
}

/// Measures, and prints as it goes.
pub(crate) fn run(args: &Bench) -> Result<(), Error> {
    let most = usize::from(args.sessions);
    let mut options = SignerOptions::default();
    options.max_sessions = most;
    let access = Access::new(token::uri(&args.uri, &args.token)?, &args.token)?;
    let signer = access.signer(access.uri(), options)?;
    let mut all = Vec::new();
    let mut counts: Vec<_> = iter::successors(Some(most), |n| (*n > 1).then_some(n / 2)).collect();
    counts.reverse();
    for sessions in counts {
        let figures = measure(&signer, sessions, Duration::from_secs(args.seconds.into()))?;
        if !args.json {
            output::line(&figures.to_string())?;
        }
        all.push(figures);
    }
    if args.json {
        output::line(&serde_json::json!({ "bench": all }).to_string())?;
    }
    Ok(())
}

/// Signs in `sessions` threads for `time`.
fn measure(signer: &Pkcs11Signer, sessions: usize, time: Duration) -> Result<Figures, Error> {
    let clock = Clock::new();
    let start = clock.now();
    let sign = |number: usize| -> Result<Vec<Duration>, Error> {
        let mut took = Vec::new();
        let mut message = [0; 64];
        while clock.now() - start < time {
            message[..8].copy_from_slice(&(took.len() as u64).to_be_bytes());
            message[8..16].copy_from_slice(&(number as u64).to_be_bytes());
            let begun = clock.now();
            signer.try_sign(&message).map_err(Error::Token)?;
            took.push(clock.now() - begun);
        }
        Ok(took)
    };
    let mut took = Vec::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..sessions).map(|number| scope.spawn(move || sign(number))).collect();
        for thread in threads {
            took.extend(thread.join().expect("signing does not panic")?);
        }
        Ok::<_, Error>(())
    })?;
    Ok(Figures::of(sessions, took, clock.now() - start))
}

impl Figures {
    fn of(sessions: usize, mut took: Vec<Duration>, time: Duration) -> Self {
        took.sort_unstable();
        let at = |share: f64| {
            let last = took.len().saturating_sub(1);
            took.get((last as f64 * share).round() as usize).map_or(0.0, |took| took.as_secs_f64() * 1e3)
        };
        Self {
            sessions,
            signatures: took.len(),
            per_second: took.len() as f64 / time.as_secs_f64(),
            median_ms: at(0.5),
            p99_ms: at(0.99),
            longest_ms: at(1.0),
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = if self.sessions == 1 { " " } else { "s" };
        write!(
            f,
            "{:3} session{plural} {:9.1} signatures/s   median {:7.2} ms   99 % within {:7.2} ms   longest {:7.2} ms",
            self.sessions, self.per_second, self.median_ms, self.p99_ms, self.longest_ms
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_all_that_was_measured() {
        let took = (1..=101).rev().map(Duration::from_millis).collect();
        let figures = Figures::of(2, took, Duration::from_secs(2));
        assert_eq!(
            figures.to_string(),
            "  2 sessions      50.5 signatures/s   median   51.00 ms   99 % within  100.00 ms   longest  101.00 ms"
        );
        let none = Figures::of(1, Vec::new(), Duration::from_secs(1));
        assert!(none.to_string().starts_with("  1 session        0.0 signatures/s   median    0.00 ms"), "{none}");
    }
}
