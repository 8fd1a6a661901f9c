//! Which cells with data have been taken in, for acknowledgements.

use crate::wire::cell::{ACK_SPAN, Ack};

/// The largest counter received and a map of those before it.
#[derive(Debug, Default)]
pub(crate) struct Received(Option<Ack>);

impl Received {
    /// Notes an authentic cell whose data was taken in.
    pub(crate) fn note(&mut self, counter: u64) {
        let Some(ack) = &mut self.0 else {
            self.0 = Some(Ack { largest: counter, map: [1, 0, 0, 0] });
            return;
        };
        if counter > ack.largest {
            shift(&mut ack.map, counter - ack.largest);
            ack.map[0] |= 1;
            ack.largest = counter;
            return;
        }
        let back = ack.largest - counter;
        if back < ACK_SPAN {
            ack.map[(back / 64) as usize] |= 1 << (back % 64);
        }
    }

    pub(crate) fn ack(&self) -> Option<Ack> {
        self.0
    }
}

/// Shifts a 256-bit number up.
fn shift(map: &mut [u64; 4], by: u64) {
    if by >= ACK_SPAN {
        *map = [0; 4];
        return;
    }
    let (words, bits) = ((by / 64) as usize, by % 64);
    for i in (0..4).rev() {
        let high = if i >= words { map[i - words] << bits } else { 0 };
        let low = if bits > 0 && i > words { map[i - words - 1] >> (64 - bits) } else { 0 };
        map[i] = high | low;
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;
    use crate::random::Stream;
    use crate::secret::Secret;

    /// What a map stands for: the counters within the span of the largest.
    #[derive(Clone, Default)]
    struct Naive(BTreeSet<u64>);

    impl Naive {
        fn add(&mut self, counters: impl IntoIterator<Item = u64>) {
            self.0.extend(counters);
            let largest = self.0.last().copied().unwrap_or(0);
            self.0.retain(|&counter| counter + ACK_SPAN > largest);
        }

        fn is(&self, received: &Received) -> bool {
            let Some(ack) = received.ack() else { return self.0.is_empty() };
            let around = ack.largest.saturating_sub(2 * ACK_SPAN)..ack.largest + 70;
            self.0.last() == Some(&ack.largest) && around.into_iter().all(|c| ack.contains(c) == self.0.contains(&c))
        }
    }

    fn jump(random: &mut Stream) -> u64 {
        match random.below(8) {
            0 => random.below(700),
            1 => 64 * random.below(5),
            _ => random.below(4),
        }
    }

    #[test]
    fn the_map_is_the_set_of_what_arrived() {
        let mut random = Stream::new(Secret::new([1; 32]));
        let (mut naive, mut received) = (Naive::default(), Received::default());
        let mut near = 0_u64;
        for _ in 0..3000 {
            near += jump(&mut random);
            let counter = near.saturating_sub(random.below(300));
            received.note(counter);
            naive.add([counter]);
            assert!(naive.is(&received));
        }
    }
}
