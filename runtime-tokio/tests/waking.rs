//! What the application does is not to be seen in when the loop runs.

mod common;

use std::time::Duration;

use b4ae_core::{Accept, Config, ModePolicy, Traffic};
use b4ae_tokio::{Pacing, Placement};
use common::{config, limits, numbered, pair, with_both_placements};

#[test]
fn on_a_constant_grid_sending_and_receiving_never_wakes_the_loop() {
    with_both_placements(|placement| async move {
        let ((alice, to_bob), (bob, to_alice)) = pair(config(), placement).await;
        let before = (alice.stats().wakes, bob.stats().wakes);
        for number in 0..50 {
            to_bob.send(numbered(number, 300)).await.expect("the session is open");
        }
        for _ in 0..50 {
            to_alice.recv().await.expect("the session is open");
        }
        to_bob.flush().await.expect("everything has arrived");
        assert_eq!((alice.stats().wakes, bob.stats().wakes), before);
        to_bob.close().await;
        assert!(alice.stats().wakes > before.0, "closing does, or the count counts nothing");
    });
}

#[test]
fn without_a_grid_a_message_leaves_at_once() {
    with_both_placements(|placement| async move {
        // Cover so rare that it cannot be what carries the message.
        let traffic = Traffic::low_overhead_unprotected().with_cover(
            Duration::from_secs(600),
            Duration::ZERO,
            Duration::from_millis(1),
        );
        let config = Config::builder(traffic).limits(limits()).accept(Accept::Anyone(ModePolicy::A_THEN_B));
        let ((alice, to_bob), (_bob, to_alice)) = pair(config, placement).await;
        let before = alice.stats().wakes;
        let long = Duration::from_secs(30);
        to_bob.send("now").await.expect("the session is open");
        assert!(alice.stats().wakes > before);
        let received = tokio::time::timeout(long, to_alice.recv()).await.expect("long before any cover");
        assert_eq!(received.expect("the session is open"), b"now");
    });
}

#[test]
fn the_statistics_tell_how_slots_are_kept() {
    with_both_placements(|placement| async move {
        let ((alice, to_bob), _bob) = pair(config(), placement).await;
        to_bob.send(numbered(0, 20_000)).await.expect("the session is open");
        to_bob.flush().await.expect("everything has arrived");
        let stats = alice.stats();
        assert!(stats.slots_sent >= 20, "twenty cells at least carried the message: {stats:?}");
        assert!(stats.lateness_p50 <= stats.lateness_p99 && stats.lateness_p99 <= stats.lateness_max, "{stats:?}");
        assert!(stats.lateness_max > Duration::ZERO, "{stats:?}");
        match (placement, &stats.pacing) {
            (Placement::Runtime, Pacing::Runtime) | (Placement::OwnThread, Pacing::RealTime { .. }) => {}
            (Placement::OwnThread, Pacing::Normal { why }) => assert!(!why.is_empty()),
            other => panic!("{other:?}"),
        }
        loop {
            if to_bob.stats().cells_sent > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}
