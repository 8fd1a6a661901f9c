//! The symmetric chain of one direction: two levels, generations of 256 cells and then cells, one key a cell.
//!
//! A key is derived, used and forgotten; what is kept cannot give back what was forgotten. Losing many cells costs a
//! step a generation, not a step a cell.

use alloc::boxed::Box;
use alloc::vec;

use zeroize::Zeroize;

use crate::crypto::hash;
use crate::handshake::limiter::Bucket;
use crate::secret::{InPlace, Secret};
use crate::time::Instant;

const GENERATION: u64 = 256;
/// How many generations ahead of the last cell a cell may be: a million cells, at a cost of under a millisecond.
const MAX_SKIP: u64 = 4096;
/// Steps a second, of a quarter of a microsecond each, to cells that are far ahead: four milliseconds. An honest sender
/// needs them after an outage.
const STEPS_PER_SECOND: u32 = 1 << 14;

/// A place in the chain: the state within this generation, and the key of the next.
#[repr(C)]
struct Position {
    /// The counter of the next key.
    counter: u64,
    cell: InPlace<32>,
    next_generation: InPlace<32>,
}

impl Position {
    /// Room for a position, to be written where it stays.
    fn empty() -> Self {
        Self { counter: 0, cell: InPlace::zero(), next_generation: InPlace::zero() }
    }

    fn begin(&mut self, generation: &[u8; 32]) {
        self.next_generation.as_mut().copy_from_slice(generation);
        self.turn();
    }

    /// Becomes what `other` is, where it stands: no key leaves its place.
    fn assign(&mut self, other: &Self) {
        self.next_generation.as_mut().copy_from_slice(other.next_generation.expose());
        self.cell.as_mut().copy_from_slice(other.cell.expose());
        self.counter = other.counter;
    }

    /// Writes the key of the next cell.
    fn next(&mut self, key: &mut Secret<32>) {
        hash::step(self.cell.as_mut(), b"B4AE2-cell-key..", key.as_mut());
        self.counter += 1;
        if self.counter.is_multiple_of(GENERATION) {
            self.turn();
        }
    }

    fn turn(&mut self) {
        hash::step(self.next_generation.as_mut(), b"B4AE2-generation", self.cell.as_mut());
    }

    /// Moves on to `counter`, a step a generation where whole generations lie between that need not be kept.
    fn skip_to(&mut self, counter: u64, keep_from: u64, key: &mut Secret<32>, mut keep: impl FnMut(u64, &Secret<32>)) {
        while self.counter < counter {
            let end = (self.counter / GENERATION + 1) * GENERATION;
            if end <= counter && end <= keep_from {
                self.counter = end;
                self.turn();
                continue;
            }
            let at = self.counter;
            self.next(key);
            if at >= keep_from {
                keep(at, key);
            }
        }
    }
}

/// What it takes to work on one cell, for all sessions together: nothing in it outlives the cell.
pub(crate) struct Workspace(Box<(Position, Secret<32>)>);

impl Workspace {
    pub(crate) fn new() -> Self {
        Self(Box::new((Position::empty(), Secret::zero())))
    }

    /// The key of the cell.
    pub(crate) fn key(&self) -> &Secret<32> {
        &self.0.1
    }

    pub(crate) fn wipe(&mut self) {
        let (ahead, key) = &mut *self.0;
        ahead.cell.wipe();
        ahead.next_generation.wipe();
        key.as_mut().as_mut_slice().zeroize();
    }
}

/// The sending end.
pub(crate) struct SendChain(Position);

impl SendChain {
    /// Room for a chain, to [`begin`](Self::begin) where it stays.
    pub(crate) fn empty() -> Self {
        Self(Position::empty())
    }

    pub(crate) fn begin(&mut self, key: &[u8; 32]) {
        self.0.begin(key);
    }

    /// The counter the next cell will have.
    pub(crate) fn counter(&self) -> u64 {
        self.0.counter
    }

    /// The next cell's counter; its key is in `work`.
    pub(crate) fn next(&mut self, work: &mut Workspace) -> u64 {
        let counter = self.0.counter;
        self.0.next(&mut work.0.1);
        counter
    }
}

/// The receiving end. The keys of cells that have not arrived are the replay window: each opens one cell once.
pub(crate) struct ReceiveChain {
    position: Position,
    missing: Missing,
    /// Steps that the peer may still make us take.
    budget: Bucket,
}

/// Keys of missing cells, cell `n` at place `n % len`. Whatever moves the position past a cell writes that cell's
/// place, so a place speaks of the last cell before the position that it can be about.
struct Missing {
    keys: Box<[[u8; 32]]>,
    is_there: Box<[bool]>,
}

impl Missing {
    fn new(window: usize) -> Self {
        Self { keys: vec![[0; 32]; window].into(), is_there: vec![false; window].into() }
    }

    fn len(&self) -> u64 {
        self.keys.len() as u64
    }

    fn place(&self, counter: u64) -> usize {
        (counter % self.len()) as usize
    }

    fn get(&self, counter: u64) -> Option<&[u8; 32]> {
        let place = self.place(counter);
        self.is_there[place].then(|| &self.keys[place])
    }

    fn keep(&mut self, counter: u64, key: &Secret<32>) {
        let place = self.place(counter);
        self.keys[place].copy_from_slice(key.expose());
        self.is_there[place] = true;
    }

    fn forget(&mut self, counter: u64) {
        let place = self.place(counter);
        self.keys[place].as_mut_slice().zeroize();
        self.is_there[place] = false;
    }
}

impl Drop for Missing {
    fn drop(&mut self) {
        self.keys.as_flattened_mut().zeroize();
    }
}

/// What a counter is to the chain.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Unusable {
    /// Opened before, or older than the window.
    Replayed,
    /// Further ahead than an honest sender gets, or often far ahead.
    TooFar,
}

impl ReceiveChain {
    /// Room for a chain, to [`begin`](Self::begin) where it stays.
    pub(crate) fn empty(window: usize) -> Self {
        Self { position: Position::empty(), missing: Missing::new(window), budget: Bucket::full() }
    }

    pub(crate) fn begin(&mut self, key: &[u8; 32]) {
        self.position.begin(key);
    }

    /// Bytes of heap of a chain that keeps the keys of so many missing cells.
    pub(crate) fn bound(window: usize) -> u64 {
        window as u64 * (32 + 1)
    }

    /// Steps it takes to get to `counter`, the keys kept on the way included.
    fn steps_to(&self, counter: u64) -> u64 {
        let generations = (counter / GENERATION).saturating_sub(self.position.counter / GENERATION);
        let kept = counter.saturating_sub(self.missing.len() - 1);
        generations + counter - (kept - kept % GENERATION).max(self.position.counter).min(counter)
    }

    /// Steps to a cell that is not far ahead. It is always tried: whoever holds cells back has headers that name
    /// counters this near, and must not use up what they take by editing what follows.
    fn near(&self) -> u64 {
        GENERATION + self.missing.len()
    }

    /// The most steps to any counter.
    fn most_steps(&self) -> u64 {
        MAX_SKIP + GENERATION + self.missing.len()
    }

    /// Leaves the key for `counter` in `work`. The chain stays where it is: the cell is not authentic yet. Whoever can
    /// write a header that names a counter far ahead is the peer, and authentic or not, such cells are work: there
    /// is a budget.
    pub(crate) fn peek(&mut self, counter: u64, now: Instant, work: &mut Workspace) -> Result<(), Unusable> {
        let (ahead, key) = &mut *work.0;
        if counter < self.position.counter {
            let in_window = self.position.counter - counter <= self.missing.len();
            let kept = self.missing.get(counter).filter(|_| in_window).ok_or(Unusable::Replayed)?;
            key.as_mut().copy_from_slice(kept);
            return Ok(());
        }
        if counter / GENERATION > self.position.counter / GENERATION + MAX_SKIP {
            return Err(Unusable::TooFar);
        }
        let (steps, most) = (self.steps_to(counter), self.most_steps());
        if steps > self.near() && !self.budget.take_many(now, steps, STEPS_PER_SECOND, most) {
            return Err(Unusable::TooFar);
        }
        ahead.assign(&self.position);
        ahead.skip_to(counter, counter, key, |_, _| {});
        ahead.next(key);
        Ok(())
    }

    /// Moves the chain past `counter`, the last peeked at, whose cell has proved authentic: its key will not open
    /// another.
    pub(crate) fn commit(&mut self, counter: u64, work: &mut Workspace) {
        if counter >= self.position.counter {
            let (ahead, key) = &mut *work.0;
            let Self { position, missing, .. } = self;
            let keep_from = counter.saturating_sub(missing.len() - 1);
            position.skip_to(counter, keep_from, key, |at, key| missing.keep(at, key));
            position.assign(ahead);
        }
        self.missing.forget(counter);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use data_encoding::HEXLOWER;

    use super::*;
    use crate::random::Stream;

    const WINDOW: u64 = 32;

    fn root() -> Secret<32> {
        Secret::new([7; 32])
    }

    /// A receiving end, and room to work in.
    struct Receiver(ReceiveChain, Workspace, Instant);

    impl Receiver {
        fn peek(&mut self, counter: u64) -> Result<&Secret<32>, Unusable> {
            self.0.peek(counter, self.2, &mut self.1)?;
            Ok(self.1.key())
        }

        fn commit(&mut self, counter: u64) {
            self.0.commit(counter, &mut self.1);
        }
    }

    fn receiver() -> Receiver {
        let mut chain = ReceiveChain::empty(WINDOW as usize);
        chain.begin(root().expose());
        Receiver(chain, Workspace::new(), Instant::ORIGIN)
    }

    fn keys(count: usize) -> Vec<Secret<32>> {
        let (mut chain, mut work) = (SendChain::empty(), Workspace::new());
        chain.begin(root().expose());
        let mut next = || {
            chain.next(&mut work);
            work.key().duplicate()
        };
        (0..count).map(|_| next()).collect()
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
    fn a_workspace_is_wiped_whole() {
        let mut chain = receiver();
        chain.peek(300).unwrap();
        let keys = |work: &Workspace| {
            let (ahead, key) = &*work.0;
            [*ahead.cell.expose(), *ahead.next_generation.expose(), *key.expose()]
        };
        assert!(!keys(&chain.1).contains(&[0; 32]));
        chain.1.wipe();
        assert_eq!(keys(&chain.1), [[0; 32]; 3]);
    }

    #[test]
    fn skipping_equals_stepping() {
        let keys = keys(1200);
        let mut random = Stream::new(root());
        for _ in 0..50 {
            let mut chain = receiver();
            let mut counter = random.below(300);
            while let Some(key) = keys.get(counter as usize) {
                assert!(chain.peek(counter) == Ok(key), "{counter}");
                chain.commit(counter);
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
                assert!(chain.peek(counter) == Ok(&keys[counter as usize]));
                chain.commit(counter);
                assert!(chain.peek(counter) == Err(Unusable::Replayed));
            }
            for counter in 0..(block + 1) * WINDOW {
                assert!(chain.peek(counter) == Err(Unusable::Replayed));
            }
        }
    }

    #[test]
    fn the_window_is_exact() {
        let keys = keys(1001);
        for start in [0, 700, 990] {
            let mut chain = receiver();
            for counter in [start, 1000].into_iter().filter(|&counter| counter > 0) {
                chain.peek(counter).unwrap();
                chain.commit(counter);
            }
            let first = 1001 - WINDOW;
            for counter in 0..=1000 {
                let usable = counter >= first && counter != 1000 && counter != start;
                assert_eq!(chain.peek(counter).ok(), usable.then_some(&keys[counter as usize]), "{counter}");
            }
        }
    }

    #[test]
    fn a_counter_that_nobody_vouched_for_moves_nothing() {
        let keys = keys(1001);
        let mut chain = receiver();
        for forged in [1, 255, 256, 1000, GENERATION * MAX_SKIP, u64::MAX] {
            let _ = chain.peek(forged);
        }
        chain.2 = Instant::from_nanos(1_000_000_000);
        for counter in [0, 1, 2, 1000] {
            assert!(chain.peek(counter) == Ok(&keys[counter as usize]));
            chain.commit(counter);
        }
    }

    /// A receiving end that has had the cells before `next`, and been idle since.
    fn receiver_at(next: u64) -> Receiver {
        let mut chain = receiver();
        if let Some(last) = next.checked_sub(1) {
            chain.peek(last).unwrap();
            chain.commit(last);
        }
        chain.2 = Instant::from_nanos(1_000_000_000_000);
        chain
    }

    #[test]
    fn no_counter_is_skipped_to_beyond_the_most_that_may_be() {
        for start in [0, 1, 255, 256, 700] {
            let end = GENERATION * (start / GENERATION + MAX_SKIP + 1);
            assert!(receiver_at(start).peek(end) == Err(Unusable::TooFar));
            assert!(receiver_at(start).peek(end - 1).is_ok());
        }
    }

    /// Steps from `next` to `counter`, one after the other: generations that nothing is kept of are one each.
    fn steps(next: u64, counter: u64) -> u64 {
        let keep_from = counter.saturating_sub(WINDOW - 1);
        let (mut at, mut steps) = (next, 0);
        while at < counter {
            let end = (at / GENERATION + 1) * GENERATION;
            let whole = end <= keep_from;
            steps += if whole { 1 } else { 1 + u64::from(at + 1 == end) };
            at = if whole { end } else { at + 1 };
        }
        steps
    }

    #[test]
    fn the_steps_that_are_paid_for_are_those_that_are_taken() {
        for start in [0, 1, 31, 32, 255, 256, 700] {
            let chain = receiver_at(start);
            for counter in start..start + 1100 {
                assert_eq!(chain.0.steps_to(counter), steps(start, counter), "from {start} to {counter}");
            }
        }
        let (chain, end) = (receiver(), GENERATION * (MAX_SKIP + 1));
        let most = (end - 2 * GENERATION..end).map(|counter| steps(0, counter)).max().unwrap();
        assert!((most..most + 3).contains(&chain.0.most_steps()), "{most} steps at most");
    }

    #[test]
    fn what_is_near_is_tried_when_the_budget_is_spent() {
        for start in [0, 1, 255, 256, 700] {
            let mut chain = receiver_at(start);
            // Leaves less than anything takes that is not near.
            chain.peek((start / GENERATION + MAX_SKIP + 1) * GENERATION - 1).unwrap();
            for counter in start..start + 1100 {
                let near = steps(start, counter) <= GENERATION + WINDOW;
                assert_eq!(chain.peek(counter).is_ok(), near, "from {start} to {counter}");
            }
        }
    }

    /// A peer that names counters far ahead, in cells that are authentic or not, costs a bounded time a second.
    #[test]
    fn a_peer_that_skips_again_and_again_runs_out_of_steps() {
        for authentic in [false, true] {
            let mut chain = receiver();
            let (mut steps, most) = (0, chain.0.most_steps());
            for ms in 0..10_000 {
                chain.2 = Instant::from_nanos(ms * 1_000_000);
                let next = chain.0.position.counter;
                let far = (next / GENERATION + MAX_SKIP + 1) * GENERATION - 1;
                for counter in [far, far / 2 + next / 2] {
                    let needed = chain.0.steps_to(counter);
                    if chain.peek(counter).is_ok() {
                        steps += needed;
                        if authentic {
                            chain.commit(counter);
                        }
                    }
                }
            }
            let budget = most + 10 * u64::from(STEPS_PER_SECOND);
            assert!((budget / 2..=budget).contains(&steps), "{steps} steps, {budget} in the budget");
        }
    }

    #[test]
    fn an_honest_peer_does_not_run_out_of_steps() {
        // At a hundred thousand a second, three of four cells are lost, and every other second is lost whole.
        let mut chain = receiver();
        for counter in (0..2_500_000).filter(|counter| counter / 100_000 % 2 == 0) {
            chain.2 = Instant::from_nanos(counter * 10_000);
            if counter % 400 >= 300 {
                assert!(chain.peek(counter).is_ok(), "{counter}");
                chain.commit(counter);
            }
        }
    }
}
