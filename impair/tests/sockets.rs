//! The proxy between real sockets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use b4ae_impair::{Dice, Direction, Impairment, Invalid, Options, Proxy, StartError};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Far more than anything here takes; only a hang gets there.
const LONG: Duration = Duration::from_secs(20);

async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.expect("a free port on loopback")
}

async fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (len, from) =
        timeout(LONG, socket.recv_from(&mut buffer)).await.expect("a datagram in time").expect("received");
    (buffer[..len].to_vec(), from)
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

struct Setup {
    server: UdpSocket,
    client: UdpSocket,
    proxy: Proxy,
}

async fn setup(change: impl FnOnce(&mut Options)) -> Setup {
    let server = socket().await;
    let mut options = Options::new("127.0.0.1:0".parse().unwrap(), server.local_addr().unwrap(), 42);
    change(&mut options);
    let proxy = Proxy::start(options).await.expect("valid options");
    let client = socket().await;
    client.connect(proxy.local_addr()).await.expect("connected");
    Setup { server, client, proxy }
}

/// Sends numbered datagrams, a few at a time so that no socket buffer overflows, and returns the numbers that came
/// out, in order.
async fn numbers_through(setup: &Setup, count: u32) -> Vec<u32> {
    let mut out = Vec::new();
    for first in (0..count).step_by(32) {
        for number in first..count.min(first + 32) {
            setup.client.send(&number.to_be_bytes()).await.expect("sent");
        }
        let all = u64::from(count.min(first + 32));
        until("the proxy to take them", || setup.proxy.counters().up.received == all).await;
        until("the proxy to send them", || {
            let up = setup.proxy.counters().up;
            up.sent == up.received - up.lost + up.duplicated
        })
        .await;
        while u64::try_from(out.len()).unwrap() < setup.proxy.counters().up.sent {
            let datagram = receive(&setup.server).await.0;
            out.push(u32::from_be_bytes(datagram.try_into().expect("four bytes")));
        }
    }
    out
}

#[tokio::test]
async fn nothing_is_changed_unless_asked() {
    let setup = setup(|_| ()).await;
    for len in [0, 1, 1200, 1472] {
        let datagram: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
        setup.client.send(&datagram).await.expect("sent");
        let (got, from) = receive(&setup.server).await;
        assert_eq!(got, datagram);
        setup.server.send_to(&got, from).await.expect("sent");
        assert_eq!(receive(&setup.client).await, (datagram, setup.proxy.local_addr()));
    }
    let counters = setup.proxy.stop().await;
    for way in [counters.up, counters.down] {
        assert_eq!((way.received, way.sent, way.received_bytes), (4, 4, 2673));
        assert_eq!((way.lost, way.overflowed, way.duplicated, way.reordered, way.corrupted), (0, 0, 0, 0, 0));
    }
}

#[tokio::test]
async fn delay_is_at_least_what_was_asked_each_way() {
    let delay = Duration::from_millis(30);
    let impairment = Impairment { delay, jitter: Duration::from_millis(5), ..Impairment::default() };
    let setup = setup(|o| (o.up, o.down) = (impairment, impairment)).await;
    for _ in 0..5 {
        let start = now();
        setup.client.send(b"there").await.expect("sent");
        let (_, from) = receive(&setup.server).await;
        let turn = now();
        assert!(turn - start >= delay, "{:?}", turn - start);
        setup.server.send_to(b"back", from).await.expect("sent");
        receive(&setup.client).await;
        assert!(turn.elapsed() >= delay, "{:?}", turn.elapsed());
    }
}

#[expect(clippy::disallowed_methods, reason = "measures real time")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn what_is_lost_is_what_the_seed_says() {
    let impairment = Impairment { loss: 0.1, burst: Some(3.0), ..Impairment::default() };
    let mut dice = Dice::new(&impairment, 42, 0, Direction::Up);
    let expected: Vec<u32> = (0..1000).filter(|_| !dice.roll().lost).collect();
    for _ in 0..2 {
        let setup = setup(|o| o.up = impairment).await;
        assert_eq!(numbers_through(&setup, 1000).await, expected);
        assert_eq!(setup.proxy.stop().await.up.lost, 1000 - expected.len() as u64);
    }
    assert!((800..1000).contains(&expected.len()), "{} of 1000 arrived", expected.len());
}

#[tokio::test]
async fn duplicates_are_what_the_seed_says() {
    let impairment = Impairment { duplicate: 0.2, ..Impairment::default() };
    let mut dice = Dice::new(&impairment, 42, 0, Direction::Up);
    let expected: Vec<u32> = (0..200).flat_map(|n| vec![n; 1 + usize::from(dice.roll().duplicated)]).collect();
    assert!(expected.len() > 200);
    let setup = setup(|o| o.up = impairment).await;
    assert_eq!(numbers_through(&setup, 200).await, expected);
}

#[tokio::test]
async fn corruption_flips_one_bit() {
    let setup = setup(|o| o.up = Impairment { corrupt: 1.0, ..Impairment::default() }).await;
    let sent = [0x5a; 1200];
    setup.client.send(&sent).await.expect("sent");
    let (got, _) = receive(&setup.server).await;
    assert_eq!(got.len(), sent.len());
    assert_eq!(got.iter().zip(&sent).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>(), 1);
}

#[tokio::test]
async fn each_client_has_a_port_of_its_own_and_gets_its_own_answers() {
    let setup = setup(|o| o.record = 100).await;
    let other = socket().await;
    setup.client.send(b"one").await.expect("sent");
    let (_, one) = receive(&setup.server).await;
    other.send_to(b"other", setup.proxy.local_addr()).await.expect("sent");
    let (_, two) = receive(&setup.server).await;
    assert_ne!(one, two);
    setup.server.send_to(b"to the other", two).await.expect("sent");
    setup.server.send_to(b"to one", one).await.expect("sent");
    assert_eq!(receive(&setup.client).await.0, b"to one");
    assert_eq!(receive(&other).await.0, b"to the other");
    let seen = setup.proxy.take_seen();
    let mut lengths: Vec<_> = seen.iter().map(|s| (s.client, s.direction == Direction::Up, s.len)).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [(0, false, 6), (0, true, 3), (1, false, 12), (1, true, 5)]);
}

#[tokio::test]
async fn clients_beyond_the_limit_are_refused() {
    let setup = setup(|o| o.clients = 1).await;
    setup.client.send(b"one").await.expect("sent");
    receive(&setup.server).await;
    let other = socket().await;
    other.send_to(b"two", setup.proxy.local_addr()).await.expect("sent");
    until("the refusal", || setup.proxy.counters().refused == 1).await;
    setup.client.send(b"still here").await.expect("sent");
    assert_eq!(receive(&setup.server).await.0, b"still here");
    assert_eq!(setup.proxy.counters().clients, 1);
}

#[tokio::test]
async fn an_idle_client_makes_room() {
    let setup = setup(|o| (o.clients, o.idle) = (1, Duration::from_millis(20))).await;
    setup.client.send(b"one").await.expect("sent");
    receive(&setup.server).await;
    let other = socket().await;
    until("room for the second client", || {
        let _ = other.try_send_to(b"two", setup.proxy.local_addr());
        setup.proxy.counters().clients == 2
    })
    .await;
    assert_eq!(receive(&setup.server).await.0, b"two");
}

#[tokio::test]
async fn recording_and_queues_are_bounded() {
    let delay = Duration::from_secs(600);
    let setup = setup(|o| {
        o.up = Impairment { delay, ..Impairment::default() };
        (o.record, o.queue_bytes) = (10, 20 * (64 + 4));
    })
    .await;
    for number in 0..50u32 {
        setup.client.send(&number.to_be_bytes()).await.expect("sent");
    }
    until("all to arrive", || setup.proxy.counters().up.received == 50).await;
    assert_eq!(setup.proxy.counters().up.overflowed, 30);
    assert_eq!(setup.proxy.take_seen().len(), 10);
    assert_eq!(setup.proxy.take_seen().len(), 0);
}

#[tokio::test]
async fn a_server_that_is_down_is_survived() {
    let setup = setup(|_| ()).await;
    let address = setup.server.local_addr().unwrap();
    drop(setup.server);
    setup.client.send(b"into the void").await.expect("sent");
    until("the system to say so", || {
        let counters = setup.proxy.counters();
        counters.down.receive_errors + counters.up.send_errors > 0
    })
    .await;
    let server = UdpSocket::bind(address).await.expect("the same port");
    setup.client.send(b"again").await.expect("sent");
    assert_eq!(receive(&server).await.0, b"again");
}

#[tokio::test]
async fn stopping_frees_the_port() {
    let setup = setup(|_| ()).await;
    setup.client.send(b"x").await.expect("sent");
    receive(&setup.server).await;
    let address = setup.proxy.local_addr();
    setup.proxy.stop().await;
    UdpSocket::bind(address).await.expect("free again");
}

#[tokio::test]
async fn settings_that_make_no_sense_do_not_start() {
    let server = socket().await;
    let mut options = Options::new("127.0.0.1:0".parse().unwrap(), server.local_addr().unwrap(), 1);
    options.down.loss = 2.0;
    assert!(matches!(Proxy::start(options).await, Err(StartError::Invalid(Invalid::Share("loss")))));
}
