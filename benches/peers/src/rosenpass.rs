//! Rosenpass, which makes keys for WireGuard. With the feature `rosenpass`.

use std::any::Any;

use anyhow::Result;
use rosenpass::pqkem::{KEM as _, StaticKEM};
use rosenpass::protocol::{CryptoServer, HandleMsgResult, PeerPtr, SPk, SSk};
use rosenpass::sodium::sodium_init;

use crate::measure::Work;
use crate::peer::{Knock, Pair, Peer, Wire};

/// Longer than any of its messages.
const LONGEST: usize = 4096;

/// The only peer that either end has.
const THE_PEER: PeerPtr = PeerPtr(0);

/// Two key pairs and a third, of somebody unknown.
#[derive(Clone)]
pub(crate) struct Rosenpass {
    keys: [(SSk, SPk); 3],
}

impl Rosenpass {
    /// With keys that nobody had before, which take a while.
    pub(crate) fn new() -> Result<Self> {
        sodium_init()?;
        Ok(Self { keys: [key_pair()?, key_pair()?, key_pair()?] })
    }

    /// An end with the keys of one, who knows the other's.
    fn end(&self, own: usize, other: usize) -> CryptoServer {
        let (secret, public) = self.keys[own].clone();
        let mut end = CryptoServer::new(secret, public);
        end.add_peer(None, self.keys[other].1.clone()).expect("a peer");
        end
    }
}

fn key_pair() -> Result<(SSk, SPk)> {
    let (mut secret, mut public) = (SSk::zero(), SPk::zero());
    StaticKEM::keygen(secret.secret_mut(), public.secret_mut())?;
    Ok((secret, public))
}

impl Peer for Rosenpass {
    fn name(&self) -> &'static str {
        "Rosenpass"
    }

    fn made_of(&self) -> &'static str {
        "liboqs: Classic McEliece 460896 and Kyber512; libsodium"
    }

    fn lacks(&self) -> &'static [&'static str] {
        &[
            "no messages: a key each two minutes, for WireGuard to use beside X25519",
            "no cookies in this release",
            "public keys of 524,160 bytes, which have to be there beforehand, and no X25519 of its own",
            "no padding of its four kinds of message, whose type is in clear",
        ]
    }

    fn pair(&self, _: usize) -> Box<dyn Pair> {
        let buffers = [vec![0; LONGEST], vec![0; LONGEST]];
        Box::new(Two { ends: [self.end(0, 1), self.end(1, 0)], buffers })
    }

    fn has_messages(&self) -> bool {
        false
    }

    fn knocks(&self, batch: usize) -> Vec<Knock> {
        let knock = |what, init| Knock { what, work: Box::new(Strangers::new(self, init, batch)) };
        vec![
            knock("1,200 random bytes: dropped", false),
            knock("a first message of an unknown key (right mac): computed, dropped", true),
        ]
    }
}

/// Initiator and responder.
struct Two {
    ends: [CryptoServer; 2],
    buffers: [Vec<u8>; 2],
}

impl Pair for Two {
    fn handshake(&mut self) -> Wire {
        let [message, answer] = &mut self.buffers;
        let mut wire = Wire::default();
        let mut length = self.ends[0].initiate_handshake(THE_PEER, message).expect("an InitHello");
        let mut exchanged = 0;
        for end in [1, 0].into_iter().cycle() {
            wire.carry(length);
            let outcome = self.ends[end].handle_msg(&message[..length], answer).expect("a sound message");
            let HandleMsgResult { exchanged_with, resp } = outcome;
            exchanged += usize::from(exchanged_with.is_some());
            let Some(next) = resp else { break };
            length = next;
            std::mem::swap(message, answer);
        }
        assert_eq!(exchanged, 2, "a key at each end");
        let [initiator, responder] = self.ends.each_ref().map(|end| end.osk(THE_PEER).expect("a key"));
        assert!(initiator.secret() == responder.secret(), "the same key");
        wire
    }

    fn message(&mut self, _: &[u8]) -> Wire {
        unreachable!("it has said that it has no messages")
    }

    fn ends(self: Box<Self>) -> [Box<dyn Any>; 2] {
        self.ends.map(|end| Box::new(end) as Box<dyn Any>)
    }
}

/// A responder and what comes out of the blue.
struct Strangers {
    server: CryptoServer,
    datagrams: Vec<Vec<u8>>,
    answer: Vec<u8>,
}

impl Strangers {
    fn new(rosenpass: &Rosenpass, init: bool, batch: usize) -> Self {
        let mut stranger = rosenpass.end(2, 1);
        let one = |_| {
            if init {
                let mut datagram = vec![0; LONGEST];
                let length = stranger.initiate_handshake(THE_PEER, &mut datagram).expect("an InitHello");
                datagram.truncate(length);
                datagram
            } else {
                std::iter::repeat_with(|| fastrand::u8(..)).take(1200).collect()
            }
        };
        let datagrams = (0..batch).map(one).collect();
        Self { server: rosenpass.end(1, 0), datagrams, answer: vec![0; LONGEST] }
    }
}

impl Work for Strangers {
    fn run(&mut self) -> usize {
        for datagram in &self.datagrams {
            let outcome = self.server.handle_msg(datagram, &mut self.answer);
            assert!(outcome.is_err(), "nobody is let in");
        }
        self.datagrams.len()
    }
}
