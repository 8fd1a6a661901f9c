//! On Linux: a `timerfd`, exact to some tens of microseconds.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub(crate) struct Timer {
    fd: AsyncFd<OwnedFd>,
    armed: Option<Instant>,
}

impl Timer {
    // The replacement is `unsafe` for the sake of types that give up their descriptor; an `OwnedFd` does not.
    #[allow(deprecated)]
    pub(crate) fn new() -> io::Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self { fd: AsyncFd::with_interest(fd, Interest::READABLE)?, armed: None })
    }

    /// Expires at `at`, which is `remaining` from now.
    pub(crate) fn set(&mut self, at: Instant, remaining: Duration) {
        if self.armed != Some(at) {
            // Zero would disarm it.
            self.arm(remaining.max(Duration::from_nanos(1)));
            self.armed = Some(at);
        }
    }

    /// Never expires.
    pub(crate) fn clear(&mut self) {
        if self.armed.take().is_some() {
            self.arm(Duration::ZERO);
        }
    }

    fn arm(&self, remaining: Duration) {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A time past the system's range is as good as never.
        let it_value = Timespec::try_from(remaining).unwrap_or(zero);
        let _ =
            timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value });
    }

    /// Ready once it has expired; else the task is woken when it does.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Ok(mut guard) = ready!(self.fd.poll_read_ready(cx)) else {
                // The runtime is shutting down and drops this task next.
                return Poll::Pending;
            };
            let expired = guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut [0; 8])?));
            if let Ok(_count) = expired {
                self.armed = None;
                return Poll::Ready(());
            }
        }
    }
}
