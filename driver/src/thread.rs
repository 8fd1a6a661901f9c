//! The loop on its own thread.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::turn::{Driver, Turn};
use crate::{BindError, pacing};

/// How long a failing socket is left alone.
const REST: Duration = Duration::from_millis(10);

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

/// Runs `driver` on a thread of its own, at real-time priority when `real_time` asks for it and the system permits. The
/// thread ends when the endpoint is stopped or its last handle dropped.
///
/// The thread waits in `poll(2)` with nanosecond timeouts. A receive timeout on the socket would be rounded to the
/// kernel's tick, which is 4 to 10 ms.
pub fn spawn(driver: Driver, real_time: bool) -> Result<(), BindError> {
    let (rope, bell) = UnixStream::pair().map_err(BindError::Thread)?;
    rope.set_nonblocking(true).map_err(BindError::Thread)?;
    bell.set_nonblocking(true).map_err(BindError::Thread)?;
    let ringer = Arc::new(Bell { rung: AtomicBool::new(false), rope });
    let (ready, is_ready) = sync_channel(1);
    thread::Builder::new()
        .name(String::from("b4ae-loop"))
        .spawn(move || {
            driver.set_pacing(pacing::claim(real_time));
            // Nobody listening means that `spawn` has been interrupted, which changes nothing here.
            let _ = ready.send(());
            run(driver, &ringer, &bell);
        })
        .map_err(BindError::Thread)?;
    // So that the statistics say from the start how slots are kept in time.
    let _ = is_ready.recv();
    Ok(())
}

/// What the thread waits for beside the bell.
#[derive(Clone, Copy)]
struct Wait {
    until: Option<Duration>,
    socket: bool,
}

impl Wait {
    /// With the next deadline this close, the socket can wait for it: one wake-up serves both. Nothing is sent because
    /// something arrived, so this costs the application a millisecond and saves half of the wake-ups of a fast grid.
    const SOON: Duration = Duration::from_millis(1);

    fn new(until: Option<Duration>, resting: bool) -> Self {
        if resting {
            return Self { until: Some(until.map_or(REST, |until| until.min(REST))), socket: false };
        }
        Self { until, socket: until.is_none_or(|until| until > Self::SOON) }
    }
}

fn run(mut driver: Driver, ringer: &Arc<Bell>, bell: &UnixStream) {
    let waker = Waker::from(Arc::clone(ringer));
    let mut resting = false;
    loop {
        let until = match driver.turn(&waker) {
            Turn::Sleep(at) => Some(driver.remaining(at)),
            Turn::Idle => None,
            Turn::Stop => return,
        };
        wait(&driver, bell, ringer, Wait::new(until, resting));
        // Whether or not the socket was watched: it costs less to ask it than to be told first.
        resting = driver.receive().is_err_and(|e| e.kind() != io::ErrorKind::WouldBlock);
    }
}

/// Waits until the time is up, the bell rings, or the socket is readable.
fn wait(driver: &Driver, bell: &UnixStream, ringer: &Bell, wait: Wait) {
    // A time too far for the system's type is as good as none.
    let timeout = wait.until.and_then(|until| Timespec::try_from(until).ok());
    let mut fds = [PollFd::new(bell, PollFlags::IN), PollFd::new(driver.socket(), PollFlags::IN)];
    let watched = if wait.socket { 2 } else { 1 };
    // An interrupted wait is a short one: the turn that follows looks at the clock.
    if poll(&mut fds[..watched], timeout.as_ref()).is_ok() && !fds[0].revents().is_empty() {
        // Cleared before the turn, so that what rings during the turn leads to another.
        let _ = (&mut &*bell).read(&mut [0; 8]);
        ringer.rung.store(false, Ordering::Release);
    }
}
