//! Sockets in use, junk, ICMP errors, names and address families.

mod common;

use std::net::UdpSocket;
use std::time::Duration;

use b4ae_core::{CloseReason, ModePolicy};
use b4ae_tokio::{BindError, ConnectError, Endpoint};
use common::{bind, config, endpoint_config, pair, with_both_placements};

#[test]
fn a_port_in_use_is_named() {
    with_both_placements(|placement| async move {
        let taken = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
        let addr = taken.local_addr().expect("bound");
        let error = Endpoint::bind(endpoint_config(config(), placement).listen(addr)).await.expect_err("taken");
        assert!(matches!(error, BindError::InUse { addr: named } if named == addr), "{error:?}");
        assert!(error.to_string().contains(&addr.port().to_string()), "{error}");
    });
}

#[test]
fn an_address_of_another_machine_is_named() {
    with_both_placements(|placement| async move {
        // 192.0.2.0/24 is reserved for documentation.
        let addr = "192.0.2.7:4000".parse().expect("an address");
        let error = Endpoint::bind(endpoint_config(config(), placement).listen(addr)).await.expect_err("not ours");
        assert!(matches!(error, BindError::Unavailable { addr: named } if named == addr), "{error:?}");
        assert!(error.to_string().contains("192.0.2.7"), "{error}");
    });
}

#[test]
fn junk_is_counted_and_survived() {
    with_both_placements(|placement| async move {
        let ((_alice, to_bob), (bob, to_alice)) = pair(config(), placement).await;
        let stranger = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
        let before = bob.stats().metrics.drops;
        for len in [0, 1, 7, 1199, 1200, 1201, 9000, 60_000] {
            for byte in [0, 0x5a, 0xff] {
                stranger.send_to(&vec![byte; len], bob.local_addr()).expect("loopback takes it");
            }
        }
        to_bob.send("through").await.expect("the session is open");
        assert_eq!(to_alice.recv().await.expect("the session is open"), b"through");
        loop {
            let after = bob.stats().metrics.drops;
            if after.length > before.length && after.stranger > before.stranger {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn a_closed_port_is_a_failed_connect_and_nothing_more() {
    with_both_placements(|placement| async move {
        let alice = bind(config().handshake_timeout(Duration::from_millis(300)), placement).await;
        let bob = bind(config(), placement).await;
        let mut gone = bob.uri("127.0.0.1");
        // Bound and dropped: the system answers with ICMP "port unreachable".
        gone.port = {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback can be bound");
            socket.local_addr().expect("bound").port()
        };
        let error = alice.connect(&gone).await.expect_err("nobody is there");
        assert!(matches!(error, ConnectError::Failed(CloseReason::Unreachable)), "{error:?}");
        alice.connect_with(&bob.uri("127.0.0.1"), ModePolicy::A).await.expect("the endpoint goes on");
    });
}

#[test]
fn the_wrong_fingerprint_gets_no_answer() {
    with_both_placements(|placement| async move {
        let alice = bind(config().handshake_timeout(Duration::from_millis(300)), placement).await;
        let bob = bind(config(), placement).await;
        let mut uri = bob.uri("127.0.0.1");
        uri.peer = alice.peer_id();
        let error = alice.connect(&uri).await.expect_err("bob is somebody else");
        assert!(matches!(error, ConnectError::Failed(_)), "{error:?}");
    });
}

#[test]
fn a_name_that_does_not_exist_is_named() {
    with_both_placements(|placement| async move {
        let alice = bind(config(), placement).await;
        // RFC 6761: never to exist.
        let error = alice.connect(&alice.uri("peer.invalid")).await.expect_err("no such name");
        assert!(matches!(&error, ConnectError::Resolve(host, _) if host == "peer.invalid"), "{error:?}");
        assert!(error.to_string().contains("peer.invalid"), "{error}");
    });
}

#[test]
fn a_host_name_is_resolved() {
    with_both_placements(|placement| async move {
        let alice = bind(config(), placement).await;
        let bob = bind(config(), placement).await;
        alice.connect_with(&bob.uri("localhost"), ModePolicy::A).await.expect("localhost is here");
    });
}

#[test]
fn the_unspecified_address_serves_both_families() {
    with_both_placements(|placement| async move {
        let any = || endpoint_config(config(), placement).listen("[::]:0".parse().expect("an address"));
        let bob = Endpoint::bind(any()).await.expect("every address can be bound");
        let hosts: &[&str] = if bob.local_addr().is_ipv6() { &["127.0.0.1", "::1"] } else { &["127.0.0.1"] };
        for host in hosts {
            let alice = Endpoint::bind(any()).await.expect("every address can be bound");
            let to_bob = alice.connect_with(&bob.uri(host), ModePolicy::A).await.expect("bob is there");
            to_bob.send(*host).await.expect("the session is open");
            let to_alice = bob.accept().await.expect("bob runs");
            assert_eq!(to_alice.recv().await.expect("the session is open"), host.as_bytes());
            assert_eq!(to_alice.remote_addr().ip().to_string(), *host, "IPv4 addresses appear as such");
        }
    });
}
