//! Buffers of messages that are gone, kept for the next, so that a steady flow of them neither allocates nor frees.

use alloc::vec::Vec;

use zeroize::Zeroize as _;

/// Buffers kept.
const BUFFERS: usize = 4;
/// The largest buffer kept.
const LONGEST: usize = 16 * 1024;

/// Wiped buffers. All that came from here, kept or in use, have together at most [`slack`](Self::slack) bytes that no
/// message needs: otherwise many short messages could each hold the buffer of a long one that went before.
pub(crate) struct Pool {
    spare: Vec<Vec<u8>>,
    /// The largest buffer kept.
    longest: usize,
    /// Capacity of all buffers, less the length of the messages in them.
    unused: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Pool {
    /// For messages of at most `message` bytes.
    pub(crate) fn new(message: usize) -> Self {
        Self { spare: Vec::new(), longest: message.min(LONGEST), unused: 0 }
    }

    /// The most bytes that buffers of such a pool have beyond the messages in them.
    pub(crate) const fn slack(message: usize) -> usize {
        BUFFERS * if message < LONGEST { message } else { LONGEST }
    }

    /// An empty buffer with room for `len` bytes: the smallest that has, or a new one in the place of one that has not.
    pub(crate) fn take(&mut self, len: usize) -> Vec<u8> {
        let fits = (0..self.spare.len()).filter(|&at| self.spare[at].capacity() >= len);
        if let Some(at) = fits.min_by_key(|&at| self.spare[at].capacity()) {
            self.unused -= len;
            return self.spare.swap_remove(at);
        }
        self.unused -= self.spare.pop().map_or(0, |short| short.capacity());
        let buffer = Vec::with_capacity(len);
        self.unused += buffer.capacity() - len;
        buffer
    }

    /// Takes a buffer back from a message that is gone.
    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        let (len, capacity) = (buffer.len(), buffer.capacity());
        // What lies behind the message was wiped with the message before it.
        buffer.as_mut_slice().zeroize();
        buffer.clear();
        let slack = Self::slack(self.longest);
        let keep = self.spare.len() < BUFFERS && (1..=self.longest).contains(&capacity) && self.unused + len <= slack;
        if keep {
            self.unused += len;
            self.spare.reserve_exact(BUFFERS - self.spare.len());
            self.spare.push(buffer);
        } else {
            self.unused -= capacity - len;
        }
    }

    /// Bytes that the list of buffers takes.
    pub(crate) const LIST: usize = BUFFERS * size_of::<Vec<u8>>();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(pool: &mut Pool, len: usize) -> Vec<u8> {
        let mut buffer = pool.take(len);
        assert!(buffer.is_empty() && buffer.capacity() >= len);
        buffer.resize(len, 0x5a);
        buffer
    }

    #[test]
    fn a_buffer_serves_again_and_the_smallest_that_fits_does() {
        let mut pool = Pool::default();
        let given = [100, 3000, 1000].map(|len| message(&mut pool, len));
        let addresses = given.each_ref().map(Vec::as_ptr);
        given.into_iter().for_each(|buffer| pool.give(buffer));
        let again = [900, 1, 2].map(|len| message(&mut pool, len));
        assert_eq!(again.each_ref().map(Vec::as_ptr), [addresses[2], addresses[0], addresses[1]]);
    }

    #[test]
    fn short_messages_do_not_gather_the_buffers_of_long_ones() {
        for longest in [4096, LONGEST, 1 << 20] {
            let mut pool = Pool::new(longest);
            let long = LONGEST.min(longest);
            let mut held: Vec<_> = (0..100).map(|_| message(&mut pool, long)).collect();
            for at in 0..held.len() {
                // As one long message goes, a short one comes.
                pool.give(core::mem::take(&mut held[at]));
                held[at] = message(&mut pool, 1);
                let capacity = |buffers: &[Vec<u8>]| buffers.iter().map(Vec::capacity).sum::<usize>();
                let len: usize = held.iter().map(Vec::len).sum();
                let unused = capacity(&held) + capacity(&pool.spare) - len;
                assert_eq!(pool.unused, unused);
                assert!(unused <= Pool::slack(longest), "{unused} bytes unused, {longest} the longest");
            }
        }
    }
}
