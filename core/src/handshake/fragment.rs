//! Handshake messages cut into datagrams and put together again.

use alloc::vec;
use alloc::vec::Vec;

use crate::crypto::hash;

/// A message of at most sixteen fragments being put together. Fragments are authentic before they come here.
pub(crate) struct Assembly {
    tag: [u8; 8],
    count: u8,
    have: u16,
    bytes: Vec<u8>,
    chunk: usize,
}

impl Assembly {
    /// Room for a message of `len` bytes in fragments of `chunk`, or nothing if it is longer than `max`.
    pub(crate) fn new(tag: [u8; 8], len: usize, chunk: usize, max: usize) -> Option<Self> {
        if len == 0 || len > max {
            return None;
        }
        let count = u8::try_from(len.div_ceil(chunk)).ok().filter(|&count| count <= 16)?;
        Some(Self { tag, count, have: 0, bytes: vec![0; len], chunk })
    }

    /// Whether a fragment so labelled belongs to this message.
    pub(crate) fn is(&self, tag: [u8; 8], len: usize) -> bool {
        self.tag == tag && self.bytes.len() == len
    }

    /// Puts a fragment in its place. `false` if it is not one of this message.
    pub(crate) fn add(&mut self, index: u8, chunk: &[u8]) -> bool {
        if index >= self.count {
            return false;
        }
        let at = usize::from(index) * self.chunk;
        let end = self.bytes.len().min(at + self.chunk);
        self.bytes[at..end].copy_from_slice(&chunk[..end - at]);
        self.have |= 1 << index;
        true
    }

    /// What tells this message's fragments from another's.
    pub(crate) fn tag(&self) -> [u8; 8] {
        self.tag
    }

    /// A bit for each fragment that is here.
    pub(crate) fn have(&self) -> u16 {
        self.have
    }

    /// The message, if it is whole and is the one its fragments said.
    pub(crate) fn message(&self) -> Option<&[u8]> {
        let whole = self.have == all(self.count) && tag_of(&self.bytes) == self.tag;
        whole.then_some(&self.bytes)
    }

    /// The same, given away: nothing but [`is_full`](Self::is_full) is to be asked afterwards.
    pub(crate) fn take_message(&mut self) -> Option<Vec<u8>> {
        self.message()?;
        Some(core::mem::take(&mut self.bytes))
    }

    /// Whether every fragment is here, right or wrong.
    pub(crate) fn is_full(&self) -> bool {
        self.have == all(self.count)
    }
}

/// A bit for each of `count` fragments, at most sixteen.
pub(crate) fn all(count: u8) -> u16 {
    u16::MAX.checked_shr(16 - u32::from(count.min(16))).unwrap_or(0)
}

/// How many fragments of `chunk` bytes a message of `len` needs.
pub(crate) fn count(len: usize, chunk: usize) -> u8 {
    u8::try_from(len.div_ceil(chunk)).unwrap_or(u8::MAX)
}

/// The part of `message` that fragment `index` carries.
pub(crate) fn chunk_of(message: &[u8], index: u8, chunk: usize) -> &[u8] {
    let at = (usize::from(index) * chunk).min(message.len());
    &message[at..message.len().min(at + chunk)]
}

/// Tells fragments of one message from another's.
pub(crate) fn tag_of(message: &[u8]) -> [u8; 8] {
    *hash::digest(b"B4AE2-fragment..", &[message]).first_chunk().expect("8 of 32")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: usize = 10;

    fn chunk(message: &[u8], index: u8) -> [u8; CHUNK] {
        let mut out = [0; CHUNK];
        let part = chunk_of(message, index, CHUNK);
        out[..part.len()].copy_from_slice(part);
        out
    }

    #[test]
    fn what_was_cut_is_put_together_in_any_order() {
        for len in 1..=160_u8 {
            let message: Vec<u8> = (0..len).collect();
            let fragments = count(message.len(), CHUNK);
            let mut assembly = Assembly::new(tag_of(&message), message.len(), CHUNK, 160).unwrap();
            for i in 0..fragments {
                assert!(!assembly.is_full() && assembly.message().is_none());
                // Backwards, and every one twice.
                let index = fragments - 1 - i;
                assert!(assembly.add(index, &chunk(&message, index)) && assembly.add(index, &chunk(&message, index)));
            }
            assert_eq!(assembly.message(), Some(&message[..]));
            assert_eq!(assembly.have(), all(fragments));
            assert!(!assembly.add(fragments, &[0; CHUNK]));
            assert_eq!(assembly.take_message(), Some(message));
        }
    }

    #[test]
    fn a_fragment_of_another_tag_or_length_is_of_another_message() {
        let assembly = Assembly::new([1; 8], 25, CHUNK, 160).unwrap();
        assert!(assembly.is([1; 8], 25) && assembly.tag() == [1; 8]);
        assert!(!assembly.is([2; 8], 25) && !assembly.is([1; 8], 24));
    }

    #[test]
    fn a_message_that_is_not_what_its_fragments_said_is_none() {
        let message = [7; 25];
        let mut assembly = Assembly::new(tag_of(&message), 25, CHUNK, 160).unwrap();
        assert!((0..3).all(|index| assembly.add(index, &chunk(&[8; 25], index))));
        assert!(assembly.is_full() && assembly.message().is_none() && assembly.take_message().is_none());
    }

    #[test]
    fn no_more_room_is_made_than_was_allowed() {
        for (len, max) in [(0, 160), (161, 160), (161, 1000), (usize::MAX, usize::MAX)] {
            assert!(Assembly::new([0; 8], len, CHUNK, max).is_none(), "{len}");
        }
        assert_eq!([0, 1, 15, 16, 17].map(all), [0, 1, 0x7fff, 0xffff, 0xffff]);
    }
}
