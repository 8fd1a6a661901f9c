//! Threads that call into a module, so that a call that never comes back holds none of ours.

use std::collections::VecDeque;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The clock.
#[expect(clippy::disallowed_methods, reason = "how long a token takes is real time, and the protocol does not see it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// A bounded number of threads. They are started as needed, stay for the next task, and end when this is dropped; a
/// thread whose task never ends is left behind.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    max: usize,
}

/// Why a task has no result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoResult {
    /// Time ran out, while all threads were taken or while it ran.
    Busy,
    /// The system gives no thread.
    NoThread,
}

struct Shared {
    state: Mutex<State>,
    /// There is a task, or the end.
    work: Condvar,
    /// A thread has become free.
    freed: Condvar,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Box<dyn FnOnce() + Send>>,
    threads: usize,
    idle: usize,
    /// Since when each task that runs does so.
    running: Vec<(u64, Instant)>,
    next: u64,
    /// Since when a caller waited that gave up, if nobody got a thread after it.
    starved: Option<Instant>,
    closed: bool,
}

impl Workers {
    pub(crate) fn new(max: usize) -> Self {
        let shared = Shared { state: Mutex::default(), work: Condvar::new(), freed: Condvar::new() };
        Self { shared: Arc::new(shared), max: max.max(1) }
    }

    /// Runs `task` on one of the threads and waits for its result, both within `wait`. A task that has begun goes on
    /// after that.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        wait: Duration,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoResult> {
        let began = now();
        let (done, result) = mpsc::sync_channel(1);
        self.hand_over(
            began,
            wait,
            Box::new(move || {
                // Nobody may be waiting any more.
                let _ = done.send(task());
            }),
        )?;
        match result.recv_timeout(wait.saturating_sub(began.elapsed())) {
            Ok(result) => Ok(result),
            // Disconnected: it panicked, which is what happens to be said on the thread's own behalf.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(NoResult::Busy),
        }
    }

    fn hand_over(&self, began: Instant, wait: Duration, task: Box<dyn FnOnce() + Send>) -> Result<(), NoResult> {
        let mut state = self.shared.lock();
        while state.idle <= state.tasks.len() && state.threads >= self.max {
            let left = wait.saturating_sub(began.elapsed());
            if left.is_zero() {
                state.starved.get_or_insert(began);
                return Err(NoResult::Busy);
            }
            state = self.shared.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.idle <= state.tasks.len() {
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new().name("b4ae-hsm".to_owned());
            thread.spawn(move || shared.work()).map_err(|_| NoResult::NoThread)?;
            state.threads += 1;
        }
        state.starved = None;
        state.tasks.push_back(task);
        drop(state);
        self.shared.work.notify_one();
        Ok(())
    }

    /// Since when a task has been running, or a caller has been without a thread, for longer than `wait`.
    pub(crate) fn stalled(&self, wait: Duration) -> Option<Instant> {
        let state = self.shared.lock();
        let oldest = state.running.iter().map(|(_, since)| *since).min().filter(|since| since.elapsed() > wait);
        oldest.into_iter().chain(state.starved).min()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    /// Counters are sound whatever panicked while it held the lock: nothing that can, does.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(self: Arc<Self>) {
        loop {
            let mut state = self.lock();
            state.idle += 1;
            self.freed.notify_one();
            let task = loop {
                if let Some(task) = state.tasks.pop_front() {
                    break task;
                }
                if state.closed {
                    return;
                }
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            state.idle -= 1;
            let number = state.next;
            state.next += 1;
            state.running.push((number, now()));
            drop(state);
            let running = Running { shared: &self, number };
            task();
            drop(running);
        }
    }
}

/// A task that runs; when it panics, its thread ends and makes room for another.
struct Running<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.running.retain(|(number, _)| *number != self.number);
        if thread::panicking() {
            state.threads -= 1;
            drop(state);
            self.shared.freed.notify_one();
        }
    }
}
