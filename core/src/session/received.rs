//! Which cells have arrived, for acknowledgements.

use crate::wire::cell::{ACK_SPAN, Ack};

/// The largest counter received and a map of those before it.
#[derive(Debug, Default)]
pub(crate) struct Received(Option<Ack>);

impl Received {
    /// Notes an authentic cell. Returns whether it is the largest so far.
    pub(crate) fn note(&mut self, counter: u64) -> bool {
        let Some(ack) = &mut self.0 else {
            self.0 = Some(Ack { largest: counter, map: [1, 0, 0, 0] });
            return true;
        };
        if counter > ack.largest {
            shift(&mut ack.map, counter - ack.largest);
            ack.map[0] |= 1;
            ack.largest = counter;
            return true;
        }
        let back = ack.largest - counter;
        if back < ACK_SPAN {
            ack.map[(back / 64) as usize] |= 1 << (back % 64);
        }
        false
    }

    /// Adds all that `other` has.
    pub(crate) fn merge(&mut self, other: &Ack) {
        self.note(other.largest);
        let Some(ack) = &mut self.0 else { return };
        let mut map = other.map;
        shift(&mut map, ack.largest - other.largest);
        ack.map.iter_mut().zip(map).for_each(|(own, other)| *own |= other);
    }

    pub(crate) fn ack(&self) -> Option<Ack> {
        self.0
    }
}

/// What leaves the map when its largest becomes `largest`: how many cells, and how many of them had arrived.
pub(crate) fn shifted_out(ack: &Ack, largest: u64) -> (u64, u64) {
    let by = largest.saturating_sub(ack.largest);
    // Before the 256th cell the map reaches back beyond the first.
    let real = (ack.largest + 1).min(ACK_SPAN);
    let left = (real + by).saturating_sub(ACK_SPAN);
    let mut stay = ack.map;
    shift(&mut stay, by);
    let count = |map: &[u64; 4]| u64::from(map.iter().map(|word| word.count_ones()).sum::<u32>());
    (left, count(&ack.map) - count(&stay))
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
