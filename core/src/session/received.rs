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
