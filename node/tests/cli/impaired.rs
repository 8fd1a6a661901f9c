//! The same through a network that loses one datagram in twenty and takes 50 ms each way.

use std::fs;
use std::time::Duration;

use b4ae_impair::{Impairment, Options, Proxy};
use data_encoding::BASE64;
use tokio::runtime::Runtime;

use crate::run::{Home, RATE, Server};

/// A proxy in front of a server, and the address to reach the one through the other.
struct Network {
    runtime: Runtime,
    proxy: Proxy,
    uri: String,
}

impl Network {
    fn before(server: &Server, seed: u64) -> Self {
        let runtime = Runtime::new().unwrap();
        let (authority, fingerprint) = server.uri.trim_start_matches("b4ae://").split_once('#').unwrap();
        let mut options = Options::new("127.0.0.1:0".parse().unwrap(), authority.parse().unwrap(), seed);
        let impairment = Impairment { delay: Duration::from_millis(50), loss: 0.05, ..Impairment::default() };
        (options.up, options.down) = (impairment, impairment);
        options.record = 1 << 20;
        let proxy = runtime.block_on(Proxy::start(options)).unwrap();
        let uri = format!("b4ae://{}#{fingerprint}", proxy.local_addr());
        Self { runtime, proxy, uri }
    }

    /// The network did what it was asked, and saw datagrams of one length only.
    fn finish(self) {
        let (counters, seen) = (self.proxy.counters(), self.proxy.take_seen());
        self.runtime.block_on(self.proxy.stop());
        assert!(counters.up.lost > 0 && counters.down.lost > 0, "{counters:?}");
        assert!(seen.len() > 20 && seen.iter().all(|datagram| datagram.len == 1200));
    }
}

#[test]
fn handshakes_and_messages_get_through_in_either_mode() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let network = Network::before(&server, 1);
    for mode in ["a", "b"] {
        for n in 0..3 {
            let text = format!("{n} in mode {mode}");
            sender.run(&["send", "--rate", RATE, "--mode", mode, &network.uri, &text]).ok();
            assert_eq!(server.next_of("session_opened")["mode"], mode);
            assert_eq!(server.next_of("message")["text"], text);
        }
    }
    network.finish();
}

#[test]
fn a_thousand_lines_arrive_once_and_in_order() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let network = Network::before(&server, 2);
    let lines: Vec<_> = (0..1000).map(|n| format!("line {n}\n")).collect();
    sender.run_with(&["send", "--rate", RATE, &network.uri, "-"], lines.concat().as_bytes()).ok();
    for n in 0..1000 {
        assert_eq!(server.next_of("message")["text"], format!("line {n}"));
    }
    assert_eq!(server.next()["event"], "session_closed");
    network.finish();
}

#[test]
fn a_message_of_a_mebibyte_arrives_intact() {
    let (receiver, sender) = (Home::with_key(), Home::with_key());
    let server = receiver.serve(&[]);
    let network = Network::before(&server, 3);
    let path = sender.path("big");
    let bytes: Vec<u8> = (0..1_u32 << 18).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    fs::write(&path, &bytes).unwrap();
    sender.run(&["send", "--rate", RATE, &network.uri, "--file", path.to_str().unwrap()]).ok();
    let message = server.next_of("message");
    assert!(BASE64.decode(message["base64"].as_str().unwrap().as_bytes()).unwrap() == bytes);
    network.finish();
}
