//! WireGuard by `boringtun`, through its `Tunn`, which takes and gives datagrams and IP packets.

use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};

use crate::loopback::{self, Loopback};
use crate::measure::Work;
use crate::peer::{Knock, Pair, Peer, Wire};

/// An IPv4 and a UDP header, which a tunnel carries beside each piece of a message.
const HEADERS: usize = 28;
/// What is left for text in packets of the usual 1,420 bytes.
const TEXT: usize = 1420 - HEADERS;
/// From where datagrams come.
const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// Tunnels between pairs of peers.
pub(crate) struct WireGuard;

impl Peer for WireGuard {
    fn name(&self) -> &'static str {
        "WireGuard (boringtun)"
    }

    fn made_of(&self) -> &'static str {
        "x25519-dalek, RustCrypto's BLAKE2s and ChaCha20-Poly1305, ring for packets"
    }

    fn lacks(&self) -> &'static [&'static str] {
        &[
            "no post-quantum key exchange but by a key shared beforehand",
            "no messages: IP packets, which may be lost; what they carry cuts, sends again and acknowledges",
            "no padding, no constant rate",
            "cookies under load only, for an address without its port",
            "new keys by a handshake every two minutes, no ratchet between",
            "message types and indices are in clear",
        ]
    }

    fn pair(&self, _: usize) -> Box<dyn Pair> {
        Box::new(Two::new())
    }

    fn knocks(&self, batch: usize) -> Vec<Knock> {
        let knock = |what, init, limit| Knock { what, work: Box::new(Strangers::new(init, limit, batch)) };
        vec![
            knock("1,200 random bytes: dropped", false, u64::MAX),
            knock("a first message of an unknown key (right mac1): computed, dropped", true, u64::MAX),
            knock("the same under load: cookie", true, 0),
        ]
    }

    fn loopback(&self, time: Duration) -> Result<Option<Loopback>> {
        let mut two = Two::new();
        two.handshake();
        let [mut initiator, mut responder] = two.open.map(|mut end| end.pop().expect("a tunnel"));
        let mut packet = Vec::new();
        let seal = |text: &[u8], datagram: &mut [u8]| {
            ip_packet(text, &mut packet);
            match initiator.encapsulate(&packet, datagram) {
                TunnResult::WriteToNetwork(datagram) => Ok(datagram.len()),
                other => bail!("no datagram: {other:?}"),
            }
        };
        let open = |datagram: &[u8], text: &mut [u8]| match responder.decapsulate(Some(FROM), datagram, text) {
            TunnResult::WriteToTunnelV4(packet, _) => {
                let length = packet.len();
                text.copy_within(HEADERS..length, 0);
                Ok(length - HEADERS)
            }
            other => bail!("no packet: {other:?}"),
        };
        loopback::tunnel(TEXT, seal, open, time).map(Some)
    }
}

/// What an application's UDP datagram looks like to the tunnel.
fn ip_packet(text: &[u8], packet: &mut Vec<u8>) {
    packet.clear();
    packet.resize(HEADERS, 0);
    packet[0] = 0x45;
    let length = u16::try_from(HEADERS + text.len()).expect("shorter than the longest packet");
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(text);
}

fn secret() -> StaticSecret {
    StaticSecret::from(std::array::from_fn(|_| fastrand::u8(..)))
}

/// Two ends with a tunnel a session, the initiators first.
struct Two {
    keys: [StaticSecret; 2],
    limiters: [Arc<RateLimiter>; 2],
    open: [Vec<Tunn>; 2],
    packet: Vec<u8>,
    datagram: Vec<u8>,
    text: Vec<u8>,
}

impl Two {
    fn new() -> Self {
        let keys = [secret(), secret()];
        let limiters = keys.each_ref().map(|key| Arc::new(RateLimiter::new(&PublicKey::from(key), u64::MAX)));
        let open = [Vec::new(), Vec::new()];
        Self { keys, limiters, open, packet: Vec::new(), datagram: vec![0; 2048], text: vec![0; 2048] }
    }

    fn tunnel(&self, end: usize) -> Tunn {
        let (own, other) = (self.keys[end].clone(), PublicKey::from(&self.keys[1 - end]));
        let index = u32::try_from(self.open[end].len()).expect("few sessions");
        Tunn::new(own, other, None, None, index, Some(Arc::clone(&self.limiters[end])))
    }
}

impl Pair for Two {
    fn handshake(&mut self) -> Wire {
        let mut ends = [0, 1].map(|end| Box::new(self.tunnel(end)));
        let mut wire = Wire::default();
        let TunnResult::WriteToNetwork(datagram) = ends[0].format_handshake_initiation(&mut self.datagram, false)
        else {
            panic!("an initiation")
        };
        let mut length = datagram.len();
        // Initiation, response, and the keepalive that confirms.
        for end in [1, 0, 1] {
            wire.carry(length);
            let answer = ends[end].decapsulate(Some(FROM), &self.datagram[..length], &mut self.text);
            length = match answer {
                TunnResult::WriteToNetwork(datagram) => datagram.len(),
                TunnResult::Done => 0,
                other => panic!("not a part of a handshake: {other:?}"),
            };
            std::mem::swap(&mut self.datagram, &mut self.text);
        }
        assert!(length == 0 && ends.iter().all(|end| end.time_since_last_handshake().is_some()), "both are done");
        for (end, open) in ends.into_iter().zip(&mut self.open) {
            open.push(*end);
        }
        wire
    }

    fn message(&mut self, message: &[u8]) -> Wire {
        let mut wire = Wire::default();
        let [initiator, responder] = self.open.each_mut().map(|end| end.last_mut().expect("a tunnel"));
        for part in message.chunks(TEXT) {
            ip_packet(part, &mut self.packet);
            let TunnResult::WriteToNetwork(datagram) = initiator.encapsulate(&self.packet, &mut self.datagram) else {
                panic!("a datagram")
            };
            wire.carry(datagram.len());
            match responder.decapsulate(Some(FROM), datagram, &mut self.text) {
                TunnResult::WriteToTunnelV4(packet, _) => assert!(packet[HEADERS..] == *part, "what was sent"),
                other => panic!("not a packet: {other:?}"),
            }
        }
        wire
    }

    fn ends(self: Box<Self>) -> [Box<dyn Any>; 2] {
        self.open.map(|tunnels| Box::new(tunnels) as Box<dyn Any>)
    }
}

/// A responder, and somebody whose key it does not know, or who does not know its own.
struct Strangers {
    server: Tunn,
    datagrams: Vec<Vec<u8>>,
    answer: Vec<u8>,
    answered: bool,
}

impl Strangers {
    fn new(init: bool, limit: u64, batch: usize) -> Self {
        let own = secret();
        let public = PublicKey::from(&own);
        let limiter = Some(Arc::new(RateLimiter::new(&public, limit)));
        let server = Tunn::new(own, PublicKey::from(&secret()), None, None, 1, limiter);
        let one = |_| {
            if init {
                let mut stranger = Tunn::new(secret(), public, None, None, 2, None);
                let mut datagram = [0; 148];
                match stranger.format_handshake_initiation(&mut datagram, false) {
                    TunnResult::WriteToNetwork(datagram) => datagram.to_vec(),
                    other => panic!("not an initiation: {other:?}"),
                }
            } else {
                std::iter::repeat_with(|| fastrand::u8(..)).take(1200).collect()
            }
        };
        let datagrams = (0..batch).map(one).collect();
        Self { server, datagrams, answer: vec![0; 2048], answered: init && limit == 0 }
    }
}

impl Work for Strangers {
    fn run(&mut self) -> usize {
        for datagram in &self.datagrams {
            let outcome = self.server.decapsulate(Some(FROM), datagram, &mut self.answer);
            match (outcome, self.answered) {
                (TunnResult::WriteToNetwork(cookie), true) => assert_eq!(cookie.len(), 64),
                (TunnResult::Err(_), false) => {}
                (other, _) => panic!("not what was to be measured: {other:?}"),
            }
        }
        self.datagrams.len()
    }
}
