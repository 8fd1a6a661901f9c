//! Waiting in `ppoll(2)`, with nanosecond timeouts.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Wait;
use crate::turn::Driver;

/// Wakes the thread out of its wait: a byte through a socket pair, one at a time.
struct Bell {
    rung: AtomicBool,
    rope: UnixStream,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // A full pipe wakes as well; a closed one means that the loop has ended.
            let _ = (&self.rope).write(&[0]);
        }
    }
}

pub(super) struct Waiter {
    ringer: Arc<Bell>,
    bell: UnixStream,
}

impl Waiter {
    pub(super) fn new(_: &Driver) -> io::Result<Self> {
        let (rope, bell) = UnixStream::pair()?;
        rope.set_nonblocking(true)?;
        bell.set_nonblocking(true)?;
        Ok(Self { ringer: Arc::new(Bell { rung: AtomicBool::new(false), rope }), bell })
    }

    /// Ends a wait, from any thread.
    pub(super) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.ringer))
    }

    /// Waits until the time is up, the bell rings, or the socket is readable.
    pub(super) fn wait(&mut self, driver: &Driver, wait: Wait) {
        // A time too far for the system's type is as good as none.
        let timeout = wait.until.and_then(|until| Timespec::try_from(until).ok());
        let mut fds = [PollFd::new(&self.bell, PollFlags::IN), PollFd::new(driver.socket(), PollFlags::IN)];
        let watched = if wait.socket { 2 } else { 1 };
        // An interrupted wait is a short one: the turn that follows looks at the clock.
        if poll(&mut fds[..watched], timeout.as_ref()).is_ok() && !fds[0].revents().is_empty() {
            // Cleared before the turn, so that what rings during the turn leads to another.
            let _ = (&self.bell).read(&mut [0; 8]);
            self.ringer.rung.store(false, Ordering::Release);
        }
    }

    /// [`Driver::receive`], seen by whoever waits.
    #[expect(clippy::unused_self, reason = "the same signature as where the wait has to know")]
    pub(super) fn receive(&self, driver: &mut Driver) -> io::Result<()> {
        driver.receive()
    }
}
