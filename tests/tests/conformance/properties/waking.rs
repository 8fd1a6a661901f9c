//! Who runs when: what the application does is not to be seen in when the loop runs, and whoever waits runs when there
//! is something and not before.

use std::thread;
use std::time::Duration;

use b4ae_core::{Accept, Config, ModePolicy, Traffic};
use b4ae_tokio::Pacing;

use crate::bench::{accept, bind, config, connect, done, flush, limits, numbered, pair, recv, send};
use crate::driver::{Driver, Wait};

pub(crate) fn on_a_constant_grid_sending_and_receiving_never_wakes_the_loop(driver: &dyn Driver) {
    let ((alice, to_bob), (bob, to_alice)) = pair(driver, config());
    let before = (alice.stats().wakes, bob.stats().wakes);
    for number in 0..50 {
        send(&*to_bob, numbered(number, 300));
    }
    for _ in 0..50 {
        recv(&*to_alice);
    }
    flush(&*to_bob);
    assert_eq!((alice.stats().wakes, bob.stats().wakes), before, "messages wake no loop");
    done(to_bob.close(Wait::Long));
    assert!(alice.stats().wakes > before.0, "closing does, or the count counts nothing");
}

pub(crate) fn without_a_grid_a_message_leaves_at_once(driver: &dyn Driver) {
    // Cover so rare that it cannot be what carries the message.
    let day = Duration::from_secs(24 * 3600);
    let rare = Traffic::low_overhead_unprotected().with_cover(day / 24, Duration::ZERO, Duration::from_millis(1));
    let config = Config::builder(rare).idle_timeout(day).limits(limits()).accept(Accept::Anyone(ModePolicy::A_THEN_B));
    let ((alice, to_bob), (_bob, to_alice)) = pair(driver, config);
    let before = alice.stats().wakes;
    send(&*to_bob, "now");
    assert!(alice.stats().wakes > before, "the loop is woken");
    assert_eq!(recv(&*to_alice), b"now");
}

pub(crate) fn the_statistics_tell_how_slots_are_kept(driver: &dyn Driver) {
    let ((alice, to_bob), _bob) = pair(driver, config());
    send(&*to_bob, numbered(0, 20_000));
    flush(&*to_bob);
    let stats = alice.stats();
    assert!(stats.slots_sent >= 20, "twenty cells at least carried the message: {stats:?}");
    assert!(stats.lateness_p50 <= stats.lateness_p99 && stats.lateness_p99 <= stats.lateness_max, "{stats:?}");
    assert!(stats.lateness_max > Duration::ZERO, "{stats:?}");
    match (driver.has_own_thread(), &stats.pacing) {
        (false, Pacing::Runtime) | (true, Pacing::RealTime { .. }) => {}
        (true, Pacing::Normal { why }) => assert!(!why.is_empty()),
        other => panic!("{other:?}"),
    }
    let copied = (0..250).any(|_| {
        thread::sleep(Duration::from_millis(5));
        to_bob.stats().cells_sent > 0
    });
    assert!(copied, "a session's numbers are copied");
}

pub(crate) fn whoever_waits_runs_when_there_is_something_and_not_before(driver: &dyn Driver) {
    let ((_alice, to_bob), (_bob, to_alice)) = pair(driver, config());
    // Three hundred slots pass in that time, each with a cell that is no message.
    let (nothing, runs) = to_alice.recv_counted(Wait::For(Duration::from_millis(300)));
    assert!(nothing.is_none());
    assert!(runs <= 10, "nothing happened, and whoever waited ran {runs} times");

    let sending = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        send(&*to_bob, "something");
        to_bob
    });
    let (something, runs) = to_alice.recv_counted(Wait::Long);
    assert_eq!(done(something).expect("the session is open"), b"something");
    assert!(runs <= 10, "one message arrived, and whoever waited ran {runs} times");
    sending.join().expect("no panic");
}

pub(crate) fn everyone_who_waits_is_woken(driver: &dyn Driver) {
    let (alice, bob) = (bind(driver, config()), bind(driver, config()));
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let bob = bob.another();
            thread::spawn(move || {
                // Two wait for sessions, and two for each session's messages.
                let peer = accept(&*bob);
                thread::scope(|scope| {
                    let other = peer.another();
                    let second = scope.spawn(move || recv(&*other));
                    let first = recv(&*peer);
                    let mut both = [first, second.join().expect("whoever waits is woken")];
                    both.sort();
                    assert_eq!(both, [b"one", b"two"]);
                });
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(20));
    let peers: Vec<_> = (0..2).map(|_| connect(&*alice, &bob.uri("127.0.0.1"))).collect();
    thread::sleep(Duration::from_millis(20));
    for peer in &peers {
        send(&**peer, "one");
        send(&**peer, "two");
    }
    waiters.into_iter().for_each(|waiter| waiter.join().expect("whoever waits is woken"));
}
