//! Waiting where there is no `ppoll(2)`: on macOS and Windows.

use std::io;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use super::Wait;
use crate::turn::Driver;

const BELL: Token = Token(0);
const SOCKET: Token = Token(1);

/// Windows counts waits for events in ticks of up to 16 ms, and sleeps, which cannot be interrupted, in finer ones: the
/// end of a wait is slept through.
const COARSE: Duration = if cfg!(windows) { Duration::from_millis(16) } else { Duration::ZERO };

struct Bell(mio::Waker);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Fails when the loop has ended.
        let _ = self.0.wake();
    }
}

pub(super) struct Waiter {
    poll: Poll,
    events: Events,
    socket: UdpSocket,
    bell: Waker,
    /// The socket's readiness is told once, and is still to be used up.
    readable: bool,
}

impl Waiter {
    pub(super) fn new(driver: &Driver) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut socket = UdpSocket::from_std(driver.socket().try_clone()?);
        poll.registry().register(&mut socket, SOCKET, Interest::READABLE)?;
        let bell = Waker::from(Arc::new(Bell(mio::Waker::new(poll.registry(), BELL)?)));
        Ok(Self { poll, events: Events::with_capacity(8), socket, bell, readable: true })
    }

    /// Ends a wait, from any thread.
    pub(super) fn waker(&self) -> Waker {
        self.bell.clone()
    }

    /// Waits until the time is up, the bell rings, or the socket is readable. A socket that is not to be watched may
    /// end the wait, too, once.
    #[expect(clippy::disallowed_methods, reason = "how long a wait took in earnest")]
    pub(super) fn wait(&mut self, _: &Driver, wait: Wait) {
        let began = std::time::Instant::now();
        let now = wait.socket && self.readable;
        let until = if now { Some(Duration::ZERO) } else { wait.until };
        let coarse = until.map(|until| until.saturating_sub(COARSE));
        // An interrupted wait is a short one: the turn that follows looks at the clock.
        if self.poll.poll(&mut self.events, coarse).is_err() {
            return;
        }
        self.readable |= self.events.iter().any(|event| event.token() == SOCKET);
        if let Some(until) = until
            && self.events.is_empty()
        {
            // Of a tick, the poll may have taken the whole.
            thread::sleep(until.saturating_sub(began.elapsed()));
        }
    }

    /// [`Driver::receive`], seen by whoever waits.
    pub(super) fn receive(&mut self, driver: &mut Driver) -> io::Result<()> {
        let received = self.socket.try_io(|| driver.receive());
        // Whether the socket fails or has nothing more: what arrives from here on makes it readable anew.
        self.readable = received.is_ok();
        received
    }
}
