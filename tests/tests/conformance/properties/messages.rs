//! Messages arrive whole, once, in order, are confirmed, and are no more than the receiver takes.

use std::thread;
use std::time::Duration;

use b4ae_core::{Limits, Mode, ModePolicy};
use b4ae_tokio::SendError;

use crate::bench::{
    MOMENT, accept, bind, config, connect, done, flush, limits, numbered, pair, recv, send, try_connect,
};
use crate::driver::{Driver, Wait};

pub(crate) fn messages_of_every_length_go_both_ways_in_order_and_once(driver: &dyn Driver) {
    let ((_alice, to_bob), (_bob, to_alice)) = pair(driver, config());
    let lengths = [1, 900, 1024, 1025, 5000, 40_000];
    for (from, to) in [(&to_bob, &to_alice), (&to_alice, &to_bob)] {
        for (number, len) in lengths.into_iter().enumerate() {
            assert_eq!(send(&**from, numbered(number, len)).0, number as u64);
        }
        for (number, len) in lengths.into_iter().enumerate() {
            assert!(recv(&**to) == numbered(number, len), "message {number} is the next");
        }
        flush(&**from);
        assert!(to.recv(MOMENT).is_none(), "nothing arrives twice");
    }
}

pub(crate) fn both_sides_know_each_other_and_the_mode(driver: &dyn Driver) {
    for (modes, mode) in [(ModePolicy::A, Mode::A), (ModePolicy::B, Mode::B)] {
        let (alice, bob) = (bind(driver, config()), bind(driver, config()));
        let to_bob = try_connect(&*alice, &bob.uri("127.0.0.1"), modes).expect("bob is there");
        let to_alice = accept(&*bob);
        assert_eq!((to_bob.mode(), to_alice.mode()), (mode, mode), "the mode that was offered");
        assert_eq!((to_bob.peer_id(), to_alice.peer_id()), (bob.peer_id(), alice.peer_id()));
        assert_eq!((to_bob.remote_addr(), to_alice.remote_addr()), (bob.local_addr(), alice.local_addr()));
    }
}

pub(crate) fn without_being_asked_an_endpoint_offers_the_signed_mode_first(driver: &dyn Driver) {
    let (alice, bob) = (bind(driver, config()), bind(driver, config()));
    let to_bob = done(alice.connect(&bob.uri("127.0.0.1"), None, Wait::Long)).expect("bob is there");
    assert_eq!(to_bob.mode(), Mode::B, "the signed mode comes first");
}

pub(crate) fn only_what_arrived_is_confirmed(driver: &dyn Driver) {
    let impatient = config().idle_timeout(Duration::from_millis(400));
    let ((_alice, to_bob), (bob, to_alice)) = pair(driver, impatient);
    for number in 0..10 {
        let id = send(&*to_bob, numbered(number, 100));
        done(to_bob.delivered(id, Wait::Long)).expect("bob has it");
        assert_eq!(recv(&*to_alice), numbered(number, 100));
    }
    // Gone without a word.
    done(bob.close(Duration::ZERO, Wait::Long));
    let id = send(&*to_bob, "lost");
    assert!(done(to_bob.flush(Wait::Long)).is_err(), "what did not arrive is not flushed");
    assert!(done(to_bob.delivered(id, Wait::Long)).is_err(), "what did not arrive is not confirmed");
}

pub(crate) fn a_receiver_that_does_not_take_holds_the_sender_back_and_loses_nothing(driver: &dyn Driver) {
    const LEN: usize = 4096;
    let small = Limits { message: LEN, send_bytes: 2 * LEN, receive_bytes: 4 * LEN, ..limits() };
    let ((_alice, to_bob), (_bob, to_alice)) = pair(driver, config().limits(small));
    let mut sent = 0;
    // Every queue on the way is full once a message finds no room for a while.
    while sent < 1000 {
        let Some(queued) = to_bob.send(numbered(sent, LEN), Wait::For(Duration::from_millis(400))) else { break };
        queued.expect("the session is open");
        sent += 1;
    }
    // The handles' queues hold 256 KiB each, the engines' six messages, and one each may be on its way between.
    assert!(sent <= 2 * 64 + 6 + 2, "{sent} messages of {LEN} bytes are held somewhere");
    let waiting = thread::spawn({
        let to_bob = to_bob.another();
        move || send(&*to_bob, numbered(sent, LEN))
    });
    for number in 0..=sent {
        assert!(recv(&*to_alice) == numbered(number, LEN), "message {number} is the next");
    }
    waiting.join().expect("whoever waits for room goes on when there is some");
    flush(&*to_bob);
}

pub(crate) fn a_message_over_the_limit_is_refused_and_the_session_goes_on(driver: &dyn Driver) {
    let small = Limits { message: 2000, ..limits() };
    let ((_alice, to_bob), (_bob, to_alice)) = pair(driver, config().limits(small));
    let refused = done(to_bob.send(vec![0; 2001], Wait::Long));
    assert_eq!(refused, Err(SendError::TooLong { len: 2001, max: 2000 }), "the limit is named");
    send(&*to_bob, vec![7; 2000]);
    assert_eq!(recv(&*to_alice), vec![7; 2000]);
}

pub(crate) fn clones_of_a_peer_are_one_session(driver: &dyn Driver) {
    let ((_alice, to_bob), (_bob, to_alice)) = pair(driver, config());
    let senders: Vec<_> = (0..4)
        .map(|number| {
            let peer = to_bob.another();
            thread::spawn(move || {
                for _ in 0..10 {
                    send(&*peer, numbered(number, 64));
                }
                flush(&*peer);
            })
        })
        .collect();
    let mut counts = [0; 4];
    for _ in 0..40 {
        counts[usize::from(recv(&*to_alice)[7])] += 1;
    }
    assert_eq!(counts, [10; 4]);
    senders.into_iter().for_each(|sender| sender.join().expect("no panic"));
}

pub(crate) fn clones_of_an_endpoint_are_one_socket(driver: &dyn Driver) {
    let (alice, bob) = (bind(driver, config()), bind(driver, config()));
    let clone = bob.another();
    drop(bob);
    let to_bob = connect(&*alice.another(), &clone.uri("127.0.0.1"));
    let to_alice = accept(&*clone);
    send(&*to_bob, "through a clone");
    assert_eq!(recv(&*to_alice), b"through a clone");
    assert_eq!((to_bob.remote_addr(), to_alice.remote_addr()), (clone.local_addr(), alice.local_addr()));
}
