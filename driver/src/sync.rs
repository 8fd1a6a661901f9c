//! Locks and wakers between the application's threads and the loop.
//!
//! The loop may run at real-time priority while an application thread that holds a lock is preempted. It therefore
//! never blocks on a lock: it spins for a moment and else comes back later.
//!
//! With `--cfg loom`, locks and atomics are those of a model checker, which runs `links/interleavings.rs` in every
//! order. `Arc` stays the standard library's: what hangs on it is when the last handle is dropped, and that is between
//! locks.

use std::mem;
use std::sync::{PoisonError, TryLockError};
use std::task::Waker;

#[cfg(loom)]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::AtomicBool,
    sync::{Mutex, MutexGuard},
};
#[cfg(not(loom))]
pub(crate) use std::{
    hint::spin_loop,
    sync::atomic::AtomicBool,
    sync::{Mutex, MutexGuard},
};

/// Attempts before the loop gives up on a lock: a few microseconds, many times what a holder needs that runs.
const SPINS: u32 = if cfg!(loom) { 1 } else { 64 };

/// For application threads. A panic elsewhere does not spread: every critical section leaves its state whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    let guard = mutex.lock().unwrap_or_else(PoisonError::into_inner);
    #[cfg(loom)]
    if PREEMPT_HOLDERS.get() {
        loom::thread::yield_now();
    }
    guard
}

// The model checker does not by itself stop a thread between taking a lock and letting go of it, where the loop would
// find the lock held.
#[cfg(loom)]
thread_local! {
    pub(crate) static PREEMPT_HOLDERS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// For the loop: `None` when the holder does not let go within microseconds.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    for _ in 0..SPINS {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => spin_loop(),
        }
    }
    None
}

/// Tasks waiting for the same thing.
///
/// A task dropped while waiting leaves its waker behind until the next wake. So that these do not pile up, a set that
/// outgrows its limit wakes everybody: the living register again, and the limit doubles so that this ends.
#[derive(Debug)]
pub(crate) struct WakerSet {
    waiting: Vec<Waker>,
    limit: usize,
}

/// Wakers to be woken once no lock is held.
#[derive(Debug, Default)]
#[must_use = "tasks wait for this"]
pub(crate) struct ToWake(Vec<Waker>);

impl WakerSet {
    const LIMIT: usize = 32;

    pub(crate) const fn new() -> Self {
        Self { waiting: Vec::new(), limit: Self::LIMIT }
    }

    /// Adds `waker`, unless it is there already.
    pub(crate) fn register(&mut self, waker: &Waker) -> ToWake {
        if self.waiting.iter().any(|known| known.will_wake(waker)) {
            return ToWake::default();
        }
        let mut spill = ToWake::default();
        if self.waiting.len() >= self.limit {
            spill.0 = mem::take(&mut self.waiting);
            self.limit = self.limit.saturating_mul(2);
        }
        self.waiting.push(waker.clone());
        spill
    }

    /// Moves everybody into `to`.
    pub(crate) fn drain_into(&mut self, to: &mut ToWake) {
        to.0.append(&mut self.waiting);
        self.limit = Self::LIMIT;
    }
}

impl ToWake {
    pub(crate) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

/// The loop's waker, for whoever has work for it.
#[derive(Debug, Default)]
pub(crate) struct LoopWaker(Mutex<Option<Waker>>);

impl LoopWaker {
    /// Called by the loop when its waker changed, which is rare.
    pub(crate) fn set(&self, waker: &Waker) {
        *lock(&self.0) = Some(waker.clone());
    }

    /// Called by the loop when it ends, since a waker may hold something of the loop's: a file, a task's memory.
    pub(crate) fn clear(&self) {
        let waker = lock(&self.0).take();
        drop(waker);
    }

    pub(crate) fn wake(&self) {
        let waker = lock(&self.0).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::WakerSet;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn one_task_polling_often_registers_once() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut set = WakerSet::new();
        for _ in 0..1000 {
            set.register(&waker).wake();
        }
        let mut woken = super::ToWake::default();
        set.drain_into(&mut woken);
        woken.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn wakers_of_dropped_tasks_do_not_pile_up() {
        let mut set = WakerSet::new();
        for _ in 0..100 {
            for _ in 0..WakerSet::LIMIT {
                set.register(&Waker::from(Arc::new(Count::default()))).wake();
            }
            set.drain_into(&mut super::ToWake::default());
        }
        for _ in 0..WakerSet::LIMIT * 2 {
            set.register(&Waker::from(Arc::new(Count::default()))).wake();
        }
        assert!(set.waiting.len() <= WakerSet::LIMIT * 2);
    }

    #[test]
    fn a_full_set_loses_nobody_and_settles() {
        let tasks: Vec<_> = (0..WakerSet::LIMIT * 3).map(|_| Arc::new(Count::default())).collect();
        let mut set = WakerSet::new();
        // Everybody woken registers again, until a round wakes nobody.
        let mut pending: Vec<_> = tasks.iter().map(|task| Waker::from(Arc::clone(task))).collect();
        let mut rounds = 0;
        while let Some(waker) = pending.pop() {
            pending.extend(set.register(&waker).0);
            rounds += 1;
            assert!(rounds < 10_000, "waking and registering never ends");
        }
        assert_eq!(set.waiting.len(), tasks.len());
    }
}
