//! Room, credit and confirmations: who sends may not outrun who receives, and hears when there is room again.

mod support;

use std::time::Duration;

use b4ae_core::{
    CloseReason, ConfigError, Event, Limits, ModePolicy, Padding, SendError, SessionId, SessionState, Traffic,
};
use support::{World, config, constant, few};

#[test]
fn one_acknowledgement_of_many_messages_tells_of_every_one() {
    // The peer's cells are rare: each confirms dozens of messages.
    let mut world = World::new([constant(2), constant(100)]);
    let id = world.connect(0, 1, ModePolicy::A);
    for n in 0..40 {
        world.send(0, id, &[n]);
    }
    world.run(3000);
    assert_eq!(world.received.len(), 40);
    assert_eq!(world.delivered(0), 40);
}

#[test]
fn a_sender_much_faster_than_its_peer_gets_confirmations() {
    // Between two of the peer's cells pass many more of ours than an acknowledgement reaches back, most of them cover.
    let mut world = World::new([constant(1), constant(1700)]);
    let id = world.connect(0, 1, ModePolicy::A);
    world.run(6000);
    world.send(0, id, &vec![7; 100_000]);
    world.run(4000);
    assert_eq!(world.received.len(), 1);
    assert_eq!(world.delivered(0), 1);
}

#[test]
fn a_slow_peer_is_not_taken_for_a_path_that_loses() {
    let mut world = World::new([constant(1), constant(2500)]);
    world.connect(0, 1, ModePolicy::A);
    world.run(60_000);
    let last_second = world.now.saturating_sub(Duration::from_secs(1));
    let cells = world.trace.iter().filter(|(at, from, _)| *from == 0 && *at > last_second).count();
    assert!(cells > 990, "{cells} cells in the last second");
}

#[test]
fn a_message_longer_than_the_peer_takes_is_not_reported_as_delivered() {
    let small = Limits { message: 2000, ..few() };
    let mut world = World::new([constant(2), constant(2).limits(small)]);
    let id = world.connect(0, 1, ModePolicy::A);
    world.send(0, id, &[1; 5000]);
    world.send(0, id, b"after it");
    world.run(5000);
    assert_eq!(world.delivered(0), 0, "nothing has reached the peer's application");
    // Nothing in order can follow what the peer does not take: the session cannot go on.
    assert_eq!(world.closed(0), Some(CloseReason::Peer));
    assert_eq!(world.closed(1), Some(CloseReason::Protocol));
}

#[test]
fn a_message_beyond_all_the_credit_a_peer_will_ever_give_ends_the_session() {
    // Its bucket is wider than the peer's whole window: waiting for credit would be waiting for ever.
    let small = Limits { message: 2000, receive_bytes: 5000, ..few() };
    let mut world = World::new([constant(2), constant(2).limits(small)]);
    let id = world.connect(0, 1, ModePolicy::A);
    world.send(0, id, &[1; 9000]);
    world.run(5000);
    assert_eq!(world.closed(0), Some(CloseReason::Protocol));

    // Once the peer has said how much it takes, the application is told instead.
    let mut world = World::new([constant(2), constant(2).limits(small)]);
    let id = world.connect(0, 1, ModePolicy::A);
    world.run(1000);
    let mut session = world.engines[0].session(id).expect("open");
    assert_eq!(session.send(&[1; 9000]), Err(SendError::TooLong { max: 4096 }));
    assert!(session.send(&[1; 2000]).is_ok());

    // Who pads every message to more than that can send none, and hears that rather than a length.
    let padding = Padding { min: 8192, max: 16384 };
    let mut world = World::new([constant(2).padding(padding), constant(2).limits(small)]);
    let id = world.connect(0, 1, ModePolicy::A);
    world.run(1000);
    let mut session = world.engines[0].session(id).expect("open");
    assert_eq!(session.send(b""), Err(SendError::PeerTakesNone));
}

#[test]
fn every_message_a_configuration_allows_fits_its_own_window() {
    // 9000 bytes are padded to 16 cells, which 12 KiB of window would never let begin.
    let limits = Limits { message: 9000, send_bytes: 1 << 20, receive_bytes: 2048 + 9000 + 1125, ..Limits::default() };
    let built = constant(2).limits(limits).build();
    assert_eq!(built.err(), Some(ConfigError::Limit("receive_bytes")));

    let limits = Limits { receive_bytes: 16 << 10, ..limits };
    let mut world = World::new([constant(2).limits(limits), constant(2).limits(limits)]);
    let id = world.connect(0, 1, ModePolicy::A);
    world.send(0, id, &[1; 9000]);
    world.run(3000);
    assert_eq!(world.received.len(), 1);
}

/// A session whose application is about to close it, and has more messages than there is room for: the peer's takes
/// none.
fn full() -> (World, SessionId) {
    let small = Limits { message: 2048, send_bytes: 4096, receive_bytes: 8192, ..few() };
    let traffic = Traffic::constant(Duration::from_millis(5)).with_leave_boundary(Duration::from_secs(1));
    let build = || config(traffic).limits(small).idle_timeout(Duration::from_secs(20));
    let mut world = World::new([build(), build()]);
    let id = world.connect(0, 1, ModePolicy::A);
    world.run(1000);
    world.deaf = vec![1];
    for _ in 0..5000 {
        _ = world.engines[0].session(id).expect("open").send(&[0; 2000]);
        world.turn();
    }
    let mut session = world.engines[0].session(id).expect("open");
    assert_eq!(session.send(&[0; 2000]), Err(SendError::Full));
    session.begin_close();
    assert_eq!(session.state(), SessionState::Open);
    (world, id)
}

#[test]
fn a_close_that_waits_for_room_ends_in_time_although_the_peer_speaks() {
    let (mut world, id) = full();
    world.run(19_900);
    assert_eq!((world.closed(0), world.closed(1)), (None, None));
    // To say so again, or to close after all, gives no more time.
    world.engines[0].session(id).expect("open").begin_close();
    world.engines[0].session(id).expect("open").close();
    world.run(200);
    assert_eq!(world.closed(0), Some(CloseReason::Local));
    world.run(3000);
    assert_eq!(world.engines.iter().map(|engine| engine.metrics().sessions).sum::<u32>(), 0, "and gives its slots up");
}

#[test]
fn a_close_that_waits_for_room_takes_what_finds_some() {
    let (mut world, id) = full();
    let queued = world.engines[0].session(id).expect("open").stats().queued_messages;
    assert!(queued > 0);
    world.deaf.clear();
    // Longer in all than a close may take, and never as long from one to the next.
    for n in 1..=4 {
        world.run(15_000);
        world.send(0, id, &[n; 2000]);
    }
    world.run(1000);
    assert_eq!(world.closed(1), None, "there may be more");
    world.engines[0].session(id).expect("open").close();
    let refused = world.engines[0].session(id).expect("still closing").send(&[5]);
    assert_eq!(refused, Err(SendError::Closing));
    world.run(1000);
    assert_eq!((world.closed(0), world.closed(1)), (Some(CloseReason::Local), Some(CloseReason::Peer)));
    let last: Vec<_> = world.received.iter().rev().take(4).map(|(_, message)| message[0]).collect();
    assert_eq!(last, [4, 3, 2, 1]);
}

#[test]
fn credit_given_back_is_told_without_waiting_for_cover() {
    // Cover is rare; the application lets its inbox fill, then takes everything at once.
    let rare = Traffic::low_overhead_unprotected()
        .with_cover(Duration::from_secs(250), Duration::ZERO, Duration::from_millis(5))
        .with_max_queue_latency(Duration::from_secs(600));
    let limits = Limits { message: 2048, receive_bytes: 8192, ..Limits::default() };
    let build = || config(rare).limits(limits).idle_timeout(Duration::from_secs(3600));
    let mut world = World::new([build(), build()]);
    let id = world.connect(0, 1, ModePolicy::A);
    world.run(1000);
    world.deaf = vec![1];
    for _ in 0..40 {
        world.send(0, id, &[5; 2000]);
    }
    world.run(3000);
    world.deaf.clear();
    world.run(10_000);
    assert_eq!(world.received.len(), 40);
}

#[test]
fn who_waits_for_room_is_told_when_it_hears_of_the_confirmation_that_made_it() {
    // Nothing else is to leave for a second: until then, nothing but that would find that there is room.
    let rare = Traffic::low_overhead_unprotected()
        .with_cover(Duration::from_secs(250), Duration::ZERO, Duration::from_millis(5))
        .with_max_queue_latency(Duration::from_secs(600));
    let limits = Limits { send_messages: 1, ..Limits::default() };
    let build = || config(rare).limits(limits).idle_timeout(Duration::from_secs(3600));
    let mut world = World::new([build(), build()]);
    let id = world.connect(0, 1, ModePolicy::A);
    world.run(1000);
    // The other one takes nothing, and so says nothing but that it has heard.
    world.deaf = vec![1];
    world.send(0, id, &[7; 500]);
    let refused = world.engines[0].session(id).expect("open").send(&[7; 500]);
    assert_eq!(refused, Err(SendError::Full));
    world.events.clear();
    world.run(300);
    assert_eq!(world.delivered(0), 1);
    assert!(world.events.contains(&(0, Event::Writable(id))), "{:?}", world.events);
}

/// With room for nothing but a short message, who waits for room for a long one is not called again and again.
#[test]
fn room_that_is_too_small_is_not_offered() {
    let limits = Limits { send_bytes: 8192, message: 8192, ..few() };
    let mut world = World::new([constant(10).limits(limits), constant(10)]);
    let id = world.connect(0, 1, ModePolicy::A);
    world.run(2000);
    world.send(0, id, &[1; 1000]);
    world.send(0, id, &[2; 7000]);
    let refused = world.engines[0].session(id).expect("open").send(&[3; 8000]);
    assert_eq!(refused, Err(SendError::Full));
    world.events.clear();
    for _ in 0..2000 {
        world.run(1);
        let session = world.engines[0].session(id).expect("open");
        let empty = session.stats().queued_bytes == 0;
        let told = world.events.iter().filter(|(_, event)| *event == Event::Writable(id)).count();
        assert_eq!(told, usize::from(empty), "{:?}", session.stats());
        if empty {
            return;
        }
    }
    panic!("nothing was confirmed");
}
