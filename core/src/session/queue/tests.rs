//! Delivery over a bad network, queue against inbox.

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
    acks: Vec<(Instant, Ack, u64, (u64, u64))>,
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
            // Cover overtakes what is lost: none is under way for longer than 32 steps.
            let heard = ack.largest.max(self.counter.saturating_sub(33));
            self.acks.extend(fates.map(|at| (at, ack, heard, credit)));
        } else {
            let (messages, cells) = self.inbox.credit();
            self.queue.credit(messages, cells);
        }
        let (arrived, still) = self.acks.drain(..).partition::<Vec<_>, _>(|(at, ..)| *at <= now);
        self.acks = still;
        for (_, ack, heard, (messages, cells)) in arrived {
            let delivered = &mut self.delivered;
            self.queue.credit(messages, cells);
            self.queue.acknowledged(Some(&ack), heard, now, |id| delivered.push(id.0));
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
    let later = start + FIRST_RTO.0;
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

/// A fragment sent again for want of an acknowledgement is confirmed by whichever of its cells arrived, once.
#[test]
fn what_is_acknowledged_late_is_confirmed_all_the_same() {
    let mut queue = queue(8, 8);
    let at = |secs| Instant::ORIGIN + Duration::from_secs(secs);
    for n in 0..2 {
        queue.push(&[n; 10], 1, false, at(0));
    }
    let sent =
        |queue: &mut SendQueue, counter, now| queue.next(counter, now, true).map(|(fragment, _)| fragment.message);
    // An answer takes two minutes, and a cell leaves every minute.
    assert_eq!(sent(&mut queue, 1, at(0)), Some(0));
    assert_eq!(sent(&mut queue, 2, at(60)), Some(0));
    let ack = |counter| {
        let mut received = Received::default();
        received.note(counter);
        received.ack()
    };
    let mut delivered = Vec::new();
    queue.acknowledged(ack(1).as_ref(), 1, at(120), |id| delivered.push(id.0));
    assert_eq!((&delivered[..], queue.rtt()), (&[0][..], Some(Duration::from_secs(120))));
    // The other cell's is too late to confirm anything.
    queue.acknowledged(ack(2).as_ref(), 2, at(180), |id| delivered.push(id.0));
    assert_eq!(sent(&mut queue, 3, at(180)), Some(1));
    assert_eq!(delivered, [0]);
    assert_eq!(queue.in_flight.len(), 1);
}

/// A fast sender and a peer with a cell a minute: all of a message is confirmed by the first of them.
#[test]
fn nothing_is_sent_again_while_the_peer_is_silent() {
    let at = |millis| Instant::ORIGIN + Duration::from_millis(millis);
    let mut queue = SendQueue::new(1 << 16, STEP, true);
    queue.message_limit = 10;
    queue.cell_limit = 100;
    queue.push(&alloc::vec![7; 32 * DATA_LEN], 32, false, at(0));
    let mut received = Received::default();
    let mut sent = 0;
    for counter in 0..6000 {
        let now = at(10 * counter);
        if queue.next(counter, now, true).is_some() {
            received.note(counter);
            sent += 1;
        }
    }
    assert_eq!(sent, 32);
    let mut delivered = 0;
    queue.acknowledged(received.ack().as_ref(), 5999, at(60_000), |_| delivered += 1);
    assert_eq!((delivered, queue.in_flight.len()), (1, 0));

    // Once it has been heard and has not confirmed a cell, a timeout is one.
    queue.push(b"again", 1, false, at(60_000));
    assert!(queue.next(6000, at(60_000), true).is_some());
    queue.acknowledged(received.ack().as_ref(), 6000, at(180_000), |_| panic!("it was lost"));
    assert!(queue.next(6001, at(180_000), true).is_some());
}

#[test]
fn where_slots_are_rare_an_answer_is_waited_for() {
    let minute = Duration::from_secs(60);
    let mut rare = SendQueue::new(1 << 14, minute, false);
    assert_eq!(rare.rtt.timeout(), minute * 3);
    for _ in 0..20 {
        rare.rtt.sample(minute * 2);
    }
    assert!(rare.rtt.timeout() > minute * 2 && rare.rtt.timeout() < minute * 3);
    rare.rtt.sample(minute * 200);
    assert_eq!(rare.rtt.timeout(), minute * 6);
    assert_eq!(SendQueue::new(1 << 14, STEP, false).rtt.timeout(), Duration::from_secs(1));
}
