//! The circuit breaker (RFC 8084): a session that loses much sends less. It looks at the network alone: every cell
//! counts, payload or cover, and what the application does changes nothing.

use core::time::Duration;

use crate::time::Instant;
use crate::wire::cell::Heard;

/// How long losses are counted before they are judged, at least.
const PERIOD: Duration = Duration::from_secs(10);
/// Fewer cells than this say nothing: they are counted on. Of so many, a path that loses one in twenty loses a tenth in
/// one judgement of thirty, by chance.
const ENOUGH: u64 = 100;
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

    /// Takes in what the peer has heard, which only grows. What left before the peer had the session, as while our part
    /// of the handshake was under way or there was no place, is not lost on the path: counting begins with what it
    /// heard first.
    pub(crate) fn heard(&mut self, heard: Heard) {
        if self.heard.cells == 0 && heard.cells > 0 {
            self.before = Heard { largest: heard.largest.saturating_sub(heard.cells - 1), cells: 1 };
        }
        self.heard.largest = self.heard.largest.max(heard.largest);
        self.heard.cells = self.heard.cells.max(heard.cells);
    }

    /// How many slots there are for one that is used.
    pub(crate) fn slots_per_cell(&self) -> u64 {
        1 << self.step
    }

    /// Whether the slot at `now` is used: all of them, or every second, fourth or eighth.
    pub(crate) fn uses_slot(&mut self, now: Instant) -> bool {
        if now - self.judged >= PERIOD {
            self.judge();
            self.judged = now;
        }
        self.turn = self.turn.wrapping_add(1);
        u64::from(self.turn).is_multiple_of(self.slots_per_cell())
    }

    /// One step down for a tenth lost since the last judgement, one up for three judgements of less than a fiftieth.
    /// Where too little has been heard of to judge, it is kept for the next time.
    fn judge(&mut self) {
        let sent = self.heard.largest - self.before.largest;
        if sent < ENOUGH {
            return;
        }
        let lost = sent.saturating_sub(self.heard.cells - self.before.cells);
        self.before = self.heard;
        if lost * 10 >= sent {
            self.step = (self.step + 1).min(MAX_STEP);
            self.quiet = 0;
        } else if lost * 50 < sent {
            self.quiet += 1;
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

    /// A session whose peer tells at once of what arrived.
    struct Session {
        breaker: Breaker,
        rate: u64,
        slot: u64,
        counter: u64,
        arrived: Heard,
    }

    impl Session {
        /// With so many slots a second.
        fn new(rate: u64) -> Self {
            let (breaker, arrived) = (Breaker::new(Instant::ORIGIN), Heard::default());
            Self { breaker, rate, slot: 0, counter: 1, arrived }
        }

        /// Goes on for `slots`, of whose cells every `every`th is lost. Counts the slots used of the last `rate`.
        fn run(&mut self, slots: u64, every: u64) -> u64 {
            let mut used = 0;
            for left in (0..slots).rev() {
                self.slot += 1;
                if self.breaker.uses_slot(Instant::from_nanos(self.slot * 1_000_000_000 / self.rate)) {
                    if !self.counter.is_multiple_of(every) {
                        self.arrived.note(self.counter);
                    }
                    self.counter += 1;
                    used += u64::from(left < 8 * self.rate);
                }
                self.breaker.heard(self.arrived);
            }
            used / 8
        }
    }

    /// At any rate: the fewer cells there are, the longer it takes, and a step is never for ever.
    #[test]
    fn a_fifth_lost_steps_down_and_a_clean_path_steps_up_again() {
        for rate in [1, 2, 3, 5, 10, 12, 100, 1000] {
            let slots = |judgements: u64| judgements * (10 * rate).max(ENOUGH);
            let mut session = Session::new(rate);
            assert!(session.run(slots(15), 5) <= rate.div_ceil(8), "{rate} slots a second");
            assert_eq!(session.run(slots(2 * 3 * (8 + 4 + 2)), u64::MAX), rate, "{rate} slots a second");
        }
        let mut session = Session::new(100);
        session.run(1000, 5);
        assert_eq!(session.run(800, 5), 50, "one step in the first ten seconds");
    }

    #[test]
    fn one_in_twenty_lost_changes_nothing() {
        for rate in [2, 100] {
            assert_eq!(Session::new(rate).run(120 * 100, 20), rate);
        }
    }

    #[test]
    fn what_left_before_the_peer_had_the_session_is_not_lost() {
        let mut breaker = Breaker::new(Instant::ORIGIN);
        for cell in 0..2000 {
            // Of the first two hundred nobody heard.
            if cell > 200 {
                breaker.heard(Heard { largest: cell, cells: cell - 200 });
            }
            assert!(breaker.uses_slot(Instant::from_nanos(cell * 10_000_000)), "cell {cell}");
        }
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
