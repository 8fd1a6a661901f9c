//! Messages arrive whole, once, in order, are confirmed, and are no more than the receiver takes.

mod common;

use std::time::Duration;

use b4ae_core::{Limits, Mode, ModePolicy};
use b4ae_tokio::SendError;
use common::{bind, config, limits, numbered, pair, with_both_placements};

#[test]
fn messages_of_every_length_go_both_ways_in_order() {
    with_both_placements(|placement| async move {
        let ((_alice, to_bob), (_bob, to_alice)) = pair(config(), placement).await;
        let lengths = [1, 900, 1024, 1025, 5000, 40_000];
        for (from, to) in [(&to_bob, &to_alice), (&to_alice, &to_bob)] {
            for (number, len) in lengths.into_iter().enumerate() {
                let id = from.send(numbered(number, len)).await.expect("the session is open");
                assert_eq!(id.0, number as u64);
            }
            for (number, len) in lengths.into_iter().enumerate() {
                assert_eq!(to.recv().await.expect("the session is open"), numbered(number, len));
            }
            from.flush().await.expect("everything has arrived");
        }
    });
}

#[test]
fn both_sides_know_each_other_and_the_mode() {
    with_both_placements(|placement| async move {
        for (modes, mode) in [(ModePolicy::A, Mode::A), (ModePolicy::B, Mode::B)] {
            let alice = bind(config(), placement).await;
            let bob = bind(config(), placement).await;
            let to_bob = alice.connect_with(&bob.uri("127.0.0.1"), modes).await.expect("bob is there");
            let to_alice = bob.accept().await.expect("bob runs");
            assert_eq!((to_bob.mode(), to_alice.mode()), (mode, mode));
            assert_eq!((to_bob.peer_id(), to_alice.peer_id()), (bob.peer_id(), alice.peer_id()));
            assert_eq!(to_bob.remote_addr(), bob.local_addr());
            assert_eq!(to_alice.remote_addr(), alice.local_addr());
        }
    });
}

#[test]
fn without_being_asked_an_endpoint_offers_the_signed_mode_first() {
    with_both_placements(|placement| async move {
        let alice = bind(config(), placement).await;
        let bob = bind(config(), placement).await;
        let to_bob = alice.connect(&bob.uri("127.0.0.1")).await.expect("bob is there");
        assert_eq!(to_bob.mode(), Mode::B);
    });
}

#[test]
fn a_message_is_confirmed_only_after_it_arrived() {
    with_both_placements(|placement| async move {
        let ((_alice, to_bob), (_bob, to_alice)) = pair(config(), placement).await;
        for number in 0..20 {
            let id = to_bob.send(numbered(number, 100)).await.expect("the session is open");
            to_bob.delivered(id).await.expect("bob has it");
            let received = tokio::time::timeout(Duration::from_secs(10), to_alice.recv()).await;
            assert_eq!(received.expect("it had arrived").expect("the session is open"), numbered(number, 100));
        }
    });
}

#[test]
fn a_receiver_that_does_not_take_holds_the_sender_back_and_loses_nothing() {
    const LEN: usize = 4096;
    let small = Limits { message: LEN, send_bytes: 2 * LEN, receive_bytes: 4 * LEN, ..limits() };
    with_both_placements(|placement| async move {
        let ((_alice, to_bob), (_bob, to_alice)) = pair(config().limits(small), placement).await;
        let mut sent = 0;
        // Every queue on the way is full once a message finds no room for a while.
        while sent < 1000 {
            let room = tokio::time::timeout(Duration::from_millis(500), to_bob.send(numbered(sent, LEN))).await;
            let Ok(queued) = room else { break };
            queued.expect("the session is open");
            sent += 1;
        }
        // The handles' queues hold 256 KiB each, the engines' six messages, and one each may be on its way between.
        assert!(sent <= 2 * 64 + 6 + 2, "{sent} messages of {LEN} bytes are held somewhere");
        for number in 0..sent {
            assert_eq!(to_alice.recv().await.expect("the session is open"), numbered(number, LEN));
        }
        to_bob.flush().await.expect("everything has arrived");
    });
}

#[test]
fn a_message_over_the_limit_is_refused_and_the_session_goes_on() {
    with_both_placements(|placement| async move {
        let small = Limits { message: 2000, ..limits() };
        let ((_alice, to_bob), (_bob, to_alice)) = pair(config().limits(small), placement).await;
        assert_eq!(to_bob.send(vec![0; 2001]).await, Err(SendError::TooLong { len: 2001, max: 2000 }));
        to_bob.send(vec![7; 2000]).await.expect("just short enough");
        assert_eq!(to_alice.recv().await.expect("the session is open"), vec![7; 2000]);
    });
}

#[test]
fn clones_of_a_peer_are_one_session() {
    with_both_placements(|placement| async move {
        let ((_alice, to_bob), (_bob, to_alice)) = pair(config(), placement).await;
        let senders: Vec<_> = (0..4)
            .map(|number| {
                let peer = to_bob.clone();
                tokio::spawn(async move {
                    for _ in 0..10 {
                        peer.send(numbered(number, 64)).await.expect("the session is open");
                    }
                    peer.flush().await.expect("everything has arrived");
                })
            })
            .collect();
        let mut counts = [0; 4];
        for _ in 0..40 {
            let message = to_alice.recv().await.expect("the session is open");
            counts[usize::from(message[7])] += 1;
        }
        assert_eq!(counts, [10; 4]);
        for sender in senders {
            sender.await.expect("no panic");
        }
    });
}
