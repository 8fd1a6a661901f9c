//! Messages on their way in: put together from cells, handed out once each, in order.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use zeroize::Zeroize as _;

use crate::memory;
use crate::session::pool::Pool;
use crate::wire::cell::{DATA_LEN, Fragment};

/// Messages that may be under way at once, from the first not handed out on, and never more than cells.
const MESSAGES: u64 = 1024;

/// The receiving side of delivery. What a slot reads comes last, before what it reads in `Entry`.
#[repr(C)]
pub(crate) struct Inbox {
    entries: VecDeque<Entry>,
    /// The first message whose turn in the order has not come.
    next_ordered: u64,
    /// Messages to hand out.
    ready: VecDeque<u64>,
    pool: Pool,
    /// Cells of messages here.
    held_cells: u64,
    max_message: usize,
    /// The message that `entries[0]` is about.
    base: u64,
    /// Cells of messages handed out.
    taken_cells: u64,
    window_cells: u64,
    window_messages: u64,
}

enum Entry {
    Unknown,
    Partial(Partial),
    Whole { buffer: Buffer, count: u16, unordered: bool },
    Taken,
}

struct Partial {
    buffer: Buffer,
    missing: u16,
    count: u16,
    unordered: bool,
}

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    have: Have,
}

/// A bit for each cell of a message. Those of a short message need no memory of their own.
#[derive(Default)]
struct Have {
    first: u64,
    rest: Box<[u64]>,
}

impl Have {
    fn new(cells: usize) -> Self {
        Self { first: 0, rest: vec![0; cells.div_ceil(64).saturating_sub(1)].into() }
    }

    /// Sets a bit. `false` if it was set already.
    fn set(&mut self, index: u16) -> bool {
        let word = match usize::from(index / 64) {
            0 => &mut self.first,
            at => &mut self.rest[at - 1],
        };
        let bit = 1 << (index % 64);
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

/// The fragment is not one an honest peer would have sent.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Violation;

impl Inbox {
    pub(crate) fn new(receive_bytes: usize, max_message: usize) -> Self {
        Self {
            base: 0,
            entries: VecDeque::new(),
            next_ordered: 0,
            ready: VecDeque::new(),
            pool: Pool::new(max_message),
            held_cells: 0,
            taken_cells: 0,
            window_cells: Self::window(receive_bytes).0,
            window_messages: Self::window(receive_bytes).1,
            max_message,
        }
    }

    /// The cells and the messages that may be under way at once.
    fn window(receive_bytes: usize) -> (u64, u64) {
        let cells = (receive_bytes / DATA_LEN) as u64;
        (cells, cells.min(MESSAGES))
    }

    /// The most bytes of heap that an inbox holds beside the text of messages, each of at most `message` bytes.
    pub(crate) fn bound(receive_bytes: usize, message: usize) -> u64 {
        let (cells, messages) = Self::window(receive_bytes);
        let messages = usize::try_from(messages).unwrap_or(usize::MAX);
        let maps = cells.div_ceil(64) * size_of::<u64>() as u64;
        let pool = (Pool::LIST + Pool::slack(message)) as u64;
        memory::vec::<Entry>(messages) + memory::vec::<u64>(messages) + maps + pool
    }

    /// What the peer may begin: messages below the first, and cells up to the second, both counted from the start.
    pub(crate) fn credit(&self) -> (u64, u64) {
        (self.base + self.window_messages, self.taken_cells + self.window_cells)
    }

    /// Messages that wait to be taken.
    pub(crate) fn waiting(&self) -> usize {
        self.ready.len()
    }

    /// Takes in a fragment. `true` if a message can be taken that could not before.
    pub(crate) fn insert(&mut self, fragment: &Fragment, data: &[u8; DATA_LEN]) -> Result<bool, Violation> {
        let Some(offset) = fragment.message.checked_sub(self.base) else { return Ok(false) };
        let count = usize::from(fragment.count);
        let len = usize::try_from(fragment.len).map_err(|_| Violation)?;
        if offset >= self.window_messages || len > self.max_message || len > count * DATA_LEN {
            return Err(Violation);
        }
        #[cfg(b4ae_leaks)]
        if !crate::constant_time::leaks::is_padded(fragment, data) {
            return Err(Violation);
        }
        let offset = usize::try_from(offset).map_err(|_| Violation)?;
        while self.entries.len() <= offset {
            self.entries.push_back(Entry::Unknown);
        }
        if let Entry::Unknown = self.entries[offset] {
            if self.held_cells + count as u64 > self.window_cells {
                return Err(Violation);
            }
            self.held_cells += count as u64;
            let mut buffer = Buffer { bytes: self.pool.take(len), have: Have::new(count) };
            buffer.bytes.resize(len, 0);
            let (count, unordered) = (fragment.count, fragment.unordered);
            self.entries[offset] = Entry::Partial(Partial { buffer, missing: count, count, unordered });
        }
        let Entry::Partial(partial) = &mut self.entries[offset] else { return Ok(false) };
        let same = partial.count == fragment.count
            && partial.unordered == fragment.unordered
            && partial.buffer.bytes.len() == len;
        if !same {
            return Err(Violation);
        }
        if !partial.buffer.have.set(fragment.index) {
            return Ok(false);
        }
        partial.missing -= 1;
        let from = (usize::from(fragment.index) * DATA_LEN).min(len);
        let to = len.min(from + DATA_LEN);
        partial.buffer.bytes[from..to].copy_from_slice(&data[..to - from]);
        let whole = partial.missing == 0;
        let before = self.ready.len();
        if whole {
            self.complete(offset);
        }
        self.advance();
        Ok(self.ready.len() > before)
    }

    fn complete(&mut self, offset: usize) {
        if let Entry::Partial(partial) = &mut self.entries[offset] {
            let buffer = core::mem::take(&mut partial.buffer);
            let (count, unordered) = (partial.count, partial.unordered);
            self.entries[offset] = Entry::Whole { buffer, count, unordered };
            if unordered {
                self.ready.push_back(self.base + offset as u64);
            }
        }
    }

    /// Hands out the ordered messages whose turn has come: those before them have been handed out, or need not be.
    fn advance(&mut self) {
        while let Some(entry) = self.entries.get((self.next_ordered - self.base) as usize) {
            match entry {
                Entry::Whole { unordered: false, .. } => self.ready.push_back(self.next_ordered),
                Entry::Whole { .. } | Entry::Taken | Entry::Partial(Partial { unordered: true, .. }) => {}
                Entry::Unknown | Entry::Partial(_) => break,
            }
            self.next_ordered += 1;
        }
    }

    /// The length of the next message.
    pub(crate) fn next_len(&self) -> Option<usize> {
        match self.entries.get((*self.ready.front()? - self.base) as usize)? {
            Entry::Whole { buffer, .. } => Some(buffer.bytes.len()),
            _ => None,
        }
    }

    /// Takes the next message into `out`, which has room for it, and returns its length.
    pub(crate) fn take(&mut self, out: &mut [u8]) -> Option<usize> {
        let id = self.ready.pop_front()?;
        let entry = self.entries.get_mut((id - self.base) as usize)?;
        let Entry::Whole { mut buffer, count, .. } = core::mem::replace(entry, Entry::Taken) else { return None };
        let len = buffer.bytes.len();
        out.get_mut(..len)?.copy_from_slice(&buffer.bytes);
        self.pool.give(core::mem::take(&mut buffer.bytes));
        self.held_cells -= u64::from(count);
        self.taken_cells += u64::from(count);
        while self.base < self.next_ordered && matches!(self.entries.front(), Some(Entry::Taken)) {
            self.entries.pop_front();
            self.base += 1;
        }
        Some(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; DATA_LEN] = [9; DATA_LEN];

    fn fragment(message: u64, index: u16, count: u16) -> Fragment {
        Fragment { message, unordered: false, index, count, len: u32::from(count) * DATA_LEN as u32 }
    }

    fn inbox() -> Inbox {
        Inbox::new(8 * DATA_LEN, 4 * DATA_LEN)
    }

    #[test]
    fn an_unordered_message_is_handed_out_at_once_and_holds_nothing_up() {
        let mut inbox = inbox();
        let unordered = |message, index| Fragment { unordered: true, ..fragment(message, index, 2) };
        assert_eq!(inbox.insert(&unordered(0, 0), &BYTES), Ok(false));
        assert_eq!(inbox.insert(&fragment(1, 0, 1), &BYTES), Ok(true));
        assert_eq!(inbox.insert(&unordered(3, 1), &BYTES), Ok(false));
        assert_eq!(inbox.insert(&unordered(3, 0), &BYTES), Ok(true));
        assert_eq!(inbox.insert(&unordered(0, 1), &BYTES), Ok(true));
        assert_eq!(inbox.waiting(), 3);
        assert_eq!(inbox.insert(&fragment(2, 0, 1), &BYTES), Ok(true));
    }

    #[test]
    fn an_ordered_message_waits_no_longer_than_for_word_that_the_one_before_it_is_unordered() {
        let mut inbox = inbox();
        assert_eq!(inbox.insert(&fragment(1, 0, 1), &BYTES), Ok(false));
        assert_eq!(inbox.insert(&Fragment { unordered: true, ..fragment(0, 0, 2) }, &BYTES), Ok(true));
        assert_eq!(inbox.waiting(), 1);
    }

    #[test]
    fn an_ordered_message_waits_for_those_before_it() {
        let mut inbox = inbox();
        assert_eq!(inbox.insert(&fragment(1, 0, 1), &BYTES), Ok(false));
        assert_eq!((inbox.waiting(), inbox.next_len()), (0, None));
        assert_eq!(inbox.insert(&fragment(0, 0, 2), &BYTES), Ok(false));
        assert_eq!(inbox.insert(&fragment(0, 1, 2), &BYTES), Ok(true));
        let mut out = [0; 4 * DATA_LEN];
        assert_eq!(
            [inbox.take(&mut out), inbox.take(&mut out), inbox.take(&mut out)],
            [Some(2 * DATA_LEN), Some(DATA_LEN), None]
        );
    }

    #[test]
    fn a_fragment_that_comes_again_changes_nothing() {
        let mut inbox = inbox();
        for _ in 0..2 {
            assert_eq!(inbox.insert(&fragment(0, 0, 2), &BYTES), Ok(false));
        }
        assert_eq!(inbox.insert(&fragment(0, 1, 2), &BYTES), Ok(true));
        assert_eq!(inbox.insert(&fragment(0, 1, 2), &BYTES), Ok(false));
        inbox.take(&mut [0; 4 * DATA_LEN]).unwrap();
        assert_eq!(inbox.insert(&fragment(0, 1, 2), &BYTES), Ok(false));
        assert_eq!(inbox.waiting(), 0);
    }

    #[test]
    fn what_no_honest_peer_sends_is_a_violation() {
        let ok = fragment(0, 0, 2);
        let mut inbox = inbox();
        inbox.insert(&ok, &BYTES).unwrap();
        let wrong = [
            // Contradicts the first fragment.
            Fragment { index: 1, unordered: true, ..ok },
            Fragment { index: 1, count: 3, ..ok },
            Fragment { index: 1, len: ok.len - 1, ..ok },
            // More than its cells hold, or than a message may be.
            Fragment { message: 1, len: ok.len + 1, ..ok },
            Fragment { message: 1, count: 5, len: 4 * DATA_LEN as u32 + 1, ..ok },
            // Beyond the credit, in messages and in cells.
            Fragment { message: 8, ..ok },
            Fragment { message: 1, count: 7, ..ok },
        ];
        for fragment in wrong {
            assert_eq!(inbox.insert(&fragment, &BYTES), Err(Violation), "{fragment:?}");
        }
    }

    #[test]
    fn credit_comes_back_with_taking_and_not_before() {
        let mut inbox = inbox();
        assert_eq!(inbox.credit(), (8, 8));
        for message in 0..8 {
            inbox.insert(&fragment(message, 0, 1), &BYTES).unwrap();
        }
        assert_eq!(inbox.credit(), (8, 8));
        assert_eq!(inbox.insert(&fragment(8, 0, 1), &BYTES), Err(Violation));
        inbox.take(&mut [0; DATA_LEN]).unwrap();
        assert_eq!(inbox.credit(), (9, 9));
        assert_eq!(inbox.insert(&fragment(8, 0, 1), &BYTES), Ok(true));
    }
}
