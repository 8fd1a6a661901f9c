//! Noise by `snow`: the XX pattern, alone and with a hybrid key exchange.

use std::any::Any;
use std::time::Duration;

use anyhow::{Context as _, Result};
use snow::params::NoiseParams;
use snow::{Builder, HandshakeState, Keypair, StatelessTransportState};

use crate::loopback::{self, Loopback};
use crate::measure::Work;
use crate::peer::{Knock, Pair, Peer, Wire};

/// The longest message of the Noise framework.
const LONGEST: usize = 65_535;
/// What a datagram of 1,200 bytes has room for beside its nonce and tag.
const TEXT: usize = 1200 - 8 - 16;

/// The pattern, hash and ciphers of B4AE's mode A, without its post-quantum half.
pub(crate) const XX: Noise = Noise {
    name: "snow, XX",
    pattern: "Noise_XX_25519_ChaChaPoly_BLAKE2b",
    made_of: "curve25519-dalek, RustCrypto",
    first: 32,
    lacks: &[
        "no post-quantum key exchange",
        "no datagrams: messages of up to 65,535 bytes in and out, and nothing cut, sent again or acknowledged",
        "no cookies: a responder computes for every first message",
        "no padding, no constant rate, no ratchet",
    ],
};

/// With the modifier for hybrid forward secrecy.
pub(crate) const XX_HFS: Noise = Noise {
    name: "snow, XXhfs",
    pattern: "Noise_XXhfs_25519+Kyber1024_ChaChaPoly_BLAKE2b",
    made_of: "curve25519-dalek, RustCrypto, PQClean's Kyber1024",
    first: 32 + 1568,
    lacks: &["as XX, but its key exchange is post-quantum too: Kyber1024 of round 3, not ML-KEM-1024"],
};

/// A pattern of snow's.
pub(crate) struct Noise {
    name: &'static str,
    pattern: &'static str,
    made_of: &'static str,
    /// The length of a first message's public keys.
    first: usize,
    lacks: &'static [&'static str],
}

impl Noise {
    fn two(&self) -> Two {
        let params: NoiseParams = self.pattern.parse().expect("a pattern that snow has");
        let keys = [(); 2].map(|()| Builder::new(params.clone()).generate_keypair().expect("a key pair"));
        let open = [Vec::new(), Vec::new()];
        Two { params, keys, open, nonce: 0, sealed: vec![0; LONGEST], text: vec![0; LONGEST] }
    }
}

impl Peer for Noise {
    fn name(&self) -> &'static str {
        self.name
    }

    fn made_of(&self) -> &'static str {
        self.made_of
    }

    fn lacks(&self) -> &'static [&'static str] {
        self.lacks
    }

    fn pair(&self, _: usize) -> Box<dyn Pair> {
        Box::new(self.two())
    }

    fn knocks(&self, batch: usize) -> Vec<Knock> {
        vec![Knock {
            what: "random bytes as a first message: computed and answered",
            work: Box::new(Answered { two: self.two(), first: self.first, batch }),
        }]
    }

    fn loopback(&self, time: Duration) -> Result<Option<Loopback>> {
        if self.name == XX_HFS.name {
            // Messages are the same in either pattern.
            return Ok(None);
        }
        let mut two = self.two();
        two.handshake();
        let [initiator, responder] = two.open.each_mut().map(|end| end.pop().expect("a session"));
        let mut nonce = 0;
        let seal = |text: &[u8], datagram: &mut [u8]| {
            nonce += 1;
            datagram[..8].copy_from_slice(&u64::to_le_bytes(nonce));
            Ok(8 + initiator.write_message(nonce, text, &mut datagram[8..])?)
        };
        let open = |datagram: &[u8], text: &mut [u8]| {
            let (nonce, sealed) = datagram.split_first_chunk().context("a nonce")?;
            Ok(responder.read_message(u64::from_le_bytes(*nonce), sealed, text)?)
        };
        loopback::tunnel(TEXT, seal, open, time).map(Some)
    }
}

/// The two ends' keys and sessions, the initiator's first.
struct Two {
    params: NoiseParams,
    keys: [Keypair; 2],
    open: [Vec<StatelessTransportState>; 2],
    nonce: u64,
    sealed: Vec<u8>,
    text: Vec<u8>,
}

impl Two {
    fn builder(&self, end: usize) -> Builder<'_> {
        Builder::new(self.params.clone()).local_private_key(&self.keys[end].private).expect("a private key")
    }

    fn responder(&self) -> HandshakeState {
        self.builder(1).build_responder().expect("a responder")
    }
}

impl Pair for Two {
    fn handshake(&mut self) -> Wire {
        let initiator = self.builder(0).build_initiator().expect("an initiator");
        let mut ends = [initiator, self.responder()];
        let mut wire = Wire::default();
        for flight in 0.. {
            let [from, to] = if flight % 2 == 0 { [0, 1] } else { [1, 0] };
            let length = ends[from].write_message(&[], &mut self.sealed).expect("its turn");
            wire.carry(length);
            ends[to].read_message(&self.sealed[..length], &mut self.text).expect("a sound message");
            if ends.iter().all(HandshakeState::is_handshake_finished) {
                break;
            }
        }
        for (end, open) in ends.into_iter().zip(&mut self.open) {
            open.push(end.into_stateless_transport_mode().expect("finished"));
        }
        wire
    }

    fn message(&mut self, message: &[u8]) -> Wire {
        let [initiator, responder] = self.open.each_ref().map(|end| end.last().expect("a session"));
        self.nonce += 1;
        let length = initiator.write_message(self.nonce, message, &mut self.sealed).expect("room");
        let opened =
            responder.read_message(self.nonce, &self.sealed[..length], &mut self.text).expect("a sound message");
        assert!(self.text[..opened] == *message, "what was sent");
        Wire { datagrams: 1, bytes: length }
    }

    fn ends(self: Box<Self>) -> [Box<dyn Any>; 2] {
        self.open.map(|sessions| Box::new(sessions) as Box<dyn Any>)
    }
}

/// First messages of anybody's.
struct Answered {
    two: Two,
    first: usize,
    batch: usize,
}

impl Work for Answered {
    fn run(&mut self) -> usize {
        let mut first = vec![0; self.first];
        for _ in 0..self.batch {
            fastrand::fill(&mut first);
            let mut responder = self.two.responder();
            responder.read_message(&first, &mut self.two.text).expect("any bytes are public keys");
            responder.write_message(&[], &mut self.two.sealed).expect("an answer");
        }
        self.batch
    }
}
