//! The loop as a future.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use b4ae_driver::{BindError, Driver, Pacing, Turn};

/// Passes of the loop before the executor gets its thread back.
const PASSES: usize = 16;
/// How long a failing socket is left alone.
const REST: Duration = Duration::from_millis(10);

/// An endpoint's loop. Nothing is sent or received unless it is polled; it ends when the endpoint is stopped or its
/// last handle dropped. Dropping it stops the endpoint on the spot.
#[must_use = "an endpoint does nothing unless its loop runs"]
pub struct Loop {
    // Dropped in this order: the driver reports that the socket is closed.
    socket: Async<UdpSocket>,
    timer: Timer,
    /// What the timer is set to.
    armed: Option<Instant>,
    /// While a failing socket is left alone.
    rest: Option<Timer>,
    driver: Driver,
}

impl Loop {
    pub(crate) fn new(driver: Driver) -> Result<Self, BindError> {
        let socket = driver.socket().try_clone().and_then(Async::new).map_err(BindError::Runtime)?;
        driver.set_pacing(Pacing::Runtime);
        Ok(Self { socket, timer: Timer::never(), armed: None, rest: None, driver })
    }

    /// Has the timer expire at `at` or never.
    fn arm(&mut self, at: Option<Instant>) {
        if self.armed != at {
            match at {
                Some(at) => self.timer.set_at(at),
                None => self.timer = Timer::never(),
            }
            self.armed = at;
        }
    }

    /// Ready once the timer has expired; else the task is woken when it does.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.armed.is_some() && Pin::new(&mut self.timer).poll(cx).is_ready() {
            self.armed = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Takes in what has arrived, and tells whether that wants another turn.
    fn poll_socket(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(rest) = &mut self.rest {
            if Pin::new(rest).poll(cx).is_pending() {
                return false;
            }
            self.rest = None;
        }
        let failed = match self.socket.poll_readable(cx) {
            Poll::Pending => return false,
            // The reactor's readiness is for one look: the next pass asks for what comes after this.
            Poll::Ready(Ok(())) => self.driver.receive().is_err_and(|e| e.kind() != io::ErrorKind::WouldBlock),
            Poll::Ready(Err(_)) => true,
        };
        self.rest = failed.then(|| Timer::after(REST));
        true
    }
}

impl Future for Loop {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        for _ in 0..PASSES {
            let until = match this.driver.turn(cx.waker()) {
                Turn::Sleep(at) => Some(at),
                Turn::Idle => None,
                Turn::Stop => return Poll::Ready(()),
            };
            this.arm(until);
            let received = this.poll_socket(cx);
            if this.poll_timer(cx).is_pending() && !received {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl fmt::Debug for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loop").field("local", &self.driver.local_addr()).finish_non_exhaustive()
    }
}
