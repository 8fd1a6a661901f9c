//! The loop on its own thread.

// Where ppoll(2) takes nanoseconds. Elsewhere it takes milliseconds, or is not there.
#[cfg(all(unix, not(target_vendor = "apple")))]
mod poll;
#[cfg(all(unix, not(target_vendor = "apple")))]
use poll::Waiter;

#[cfg(any(test, not(all(unix, not(target_vendor = "apple")))))]
mod portable;
#[cfg(not(all(unix, not(target_vendor = "apple"))))]
use portable::Waiter;

use std::io;
use std::sync::mpsc::sync_channel;
use std::task::Waker;
use std::thread;
use std::time::Duration;

use crate::turn::{Driver, Turn};
use crate::{BindError, pacing};

/// How long a failing socket is left alone.
const REST: Duration = Duration::from_millis(10);

/// Runs `driver` on a thread of its own, at real-time priority when `real_time` asks for it and the system permits. The
/// thread ends when the endpoint is stopped or its last handle dropped.
///
/// On Linux and the BSDs the thread waits in `ppoll(2)`, whose timeouts have nanoseconds; on macOS in `kevent(2)`,
/// whose have, too; on Windows for an I/O completion port, and near a deadline in a high-resolution timer. A receive
/// timeout on the socket would be rounded to the kernel's tick, which is 4 to 10 ms.
pub fn spawn(driver: Driver, real_time: bool) -> Result<(), BindError> {
    let mut waiter = Waiter::new(&driver).map_err(BindError::Thread)?;
    let (ready, is_ready) = sync_channel(1);
    thread::Builder::new()
        .name(String::from("b4ae-loop"))
        .spawn(move || {
            let mut driver = driver;
            driver.set_pacing(pacing::claim(real_time));
            // Nobody listening means that `spawn` has been interrupted, which changes nothing here.
            let _ = ready.send(());
            let waker = waiter.waker();
            run(&mut driver, &waker, |driver, wait| {
                waiter.wait(driver, wait);
                driver.spin();
                // Whether or not the socket was watched: it costs less to ask it than to be told first.
                waiter.receive(driver)
            });
            // Which may have the socket, too, and the driver tells that it is closed.
            drop(waiter);
            drop(driver);
        })
        .map_err(BindError::Thread)?;
    // So that the statistics say from the start how slots are kept in time.
    let _ = is_ready.recv();
    Ok(())
}

/// What the thread waits for beside the application.
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

fn run(driver: &mut Driver, waker: &Waker, mut wait_and_receive: impl FnMut(&mut Driver, Wait) -> io::Result<()>) {
    let mut resting = false;
    loop {
        let until = match driver.turn(waker) {
            Turn::Sleep(at) => Some(driver.remaining(driver.awake_by(at))),
            Turn::Idle => None,
            Turn::Stop => return,
        };
        let received = wait_and_receive(driver, Wait::new(until, resting));
        resting = received.is_err_and(|e| e.kind() != io::ErrorKind::WouldBlock);
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::task::{Context, Poll};

    use b4ae_core::{Accept, Clock, Config, Identity, ModePolicy, SecretIdentity, Seed, Traffic};

    use super::*;
    use crate::{EndpointConfig, Handle};

    const LONG: Duration = Duration::from_secs(20);

    fn config(seed: u8) -> EndpointConfig {
        let identity = Identity::from_secret(&SecretIdentity::generate(&Seed::new([seed; 32])));
        let config = Config::builder(Traffic::constant(Duration::from_millis(2))).accept(Accept::Anyone(ModePolicy::A));
        let config = EndpointConfig::new(identity, config.build().expect("a valid configuration"));
        config.offer(ModePolicy::A).listen("127.0.0.1:0".parse().expect("an address"))
    }

    fn bind(seed: u8) -> (Driver, Handle) {
        Driver::bind(config(seed)).expect("loopback can be bound")
    }

    /// Polls until it is ready, a limited number of times.
    fn wait_for<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        for _ in 0..20_000 {
            if let Poll::Ready(ready) = poll(&mut Context::from_waker(Waker::noop())) {
                return ready;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("not ready after twenty seconds");
    }

    /// What both ways to wait promise.
    macro_rules! waiting {
        ($name:ident) => {
            mod $name {
                use super::super::$name::Waiter;
                use super::*;

                fn timed(waiter: &mut Waiter, driver: &Driver, wait: Wait) -> Duration {
                    let clock = Clock::new();
                    waiter.wait(driver, wait);
                    clock.now() - b4ae_core::Instant::ORIGIN
                }

                #[test]
                fn a_wait_lasts_as_long_as_it_should() {
                    let (driver, _handle) = bind(1);
                    let mut waiter = Waiter::new(&driver).expect("descriptors are there");
                    // Its first look at the socket need not wait.
                    waiter.wait(&driver, Wait { until: Some(Duration::ZERO), socket: true });
                    let wait = Wait { until: Some(Duration::from_millis(30)), socket: false };
                    assert!(timed(&mut waiter, &driver, wait) >= Duration::from_millis(30));
                }

                #[test]
                fn the_bell_ends_the_wait_it_rings_in_or_the_next() {
                    let (driver, _handle) = bind(1);
                    let mut waiter = Waiter::new(&driver).expect("descriptors are there");
                    for socket in [false, true] {
                        waiter.waker().wake();
                        waiter.waker().wake();
                        let wait = Wait { until: Some(LONG), socket };
                        assert!(timed(&mut waiter, &driver, wait) < LONG / 2);
                    }
                    let waker = waiter.waker();
                    thread::spawn(move || {
                        thread::sleep(Duration::from_millis(50));
                        waker.wake();
                    });
                    let wait = Wait { until: None, socket: false };
                    assert!(timed(&mut waiter, &driver, wait) < LONG / 2);
                }

                #[test]
                fn each_datagram_ends_a_wait_for_the_socket() {
                    let (mut driver, _handle) = bind(1);
                    let mut waiter = Waiter::new(&driver).expect("descriptors are there");
                    let sender = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
                    while waiter.receive(&mut driver).is_ok() {}
                    for _ in 0..3 {
                        sender.send_to(&[0; 8], driver.local_addr()).expect("loopback takes it");
                        let wait = Wait { until: Some(LONG), socket: true };
                        assert!(timed(&mut waiter, &driver, wait) < LONG / 2);
                        while waiter.receive(&mut driver).is_ok() {}
                    }
                }

                #[test]
                fn a_loop_that_waits_so_carries_messages() {
                    let (mut ends, mut threads) = (Vec::new(), Vec::new());
                    for seed in [1, 2] {
                        let (mut driver, handle) = bind(seed);
                        let mut waiter = Waiter::new(&driver).expect("descriptors are there");
                        threads.push(thread::spawn(move || {
                            let waker = waiter.waker();
                            run(&mut driver, &waker, |driver, wait| {
                                waiter.wait(driver, wait);
                                waiter.receive(driver)
                            });
                        }));
                        ends.push(handle);
                    }
                    let (alice, bob) = (&ends[0], &ends[1]);
                    let to_bob = alice.connect(bob.local_addr(), &bob.peer_id(), ModePolicy::A).expect("taken");
                    let to_alice = wait_for(|cx| bob.poll_accept(cx)).expect("the endpoint runs");
                    let mut message = Some(b"hello".to_vec());
                    let _id = wait_for(|cx| to_bob.poll_send(cx, &mut message)).expect("the session is open");
                    assert_eq!(wait_for(|cx| to_alice.poll_recv(cx)).expect("the session is open"), b"hello");
                    ends.iter().for_each(|end| end.stop(Duration::ZERO));
                    threads.into_iter().for_each(|thread| thread.join().expect("the loop does not panic"));
                }
            }
        };
    }

    #[cfg(all(unix, not(target_vendor = "apple")))]
    waiting!(poll);
    waiting!(portable);

    #[test]
    fn a_loop_that_spins_sends_on_time_and_wakes_up_early_for_cells_alone() {
        const MOST: Duration = Duration::from_micros(500);
        let (mut driver, handle) =
            Driver::bind(config(1).spin(Duration::from_millis(9))).expect("loopback can be bound");
        let at = driver.clock_now() + Duration::from_millis(7);
        assert_eq!(driver.awake_by(at), at, "without a cell there is nothing to spin for");

        let (peer, peer_handle) = bind(2);
        spawn(peer, false).expect("a thread can be started");
        let _session = handle.connect(peer_handle.local_addr(), &peer_handle.peer_id(), ModePolicy::A).expect("taken");
        for _ in 0..20_000 {
            let _ = driver.turn(Waker::noop());
            let _ = driver.receive();
            if let Some(due) = driver.next_departure() {
                assert_eq!(driver.awake_by(due), due.checked_sub(MOST).expect("it is later than the start"));
                let mut left = driver.remaining(due);
                while left > MOST {
                    thread::sleep(left.saturating_sub(MOST));
                    left = driver.remaining(due);
                }
                driver.spin();
                assert_eq!(driver.remaining(due), Duration::ZERO);
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("no cell after twenty seconds");
    }
}
