//! The circuit breaker (RFC 8084): a session that loses much sends less. It looks at the network alone: every cell
//! counts, payload or cover, and what the application does changes nothing.

use core::time::Duration;

use crate::time::Instant;
use crate::wire::cell::Heard;

/// How long losses are counted before they are judged.
const PERIOD: Duration = Duration::from_secs(10);
/// Fewer cells than this say nothing.
const ENOUGH: u64 = 20;
/// At most every eighth slot is used.
const MAX_STEP: u8 = 3;
/// Quiet periods before the rate steps up again.
const QUIET: u8 = 3;

/// How many of a session's slots are used, by what its peer says it has heard.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// What the peer has heard of our cells, and what it had at the last judgement.
    heard: Heard,
    before: Heard,
    judged: Instant,
    quiet: u8,
    step: u8,
    turn: u8,
}

impl Breaker {
    pub(crate) fn new(now: Instant) -> Self {
        Self { heard: Heard::default(), before: Heard::default(), judged: now, quiet: 0, step: 0, turn: 0 }
    }

    /// Takes in what the peer has heard, which only grows.
    pub(crate) fn heard(&mut self, heard: Heard) {
        self.heard.largest = self.heard.largest.max(heard.largest);
        self.heard.cells = self.heard.cells.max(heard.cells);
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
        let sent = self.heard.largest - self.before.largest;
        let lost = sent.saturating_sub(self.heard.cells - self.before.cells);
        self.before = self.heard;
        if sent >= ENOUGH {
            if lost * 10 >= sent {
                self.step = (self.step + 1).min(MAX_STEP);
                self.quiet = 0;
            } else if lost * 50 < sent {
                self.quiet += 1;
            }
        }
        if self.quiet >= QUIET {
            self.quiet = 0;
            self.step = self.step.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `seconds` at 100 slots a second, of whose cells every `every`th is lost, and counts the slots used in the
    /// last second.
    fn used(
        breaker: &mut Breaker,
        from: u64,
        seconds: u64,
        every: u64,
        counter: &mut u64,
        arrived: &mut Heard,
    ) -> usize {
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
            breaker.heard(*arrived);
        }
        used
    }

    #[test]
    fn a_fifth_lost_steps_down_and_a_clean_path_steps_up_again() {
        let mut breaker = Breaker::new(Instant::ORIGIN);
        let (mut counter, mut arrived) = (1, Heard::default());
        assert_eq!(used(&mut breaker, 0, 15, 5, &mut counter, &mut arrived), 50);
        assert!(used(&mut breaker, 15, 45, 5, &mut counter, &mut arrived) <= 13);
        assert_eq!(used(&mut breaker, 60, 240, u64::MAX, &mut counter, &mut arrived), 100);
    }

    #[test]
    fn one_in_twenty_lost_changes_nothing() {
        let mut breaker = Breaker::new(Instant::ORIGIN);
        let (mut counter, mut arrived) = (1, Heard::default());
        assert_eq!(used(&mut breaker, 0, 120, 20, &mut counter, &mut arrived), 100);
    }

    #[test]
    fn whatever_a_peer_claims_to_have_heard_is_only_counted() {
        let mut breaker = Breaker::new(Instant::ORIGIN);
        let most = (1 << 48) - 1;
        for (n, (largest, cells)) in [(0, most), (most, 0), (5, 5), (most, most), (0, 0)].into_iter().enumerate() {
            breaker.heard(Heard { largest, cells });
            breaker.uses_slot(Instant::from_nanos(n as u64 * 20_000_000_000));
        }
    }

    #[test]
    fn cells_heard_of_late_are_not_lost() {
        // The peer tells rarely, of thousands of cells at once.
        let mut breaker = Breaker::new(Instant::ORIGIN);
        for second in 0..100 {
            breaker.heard(Heard { largest: second * 5000, cells: second * 5000 + 1 });
            assert!(breaker.uses_slot(Instant::from_nanos(second * 1_000_000_000)));
        }
    }
}
