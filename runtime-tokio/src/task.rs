//! The loop as a task of the current runtime.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use b4ae_driver::{BindError, Driver, Pacing, Turn};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;

use crate::timer::Timer;

/// Passes of the loop before the runtime gets its thread back.
const PASSES: usize = 16;

/// The socket as the runtime watches it, dropped before the driver reports that its socket is closed.
struct Watched {
    socket: UdpSocket,
    timer: Timer,
    driver: Driver,
}

/// Spawns the loop. It ends when the endpoint is stopped or its last handle dropped, or with the runtime.
pub(crate) fn spawn(driver: Driver) -> Result<(), BindError> {
    let runtime = Handle::try_current().map_err(|_| BindError::NoRuntime)?;
    let socket = driver.socket().try_clone().and_then(UdpSocket::from_std).map_err(BindError::Runtime)?;
    let timer = Timer::new().map_err(BindError::Runtime)?;
    driver.set_pacing(Pacing::Runtime);
    runtime.spawn(run(Watched { socket, timer, driver }));
    Ok(())
}

async fn run(mut watched: Watched) {
    let Watched { socket, timer, driver } = &mut watched;
    poll_fn(|cx| {
        // Polled by hand: an arm of `select!` that is always ready would starve those after it.
        for _ in 0..PASSES {
            match driver.turn(cx.waker()) {
                Turn::Sleep(at) => timer.set(at, driver.remaining(at)),
                Turn::Idle => timer.clear(),
                Turn::Stop => return Poll::Ready(()),
            }
            // An error here is the runtime's, which is shutting down and drops this task next.
            let readable = matches!(socket.poll_recv_ready(cx), Poll::Ready(Ok(())));
            if readable {
                // Readiness is cleared by `WouldBlock`: when there is nothing more, and when the socket keeps failing.
                let _ = socket.try_io(Interest::READABLE, || {
                    driver.receive().map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))
                });
            }
            if timer.poll_expired(cx).is_pending() && !readable {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
