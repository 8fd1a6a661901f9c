//! Elsewhere: the runtime's own timer, exact to a millisecond or two.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed: bool,
}

impl Timer {
    #[expect(clippy::unnecessary_wraps, reason = "the same signature as where a timer can fail to be made")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { sleep: Box::pin(sleep(Duration::ZERO)), armed: false })
    }

    /// Expires at `at`, which is `remaining` from now.
    pub(crate) fn set(&mut self, at: Instant, _remaining: Duration) {
        self.sleep.as_mut().reset(at.into());
        self.armed = true;
    }

    /// Never expires.
    pub(crate) fn clear(&mut self) {
        self.armed = false;
    }

    /// Ready once it has expired; else the task is woken when it does.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.armed { self.sleep.as_mut().poll(cx) } else { Poll::Pending }
    }
}
