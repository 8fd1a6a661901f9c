//! How many cells a message takes: its length is hidden in few sizes.

use crate::config::Padding;
use crate::wire::cell::DATA_LEN;

impl Padding {
    /// The cells that a message of `len` bytes takes: its bucket's, or above the largest bucket those of its PADMÉ
    /// length.
    pub(crate) fn cells(self, len: usize) -> usize {
        let bucket = len.max(self.min as usize).next_power_of_two();
        let padded = if bucket <= self.max as usize { bucket } else { padme(len) };
        padded.div_ceil(DATA_LEN)
    }

    /// The longest message of at most `max` bytes that takes no more than `cells`; `None` if even an empty one takes
    /// more.
    pub(crate) fn longest(self, cells: u64, max: usize) -> Option<usize> {
        let fits = |len: usize| self.cells(len) as u64 <= cells;
        // Longer messages never take fewer cells, so that halving finds it: in 24 steps for the longest limit there is.
        let (mut longest, mut beyond) = (fits(0).then_some(0)?, max + 1);
        while beyond - longest > 1 {
            let middle = longest + (beyond - longest) / 2;
            if fits(middle) {
                longest = middle;
            } else {
                beyond = middle;
            }
        }
        Some(longest)
    }
}

/// PADMÉ (Nikitin et al., PETS 2019, section 4): keeps as many leading bits of the length as its exponent has, at
/// most 12 % overhead, and leaks O(log log L) bits.
fn padme(len: usize) -> usize {
    let Some(exponent) = len.checked_ilog2().filter(|&e| e > 0) else { return len };
    let mantissa = exponent.ilog2() + 1;
    let Some(dropped) = exponent.checked_sub(mantissa) else { return len };
    let mask = (1 << dropped) - 1;
    (len + mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padme_adds_at_most_twelve_percent_and_never_shrinks() {
        for len in 2..1 << 17 {
            let padded = padme(len);
            assert!(padded >= len && (padded - len) * 100 <= len * 12, "{len} -> {padded}");
        }
        assert_eq!([0, 1, 2, 3].map(padme), [0, 1, 2, 3]);
        // Table 1 of the reference implementation's examples.
        assert_eq!([9, 100, 600, 5000, 100_000].map(padme), [10, 104, 608, 5120, 100_352]);
    }

    #[test]
    fn buckets_are_powers_of_two_up_to_the_largest() {
        let padding = Padding::default();
        let cells = [0, 1, 1024, 1025, 4096, 16384].map(|len| padding.cells(len));
        assert_eq!(cells, [1, 1, 1, 2, 4, 16]);
        assert_eq!(padding.cells(16385), padme(16385).div_ceil(1024));
        assert_eq!(padding.cells(1 << 20), 1024);
    }

    #[test]
    fn the_longest_message_fits_and_the_next_does_not() {
        for padding in [Padding::default(), Padding { min: 4096, max: 4096 }, Padding { min: 1024, max: 1 << 20 }] {
            for cells in 0..200 {
                let max = 100_000;
                match padding.longest(cells, max) {
                    Some(longest) => {
                        assert!(padding.cells(longest) as u64 <= cells);
                        assert!(longest == max || padding.cells(longest + 1) as u64 > cells, "{padding:?} {cells}");
                    }
                    None => assert!(cells < u64::from(padding.min) / DATA_LEN as u64),
                }
            }
        }
        assert_eq!(Padding::default().longest(20, usize::MAX / 2), Some(20 << 10));
    }
}
