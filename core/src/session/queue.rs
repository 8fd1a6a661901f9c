//! Messages on their way out: cut into cells, sent, sent again, confirmed.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use zeroize::Zeroize as _;

use crate::session::MessageId;
use crate::time::Instant;
use crate::wire::cell::{Ack, DATA_LEN, Fragment};

/// Cells with message data that may be unconfirmed at once: as far as an acknowledgement reaches.
const IN_FLIGHT: usize = 200;
/// A cell is lost once this many sent after it have arrived.
const REORDER: u64 = 16;
/// Buffers kept for the next messages, so that a steady flow of them neither allocates nor frees.
const SPARE: usize = 4;
/// The largest buffer kept.
const SPARE_LEN: usize = 16 * 1024;
const FIRST_RTO: Duration = Duration::from_secs(1);
const MIN_RTO: Duration = Duration::from_millis(20);
const MAX_RTO: Duration = Duration::from_secs(60);

struct Message {
    id: u64,
    bytes: Vec<u8>,
    unordered: bool,
    count: u16,
    /// Fragments begun.
    next: u16,
    /// Fragments confirmed.
    confirmed: u16,
    queued_at: Instant,
}

#[derive(Clone, Copy)]
struct Sent {
    counter: u64,
    message: u64,
    index: u16,
    at: Instant,
    lost: bool,
}

/// The sending side of delivery.
#[derive(Default)]
pub(crate) struct SendQueue {
    messages: VecDeque<Message>,
    in_flight: VecDeque<Sent>,
    spare: Vec<Vec<u8>>,
    next_id: u64,
    bytes: usize,
    /// Cells not begun yet, over all messages.
    waiting_cells: usize,
    /// Cells of messages begun, from the start of the session.
    begun_cells: u64,
    message_limit: u64,
    cell_limit: u64,
    /// The most cells the peer ever holds, once it has said so.
    window: Option<u64>,
    rtt: Rtt,
    pub(crate) retransmissions: u64,
}

/// Round-trip time as RFC 6298 smooths it.
#[derive(Default)]
struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
}

impl Rtt {
    fn sample(&mut self, rtt: Duration) {
        match &mut self.smoothed {
            None => {
                self.smoothed = Some(rtt);
                self.variation = rtt / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(rtt)) / 4;
                *smoothed = (*smoothed * 7 + rtt) / 8;
            }
        }
    }

    fn timeout(&self) -> Duration {
        self.smoothed.map_or(FIRST_RTO, |smoothed| (smoothed + self.variation * 4).clamp(MIN_RTO, MAX_RTO))
    }
}

impl SendQueue {
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt.smoothed
    }

    /// The most cells a message to this peer can take, once known.
    pub(crate) fn window(&self) -> Option<u64> {
        self.window
    }

    /// Whether the next message to begin takes more cells than the peer will ever have room for.
    pub(crate) fn is_stuck(&self) -> bool {
        let next = self.messages.iter().find(|m| m.next < m.count);
        next.zip(self.window).is_some_and(|(message, window)| u64::from(message.count) > window)
    }

    /// Cells that wait for their first slot.
    pub(crate) fn waiting_cells(&self) -> usize {
        self.waiting_cells
    }

    /// Whether any cell of a message waits for a slot, a lost one included.
    pub(crate) fn wants_slot(&self, now: Instant) -> bool {
        self.lost(now).is_some() || self.fresh().is_some()
    }

    /// When the first unconfirmed cell counts as lost.
    pub(crate) fn retransmit_at(&self) -> Option<Instant> {
        self.in_flight.iter().map(|sent| sent.at).min().map(|at| at + self.rtt.timeout())
    }

    /// How long the first unbegun message has waited.
    pub(crate) fn waited(&self, now: Instant) -> Duration {
        self.messages.iter().find(|m| m.next < m.count).map_or(Duration::ZERO, |m| now - m.queued_at)
    }

    /// Queues a message that takes `count` cells.
    pub(crate) fn push(&mut self, bytes: &[u8], count: u16, unordered: bool, now: Instant) -> MessageId {
        if self.in_flight.capacity() == 0 {
            // Once, at the application's first message: no cell allocates.
            self.in_flight.reserve_exact(IN_FLIGHT);
            self.spare.reserve_exact(SPARE);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.bytes += bytes.len();
        self.waiting_cells += usize::from(count);
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.extend_from_slice(bytes);
        self.messages.push_back(Message { id, bytes: copy, unordered, count, next: 0, confirmed: 0, queued_at: now });
        MessageId(id)
    }

    fn message(&mut self, id: u64) -> Option<&mut Message> {
        // Ids are in order, but confirmed messages may have left gaps.
        let at = self.messages.binary_search_by_key(&id, |m| m.id).ok()?;
        self.messages.get_mut(at)
    }

    fn lost(&self, now: Instant) -> Option<usize> {
        let timeout = self.rtt.timeout();
        self.in_flight.iter().position(|sent| sent.lost || now - sent.at >= timeout)
    }

    fn fresh(&self) -> Option<usize> {
        if self.in_flight.len() >= IN_FLIGHT {
            return None;
        }
        let at = self.messages.iter().position(|m| m.next < m.count)?;
        let message = &self.messages[at];
        let within = message.next > 0
            || message.id < self.message_limit && self.begun_cells + u64::from(message.count) <= self.cell_limit;
        within.then_some(at)
    }

    /// The fragment to send in cell `counter`, and its data: a lost one first, then, if `fresh` is allowed, one not
    /// sent yet. `None` if there is nothing, or nothing the peer has room for.
    pub(crate) fn next(&mut self, counter: u64, now: Instant, fresh: bool) -> Option<(Fragment, &[u8])> {
        let (id, index) = if let Some(at) = self.lost(now) {
            let sent = self.in_flight.remove(at)?;
            self.retransmissions += 1;
            (sent.message, sent.index)
        } else {
            let at = self.fresh().filter(|_| fresh)?;
            let message = &mut self.messages[at];
            if message.next == 0 {
                self.begun_cells += u64::from(message.count);
            }
            message.next += 1;
            self.waiting_cells -= 1;
            (message.id, message.next - 1)
        };
        self.in_flight.push_back(Sent { counter, message: id, index, at: now, lost: false });
        let message = self.message(id)?;
        let from = (usize::from(index) * DATA_LEN).min(message.bytes.len());
        let chunk = &message.bytes[from..message.bytes.len().min(from + DATA_LEN)];
        let fragment = Fragment {
            message: id,
            unordered: message.unordered,
            index,
            count: message.count,
            len: u32::try_from(message.bytes.len()).expect("limited to 16 MiB"),
        };
        Some((fragment, chunk))
    }

    /// Takes in an acknowledgement, and the largest counter the peer has heard of cells of any kind. Calls `delivered`
    /// for each message now whole at the peer.
    pub(crate) fn acknowledged(
        &mut self,
        ack: Option<&Ack>,
        heard: u64,
        now: Instant,
        mut delivered: impl FnMut(MessageId),
    ) {
        let mut at = 0;
        while at < self.in_flight.len() {
            let sent = self.in_flight[at];
            if let Some(ack) = ack.filter(|ack| ack.contains(sent.counter)) {
                self.in_flight.remove(at);
                if sent.counter == ack.largest {
                    self.rtt.sample(now - sent.at);
                }
                self.confirm(sent.message, &mut delivered);
                continue;
            }
            // Further back than the map reaches, or overtaken by many.
            if ack.is_some_and(|ack| ack.is_past(sent.counter)) || heard >= sent.counter + REORDER {
                self.in_flight[at].lost = true;
            }
            at += 1;
        }
    }

    fn confirm(&mut self, id: u64, delivered: &mut impl FnMut(MessageId)) {
        let Some(message) = self.message(id) else { return };
        message.confirmed += 1;
        if message.confirmed < message.count {
            return;
        }
        let mut bytes = core::mem::take(&mut message.bytes);
        self.bytes -= bytes.len();
        if let Ok(at) = self.messages.binary_search_by_key(&id, |m| m.id) {
            self.messages.remove(at);
        }
        bytes.zeroize();
        if self.spare.len() < SPARE && bytes.capacity() <= SPARE_LEN {
            self.spare.push(bytes);
        }
        delivered(MessageId(id));
    }

    /// Takes in the peer's credit, which only grows.
    pub(crate) fn credit(&mut self, message_limit: u64, cell_limit: u64) {
        // Nothing begun means nothing taken: the first credit is the peer's whole window.
        self.window.get_or_insert(cell_limit);
        self.message_limit = self.message_limit.max(message_limit);
        self.cell_limit = self.cell_limit.max(cell_limit);
    }
}

impl Drop for SendQueue {
    fn drop(&mut self) {
        self.messages.iter_mut().for_each(|message| message.bytes.zeroize());
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;
    use crate::random::Stream;
    use crate::secret::Secret;
    use crate::session::inbox::Inbox;
    use crate::session::received::Received;

    const MAX_MESSAGE: usize = 4 * DATA_LEN;
    const WINDOW: u64 = 12;
    const STEP: Duration = Duration::from_millis(10);

    /// A sender and a receiver with a network between them that loses, repeats and reorders, as chance has it.
    struct World {
        random: Stream,
        now: Instant,
        queue: SendQueue,
        counter: u64,
        inbox: Inbox,
        received: Received,
        opened: BTreeSet<u64>,
        cells: Vec<(Instant, u64, Fragment, [u8; DATA_LEN])>,
        acks: Vec<(Instant, Ack, (u64, u64))>,
        taken: Vec<u64>,
        delivered: Vec<u64>,
        loss: u64,
    }

    /// The text of message `id`: its number, over and over, to a length of its own.
    fn text(id: u64) -> Vec<u8> {
        let len = 8 + (id.wrapping_mul(2_654_435_761) % (MAX_MESSAGE as u64 - 7)) as usize;
        id.to_le_bytes().into_iter().cycle().take(len).collect()
    }

    fn is_unordered(id: u64) -> bool {
        id % 3 == 1
    }

    impl World {
        fn new(seed: u8, loss: u64) -> Self {
            Self {
                random: Stream::new(Secret::new([seed; 32])),
                now: Instant::ORIGIN,
                queue: SendQueue::default(),
                counter: 0,
                inbox: Inbox::new(WINDOW as usize * DATA_LEN, MAX_MESSAGE),
                received: Received::default(),
                opened: BTreeSet::new(),
                cells: Vec::new(),
                acks: Vec::new(),
                taken: Vec::new(),
                delivered: Vec::new(),
                loss,
            }
        }

        /// When each copy of a datagram arrives: none, one or two.
        fn fates(&mut self) -> impl Iterator<Item = Instant> + use<> {
            let copies = if self.random.below(100) < self.loss { 0 } else { 1 + self.random.below(10) / 9 };
            let now = self.now;
            let delays = [self.random.below(300), self.random.below(300)];
            delays.into_iter().take(copies as usize).map(move |ms| now + Duration::from_millis(20 + ms))
        }

        fn step(&mut self) {
            self.now = self.now + STEP;
            let now = self.now;
            let counter = self.counter;
            self.counter += 1;
            if let Some((fragment, chunk)) = self.queue.next(counter, now, !counter.is_multiple_of(5)) {
                let mut data = [0; DATA_LEN];
                data[..chunk.len()].copy_from_slice(chunk);
                let fates = self.fates();
                self.cells.extend(fates.map(|at| (at, counter, fragment, data)));
            }
            assert!(self.queue.in_flight.len() <= IN_FLIGHT);

            let (arrived, still) = self.cells.drain(..).partition::<Vec<_>, _>(|(at, ..)| *at <= now);
            self.cells = still;
            for (_, counter, fragment, data) in arrived {
                // The chain opens each cell once.
                if self.opened.insert(counter) {
                    self.received.note(counter);
                    self.inbox.insert(&fragment, &data).expect("an honest sender stays within the credit");
                }
            }
            let mut out = [0; MAX_MESSAGE];
            if self.random.below(3) == 0
                && let Some(len) = self.inbox.take(&mut out)
            {
                let id = u64::from_le_bytes(*out.first_chunk().unwrap());
                assert_eq!(out[..len], text(id));
                self.taken.push(id);
            }

            if let Some(ack) = self.received.ack() {
                let credit = self.inbox.credit();
                let fates = self.fates();
                self.acks.extend(fates.map(|at| (at, ack, credit)));
            } else {
                let (messages, cells) = self.inbox.credit();
                self.queue.credit(messages, cells);
            }
            let (arrived, still) = self.acks.drain(..).partition::<Vec<_>, _>(|(at, ..)| *at <= now);
            self.acks = still;
            for (_, ack, (messages, cells)) in arrived {
                let delivered = &mut self.delivered;
                self.queue.credit(messages, cells);
                self.queue.acknowledged(Some(&ack), ack.largest, now, |id| delivered.push(id.0));
            }
        }
    }

    #[test]
    fn every_message_arrives_once_and_in_order_over_a_bad_network() {
        for (seed, loss) in [(1, 0), (2, 10), (3, 30), (4, 60)] {
            let mut world = World::new(seed, loss);
            let total = 150;
            let mut steps = 0;
            while world.delivered.len() < total || world.taken.len() < total {
                if world.queue.next_id < total as u64 && world.random.below(4) == 0 {
                    let id = world.queue.next_id;
                    let bytes = text(id);
                    // Padding is fragments without data.
                    let count = bytes.len().div_ceil(DATA_LEN).next_power_of_two() as u16;
                    world.queue.push(&bytes, count, is_unordered(id), world.now);
                }
                world.step();
                steps += 1;
                assert!(steps < 60_000, "loss {loss}: {} of {total} taken", world.taken.len());
            }
            (0..1000).for_each(|_| world.step());

            let all: Vec<_> = (0..total as u64).collect();
            let ordered: Vec<_> = world.taken.iter().copied().filter(|&id| !is_unordered(id)).collect();
            assert!(ordered.is_sorted(), "loss {loss}: {ordered:?}");
            for mut list in [world.taken, world.delivered] {
                list.sort_unstable();
                assert_eq!(list, all, "loss {loss}");
            }
            assert!(world.queue.is_empty() && world.queue.in_flight.is_empty());
            assert_eq!((world.queue.bytes(), world.queue.waiting_cells()), (0, 0));
            assert!(loss == 0 || world.queue.retransmissions > 0, "loss {loss}");
        }
    }

    fn queue(cells: u64, messages: u64) -> SendQueue {
        let mut queue = SendQueue::default();
        queue.credit(messages, cells);
        queue
    }

    #[test]
    fn a_message_is_begun_within_the_credit_and_then_sent_whole() {
        let now = Instant::ORIGIN;
        let mut queue = queue(3, 2);
        for _ in 0..3 {
            queue.push(&[1; 2 * DATA_LEN], 2, false, now);
        }
        assert!(queue.next(0, now, true).is_some() && queue.next(1, now, true).is_some());
        assert!(queue.next(2, now, true).is_none());
        queue.credit(2, 4);
        assert!(queue.next(2, now, true).is_some() && queue.next(3, now, true).is_some());
        queue.credit(2, 100);
        assert!(queue.next(4, now, true).is_none(), "the third message is beyond the limit of two");
        queue.credit(1, 1);
        assert_eq!((queue.message_limit, queue.cell_limit), (2, 100), "credit only grows");
    }

    #[test]
    fn a_reserved_slot_takes_lost_cells_and_no_fresh_ones() {
        let start = Instant::ORIGIN;
        let mut queue = queue(100, 100);
        queue.push(&[1; 10], 1, false, start);
        queue.push(&[2; 10], 1, false, start);
        assert!(queue.next(0, start, false).is_none());
        assert_eq!(queue.next(1, start, true).unwrap().0.message, 0);
        let later = start + FIRST_RTO;
        assert!(queue.next(2, later.saturating_sub(Duration::from_nanos(1)), false).is_none());
        assert_eq!(queue.next(3, later, false).unwrap().0.message, 0);
        assert_eq!(queue.retransmissions, 1);
    }

    #[test]
    fn a_cell_that_sixteen_later_ones_overtook_is_lost() {
        let now = Instant::ORIGIN;
        let mut queue = queue(100, 100);
        queue.push(&[1; 10], 1, false, now);
        queue.next(5, now, true).unwrap();
        queue.acknowledged(None, 5 + REORDER - 1, now, |_| panic!("nothing is confirmed"));
        assert!(!queue.wants_slot(now));
        queue.acknowledged(None, 5 + REORDER, now, |_| panic!("nothing is confirmed"));
        assert!(queue.wants_slot(now));
    }

    #[test]
    fn one_acknowledgement_confirms_any_number_of_messages_each_once() {
        let now = Instant::ORIGIN;
        let mut queue = queue(100, 100);
        for counter in 0..40 {
            queue.push(&[1; 10], 1, false, now);
            queue.next(counter, now, true).unwrap();
        }
        let ack = Ack { largest: 39, map: [(1 << 40) - 1, 0, 0, 0] };
        let mut delivered = Vec::new();
        (0..2).for_each(|_| queue.acknowledged(Some(&ack), ack.largest, now, |id| delivered.push(id.0)));
        assert_eq!(delivered, (0..40).collect::<Vec<_>>());
    }

    #[test]
    fn an_empty_message_is_a_message() {
        let now = Instant::ORIGIN;
        let mut queue = queue(100, 100);
        queue.push(&[], 1, false, now);
        let (fragment, data) = queue.next(0, now, true).unwrap();
        assert_eq!((fragment.len, fragment.count, data.len()), (0, 1, 0));
        let mut inbox = Inbox::new(DATA_LEN, DATA_LEN);
        assert_eq!(inbox.insert(&fragment, &[0; DATA_LEN]), Ok(true));
        assert_eq!((inbox.next_len(), inbox.take(&mut [])), (Some(0), Some(0)));
    }
}
