//! Dropping a future loses nothing.

mod common;

use std::time::Duration;

use b4ae_core::{Limits, ModePolicy};
use b4ae_tokio::Endpoint;
use common::{bind, config, limits, numbered, pair, with_both_placements};
use tokio::time::timeout;

const MOMENT: Duration = Duration::from_micros(300);

#[test]
fn a_dropped_recv_loses_no_message() {
    with_both_placements(|placement| async move {
        let ((_alice, to_bob), (_bob, to_alice)) = pair(config(), placement).await;
        for number in 0..30 {
            to_bob.send(numbered(number, 500)).await.expect("the session is open");
        }
        for number in 0..30 {
            let message = loop {
                if let Ok(message) = timeout(MOMENT, to_alice.recv()).await {
                    break message;
                }
            };
            assert_eq!(message.expect("the session is open"), numbered(number, 500));
        }
    });
}

#[test]
fn a_dropped_send_has_sent_nothing_and_one_that_returned_has() {
    with_both_placements(|placement| async move {
        let small = Limits { message: 4096, send_bytes: 8192, ..limits() };
        let ((_alice, to_bob), (_bob, to_alice)) = pair(config().limits(small), placement).await;
        let receiving = tokio::spawn(async move {
            let mut received = Vec::new();
            while let Ok(message) = to_alice.recv().await {
                received.push(message);
            }
            received
        });
        let mut sent = Vec::new();
        let mut dropped = 0;
        for number in 0..100 {
            match timeout(MOMENT, to_bob.send(numbered(number, 4096))).await {
                Ok(queued) => {
                    queued.expect("the session is open");
                    sent.push(numbered(number, 4096));
                }
                Err(_) => dropped += 1,
            }
        }
        assert!(dropped > 0, "the queue never filled, so no send was dropped");
        to_bob.close().await;
        assert_eq!(receiving.await.expect("no panic"), sent);
    });
}

#[test]
fn a_dropped_accept_loses_no_session() {
    with_both_placements(|placement| async move {
        let alice = bind(config(), placement).await;
        let bob = bind(config(), placement).await;
        let uri = bob.uri("127.0.0.1");
        let connecting = tokio::spawn(async move { (alice.connect_with(&uri, ModePolicy::A).await, alice) });
        let to_alice = loop {
            if let Ok(peer) = timeout(MOMENT, bob.accept()).await {
                break peer.expect("bob runs");
            }
        };
        let (to_bob, _alice) = connecting.await.expect("no panic");
        to_bob.expect("bob is there").send("hello").await.expect("the session is open");
        assert_eq!(to_alice.recv().await.expect("the session is open"), b"hello");
    });
}

#[test]
fn a_dropped_connect_gives_its_place_up() {
    with_both_placements(|placement| async move {
        let one = Limits { sessions: 1, ..limits() };
        let alice = bind(config().limits(one), placement).await;
        let bob = bind(config(), placement).await;
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
        let mut nowhere = bob.uri("127.0.0.1");
        nowhere.port = nobody.local_addr().expect("bound").port();
        for _ in 0..3 {
            assert!(timeout(Duration::from_millis(50), alice.connect(&nowhere)).await.is_err(), "nobody answers");
        }
        connect_when_there_is_room(&alice, &bob).await;
    });
}

async fn connect_when_there_is_room(alice: &Endpoint, bob: &Endpoint) {
    loop {
        match alice.connect_with(&bob.uri("127.0.0.1"), ModePolicy::A).await {
            Ok(_) => return,
            Err(b4ae_tokio::ConnectError::Core(b4ae_core::ConnectError::Full)) => tokio::time::sleep(MOMENT).await,
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn a_dropped_wait_for_a_confirmation_can_be_taken_up_again() {
    with_both_placements(|placement| async move {
        let ((_alice, to_bob), (_bob, _to_alice)) = pair(config(), placement).await;
        let id = to_bob.send(numbered(0, 20_000)).await.expect("the session is open");
        while timeout(MOMENT, to_bob.delivered(id)).await.is_err() {}
        while timeout(MOMENT, to_bob.flush()).await.is_err() {}
        to_bob.delivered(id).await.expect("it stays confirmed");
    });
}
