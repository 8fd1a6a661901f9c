//! What a capture on the loopback interface shows of two endpoints on real sockets: payloads of 1200 bytes, the
//! handshake included, and nothing else.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::time::Duration;

use b4ae_core::{Accept, Config, Identity, ModePolicy, SecretIdentity, Seed, Traffic};
use b4ae_tokio::{Endpoint, EndpointConfig};
use socket2::{Domain, Protocol, Socket, Type};

/// Every packet of every interface, link-layer header removed (packet(7)).
struct Capture(Socket);

impl Capture {
    /// Needs the right to capture: root, or `CAP_NET_RAW`.
    fn start() -> io::Result<Self> {
        const ETH_P_ALL: u16 = 3;
        let protocol = Protocol::from(i32::from(ETH_P_ALL.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
        socket.set_recv_buffer_size(64 << 20)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// The UDP payload lengths seen so far between two ports of this machine, and how many of each direction.
    fn payloads(&self, ports: [u16; 2]) -> (BTreeSet<usize>, [usize; 2]) {
        let (mut lengths, mut counts) = (BTreeSet::new(), [0; 2]);
        let mut packet = vec![0; 1 << 16];
        while let Ok(len) = (&self.0).read(&mut packet) {
            // IPv4, UDP, unfragmented: the header's length is in its first byte, the payload's in UDP's.
            let ip = &packet[..len];
            let header = usize::from(ip[0] & 15) * 4;
            if ip[0] >> 4 != 4 || ip[9] != 17 || len < header + 8 {
                continue;
            }
            let word = |at: usize| u16::from_be_bytes([ip[header + at], ip[header + at + 1]]);
            let direction = ports.iter().position(|&port| port == word(0));
            let (Some(direction), true) = (direction, ports.contains(&word(2))) else { continue };
            lengths.insert(usize::from(word(4)) - 8);
            counts[direction] += 1;
        }
        (lengths, counts)
    }
}

fn identity(n: u8) -> Identity {
    Identity::from_secret(&SecretIdentity::generate(&Seed::new([n; 32])))
}

async fn endpoint(n: u8, accept: Accept) -> Endpoint {
    let config = Config::builder(Traffic::constant(Duration::from_millis(2))).accept(accept).build().unwrap();
    let config = EndpointConfig::new(identity(n), config).listen("127.0.0.1:0".parse().unwrap());
    Endpoint::bind(config).await.unwrap()
}

#[tokio::test]
async fn a_capture_shows_payloads_of_1200_bytes_and_nothing_else() {
    let capture = match Capture::start() {
        Ok(capture) => capture,
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            eprintln!("NOT RUN: capturing needs root or CAP_NET_RAW ({e})");
            return;
        }
        Err(e) => panic!("cannot capture: {e}"),
    };
    let server = endpoint(1, Accept::Anyone(ModePolicy::B_THEN_A)).await;
    for (n, mode) in [(2, ModePolicy::A), (3, ModePolicy::B)] {
        let client = endpoint(n, Accept::Nobody).await;
        let there = client.connect_with(&server.uri("127.0.0.1"), mode).await.unwrap();
        let here = server.accept().await.unwrap();
        for len in [0, 1, 1024, 5000, 100_000] {
            there.send(vec![7; len]).await.unwrap();
            assert_eq!(here.recv().await.unwrap(), vec![7; len]);
            here.send("thanks").await.unwrap();
            assert_eq!(there.recv().await.unwrap(), b"thanks");
        }
        there.close().await;
        client.close(Duration::from_secs(5)).await;
        let (lengths, counts) = capture.payloads([client.local_addr().port(), server.local_addr().port()]);
        assert_eq!(lengths, BTreeSet::from([1200]));
        assert!(counts[0] > 100 && counts[1] > 100, "both directions were seen: {counts:?}");
    }
}
