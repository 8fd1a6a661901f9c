//! Calls that block: a future, and a thread that sleeps while it has nothing to do.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use b4ae_core::Clock;

/// A thread to be woken.
struct Parker {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Parker {
    fn new() -> Arc<Self> {
        Arc::new(Self { thread: thread::current(), woken: AtomicBool::new(false) })
    }

    fn take(&self) -> bool {
        self.woken.swap(false, Ordering::Acquire)
    }
}

/// Waits for `future` on the calling thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    run(future, |parker| {
        while !parker.take() {
            thread::park();
        }
        true
    })
    // Parked for as long as it takes.
    .unwrap_or_else(|| unreachable!("without a limit there is no end but the future's"))
}

/// Waits for `future` on the calling thread, and gives it up after `limit`. It is polled at least once.
pub fn block_on_for<F: Future>(future: F, limit: Duration) -> Option<F::Output> {
    if limit.is_zero() {
        return poll_once(future);
    }
    let clock = Clock::new();
    let deadline = clock.now() + limit;
    run(future, |parker| {
        while !parker.take() {
            let left = deadline - clock.now();
            if left.is_zero() {
                return false;
            }
            thread::park_timeout(left);
        }
        true
    })
}

/// What `future` has at once. Nobody is woken for it later.
pub fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Polls whenever `wait` says that there is reason to, until it says that there is no time.
fn run<F: Future>(future: F, wait: impl Fn(&Parker) -> bool) -> Option<F::Output> {
    thread_local! {
        /// One for all calls of a thread, so that calls that gave up leave no more than one waker behind wherever they
        /// waited. Taken while in use: a future that blocks in turn gets another.
        static IDLE: Cell<Option<Arc<Parker>>> = const { Cell::new(None) };
    }

    let parker = IDLE.take().unwrap_or_else(Parker::new);
    let waker = Waker::from(Arc::clone(&parker));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    let output = loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            break Some(output);
        }
        if !wait(&parker) {
            break None;
        }
    };
    IDLE.set(Some(parker));
    output
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_future_woken_from_another_thread_is_polled_again() {
        let slot = Arc::new(Mutex::new((0, None::<Waker>)));
        let other = Arc::clone(&slot);
        let waking = thread::spawn(move || {
            while other.lock().expect("no panic").0 < 4 {
                let waker = other.lock().expect("no panic").1.take();
                waker.map_or_else(thread::yield_now, Waker::wake);
            }
        });
        let polls = block_on(poll_fn(|cx| {
            let mut slot = slot.lock().expect("no panic");
            *slot = (slot.0 + 1, Some(cx.waker().clone()));
            if slot.0 < 4 { Poll::Pending } else { Poll::Ready(slot.0) }
        }));
        assert_eq!(polls, 4);
        waking.join().expect("no panic");
    }

    #[test]
    fn a_wait_ends_with_its_limit_and_leaves_no_waker_of_its_own_behind() {
        let mut wakers = Vec::new();
        for limit in [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(2)] {
            let gave_up = block_on_for(
                poll_fn(|cx| {
                    wakers.push(cx.waker().clone());
                    Poll::<()>::Pending
                }),
                limit,
            );
            assert_eq!(gave_up, None);
        }
        assert!(wakers[1].will_wake(&wakers[2]));
        assert_eq!(poll_once(pending::<()>()), None);
        assert_eq!(block_on_for(async { 7 }, Duration::ZERO), Some(7));
    }

    #[test]
    fn a_wait_within_a_wait_does_not_take_its_wake() {
        let mut polls = 0;
        block_on(poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            assert_eq!(block_on_for(pending::<()>(), Duration::from_millis(1)), None);
            if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
        }));
    }
}
