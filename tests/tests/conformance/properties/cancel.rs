//! A call that is given up, after however many polls, loses nothing and does nothing twice.

use std::net::UdpSocket;
use std::thread;

use b4ae_core::{CloseReason, Limits, ModePolicy};
use b4ae_tokio::{Closed, ConnectError, SendError, Stopped};

use crate::bench::{
    FLUSH, MOMENT, accept, bind, config, connect, done, limits, numbered, pair, recv, recv_all, send, try_connect,
};
use crate::driver::{Driver, Endpoint, Wait};

/// Polls before a call is given up, one after the other.
const POLLS: [u32; 6] = [0, 1, 2, 3, 4, 6];

/// Makes `call` with one number of polls after the other, until one of them comes to an end.
#[track_caller]
fn until_done<T>(mut call: impl FnMut(Wait) -> Option<T>) -> T {
    let done = POLLS.into_iter().cycle().take(8_000).find_map(|polls| call(Wait::Polls(polls)));
    done.expect("nothing happens any more")
}

pub(crate) fn a_recv_given_up_loses_no_message(driver: &dyn Driver) {
    let ((_alice, to_bob), (_bob, to_alice)) = pair(driver, config());
    for number in 0..30 {
        send(&*to_bob, numbered(number, 500));
    }
    for number in 0..30 {
        let message = until_done(|wait| to_alice.recv(wait)).expect("the session is open");
        assert!(message == numbered(number, 500), "message {number} is the next");
    }
    assert!(to_alice.recv(MOMENT).is_none(), "nothing arrives twice");
}

pub(crate) fn a_send_given_up_has_sent_nothing_and_one_that_returned_has(driver: &dyn Driver) {
    let small = Limits { message: 4096, send_bytes: 8192, ..limits() };
    let ((_alice, to_bob), (_bob, to_alice)) = pair(driver, config().limits(small));
    let receiving = thread::spawn(move || recv_all(&*to_alice).0);
    let mut sent = Vec::new();
    let mut given_up = [0; POLLS.len()];
    for number in 0..160 {
        let which = number % POLLS.len();
        match to_bob.send(numbered(number, 4096), Wait::Polls(POLLS[which])) {
            Some(queued) => {
                queued.expect("the session is open");
                sent.push(numbered(number, 4096));
            }
            None => given_up[which] += 1,
        }
    }
    assert!(given_up[1..].iter().sum::<i32>() > 0, "the queue never filled: {given_up:?}");
    done(to_bob.close(Wait::Long));
    let received = receiving.join().expect("no panic");
    assert!(received == sent, "what arrived ({}) is what was sent ({})", received.len(), sent.len());
}

pub(crate) fn an_accept_given_up_loses_no_session(driver: &dyn Driver) {
    let (alice, bob) = (bind(driver, config()), bind(driver, config()));
    for number in 0..3 {
        let connecting = thread::spawn({
            let (alice, uri) = (alice.another(), bob.uri("127.0.0.1"));
            move || connect(&*alice, &uri)
        });
        let to_alice = until_done(|wait| bob.accept(wait)).expect("bob runs");
        let to_bob = connecting.join().expect("no panic");
        send(&*to_bob, numbered(number, 100));
        assert_eq!(recv(&*to_alice), numbered(number, 100));
    }
}

pub(crate) fn a_connect_given_up_gives_its_place_up(driver: &dyn Driver) {
    let one = Limits { sessions: 1, ..limits() };
    let (alice, bob) = (bind(driver, config().limits(one)), bind(driver, config()));
    let nobody = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
    let mut nowhere = bob.uri("127.0.0.1");
    nowhere.port = nobody.local_addr().expect("bound").port();
    for polls in [0, 1, 2, 5, 40] {
        match alice.connect(&nowhere, Some(ModePolicy::A), Wait::Polls(polls)) {
            // The place of the one before is not free yet.
            None | Some(Err(ConnectError::Core(b4ae_core::ConnectError::Full))) => {}
            Some(other) => panic!("nobody answers: {:?}", other.err()),
        }
    }
    connect_when_there_is_room(&*alice, &*bob);
}

fn connect_when_there_is_room(alice: &dyn Endpoint, bob: &dyn Endpoint) {
    for _ in 0..2000 {
        match try_connect(alice, &bob.uri("127.0.0.1"), ModePolicy::A) {
            Ok(_) => return,
            Err(ConnectError::Core(b4ae_core::ConnectError::Full)) => thread::sleep(Wait::GAP),
            Err(e) => panic!("{e}"),
        }
    }
    panic!("the place is never given up");
}

pub(crate) fn a_connect_given_up_at_any_point_leaves_a_working_endpoint(driver: &dyn Driver) {
    let many = Limits { sessions: 64, ..limits() };
    let (alice, bob) = (bind(driver, config().limits(many)), bind(driver, config().limits(many)));
    let uri = bob.uri("127.0.0.1");
    for polls in 0..24 {
        // One that is there in time is closed by its handle's end.
        if let Some(connected) = alice.connect(&uri, Some(ModePolicy::A), Wait::Polls(polls)) {
            drop(connected.expect("bob is there"));
        }
    }
    let to_bob = connect(&*alice, &uri);
    send(&*to_bob, "still here");
    // Sessions of those given up may have come before, and bring nothing.
    for _ in 0..64 {
        match done(accept(&*bob).recv(Wait::Long)) {
            Ok(message) => return assert_eq!(message, b"still here"),
            Err(end) => assert!(matches!(end, Closed::Session(_)), "{end:?}"),
        }
    }
    panic!("the session that was kept never came");
}

pub(crate) fn a_wait_for_a_confirmation_can_be_taken_up_again(driver: &dyn Driver) {
    let ((_alice, to_bob), (_bob, to_alice)) = pair(driver, config());
    let id = send(&*to_bob, numbered(0, 20_000));
    until_done(|wait| to_bob.delivered(id, wait)).expect("it arrives");
    send(&*to_bob, numbered(1, 20_000));
    until_done(|wait| to_bob.flush(wait)).expect("it arrives");
    done(to_bob.delivered(id, Wait::Long)).expect("it stays confirmed");
    assert!(recv(&*to_alice) == numbered(0, 20_000) && recv(&*to_alice) == numbered(1, 20_000));
}

pub(crate) fn a_close_given_up_goes_on_if_it_began(driver: &dyn Driver) {
    for polls in [0, 1, 2, 4] {
        let ((alice, to_bob), (_bob, to_alice)) = pair(driver, config());
        send(&*to_bob, numbered(0, 3000));
        _ = to_bob.close(Wait::Polls(polls));
        if polls == 0 {
            send(&*to_bob, "not closed");
            done(to_bob.close(Wait::Long));
            assert_eq!(recv_all(&*to_alice).0.len(), 2);
            continue;
        }
        assert_eq!(done(to_bob.closed(Wait::Long)), Closed::Session(CloseReason::Local), "the close that began");
        assert!(matches!(done(to_bob.send(vec![1], Wait::Long)), Err(SendError::Closed(_))));
        let (messages, end) = recv_all(&*to_alice);
        assert!(messages == [numbered(0, 3000)], "what was queued before it arrives");
        assert_eq!(end, Closed::Session(CloseReason::Peer));

        // And the endpoint's.
        _ = alice.close(FLUSH, Wait::Polls(polls));
        assert!(matches!(done(alice.accept(Wait::Long)), Err(Stopped)), "the endpoint stops");
    }
}
