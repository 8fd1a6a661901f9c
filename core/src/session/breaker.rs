//! The circuit breaker (RFC 8084): a session that loses much sends less. It looks at the network alone: every cell
//! counts, payload or cover, and what the application does changes nothing.

use core::time::Duration;

use crate::session::received::{Received, shifted_out};
use crate::time::Instant;
use crate::wire::cell::Ack;

/// How long losses are counted before they are judged.
const PERIOD: Duration = Duration::from_secs(10);
/// Fewer cells than this say nothing.
const ENOUGH: u64 = 20;
/// At most every eighth slot is used.
const MAX_STEP: u8 = 3;
/// Quiet periods before the rate steps up again.
const QUIET: u8 = 3;

/// How many of a session's slots are used, by what its peer has acknowledged.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// Our cells that the peer has acknowledged.
    acked: Received,
    settled: u64,
    lost: u64,
    judged: Instant,
    quiet: u8,
    step: u8,
    turn: u8,
}

impl Breaker {
    pub(crate) fn new(now: Instant) -> Self {
        Self { acked: Received::default(), settled: 0, lost: 0, judged: now, quiet: 0, step: 0, turn: 0 }
    }

    /// Takes in an acknowledgement: cells too old to be acknowledged any more are settled, and lost if they were not.
    pub(crate) fn acknowledged(&mut self, ack: &Ack) {
        if let Some(before) = self.acked.ack() {
            let (settled, arrived) = shifted_out(&before, ack.largest);
            self.settled += settled;
            self.lost += settled - arrived;
        }
        self.acked.merge(ack);
    }

    /// Whether the slot at `now` is used: all of them, or every second, fourth or eighth.
    pub(crate) fn uses_slot(&mut self, now: Instant) -> bool {
        if now - self.judged >= PERIOD {
            self.judge();
            self.judged = now;
        }
        self.turn = self.turn.wrapping_add(1);
        self.turn & ((1 << self.step) - 1) == 0
    }

    /// One step down for a tenth lost in a period, one up for three periods with less than a fiftieth.
    fn judge(&mut self) {
        if self.settled >= ENOUGH {
            if self.lost * 10 >= self.settled {
                self.step = (self.step + 1).min(MAX_STEP);
                self.quiet = 0;
            } else if self.lost * 50 < self.settled {
                self.quiet += 1;
            }
        }
        if self.quiet >= QUIET {
            self.quiet = 0;
            self.step = self.step.saturating_sub(1);
        }
        (self.settled, self.lost) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `seconds` at 100 slots a second, of whose cells every `every`th is lost, and counts the slots used in the
    /// last second.
    fn used(breaker: &mut Breaker, from: u64, seconds: u64, every: u64, counter: &mut u64) -> usize {
        let mut arrived = Received::default();
        let mut used = 0;
        for slot in from * 100..(from + seconds) * 100 {
            let now = Instant::from_nanos(slot * 10_000_000);
            if breaker.uses_slot(now) {
                if !counter.is_multiple_of(every) {
                    arrived.note(*counter);
                }
                *counter += 1;
                if slot >= (from + seconds - 1) * 100 {
                    used += 1;
                }
            }
            if let Some(ack) = arrived.ack() {
                breaker.acknowledged(&ack);
            }
        }
        used
    }

    #[test]
    fn a_fifth_lost_steps_down_and_a_clean_path_steps_up_again() {
        let mut breaker = Breaker::new(Instant::ORIGIN);
        let mut counter = 1;
        assert_eq!(used(&mut breaker, 0, 15, 5, &mut counter), 50);
        assert!(used(&mut breaker, 15, 45, 5, &mut counter) <= 13);
        assert_eq!(used(&mut breaker, 60, 240, u64::MAX, &mut counter), 100);
    }

    #[test]
    fn one_in_twenty_lost_changes_nothing() {
        let mut breaker = Breaker::new(Instant::ORIGIN);
        let mut counter = 1;
        assert_eq!(used(&mut breaker, 0, 120, 20, &mut counter), 100);
    }
}
