//! Handles, endpoints, executors and peers come and go; whoever waits is told.

use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use b4ae_core::{Accept, CloseReason, Config, ConfigBuilder, Limits, ModePolicy, Traffic};
use b4ae_tokio::{Closed, ConnectError, SendError, Stopped};

use crate::bench::{
    FLUSH, accept, bind, config, connect, done, endpoint_config, limits, numbered, pair, recv, recv_all, send,
};
use crate::driver::{Driver, Endpoint, Peer, Wait};

fn twenty() -> Vec<Vec<u8>> {
    (0..20).map(|number| numbered(number, 3000)).collect()
}

pub(crate) fn dropping_the_last_handle_of_a_peer_delivers_what_is_queued_and_closes(driver: &dyn Driver) {
    let ((_alice, to_bob), (_bob, to_alice)) = pair(driver, config());
    let clone = to_bob.another();
    drop(to_bob);
    for message in twenty() {
        send(&*clone, message);
    }
    drop(clone);
    let (messages, end) = recv_all(&*to_alice);
    assert!(messages == twenty(), "what was queued before the drop arrives");
    assert_eq!(end, Closed::Session(CloseReason::Peer));
}

/// How long a session that is to close waits for a peer that takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);
/// Of the messages that fill the queues.
const LEN: usize = 4096;

/// Queues for few messages, and little time for them once a session is to close.
fn narrow() -> ConfigBuilder {
    let second = Duration::from_secs(1);
    let traffic =
        Traffic::constant(Duration::from_millis(1)).with_max_queue_latency(second).with_leave_boundary(second);
    let small = Limits { message: LEN, send_bytes: 2 * LEN, receive_bytes: 4 * LEN, ..limits() };
    Config::builder(traffic).limits(small).accept(Accept::Anyone(ModePolicy::A)).idle_timeout(PATIENCE)
}

/// Sends until every queue on the way is full, and tells how many messages that took.
fn fill(peer: &dyn Peer) -> usize {
    for number in 0..1000 {
        match peer.send(numbered(number, LEN), Wait::For(Duration::from_millis(400))) {
            Some(queued) => _ = queued.expect("the session is open"),
            None => return number,
        }
    }
    panic!("nothing holds the sender back");
}

/// Waits until no session of the endpoint has slots any more.
fn has_left(endpoint: &dyn Endpoint) -> bool {
    (0..FLUSH.as_millis() / 5).any(|_| {
        thread::sleep(Duration::from_millis(5));
        endpoint.stats().metrics.sessions == 0
    })
}

pub(crate) fn what_waited_for_room_is_there_when_no_slot_comes_any_more(driver: &dyn Driver) {
    let ((alice, to_bob), (bob, to_alice)) = pair(driver, narrow());
    fill(&*to_bob);
    done(alice.close(Duration::ZERO, Wait::Long));
    assert!(has_left(&*bob), "silence ends the session");
    let (messages, _) = recv_all(&*to_alice);
    assert!(messages.len() > 64, "{} messages are what the handles' queue holds", messages.len());
    assert!(messages.iter().enumerate().all(|(number, message)| *message == numbered(number, LEN)));
}

pub(crate) fn a_peer_that_takes_nothing_keeps_no_session_that_is_to_close(driver: &dyn Driver) {
    for by_dropping in [false, true] {
        // Bob's application takes nothing; his endpoint goes on to send cells.
        let ((alice, to_bob), (_bob, to_alice)) = pair(driver, narrow());
        let sent = fill(&*to_bob);
        if by_dropping {
            drop(to_bob);
        } else {
            assert!(to_bob.close(Wait::For(FLUSH)).is_some(), "whoever closes is told");
            assert_eq!(done(to_bob.closed(Wait::Long)), Closed::Session(CloseReason::Local));
        }
        assert!(has_left(&*alice), "the place is free again");
        let (messages, end) = recv_all(&*to_alice);
        assert_eq!(end, Closed::Session(CloseReason::Peer), "the peer is told");
        assert!(messages.len() < sent, "what it made no room for is not delivered");
    }
}

pub(crate) fn a_peer_that_takes_its_time_gets_what_was_queued_before_the_close(driver: &dyn Driver) {
    let ((_alice, to_bob), (_bob, to_alice)) = pair(driver, narrow());
    let sent = fill(&*to_bob);
    drop(to_bob);
    let pause = PATIENCE * 2 / u32::try_from(sent).expect("few");
    for number in 0..sent {
        thread::sleep(pause);
        let received = done(to_alice.recv(Wait::Long));
        assert!(received == Ok(numbered(number, LEN)), "message {number} of {sent} is the next");
    }
    assert_eq!(done(to_alice.recv(Wait::Long)), Err(Closed::Session(CloseReason::Peer)));
}

pub(crate) fn dropping_the_last_handle_of_an_endpoint_delivers_what_is_queued_and_stops(driver: &dyn Driver) {
    let alice = driver.bind(endpoint_config(config()).flush_on_drop(FLUSH)).expect("loopback can be bound");
    let bob = bind(driver, config());
    let to_bob = connect(&*alice, &bob.uri("127.0.0.1"));
    let to_alice = accept(&*bob);
    for message in twenty() {
        send(&*to_bob, message);
    }
    drop(alice);
    let (messages, end) = recv_all(&*to_alice);
    assert!(messages == twenty(), "what was queued before the drop arrives");
    assert_eq!(end, Closed::Session(CloseReason::Peer));
    done(to_bob.closed(Wait::Long));
}

pub(crate) fn closing_an_endpoint_frees_its_port_and_stops_every_handle(driver: &dyn Driver) {
    let ((alice, to_bob), (bob, to_alice)) = pair(driver, config());
    send(&*to_bob, "last words");
    let addr = alice.local_addr();
    let accepting = thread::spawn({
        let alice = alice.another();
        move || done(alice.accept(Wait::Long)).err()
    });
    done(alice.close(FLUSH, Wait::Long));

    let again = driver.bind(endpoint_config(config()).listen(addr)).expect("the port is free");
    done(again.close(Duration::ZERO, Wait::Long));
    assert_eq!(accepting.join().expect("whoever waited is told"), Some(Stopped));
    assert_eq!(done(alice.accept(Wait::Long)).err(), Some(Stopped));
    let refused = done(alice.connect(&bob.uri("127.0.0.1"), None, Wait::Long)).err();
    assert!(matches!(refused, Some(ConnectError::Stopped(Stopped))), "{refused:?}");
    assert!(matches!(done(to_bob.send(vec![1], Wait::Long)), Err(SendError::Closed(_))));
    assert!(done(to_bob.recv(Wait::Long)).is_err());
    assert_eq!(recv(&*to_alice), b"last words");
    assert_eq!(done(to_alice.closed(Wait::Long)), Closed::Session(CloseReason::Peer));
}

pub(crate) fn closing_a_peer_tells_both_sides_and_refuses_more(driver: &dyn Driver) {
    let ((_alice, to_bob), (_bob, to_alice)) = pair(driver, config());
    let id = send(&*to_bob, "last words");
    let closing = thread::spawn({
        let to_bob = to_bob.another();
        move || done(to_bob.close(Wait::Long))
    });
    assert_eq!(recv(&*to_alice), b"last words");
    closing.join().expect("whoever closes is told");
    assert_eq!(done(to_bob.delivered(id, Wait::Long)), Ok(()));
    assert_eq!(done(to_bob.closed(Wait::Long)), Closed::Session(CloseReason::Local));
    let refused = done(to_bob.send(vec![1], Wait::Long));
    assert_eq!(refused, Err(SendError::Closed(Closed::Session(CloseReason::Local))), "nothing more is taken");
    assert_eq!(done(to_alice.closed(Wait::Long)), Closed::Session(CloseReason::Peer));
    assert_eq!(done(to_alice.flush(Wait::Long)), Ok(()), "nothing was sent, so nothing is missing");
}

pub(crate) fn whoever_closes_still_gets_all_that_was_confirmed(driver: &dyn Driver) {
    // More than the handles' queue has room for: the rest waits in the engine.
    const COUNT: usize = 200;
    for whole_endpoint in [false, true] {
        let ((_alice, to_bob), (bob, to_alice)) = pair(driver, config());
        (0..COUNT).for_each(|number| _ = send(&*to_bob, numbered(number, 100)));
        done(to_bob.flush(Wait::Long)).expect("there is room for all");
        if whole_endpoint {
            done(bob.close(FLUSH, Wait::Long));
        } else {
            done(to_alice.close(Wait::Long));
        }
        let (messages, _) = recv_all(&*to_alice);
        assert_eq!(messages.len(), COUNT, "what was confirmed is not lost");
        assert!(messages.into_iter().eq((0..COUNT).map(|number| numbered(number, 100))), "and is in order");
    }
}

pub(crate) fn messages_of_a_session_that_ended_before_it_was_accepted_are_kept(driver: &dyn Driver) {
    let (alice, bob) = (bind(driver, config()), bind(driver, config()));
    let to_bob = connect(&*alice, &bob.uri("127.0.0.1"));
    send(&*to_bob, "in and out");
    done(to_bob.close(Wait::Long));
    done(alice.close(FLUSH, Wait::Long));
    let (messages, _) = recv_all(&*accept(&*bob));
    assert!(messages == [b"in and out"], "what was confirmed is there");
}

pub(crate) fn a_peer_that_is_gone_without_a_word_ends_the_session(driver: &dyn Driver) {
    let impatient = config().idle_timeout(Duration::from_millis(400));
    let ((alice, to_bob), (_bob, to_alice)) = pair(driver, impatient);
    let waiting = thread::spawn({
        let to_alice = to_alice.another();
        move || done(to_alice.closed(Wait::Long))
    });
    done(alice.close(Duration::ZERO, Wait::Long));
    assert!(done(to_bob.recv(Wait::Long)).is_err());
    assert_eq!(done(to_alice.recv(Wait::Long)), Err(Closed::Session(CloseReason::Idle)), "the reason is told");
    assert_eq!(waiting.join().expect("whoever waited is told"), Closed::Session(CloseReason::Idle));
}

/// Where the loop is a task. One with a thread of its own outlives the executor that it was bound on.
pub(crate) fn the_end_of_the_loops_executor_wakes_whoever_waits(driver: &dyn Driver) {
    let ((alice, to_bob), (_bob, to_alice)) = pair(driver, config());
    if driver.has_own_thread() {
        driver.end_executor();
        send(&*to_bob, "still here");
        assert_eq!(recv(&*to_alice), b"still here");
        return done(alice.close(FLUSH, Wait::Long));
    }
    let addr = alice.local_addr();
    let accepting = thread::spawn({
        let alice = alice.another();
        move || done(alice.accept(Wait::Long)).err()
    });
    let receiving = thread::spawn({
        let to_bob = to_bob.another();
        move || done(to_bob.recv(Wait::Long))
    });
    let closing = thread::spawn({
        let to_bob = to_bob.another();
        move || done(to_bob.closed(Wait::Long))
    });
    driver.end_executor();
    assert_eq!(accepting.join().expect("whoever waited is told"), Some(Stopped));
    assert_eq!(receiving.join().expect("whoever waited is told"), Err(Closed::Stopped(Stopped)));
    assert_eq!(closing.join().expect("whoever waited is told"), Closed::Stopped(Stopped));
    UdpSocket::bind(addr).expect("the port is free");
}
