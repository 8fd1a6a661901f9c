//! The symmetric chain of one direction: two levels, generations of 256 cells and then cells, one key a cell.
//!
//! A key is derived, used and forgotten; what is kept cannot give back what was forgotten. Losing many cells costs a
//! step a generation, not a step a cell.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::crypto::hash;
use crate::secret::Secret;

const GENERATION: u64 = 256;
/// How many generations ahead of the last cell a cell may be: a million cells, at a cost of under a millisecond.
const MAX_SKIP: u64 = 4096;

/// A place in the chain: the key of the next generation, and the state within this one.
struct Position {
    next_generation: Secret<32>,
    cell: Secret<32>,
    /// The counter of the next key.
    counter: u64,
}

impl Position {
    fn new(generation: &Secret<32>) -> Self {
        let (next_generation, cell) = hash::step(generation, b"B4AE2-generation");
        Self { next_generation, cell, counter: 0 }
    }

    fn duplicate(&self) -> Self {
        Self { next_generation: self.next_generation.duplicate(), cell: self.cell.duplicate(), counter: self.counter }
    }

    /// The key of the next cell.
    fn next(&mut self) -> Secret<32> {
        let (cell, key) = hash::step(&self.cell, b"B4AE2-cell-key..");
        self.cell = cell;
        self.counter += 1;
        if self.counter.is_multiple_of(GENERATION) {
            self.turn();
        }
        key
    }

    fn turn(&mut self) {
        *self = Self { counter: self.counter, ..Self::new(&self.next_generation) };
    }

    /// Moves on to `counter`, a step a generation where whole generations lie between.
    fn skip_to(&mut self, counter: u64, mut skipped: impl FnMut(u64, Secret<32>), keep_from: u64) {
        while self.counter < counter {
            let end = (self.counter / GENERATION + 1) * GENERATION;
            if end <= counter && end <= keep_from {
                self.counter = end;
                self.turn();
                continue;
            }
            let at = self.counter;
            let key = self.next();
            if at >= keep_from {
                skipped(at, key);
            }
        }
    }
}

/// The sending end.
pub(crate) struct SendChain(Position);

impl SendChain {
    pub(crate) fn new(key: &Secret<32>) -> Self {
        Self(Position::new(key))
    }

    /// The counter the next cell will have.
    pub(crate) fn counter(&self) -> u64 {
        self.0.counter
    }

    /// The next cell's counter and key.
    pub(crate) fn next(&mut self) -> (u64, Secret<32>) {
        (self.0.counter, self.0.next())
    }
}

/// The receiving end. The keys of cells that have not arrived are the replay window: each opens one cell once.
pub(crate) struct ReceiveChain {
    position: Position,
    /// Keys of missing cells, cell `n` at `n % len`. Whatever moves the position past a cell writes that cell's place,
    /// so a place speaks of the last cell before the position that it can be about.
    skipped: Box<[Option<Secret<32>>]>,
}

/// A cell's key, and what will have become of the chain once the cell has proved authentic.
pub(crate) struct Peeked {
    pub(crate) key: Secret<32>,
    counter: u64,
    /// The position after the cell, unless it is a missing one's that has come late.
    after: Option<Position>,
}

/// What a counter is to the chain.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Unusable {
    /// Opened before, or older than the window.
    Replayed,
    /// Further ahead than an honest sender gets.
    TooFar,
}

impl ReceiveChain {
    pub(crate) fn new(key: &Secret<32>, window: usize) -> Self {
        let skipped: Vec<_> = (0..window).map(|_| None).collect();
        Self { position: Position::new(key), skipped: skipped.into() }
    }

    fn place(&self, counter: u64) -> usize {
        (counter % self.skipped.len() as u64) as usize
    }

    /// The key for `counter`. Changes nothing: the cell is not authentic yet.
    pub(crate) fn peek(&self, counter: u64) -> Result<Peeked, Unusable> {
        if counter < self.position.counter {
            let in_window = self.position.counter - counter <= self.skipped.len() as u64;
            let missing = self.skipped[self.place(counter)].as_ref().filter(|_| in_window);
            let key = missing.ok_or(Unusable::Replayed)?.duplicate();
            return Ok(Peeked { key, counter, after: None });
        }
        if counter / GENERATION > self.position.counter / GENERATION + MAX_SKIP {
            return Err(Unusable::TooFar);
        }
        let mut after = self.position.duplicate();
        after.skip_to(counter, |_, _| {}, counter);
        let key = after.next();
        Ok(Peeked { key, counter, after: Some(after) })
    }

    /// Moves the state past a cell that has proved authentic: its key will not open another.
    pub(crate) fn commit(&mut self, peeked: Peeked) {
        let Peeked { counter, after, .. } = peeked;
        let place = self.place(counter);
        if let Some(after) = after {
            let window = self.skipped.len() as u64;
            let skipped = &mut self.skipped;
            let keep = |at: u64, key| skipped[(at % window) as usize] = Some(key);
            self.position.skip_to(counter, keep, counter.saturating_sub(window - 1));
            self.position = after;
        }
        self.skipped[place] = None;
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::random::Stream;

    const WINDOW: u64 = 32;

    fn root() -> Secret<32> {
        Secret::new([7; 32])
    }

    fn receiver() -> ReceiveChain {
        ReceiveChain::new(&root(), WINDOW as usize)
    }

    fn peek(chain: &ReceiveChain, counter: u64) -> Result<Secret<32>, Unusable> {
        chain.peek(counter).map(|peeked| peeked.key)
    }

    fn commit(chain: &mut ReceiveChain, counter: u64) {
        let Ok(peeked) = chain.peek(counter) else { panic!("{counter} is usable") };
        chain.commit(peeked);
    }

    fn keys(count: usize) -> Vec<Secret<32>> {
        let mut chain = SendChain::new(&root());
        (0..count).map(|_| chain.next().1).collect()
    }

    /// Against Python's `hashlib.blake2b`.
    #[test]
    fn keys_are_what_the_description_says() {
        let keys = keys(601);
        let vectors = [
            (0, "d8733debcf4cb7abfade9f30d84fecc2cdb2cb2f8ea6b4650fdad227f2db2ff3"),
            (1, "816fa518efd4ab57081f09e850bdec390501e218ce292b1077ddeb5a9fa8265e"),
            (255, "81981232fe34d9949ba2eed2a93a83acb2710af90ca9d395e2e5ad85f8c0b7c2"),
            (256, "dde27413293c3098b586537bcb2db6bf58d0de36b59373e03b52102578d297b6"),
            (600, "233b55ce373d41b245104e31faea624fd46232a480c63820e8a7072a422daef4"),
        ];
        for (counter, key) in vectors {
            assert_eq!(HEXLOWER.encode(keys[counter].expose()), key);
        }
    }

    #[test]
    fn skipping_equals_stepping() {
        let keys = keys(1200);
        let mut random = Stream::new(root());
        for _ in 0..50 {
            let mut chain = receiver();
            let mut counter = random.below(300);
            while let Some(key) = keys.get(counter as usize) {
                assert!(peek(&chain, counter).as_ref() == Ok(key), "{counter}");
                commit(&mut chain, counter);
                counter += 1 + random.below(400);
            }
        }
    }

    #[test]
    fn a_key_opens_once_whatever_the_order() {
        let keys = keys(500);
        let mut chain = receiver();
        let mut random = Stream::new(root());
        // Blocks shuffled within themselves, never further apart than the window.
        for block in 0..(500 / WINDOW) {
            let mut order: Vec<_> = (block * WINDOW..(block + 1) * WINDOW).collect();
            for i in (1..order.len()).rev() {
                order.swap(i, random.below(i as u64 + 1) as usize);
            }
            for &counter in &order {
                assert!(peek(&chain, counter).as_ref() == Ok(&keys[counter as usize]));
                commit(&mut chain, counter);
                assert!(peek(&chain, counter) == Err(Unusable::Replayed));
            }
            for counter in 0..(block + 1) * WINDOW {
                assert!(peek(&chain, counter) == Err(Unusable::Replayed));
            }
        }
    }

    #[test]
    fn the_window_is_exact() {
        let keys = keys(1001);
        for start in [0, 700, 990] {
            let mut chain = receiver();
            if start > 0 {
                commit(&mut chain, start);
            }
            commit(&mut chain, 1000);
            let first = 1001 - WINDOW;
            for counter in 0..=1000 {
                let usable = counter >= first && counter != 1000 && counter != start;
                assert_eq!(peek(&chain, counter).as_ref().ok(), usable.then_some(&keys[counter as usize]), "{counter}");
            }
        }
    }

    #[test]
    fn a_counter_that_nobody_vouched_for_moves_nothing() {
        let keys = keys(1001);
        let mut chain = receiver();
        for forged in [1, 255, 256, 1000, GENERATION * MAX_SKIP, u64::MAX] {
            let _ = peek(&chain, forged);
        }
        for counter in [0, 1, 2, 1000] {
            assert!(peek(&chain, counter).as_ref() == Ok(&keys[counter as usize]));
            commit(&mut chain, counter);
        }
    }

    #[test]
    fn no_counter_costs_more_than_the_most_that_may_be_skipped() {
        let chain = receiver();
        let end = GENERATION * (MAX_SKIP + 1);
        assert!(peek(&chain, end - 1).is_ok());
        assert!(peek(&chain, end) == Err(Unusable::TooFar));
    }
}
