//! Threads that call into a module, so that a call that never comes back holds none of ours.

use std::collections::VecDeque;
use std::mem;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

/// The clock.
#[expect(clippy::disallowed_methods, reason = "how long a token takes is real time, and the protocol does not see it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// How long the end of a signer waits for calls that are inside the module, and for its sessions to be closed.
pub(crate) const END: Duration = Duration::from_secs(3);

/// A bounded number of threads. They are started as needed, stay for the next task, and end when this is dropped; a
/// thread whose task has not ended [`END`] later is left behind.
pub(crate) struct Workers {
    shared: Arc<Shared>,
    max: usize,
}

/// Does the work, and returns what hands over the result.
type Task = Box<dyn FnOnce() -> Box<dyn FnOnce()> + Send>;

/// Why a task has no result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoResult {
    /// Time ran out, while all threads were taken or while it ran.
    Busy,
    /// The system gives no thread.
    NoThread,
    /// They have been ended.
    Closed,
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
    tasks: VecDeque<Task>,
    threads: Vec<JoinHandle<()>>,
    idle: usize,
    /// Which threads run a task, and since when.
    running: Vec<(ThreadId, Instant)>,
    /// When a task last ended.
    ended: Option<Instant>,
    /// Since when the first caller waited that found no thread and gave up, if no task has ended since then.
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
                let result = task();
                Box::new(move || {
                    // Nobody may be waiting any more.
                    let _ = done.send(result);
                })
            }),
        )?;
        match result.recv_timeout(wait.saturating_sub(began.elapsed())) {
            Ok(result) => Ok(result),
            // Disconnected: it panicked, which is what happens to be said on the thread's own behalf.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(NoResult::Busy),
        }
    }

    fn hand_over(&self, began: Instant, wait: Duration, task: Task) -> Result<(), NoResult> {
        let mut state = self.shared.lock();
        while !state.closed && state.idle <= state.tasks.len() && state.threads.len() >= self.max {
            let left = wait.saturating_sub(began.elapsed());
            if left.is_zero() {
                if state.is_without_end_since(began) {
                    state.starved.get_or_insert(began);
                }
                return Err(NoResult::Busy);
            }
            state = self.shared.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.closed {
            return Err(NoResult::Closed);
        }
        if state.idle <= state.tasks.len() {
            self.start_thread(&mut state)?;
        }
        state.tasks.push_back(task);
        drop(state);
        self.shared.work.notify_one();
        Ok(())
    }

    fn start_thread(&self, state: &mut State) -> Result<(), NoResult> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name("b4ae-hsm".to_owned());
        let thread = thread.spawn(move || shared.work()).map_err(|_| NoResult::NoThread)?;
        state.threads.push(thread);
        Ok(())
    }

    /// Since when a task has been running, or a caller has been without a thread, for longer than `wait`, while no
    /// other task ended.
    pub(crate) fn stalled(&self, wait: Duration) -> Option<Instant> {
        let state = self.shared.lock();
        let stuck = state.running.iter().map(|(_, since)| *since).filter(|since| since.elapsed() > wait);
        stuck.filter(|since| state.is_without_end_since(*since)).chain(state.starved).min()
    }

    /// Has `last` run on one of the threads, after which they end, and waits for that, but no longer than `wait`. Tasks
    /// that have not begun are dropped. A thread that does not come back in time ends, and may still run `last`, when
    /// it does.
    ///
    /// Threads are waited for to the last of their destructors: modules have some, which are not to meet those of the
    /// process when it ends next.
    pub(crate) fn end(&self, wait: Duration, last: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.lock();
        if mem::replace(&mut state.closed, true) {
            return;
        }
        // Whoever asked for them is not there any more.
        let never_begun = mem::take(&mut state.tasks);
        state.tasks.push_back(Box::new(move || {
            last();
            Box::new(|| ())
        }));
        if state.idle == 0 && state.threads.len() < self.max {
            // Without a thread there is nobody to run it.
            let _ = self.start_thread(&mut state);
        }
        let threads = mem::take(&mut state.threads);
        drop(state);
        drop(never_begun);
        self.shared.work.notify_all();
        self.shared.freed.notify_all();

        // A thread can only be waited for without limit: that is left to another one.
        let (done, all_ended) = mpsc::sync_channel(1);
        let waiting = thread::Builder::new().name("b4ae-hsm-end".to_owned()).spawn(move || {
            for thread in threads {
                // One that panicked has said so.
                let _ = thread.join();
            }
            let _ = done.send(());
        });
        if waiting.is_ok() {
            // What has not ended by now is left behind.
            let _ = all_ended.recv_timeout(wait);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.end(END, || ());
    }
}

impl State {
    /// Whether no task has ended since then.
    fn is_without_end_since(&self, then: Instant) -> bool {
        self.ended.is_none_or(|ended| ended <= then)
    }
}

impl Shared {
    /// Counters are sound whatever panicked while it held the lock: nothing that can, does.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(self: Arc<Self>) {
        self.becomes_free(&mut self.lock());
        loop {
            let mut state = self.lock();
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
            let running = Running { shared: &self, thread: thread::current().id() };
            state.running.push((running.thread, now()));
            drop(state);
            let hand_over = task();
            // First: whoever has the result finds this thread free.
            drop(running);
            hand_over();
        }
    }

    fn becomes_free(&self, state: &mut State) {
        state.idle += 1;
        self.freed.notify_one();
    }
}

/// A task that runs; when it panics, its thread ends and makes room for another.
struct Running<'a> {
    shared: &'a Shared,
    thread: ThreadId,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.running.retain(|(thread, _)| *thread != self.thread);
        state.ended = Some(now());
        state.starved = None;
        if thread::panicking() {
            state.threads.retain(|thread| thread.thread().id() != self.thread);
            self.shared.freed.notify_one();
        } else {
            self.shared.becomes_free(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::mpsc::Sender;

    use super::*;

    /// As long as a loaded machine may take.
    const LONG: Duration = Duration::from_secs(120);

    /// Gives up at once, if there is no thread or no result.
    const AT_ONCE: Duration = Duration::ZERO;

    /// Occupies a thread until what is returned is dropped.
    fn occupy(workers: &Workers) -> Sender<()> {
        let (release, released) = mpsc::channel::<()>();
        let (began, has_begun) = mpsc::channel();
        let result = workers.run(AT_ONCE, move || {
            began.send(()).unwrap();
            let _ = released.recv();
        });
        assert_eq!(result, Err(NoResult::Busy));
        has_begun.recv_timeout(LONG).unwrap();
        release
    }

    #[test]
    fn callers_get_their_results() {
        let workers = Workers::new(3);
        thread::scope(|scope| {
            for caller in 0..20 {
                let workers = &workers;
                scope.spawn(move || assert_eq!(workers.run(LONG, move || caller * 2), Ok(caller * 2)));
            }
        });
        assert!(workers.shared.lock().threads.len() <= 3);
        assert_eq!(workers.stalled(AT_ONCE), None);
    }

    #[test]
    fn a_task_that_hangs_takes_one_thread_and_holds_no_caller() {
        let workers = Workers::new(2);
        let first = occupy(&workers);
        assert!(workers.stalled(AT_ONCE).is_some());
        assert_eq!(workers.run(LONG, || 1), Ok(1));
        assert_eq!(workers.stalled(AT_ONCE), None, "one hangs, the other does not");
        let second = occupy(&workers);
        let since = workers.stalled(AT_ONCE).unwrap();
        assert_eq!(workers.stalled(LONG), None);
        assert_eq!(workers.run(AT_ONCE, || 2), Err(NoResult::Busy));
        assert_eq!(workers.stalled(AT_ONCE), Some(since));
        assert!(workers.stalled(LONG).is_some(), "a caller found no thread");
        drop(first);
        assert_eq!(workers.run(LONG, || 3), Ok(3));
        assert_eq!(workers.stalled(AT_ONCE), None, "the second hangs, the first does not any more");
        drop(second);
    }

    /// Whoever gave up is no sign of a stall once a thread has become free, even if nobody needs it.
    #[test]
    fn a_thread_that_becomes_free_ends_a_stall() {
        let workers = Workers::new(1);
        let occupied = occupy(&workers);
        assert_eq!(workers.run(AT_ONCE, || 1), Err(NoResult::Busy));
        assert!(workers.stalled(LONG).is_some());
        drop(occupied);
        while workers.shared.lock().idle == 0 {
            thread::yield_now();
        }
        assert_eq!(workers.stalled(AT_ONCE), None);
    }

    #[test]
    fn a_caller_waits_for_a_thread_to_be_free() {
        let workers = Workers::new(1);
        let occupied = occupy(&workers);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| workers.run(LONG, || 7));
            drop(occupied);
            assert_eq!(waiting.join().unwrap(), Ok(7));
        });
    }

    #[test]
    fn a_task_that_panics_leaves_room_for_another() {
        let workers = Workers::new(1);
        for _ in 0..3 {
            assert_eq!(workers.run(LONG, || panic!("on purpose")), Err::<(), _>(NoResult::Busy));
            assert_eq!(workers.run(LONG, || 1), Ok(1));
        }
    }

    /// To the last of their destructors.
    #[test]
    fn threads_are_waited_for_at_the_end() {
        struct Ends(Sender<()>);
        impl Drop for Ends {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        thread_local!(static ENDS: RefCell<Option<Ends>> = const { RefCell::new(None) });

        let workers = Workers::new(2);
        let occupied = occupy(&workers);
        let (ended, has_ended) = mpsc::channel();
        workers.run(LONG, move || ENDS.set(Some(Ends(ended)))).unwrap();
        let (last, was_last) = mpsc::channel();
        thread::scope(|scope| {
            let workers = &workers;
            let ending = scope.spawn(move || workers.end(LONG, move || last.send(()).unwrap()));
            was_last.recv_timeout(LONG).unwrap();
            drop(occupied);
            ending.join().unwrap();
        });
        has_ended.try_recv().unwrap();
    }

    /// Neither for a thread that does not come back nor for a task that has not begun.
    #[test]
    fn the_end_is_not_waited_for_without_limit() {
        let workers = Workers::new(1);
        let hanging = occupy(&workers);
        let (begins, has_begun) = mpsc::channel::<()>();
        workers.shared.lock().tasks.push_back(Box::new(move || {
            begins.send(()).unwrap();
            Box::new(|| ())
        }));
        let (last, was_last) = mpsc::channel();
        workers.end(AT_ONCE, move || last.send(()).unwrap());
        assert!(was_last.try_recv().is_err());
        drop(hanging);
        was_last.recv_timeout(LONG).unwrap();
        assert_eq!(has_begun.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }
}
