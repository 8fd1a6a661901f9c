//! Sockets in use, junk, ICMP errors, addresses that cannot be reached, names and address families.

use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use b4ae_core::{CloseReason, ModePolicy};
use b4ae_tokio::{BindError, ConnectError, EndpointStats};

use crate::bench::{accept, bind, config, connect, done, endpoint_config, goes_on, pair, recv, send, try_connect};
use crate::driver::{Driver, Wait};

pub(crate) fn a_port_in_use_is_named(driver: &dyn Driver) {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
    let addr = taken.local_addr().expect("bound");
    let error = driver.bind(endpoint_config(config()).listen(addr)).err().expect("the port is taken");
    assert!(matches!(error, BindError::InUse { addr: named } if named == addr), "{error:?}");
    assert!(error.to_string().contains(&addr.port().to_string()), "{error}");
}

pub(crate) fn an_address_of_another_machine_is_named(driver: &dyn Driver) {
    // 192.0.2.0/24 is reserved for documentation.
    let addr = "192.0.2.7:4000".parse().expect("an address");
    let error = driver.bind(endpoint_config(config()).listen(addr)).err().expect("the address is not ours");
    assert!(matches!(error, BindError::Unavailable { addr: named } if named == addr), "{error:?}");
    assert!(error.to_string().contains("192.0.2.7"), "{error}");
}

pub(crate) fn junk_is_counted_and_survived(driver: &dyn Driver) {
    let ((_alice, to_bob), (bob, to_alice)) = pair(driver, config());
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
    let before = bob.stats().metrics.drops;
    for len in [0, 1, 7, 1199, 1200, 1201, 9000, 60_000] {
        for byte in [0, 0x5a, 0xff] {
            stranger.send_to(&vec![byte; len], bob.local_addr()).expect("loopback takes it");
        }
    }
    send(&*to_bob, "through");
    assert_eq!(recv(&*to_alice), b"through");
    let all = |stats: &EndpointStats| {
        let drops = stats.metrics.drops;
        drops.length > before.length && drops.stranger > before.stranger
    };
    // The numbers are copied now and then.
    let counted = (0..250).any(|_| {
        thread::sleep(Duration::from_millis(5));
        all(&bob.stats())
    });
    assert!(counted, "junk is counted");
}

pub(crate) fn a_closed_port_is_a_failed_connect_and_nothing_more(driver: &dyn Driver) {
    let alice = bind(driver, config().handshake_timeout(Duration::from_millis(300)));
    let bob = bind(driver, config());
    let mut gone = bob.uri("127.0.0.1");
    // Bound and dropped: the system answers with ICMP "port unreachable".
    gone.port = {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
        socket.local_addr().expect("bound").port()
    };
    let error = try_connect(&*alice, &gone, ModePolicy::A).err().expect("nobody is there");
    assert!(matches!(error, ConnectError::Failed(CloseReason::Unreachable)), "{error:?}");
    goes_on(&*alice, &*bob);
}

pub(crate) fn a_peer_whose_port_is_closed_harms_no_other_session(driver: &dyn Driver) {
    let (alice, bob, carol) = (bind(driver, config()), bind(driver, config()), bind(driver, config()));
    let to_bob = connect(&*alice, &bob.uri("127.0.0.1"));
    let to_carol = connect(&*alice, &carol.uri("127.0.0.1"));
    let to_alice = accept(&*carol);
    // Every cell for bob is answered with an ICMP error from here on.
    done(bob.close(Duration::ZERO, Wait::Long));
    for number in 0..20 {
        send(&*to_bob, "lost");
        send(&*to_carol, vec![number; 500]);
        assert!(recv(&*to_alice) == vec![number; 500], "sessions with others go on");
    }
}

pub(crate) fn an_address_that_cannot_be_sent_to_is_counted_and_survived(driver: &dyn Driver) {
    let alice = bind(driver, config().handshake_timeout(Duration::from_millis(300)));
    let bob = bind(driver, config());
    let mut unreachable = bob.uri("127.0.0.1");
    // From loopback nothing can be sent to another machine.
    unreachable.host = String::from("192.0.2.7");
    let error = try_connect(&*alice, &unreachable, ModePolicy::A).err().expect("nothing gets there");
    assert!(matches!(error, ConnectError::Failed(CloseReason::Unreachable)), "{error:?}");
    assert!(alice.stats().send_errors > 0, "errors of sending are counted");
    goes_on(&*alice, &*bob);
}

pub(crate) fn the_wrong_fingerprint_gets_no_answer(driver: &dyn Driver) {
    let alice = bind(driver, config().handshake_timeout(Duration::from_millis(300)));
    let bob = bind(driver, config());
    let mut uri = bob.uri("127.0.0.1");
    uri.peer = alice.peer_id();
    let error = try_connect(&*alice, &uri, ModePolicy::A).err().expect("bob is somebody else");
    assert!(matches!(error, ConnectError::Failed(_)), "{error:?}");
}

pub(crate) fn a_name_that_does_not_exist_is_named(driver: &dyn Driver) {
    let alice = bind(driver, config());
    // RFC 6761: never to exist.
    let error = try_connect(&*alice, &alice.uri("peer.invalid"), ModePolicy::A).err().expect("no such name");
    assert!(matches!(&error, ConnectError::Resolve(host, _) if host == "peer.invalid"), "{error:?}");
    assert!(error.to_string().contains("peer.invalid"), "{error}");
}

pub(crate) fn a_host_name_is_resolved(driver: &dyn Driver) {
    let (alice, bob) = (bind(driver, config()), bind(driver, config()));
    try_connect(&*alice, &bob.uri("localhost"), ModePolicy::A).expect("localhost is here");
}

pub(crate) fn the_unspecified_address_serves_both_families(driver: &dyn Driver) {
    let any = || {
        let config = endpoint_config(config()).listen("[::]:0".parse().expect("an address"));
        driver.bind(config).expect("every address can be bound")
    };
    let bob = any();
    let families = if UdpSocket::bind("[::1]:0").is_ok() { 2 } else { 1 };
    for host in ["127.0.0.1", "::1"].into_iter().take(families) {
        let alice = any();
        let to_bob = try_connect(&*alice, &bob.uri(host), ModePolicy::A).expect("bob is there in both families");
        let to_alice = accept(&*bob);
        assert_eq!(to_alice.remote_addr().ip().to_string(), host, "IPv4 addresses appear as such");
        drop(to_bob);
    }
}
