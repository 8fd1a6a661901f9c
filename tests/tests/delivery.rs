//! Messages arrive exactly once and in order, or the sender is told, whatever the network does.

use std::time::Duration;

use b4ae_core::{Accept, CloseReason, Config, ConnectError, Event, Limits, ModePolicy, SendError, Shutdown, Traffic};
use b4ae_sim::{Action, Behaviour, HostSpec, Latency, LinkConfig, Network, Reading};
use b4ae_tests::{Net, at, built, closed, closed_client, connect, deniable_server, fast, metrics, ms, open, secs};

/// The reference model compares every message taken with every message sent; a message lost would never arrive, and
/// one doubled or out of order is a violation.
#[test]
fn thirty_percent_loss_with_reordering_loses_doubles_and_swaps_nothing() {
    // A grid of 4 ms, to make a thousand handshakes and their cells a matter of seconds.
    let config = |accept| {
        let limits = Limits { sessions: 4, ..Limits::default() };
        built(Config::builder(Traffic::constant(ms(4))).limits(limits).accept(accept).handshake_timeout(secs(120)))
    };
    let spec = |accept| HostSpec::new(config(accept)).without_signer();
    let mut messages = 0;
    for n in 0..1000 {
        let mut net = Net::of(n, spec(Accept::Anyone(ModePolicy::A)), spec(Accept::Nobody)).on(Network::Lossy30);
        let (client, server) = net.open();
        for k in 0..5 {
            net.say(client, &[k; 300]);
            net.answer(server, &[k; 1500]);
        }
        assert!(net.all_arrive_within(secs(60)), "seed {n}: {:?}", net.world.delivery(net.client, client));
        messages += net.world.delivery(net.client, client).arrived + net.world.delivery(net.server, server).arrived;
    }
    assert_eq!(messages, 10_000);
}

/// The same where cells leave at random, and where they leave in groups.
#[test]
fn thirty_percent_loss_loses_nothing_on_any_schedule() {
    for traffic in [Traffic::poisson(ms(8)), Traffic::burst(ms(500), 8).with_spacing(ms(2))] {
        let config = |accept| {
            let limits = Limits { sessions: 4, ..Limits::default() };
            built(Config::builder(traffic).limits(limits).accept(accept).handshake_timeout(secs(120)))
        };
        let spec = |accept| HostSpec::new(config(accept)).without_signer();
        for n in 0..100 {
            let mut net = Net::of(n, spec(Accept::Anyone(ModePolicy::A)), spec(Accept::Nobody)).on(Network::Lossy30);
            let (client, server) = net.open();
            for k in 0..5 {
                net.say(client, &[k; 300]);
                net.answer(server, &[k; 1500]);
            }
            let delivery = net.world.delivery(net.client, client);
            assert!(net.all_arrive_within(secs(120)), "seed {n}: {delivery:?}, {traffic:?}");
        }
    }
}

/// A host with these cells, and time limits that fit those of either side.
fn patient(traffic: Traffic, accept: Accept) -> HostSpec {
    let limits = Limits { sessions: 4, ..Limits::default() };
    let config = Config::builder(traffic.with_max_queue_latency(secs(1800)))
        .limits(limits)
        .accept(accept)
        .handshake_timeout(secs(200))
        .idle_timeout(secs(300));
    HostSpec::new(built(config)).without_signer()
}

/// The two sides' groups are seconds apart and drift; or one has groups and the other does not. What confirms a cell
/// comes a period later, and is waited for: next to nothing is sent twice for want of it.
#[test]
fn groups_that_are_seconds_apart_deliver() {
    let phone = Traffic::burst(secs(30), 4);
    let others = [phone, Traffic::burst(secs(47), 3), Traffic::balanced(), Traffic::poisson(ms(100))];
    for (n, other) in (0..).zip(others) {
        for network in [Network::Perfect, Network::Mobile] {
            let mut net = Net::of(n, patient(other, Accept::Anyone(ModePolicy::A)), patient(phone, Accept::Nobody));
            net.change(network);
            let (client, server) = net.open();
            // Five cells the one way, ten the other.
            for k in 0..5 {
                net.say(client, &[k; 700]);
                net.answer(server, &[k; 1500]);
            }
            let arrived = net.all_arrive_within(secs(600));
            assert!(arrived, "{other:?}, {network:?}: {:?}", net.world.delivery(net.client, client));
            let confirmed = |world: &b4ae_sim::World| world.delivery(net.server, server).confirmed == 5;
            assert!(net.world.run_while_not(secs(120), confirmed).expect("no violation"), "{other:?}, {network:?}");
            if network == Network::Perfect {
                let again = metrics(&net.world, net.client).retransmissions;
                assert!(again <= 2, "{again} cells of 5 were sent again, to {other:?}");
            }
            net.run(secs(600));
            assert_eq!(closed(&net.world, net.client, client), None, "the silence between groups is no end");
        }
    }
}

/// A grid that sends thousands of cells between two groups of its peer: the first group confirms all that has arrived.
#[test]
fn a_peer_that_is_rarely_heard_confirms_a_long_message_at_once() {
    let rare = Traffic::burst(secs(60), 4);
    let mut net =
        Net::of(3, patient(rare, Accept::Anyone(ModePolicy::A)), patient(Traffic::balanced(), Accept::Nobody));
    let (client, _) = net.open();
    net.run(secs(70));
    net.say(client, &vec![1; 32 * 1024]);
    let confirmed = |world: &b4ae_sim::World| world.delivery(net.client, client).confirmed == 1;
    assert!(
        net.world.run_while_not(secs(130), confirmed).expect("no violation"),
        "two periods, and it arrived in the first"
    );
    let again = metrics(&net.world, net.client).retransmissions;
    assert!(again <= 2, "{again} cells of 32 were sent again");
}

/// With a cell a period, what is queued leaves with the next one, and a close that has much to deliver does so.
#[test]
fn a_cell_a_minute_delivers_and_closes() {
    let rare = Traffic::burst(secs(60), 1).with_leave_boundary(secs(60));
    let spec = |accept| {
        let config = Config::builder(rare).limits(Limits { sessions: 4, ..Limits::default() }).accept(accept);
        HostSpec::new(built(config.handshake_timeout(secs(200)).idle_timeout(secs(600)))).without_signer()
    };
    let mut net = Net::of(21, spec(Accept::Anyone(ModePolicy::A)), spec(Accept::Nobody));
    let (client, server) = net.open();
    net.run(secs(120));
    for k in 0..12 {
        net.say(client, &[k; 100]);
    }
    net.world.close(net.client, client).expect("no violation");
    net.run(secs(25 * 60));
    let delivery = net.world.delivery(net.client, client);
    assert_eq!((delivery.arrived, delivery.confirmed), (12, 12));
    assert_eq!(delivery.closed, Some(CloseReason::Local));
    assert_eq!(net.world.delivery(net.server, server).closed, Some(CloseReason::Peer));
    let sent = net.world.departures(net.client).len();
    net.run(secs(600));
    assert_eq!(net.world.departures(net.client).len(), sent, "it has left");
}

/// On the balanced grid, which every named network has the rate for.
#[test]
fn a_handshake_ends_in_a_session_on_every_network() {
    let config = |accept| {
        let limits = Limits { sessions: 16, ..Limits::default() };
        built(Config::builder(Traffic::balanced()).limits(limits).accept(accept))
    };
    for network in Network::ALL {
        for modes in [ModePolicy::A, ModePolicy::B] {
            let server = HostSpec::new(config(Accept::Anyone(ModePolicy::A_THEN_B)));
            let mut net = Net::of(3, server, HostSpec::new(config(Accept::Nobody))).on(network);
            let (client, server) = net.open_in(modes);
            net.say(client, b"hello");
            net.answer(server, b"hello yourself");
            assert!(net.all_arrive_within(secs(60)), "{network:?} {modes:?}");
        }
    }
}

/// As over a satellite behind a satellite: no confirmation comes within the first guess of the round trip.
#[test]
fn a_round_trip_of_seconds_is_learnt() {
    for delay in [ms(400), ms(600), ms(1500)] {
        let mut net = Net::deniable(12);
        net.act(Action::Network(LinkConfig { delay, ..LinkConfig::default() }));
        let (client, server) = net.open();
        for k in 0..10 {
            net.say(client, &[k; 3000]);
            net.answer(server, &[k; 3000]);
        }
        assert!(net.all_arrive_within(secs(60)), "{delay:?}: {:?}", net.world.delivery(net.client, client));
    }
}

/// From a millisecond to most of a second, as on a phone that leaves the house; then back.
#[test]
fn a_round_trip_that_grows_a_thousandfold_is_learnt() {
    let mut net = Net::deniable(18).on(Network::Lan);
    let (client, server) = net.open();
    for network in [Network::Lan, Network::Satellite, Network::Lan] {
        // Without the satellite's loss and its rate: it is the time that matters.
        net.act(Action::Network(LinkConfig { delay: network.config().delay, ..LinkConfig::default() }));
        for k in 0..20 {
            net.say(client, &[k; 3000]);
            net.answer(server, &[k; 3000]);
        }
        assert!(net.all_arrive_within(secs(30)), "{network:?}: {:?}", net.world.delivery(net.client, client));
    }
}

#[test]
fn messages_queued_before_the_session_is_open_arrive_once_it_is() {
    let mut net = Net::deniable(4).on(Network::Wan);
    let id = net.connect(ModePolicy::A);
    for n in 0..5 {
        net.say(id, &[n; 100]);
    }
    assert!(net.all_arrive_within(secs(10)));
    assert_eq!(net.world.delivery(net.client, id).arrived, 5);
}

#[test]
fn after_a_partition_heals_everything_arrives() {
    for one_way in [false, true] {
        for n in 0..4 {
            let mut net = Net::deniable(n).on(Network::Wan);
            let (client, server) = net.open();
            net.act(Action::Block(net.client, net.server));
            if !one_way {
                net.act(Action::Block(net.server, net.client));
            }
            for k in 0..20 {
                net.say(client, &[k; 2000]);
                net.answer(server, &[k; 2000]);
            }
            net.run(secs(20));
            assert_eq!(net.world.delivery(net.client, client).arrived, 0, "a partition lets nothing through");
            net.act(Action::Heal);
            assert!(net.all_arrive_within(secs(10)), "seed {n}, one way: {one_way}");
        }
    }
}

/// The client's address changes under it; the session does not.
#[test]
fn a_new_address_keeps_the_session_and_is_told() {
    for expire in [false, true] {
        let mut net = Net::deniable(5).on(Network::Wan);
        let (client, server) = net.open();
        net.run(secs(1));
        let before = net.client_addr();
        if expire {
            net.act(Action::Expire(net.client));
        } else {
            net.act(Action::Rebind(net.client, ([198, 51, 100, 7], 999).into()));
        }
        net.run(secs(3));
        assert_ne!(net.client_addr(), before);
        let moved = net.world.events(net.server).iter().filter(|(_, event)| *event == Event::PathChanged(server));
        assert_eq!(moved.count(), 1, "expired: {expire}");
        net.say(client, &[1; 5000]);
        net.answer(server, &[2; 5000]);
        assert!(net.all_arrive_within(secs(5)), "expired: {expire}");
        let last = net.world.departures(net.server).last().expect("the server sends");
        assert_eq!(last.to, net.client_addr());
    }
}

#[test]
fn an_address_that_changes_again_and_again_is_followed() {
    let mut net = Net::deniable(6).on(Network::Mobile);
    let (client, server) = net.open();
    for port in 1..10_u16 {
        net.act(Action::Rebind(net.client, ([198, 51, 100, 7], 1000 + port).into()));
        net.say(client, &[1; 500]);
        net.answer(server, &[2; 500]);
        assert!(net.all_arrive_within(secs(20)), "change {port}");
    }
}

#[test]
fn unordered_messages_arrive_exactly_once() {
    for n in 0..50 {
        let mut net = Net::deniable(n).on(Network::Lossy30);
        let (client, _) = net.open();
        for k in 0..20_u8 {
            let message = vec![k; 50 + 100 * usize::from(k)];
            net.world.send_unordered(net.client, client, &message).expect("no violation").expect("room");
        }
        assert!(net.all_arrive_within(secs(60)), "seed {n}");
        assert_eq!(net.world.delivery(net.client, client).arrived, 20);
    }
}

/// Confirmations that are lost are made up for by the next that comes, for as many messages as have arrived by then.
#[test]
fn one_cell_confirms_any_number_of_messages() {
    let mut net = Net::deniable(13);
    let (client, _) = net.open();
    net.run(ms(100));
    net.act(Action::Block(net.server, net.client));
    for k in 0..100 {
        net.say(client, &[k]);
    }
    net.run(ms(150));
    assert_eq!(net.world.delivery(net.client, client).arrived, 100, "the way there is not blocked");
    assert_eq!(net.world.delivery(net.client, client).confirmed, 0, "the way back is");
    net.act(Action::Heal);
    net.run(ms(50));
    assert_eq!(net.world.delivery(net.client, client).confirmed, 100);
}

#[test]
fn an_unordered_message_does_not_wait_for_a_long_one() {
    let (server, client) = (HostSpec::new(deniable_server()).keep_messages(), HostSpec::new(closed_client()));
    let mut net = Net::of(7, server.without_signer(), client.without_signer());
    let (client, _) = net.open();
    net.say(client, &vec![1; 200_000]);
    net.world.send_unordered(net.client, client, b"urgent").expect("no violation").expect("room");
    assert!(net.all_arrive_within(secs(10)));
    assert_eq!(net.world.messages(net.server).len(), 2);
}

#[test]
fn messages_of_every_length_arrive_as_they_were_sent() {
    let spec = || HostSpec::new(deniable_server()).without_signer().keep_messages();
    let mut net = Net::of(8, spec(), HostSpec::new(closed_client()).without_signer());
    let (client, _) = net.open();
    let lengths = [0, 1, 2, 1008, 1023, 1024, 1025, 2048, 2049, 16_383, 16_384, 16_385, 100_000, 1 << 20];
    let content = |len: usize| -> Vec<u8> { (0..len).map(|n| (n * 31 + len).to_le_bytes()[0]).collect() };
    for len in lengths {
        net.say(client, &content(len));
        assert!(net.all_arrive_within(secs(10)), "{len} bytes");
    }
    let taken: Vec<_> = net.world.messages(net.server).iter().map(|(_, message)| message.clone()).collect();
    assert!(taken == lengths.map(content), "the contents changed on the way");
    let too_long = net.world.send(net.client, client, &vec![0; (1 << 20) + 1]).expect("no violation");
    assert_eq!(too_long, Err(SendError::TooLong { max: 1 << 20 }));
}

/// Small buffers, a receiver who takes nothing for twenty seconds, then everything.
#[test]
fn a_receiver_who_stops_pushes_back_and_loses_nothing() {
    let limits =
        Limits { sessions: 16, message: 16_384, send_bytes: 65_536, receive_bytes: 65_536, ..Limits::default() };
    let config = built(fast().limits(limits).accept(Accept::Anyone(ModePolicy::A)));
    let total = 400_000_u64.div_ceil(16 * 1024);
    let server = HostSpec::new(config.clone()).without_signer().reading(Reading::FromMs(20_000));
    let client = HostSpec::new(config).without_signer().behaviour(Behaviour::File { at_ms: 0, bytes: 400_000 });
    let mut net = Net::of(9, server, client).on(Network::Wan);
    let (client, _) = net.open();
    net.world.run_until(at(secs(19))).expect("no violation");
    let stuck = net.world.delivery(net.client, client);
    assert!(stuck.sent < total, "no bound on what is queued: {stuck:?}");
    assert_eq!(stuck.arrived, 0);
    let refused = net.world.send(net.client, client, &[0; 16_384]).expect("no violation");
    assert_eq!(refused, Err(SendError::Full));
    let delivered = net.world.run_while_not(secs(60), |world| world.delivery(net.client, client).arrived == total);
    assert!(delivered.expect("no violation"));
}

#[test]
fn a_graceful_close_delivers_what_was_queued_first() {
    for n in 0..50 {
        let mut net = Net::deniable(n).on(Network::Mobile);
        let (client, server) = net.open();
        for k in 0..10 {
            net.say(client, &[k; 1200]);
        }
        net.world.close(net.client, client).expect("no violation");
        net.run(secs(30));
        let delivery = net.world.delivery(net.client, client);
        assert_eq!((delivery.arrived, delivery.confirmed), (10, 10), "seed {n}");
        assert_eq!(delivery.closed, Some(CloseReason::Local), "seed {n}");
        let other = net.world.delivery(net.server, server);
        assert_eq!(other.closed, Some(CloseReason::Peer), "seed {n}");
    }
}

/// Late timers and a host that stands still cost slots, never messages.
#[test]
fn late_timers_and_suspensions_cost_time_alone() {
    let mut net = Net::deniable(10).on(Network::Wan);
    let (client, server) = net.open();
    net.act(Action::Lateness(net.client, Latency::Between(Duration::ZERO, ms(7))));
    for k in 0..20 {
        net.say(client, &[k; 1500]);
        net.answer(server, &[k; 1500]);
        net.act(Action::Suspend(if k % 2 == 0 { net.client } else { net.server }, ms(120)));
        net.run(ms(100));
    }
    assert!(net.all_arrive_within(secs(20)));
    assert!(metrics(&net.world, net.client).slots_skipped > 100);
}

#[test]
fn a_peer_that_crashed_is_missed_and_can_be_reached_again() {
    let mut net = Net::deniable(11).on(Network::Wan);
    let (client, _) = net.open();
    net.act(Action::Crash(net.server));
    net.run(secs(1));
    net.act(Action::Restart(net.server));
    net.run(secs(70));
    assert_eq!(closed(&net.world, net.client, client), Some(CloseReason::Idle));
    let (again, _) = open(&mut net.world, net.client, net.server, ModePolicy::A);
    net.say(again, b"back");
    assert!(net.all_arrive_within(secs(10)));
}

/// Shutting down within a deadline delivers what was queued; after it nothing is sent any more.
#[test]
fn a_shutdown_flushes_and_then_is_silent() {
    let spec = |accept| {
        let traffic = Traffic::constant(ms(1)).with_leave_boundary(secs(1));
        let limits = Limits { sessions: 16, ..Limits::default() };
        HostSpec::new(built(Config::builder(traffic).limits(limits).accept(accept))).without_signer()
    };
    let mut net = Net::of(14, spec(Accept::Anyone(ModePolicy::A)), spec(Accept::Nobody)).on(Network::Wan);
    let (client, server) = net.open();
    for k in 0..20 {
        net.say(client, &[k; 3000]);
    }
    let deadline = net.world.now() + secs(10);
    net.act(Action::Shutdown(net.client, Shutdown::Flush(deadline)));
    net.run(secs(5));
    assert_eq!(net.world.delivery(net.client, client).confirmed, 20);
    assert_eq!(net.world.delivery(net.client, client).closed, Some(CloseReason::Local));
    assert_eq!(net.world.delivery(net.server, server).closed, Some(CloseReason::Peer));
    assert!(net.world.engine(net.client).expect("it runs").is_drained());
    let refused = net.world.connect(net.client, net.server, ModePolicy::A).expect("no violation");
    assert_eq!(refused, Err(ConnectError::ShuttingDown));
    net.run(secs(10));
    let sent = net.world.departures(net.client).len();
    net.run(secs(10));
    assert_eq!(net.world.departures(net.client).len(), sent, "it has shut down and still sends");
}

#[test]
fn a_shutdown_at_once_ends_everything_at_once() {
    let mut net = Net::deniable(15);
    let (client, server) = net.open();
    net.say(client, &vec![1; 100_000]);
    net.act(Action::Shutdown(net.client, Shutdown::Now));
    net.run(ms(1));
    assert!(net.world.delivery(net.client, client).closed.is_some());
    assert!(net.world.engine(net.client).expect("it runs").is_drained());
    net.run(secs(61));
    assert!(net.world.delivery(net.server, server).closed.is_some(), "the peer does not miss it");
}

/// Obfuscated traffic delivers all the same.
#[test]
fn low_overhead_traffic_delivers_too() {
    let config = |accept| {
        built(Config::builder(Traffic::low_overhead_unprotected()).accept(accept).handshake_timeout(secs(120)))
    };
    for (n, network) in (0..).zip(Network::ALL) {
        let server = HostSpec::new(config(Accept::Anyone(ModePolicy::A))).without_signer();
        let mut net = Net::of(n, server, HostSpec::new(config(Accept::Nobody)).without_signer()).on(network);
        let (client, server) = net.open();
        for k in 0..10 {
            net.say(client, &[k; 5000]);
            net.answer(server, &[k; 500]);
        }
        assert!(net.all_arrive_within(secs(120)), "{network:?}: {:?}", net.world.delivery(net.client, client));
    }
}

/// Every place is taken: the next to ask is told at home, the next stranger is not served; then there is room again.
#[test]
fn a_full_house_is_full_for_as_long_as_it_is() {
    let spec = |accept| {
        let traffic = Traffic::constant(ms(1)).with_leave_boundary(secs(1));
        let limits = Limits { sessions: 2, ..Limits::default() };
        HostSpec::new(built(Config::builder(traffic).limits(limits).accept(accept))).without_signer()
    };
    let mut net = Net::of(16, spec(Accept::Anyone(ModePolicy::A)), spec(Accept::Nobody));
    let (first, _) = net.open();
    net.open();
    let refused = net.world.connect(net.client, net.server, ModePolicy::A).expect("no violation");
    assert_eq!(refused, Err(ConnectError::Full));
    let other = net.world.add(spec(Accept::Nobody)).expect("an engine");
    let id = connect(&mut net.world, other, net.server, ModePolicy::A);
    net.run(secs(60));
    assert!(closed(&net.world, other, id).is_some(), "a third session with a server of two");
    assert_eq!(metrics(&net.world, net.server).sessions, 2);
    net.world.close(net.client, first).expect("no violation");
    net.run(secs(5));
    open(&mut net.world, other, net.server, ModePolicy::A);
}

/// A session of minutes in which both sides talk all the time: every message once, in order.
#[test]
fn a_long_conversation_is_whole() {
    let behaviour = Behaviour::Chat { mean_ms: 40, max_len: 3000 };
    let spec = |config| HostSpec::new(config).without_signer().behaviour(behaviour);
    let mut net = Net::of(17, spec(deniable_server()), spec(closed_client())).on(Network::Mobile);
    let (client, server) = net.open();
    net.run(secs(120));
    for (host, id) in [(net.client, client), (net.server, server)] {
        let delivery = net.world.delivery(host, id);
        assert!(delivery.sent > 2500 && delivery.arrived + 50 > delivery.sent, "{delivery:?}");
    }
}
