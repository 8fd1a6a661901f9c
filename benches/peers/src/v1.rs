//! The first implementation: crate `b4ae` 2.1.3, by the client of its own protocol "v2".

use std::any::Any;

use b4ae_v1::B4aeClientV2 as Client;
use b4ae_v1::protocol::v2::AuthenticationMode;
use b4ae_v1::protocol::v2::types::{ClientHello, ModeNegotiation};
use serde::Serialize;

use crate::measure::Work;
use crate::peer::{Knock, Pair, Peer, Wire};

/// What the two call each other, followed by the session's number.
const NAMES: [&[u8]; 2] = [b"initiator", b"responder"];

/// Its mode A. Its mode B sends and computes the same.
pub(crate) struct V1;

impl Peer for V1 {
    fn name(&self) -> &'static str {
        "`b4ae` 2.1.3"
    }

    fn made_of(&self) -> &'static str {
        "PQClean's ML-KEM-1024 and ML-DSA-87, curve25519-dalek, AES-256-GCM, SHA-3"
    }

    fn lacks(&self) -> &'static [&'static str] {
        &[
            "no datagrams: structures in and out, neither cut, sent again nor acknowledged, and no sockets",
            "what it sends is on no constant rate: its scheduler's queue is filled beside what is returned, and not drained",
            "messages are not padded by this client",
            "the identity of the other end is not checked: keys are new with each handshake",
            "the cookie is bound to no address and never verified, and keys are made before it",
            "its modes A and B send the same bytes, signed with ML-DSA-87 and XEdDSA",
        ]
    }

    fn pair(&self, _: usize) -> Box<dyn Pair> {
        Box::new(Two::new())
    }

    fn knocks(&self, batch: usize) -> Vec<Knock> {
        let knock = |what, cookie| {
            let server = client();
            Knock { what, work: Box::new(Strangers { server, cookie, negotiations: Vec::new(), batch }) }
        };
        vec![knock("a first message (mode negotiation): keys made, answered", false), knock("a Hello: cookie", true)]
    }
}

fn client() -> Client {
    Client::new(AuthenticationMode::ModeA).expect("a mode there is")
}

/// Two clients, the initiator first.
struct Two {
    clients: [Client; 2],
    sessions: u32,
}

impl Two {
    fn new() -> Self {
        Self { clients: [client(), client()], sessions: 0 }
    }

    /// What the two call each other in the newest session.
    fn names(&self) -> [Vec<u8>; 2] {
        NAMES.map(|name| [name, &self.sessions.to_le_bytes()].concat())
    }
}

/// One message on the wire, in the encoding that the crate has for those inside of others.
fn carry(wire: &mut Wire, message: &impl Serialize) {
    let length = bincode::serialized_size(message).expect("a message");
    wire.carry(usize::try_from(length).expect("some kilobytes"));
}

impl Pair for Two {
    fn handshake(&mut self) -> Wire {
        self.sessions += 1;
        let [me, you] = self.names();
        let [initiator, responder] = &mut self.clients;
        let mut wire = Wire::default();
        let negotiation = initiator.initiate_mode_negotiation(&you).expect("a negotiation");
        carry(&mut wire, &negotiation);
        let selection = responder.respond_mode_negotiation(&me, negotiation).expect("a selection");
        carry(&mut wire, &selection);
        initiator.complete_mode_negotiation(&you, selection).expect("a mode");
        let hello = initiator.send_client_hello(&you).expect("a Hello");
        carry(&mut wire, &hello);
        let cookie = responder.respond_cookie_challenge(&me, hello).expect("a cookie");
        carry(&mut wire, &cookie);
        let init = initiator.initiate_handshake_v2(&you, cookie).expect("an init");
        carry(&mut wire, &init);
        let response = responder.respond_to_handshake_v2(&me, init).expect("a response");
        carry(&mut wire, &response);
        let complete = initiator.process_response_v2(&you, response).expect("a completion");
        carry(&mut wire, &complete);
        responder.complete_handshake_v2(&me, complete).expect("a session");
        initiator.finalize_initiator_v2(&you).expect("a session");
        assert!(initiator.has_session(&you) && responder.has_session(&me), "a session at each end");
        wire
    }

    fn message(&mut self, message: &[u8]) -> Wire {
        let [me, you] = self.names();
        let [initiator, responder] = &mut self.clients;
        let sealed = initiator.encrypt_message_v2(&you, message).expect("a message");
        let opened = responder.decrypt_message_v2(&me, &sealed).expect("a sound message");
        assert!(opened == message, "what was sent");
        let mut wire = Wire::default();
        carry(&mut wire, &sealed);
        wire
    }

    fn settle(&mut self) {
        // The queue of the scheduler that nobody drains would be full some time, and what comes then cost less.
        *self = Self::new();
        self.handshake();
    }

    fn ends(self: Box<Self>) -> [Box<dyn Any>; 2] {
        self.clients.map(|client| Box::new(client) as Box<dyn Any>)
    }
}

/// First messages of anybody's.
struct Strangers {
    server: Client,
    cookie: bool,
    negotiations: Vec<(ModeNegotiation, ClientHello)>,
    batch: usize,
}

impl Work for Strangers {
    fn prepare(&mut self) {
        self.server = client();
        self.negotiations.clear();
        for number in 0..=self.batch {
            let mut stranger = client();
            let negotiation = stranger.initiate_mode_negotiation(NAMES[1]).expect("a negotiation");
            let hello = stranger.send_client_hello(NAMES[1]).expect("a Hello");
            if number == 0 {
                // What a server makes once: its secret and its filter.
                self.server.respond_cookie_challenge(b"somebody else", hello).expect("a cookie");
            } else {
                self.negotiations.push((negotiation, hello));
            }
        }
    }

    fn run(&mut self) -> usize {
        for (number, (negotiation, hello)) in self.negotiations.drain(..).enumerate() {
            let name = [NAMES[0], &number.to_le_bytes()].concat();
            if self.cookie {
                self.server.respond_cookie_challenge(&name, hello).expect("a cookie");
            } else {
                self.server.respond_mode_negotiation(&name, negotiation).expect("a selection");
            }
        }
        self.batch
    }
}
