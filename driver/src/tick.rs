//! On a fine grid: when the cells of several slots leave together.

use std::time::Duration;

use b4ae_core::{Instant, Traffic};

/// Slots of a tick at most. More would not fit into what a system call sends to one address, 64 KiB.
pub(crate) const MOST: u32 = 32;

/// Times at which the loop wakes, a multiple of the grid's interval apart, counted from the origin of its clock. A
/// function of the configuration alone, and so is which slots share a departure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick(Option<Duration>);

impl Tick {
    /// None: each cell leaves by itself.
    pub(crate) const NONE: Self = Self(None);

    /// The tick in force when `asked` is asked for.
    pub(crate) fn new(traffic: &Traffic, asked: Duration) -> Self {
        let interval = traffic.interval();
        // Cells have to be sealed before they leave, and what is sealed a tick ahead must not be late for it.
        let longest = asked.min(traffic.lead() / 2);
        let slots = longest.as_nanos().checked_div(interval.as_nanos()).unwrap_or(0).min(u128::from(MOST)) as u32;
        if !traffic.is_constant_rate() || interval * 4 > asked || slots < 2 {
            return Self::NONE;
        }
        Self(Some(interval * slots))
    }

    /// How far apart, if cells leave in groups.
    pub(crate) fn length(self) -> Option<Duration> {
        self.0
    }

    /// The first tick that is not before `at`.
    pub(crate) fn at_or_after(self, at: Instant) -> Instant {
        let Some(length) = self.0 else { return at };
        let length = length.as_nanos() as u64;
        Instant::from_nanos(at.as_nanos().checked_next_multiple_of(length).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(interval: u64, lead: u64, asked: u64) -> Option<u64> {
        let micros = Duration::from_micros;
        let traffic = Traffic::constant(micros(interval)).with_lead(micros(lead));
        Tick::new(&traffic, micros(asked)).length().map(|length| length.as_micros() as u64)
    }

    #[test]
    fn a_tick_is_whole_slots_on_grids_that_are_fine_for_it() {
        assert_eq!(length(10, 2000, 200), Some(200));
        assert_eq!(length(30, 2000, 200), Some(180));
        assert_eq!(length(50, 2000, 200), Some(200));
        for interval in [51, 100, 1000, 10_000] {
            assert_eq!(length(interval, 2000, 200), None, "{interval}");
        }
        assert_eq!(length(10, 2000, 0), None);
    }

    #[test]
    fn a_tick_is_bounded_by_what_a_call_sends_and_by_the_lead() {
        assert_eq!(length(10, 2000, 1000), Some(10 * u64::from(MOST)));
        assert_eq!(length(10, 100, 200), Some(50));
        assert_eq!(length(10, 30, 200), None);
        assert_eq!(length(10, 0, 200), None);
    }

    #[test]
    fn low_overhead_traffic_has_none() {
        let traffic = Traffic::low_overhead_unprotected();
        assert_eq!(Tick::new(&traffic, Duration::from_secs(1)).length(), None);
    }

    #[test]
    fn the_tick_of_a_slot_is_the_next_multiple() {
        let traffic = Traffic::constant(Duration::from_micros(10));
        let tick = Tick::new(&traffic, Duration::from_micros(200));
        for (at, leaves) in [(0, 0), (1, 200_000), (190_000, 200_000), (200_000, 200_000), (200_001, 400_000)] {
            assert_eq!(tick.at_or_after(Instant::from_nanos(at)), Instant::from_nanos(leaves));
        }
        assert_eq!(Tick::NONE.at_or_after(Instant::from_nanos(7)), Instant::from_nanos(7));
        let end = Instant::from_nanos(u64::MAX - 5);
        assert!(tick.at_or_after(end) >= end);
    }
}
