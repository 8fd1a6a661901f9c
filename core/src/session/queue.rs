//! Messages on their way out: cut into cells, sent, sent again, confirmed.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use zeroize::Zeroize as _;

use crate::memory;
use crate::session::MessageId;
use crate::session::pool::Pool;
use crate::time::Instant;
use crate::wire::cell::{Ack, DATA_LEN, Fragment};

/// Cells with message data that may be unconfirmed at once: as far as an acknowledgement reaches.
const IN_FLIGHT: usize = 200;
/// A cell is lost once this many sent after it have arrived.
const REORDER: u64 = 16;
/// Where slots are rare, at least so many times what is between them, either of these: a peer with as rare ones answers
/// in its next, which we hear of in ours.
const FIRST_RTO: (Duration, u32) = (Duration::from_secs(1), 3);
const MAX_RTO: (Duration, u32) = (Duration::from_secs(60), 6);
const MIN_RTO: Duration = Duration::from_millis(20);
/// Doubling stops here: a path that comes back is noticed soon.
const MAX_BACKOFF: Duration = Duration::from_secs(8);

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
    /// Its fragment has been sent again for want of an acknowledgement, which may still come.
    again: bool,
}

impl Sent {
    fn is_of(&self, other: &Self) -> bool {
        (self.message, self.index) == (other.message, other.index)
    }
}

/// The sending side of delivery.
#[derive(Default)]
#[repr(C)]
pub(crate) struct SendQueue {
    messages: VecDeque<Message>,
    in_flight: VecDeque<Sent>,
    /// How many of them have been sent again.
    again: usize,
    pub(crate) retransmissions: u64,
    pool: Pool,
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
}

/// Round-trip time as RFC 6298 smooths it.
#[derive(Default)]
struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
    /// Timeouts since the last acknowledgement, each of which doubles the next.
    expired: u32,
    /// When the last one was.
    expired_at: Option<Instant>,
    /// What is between two slots, or groups of them.
    rest: Duration,
    /// Whether timeouts wait for the peer to be heard.
    patient: bool,
    /// When it was last.
    heard_at: Option<Instant>,
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
        let at_least = |(time, rests): (Duration, u32)| time.max(self.rest.saturating_mul(rests));
        let once = self
            .smoothed
            .map_or(at_least(FIRST_RTO), |smoothed| (smoothed + self.variation * 4).clamp(MIN_RTO, at_least(MAX_RTO)));
        once.saturating_mul(1 << self.expired.min(16)).min(MAX_BACKOFF.max(once))
    }

    /// When a cell sent at `sent` counts as lost, if nothing else is heard: one cell a timeout asks whether the peer
    /// is there, and the rest follow its acknowledgement.
    fn expiry(&self, sent: Instant) -> Instant {
        self.expired_at.map_or(sent, |at| at.max(sent)) + self.timeout()
    }

    /// Whether a cell sent at `sent` is taken for lost. Answers come in the peer's cells: one that has been silent for
    /// half of that time or more says nothing of it. Were it sent again and again meanwhile, what acknowledgements
    /// tell of in the end would be the last attempts, and nothing before them.
    fn is_due(&self, sent: Instant, now: Instant) -> bool {
        let is_heard = |heard| (now - heard).saturating_mul(2) <= now - sent;
        now >= self.expiry(sent) && (!self.patient || self.heard_at.is_some_and(is_heard))
    }

    fn expire(&mut self, now: Instant) {
        self.expired = self.expired.saturating_add(1);
        self.expired_at = Some(now);
    }

    fn acknowledged(&mut self) {
        (self.expired, self.expired_at) = (0, None);
    }
}

impl SendQueue {
    /// For messages of at most `message` bytes, and slots that have `rest` between them. A `patient` one sends nothing
    /// again for want of an answer while the peer is silent: it looks in every slot and needs no time for it.
    pub(crate) fn new(message: usize, rest: Duration, patient: bool) -> Self {
        let mut queue = Self::default();
        queue.pool = Pool::new(message);
        (queue.rtt.rest, queue.rtt.patient) = (rest, patient);
        queue
    }

    /// The most bytes of heap that a queue of `messages` holds, each of at most `message` bytes, beside their text.
    pub(crate) fn bound(messages: usize, message: usize) -> u64 {
        let in_flight = (IN_FLIGHT * size_of::<Sent>()) as u64;
        memory::vec::<Message>(messages) + in_flight + (Pool::LIST + Pool::slack(message)) as u64
    }

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
        self.in_flight.iter().filter(|sent| !sent.again).map(|sent| sent.at).min().map(|at| self.rtt.expiry(at))
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
        }
        let id = self.next_id;
        self.next_id += 1;
        self.bytes += bytes.len();
        self.waiting_cells += usize::from(count);
        let mut copy = self.pool.take(bytes.len());
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
        self.in_flight.iter().position(|sent| !sent.again && (sent.lost || self.rtt.is_due(sent.at, now)))
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
            let full = self.in_flight.len() >= IN_FLIGHT;
            let sent = self.in_flight.get_mut(at)?;
            let (message, index) = (sent.message, sent.index);
            sent.again = true;
            self.retransmissions += 1;
            let expired = !sent.lost;
            if expired {
                self.rtt.expire(now);
            }
            // What only took long to be acknowledged may be yet: if nothing else, each timeout would forget what it
            // waited for, and where an answer takes longer than that, nothing would ever be confirmed.
            if !expired || full {
                self.in_flight.remove(at);
            } else {
                self.again += 1;
            }
            (message, index)
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
        self.in_flight.push_back(Sent { counter, message: id, index, at: now, lost: false, again: false });
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
        self.rtt.heard_at = Some(now);
        let mut at = 0;
        while at < self.in_flight.len() {
            let sent = self.in_flight[at];
            if let Some(ack) = ack.filter(|ack| ack.contains(sent.counter)) {
                self.in_flight.remove(at);
                self.again -= usize::from(sent.again);
                at -= self.forget_others(&sent, at);
                self.rtt.acknowledged();
                if sent.counter == ack.largest {
                    self.rtt.sample(now - sent.at);
                }
                self.confirm(sent.message, &mut delivered);
                continue;
            }
            // Further back than the map reaches, or overtaken by many.
            if ack.is_some_and(|ack| ack.is_past(sent.counter)) || heard >= sent.counter + REORDER {
                if sent.again {
                    self.in_flight.remove(at);
                    self.again -= 1;
                    continue;
                }
                self.in_flight[at].lost = true;
            }
            at += 1;
        }
    }

    /// Whichever of its cells arrived, a fragment is there: forgets the others. Returns how many of them come before
    /// `at`.
    fn forget_others(&mut self, sent: &Sent, at: usize) -> usize {
        // Mostly there is only one of each.
        if self.again == 0 && !sent.again {
            return 0;
        }
        let before = self.in_flight.iter().take(at).filter(|other| other.is_of(sent)).count();
        self.in_flight.retain(|other| !other.is_of(sent));
        self.again = self.in_flight.iter().filter(|other| other.again).count();
        before
    }

    fn confirm(&mut self, id: u64, delivered: &mut impl FnMut(MessageId)) {
        let Some(message) = self.message(id) else { return };
        message.confirmed += 1;
        if message.confirmed < message.count {
            return;
        }
        let bytes = core::mem::take(&mut message.bytes);
        self.bytes -= bytes.len();
        self.pool.give(bytes);
        if let Ok(at) = self.messages.binary_search_by_key(&id, |m| m.id) {
            self.messages.remove(at);
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
mod tests;
