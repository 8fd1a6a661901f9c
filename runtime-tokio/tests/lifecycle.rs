//! Handles, endpoints, runtimes and peers come and go; whoever waits is told.

mod common;

use std::time::Duration;

use b4ae_core::{CloseReason, ModePolicy};
use b4ae_tokio::{Closed, ConnectError, Endpoint, Placement, SendError, Stopped};
use common::{bind, config, endpoint_config, numbered, pair, runtime, with_both_placements};

const FLUSH: Duration = Duration::from_secs(20);

#[test]
fn dropping_the_last_handle_of_a_peer_delivers_what_is_queued_and_closes() {
    with_both_placements(|placement| async move {
        let ((_alice, to_bob), (_bob, to_alice)) = pair(config(), placement).await;
        let clone = to_bob.clone();
        drop(to_bob);
        for number in 0..20 {
            clone.send(numbered(number, 3000)).await.expect("a clone keeps the session open");
        }
        drop(clone);
        for number in 0..20 {
            assert_eq!(to_alice.recv().await.expect("queued before the drop"), numbered(number, 3000));
        }
        assert_eq!(to_alice.recv().await, Err(Closed::Session(CloseReason::Peer)));
    });
}

#[test]
fn dropping_the_last_handle_of_an_endpoint_delivers_what_is_queued_and_stops() {
    with_both_placements(|placement| async move {
        let ((alice, to_bob), (_bob, to_alice)) = pair(config(), placement).await;
        for number in 0..20 {
            to_bob.send(numbered(number, 3000)).await.expect("the session is open");
        }
        drop(alice);
        for number in 0..20 {
            assert_eq!(to_alice.recv().await.expect("queued before the drop"), numbered(number, 3000));
        }
        assert_eq!(to_alice.recv().await, Err(Closed::Session(CloseReason::Peer)));
        to_bob.closed().await;
    });
}

#[test]
fn closing_an_endpoint_frees_its_port_and_stops_every_handle() {
    with_both_placements(|placement| async move {
        let ((alice, to_bob), (bob, to_alice)) = pair(config(), placement).await;
        to_bob.send("last words").await.expect("the session is open");
        let addr = alice.local_addr();
        alice.close(FLUSH).await;

        let again = Endpoint::bind(endpoint_config(config(), placement).listen(addr)).await.expect("the port is free");
        again.close(Duration::ZERO).await;
        assert_eq!(alice.accept().await.err(), Some(Stopped));
        assert!(matches!(alice.connect(&bob.uri("127.0.0.1")).await, Err(ConnectError::Stopped(Stopped))));
        assert!(matches!(to_bob.send("more").await, Err(SendError::Closed(_))));
        assert!(to_bob.recv().await.is_err());
        assert_eq!(to_alice.recv().await.expect("flushed"), b"last words");
        assert_eq!(to_alice.closed().await, Closed::Session(CloseReason::Peer));
    });
}

#[test]
fn closing_a_peer_tells_both_sides_and_refuses_more() {
    with_both_placements(|placement| async move {
        let ((_alice, to_bob), (_bob, to_alice)) = pair(config(), placement).await;
        let id = to_bob.send("last words").await.expect("the session is open");
        let closing = tokio::spawn({
            let to_bob = to_bob.clone();
            async move { to_bob.close().await }
        });
        assert_eq!(to_alice.recv().await.expect("sent before the close"), b"last words");
        closing.await.expect("no panic");
        assert_eq!(to_bob.delivered(id).await, Ok(()));
        assert_eq!(to_bob.closed().await, Closed::Session(CloseReason::Local));
        assert_eq!(to_bob.send("more").await, Err(SendError::Closed(Closed::Session(CloseReason::Local))));
        assert_eq!(to_alice.closed().await, Closed::Session(CloseReason::Peer));
        assert_eq!(to_alice.flush().await, Ok(()), "nothing was sent, so nothing is missing");
    });
}

#[test]
fn messages_of_a_session_that_ended_before_it_was_accepted_are_kept() {
    with_both_placements(|placement| async move {
        let alice = bind(config(), placement).await;
        let bob = bind(config(), placement).await;
        let to_bob = alice.connect_with(&bob.uri("127.0.0.1"), ModePolicy::A).await.expect("bob is there");
        to_bob.send("in and out").await.expect("the session is open");
        to_bob.close().await;
        alice.close(FLUSH).await;
        let to_alice = bob.accept().await.expect("bob runs");
        assert_eq!(to_alice.recv().await.expect("it was confirmed"), b"in and out");
    });
}

#[test]
fn a_peer_that_is_gone_without_a_word_ends_the_session() {
    with_both_placements(|placement| async move {
        let impatient = config().idle_timeout(Duration::from_millis(500));
        let ((alice, to_bob), (_bob, to_alice)) = pair(impatient, placement).await;
        alice.close(Duration::ZERO).await;
        assert!(to_bob.recv().await.is_err());
        assert_eq!(to_alice.recv().await, Err(Closed::Session(CloseReason::Idle)));
    });
}

#[test]
fn the_end_of_the_loops_runtime_wakes_whoever_waits() {
    let hosting = runtime();
    let waiting = runtime();
    let ((alice, to_bob), _bob) = hosting.block_on(pair(config(), Placement::Runtime));
    let accepting = waiting.spawn({
        let alice = alice.clone();
        async move { alice.accept().await.err() }
    });
    let receiving = waiting.spawn({
        let to_bob = to_bob.clone();
        async move { to_bob.recv().await }
    });
    let closing = waiting.spawn(async move { to_bob.closed().await });
    drop(hosting);
    waiting.block_on(async {
        assert_eq!(accepting.await.expect("no panic"), Some(Stopped));
        assert_eq!(receiving.await.expect("no panic"), Err(Closed::Stopped(Stopped)));
        assert_eq!(closing.await.expect("no panic"), Closed::Stopped(Stopped));
    });
}

#[test]
fn a_loop_of_its_own_outlives_the_runtime_that_made_it() {
    let ((alice, to_bob), (_bob, to_alice)) = runtime().block_on(pair(config(), Placement::OwnThread));
    runtime().block_on(async {
        to_bob.send("still here").await.expect("the session is open");
        assert_eq!(to_alice.recv().await.expect("the session is open"), b"still here");
        alice.close(FLUSH).await;
    });
}
