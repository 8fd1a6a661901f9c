//! Two engines on a perfect wire: every datagram of a handshake and of the cells that carry a message each way, the
//! secrets behind them, and the key schedule step by step.

use core::time::Duration;
use std::boxed::Box;
use std::net::SocketAddr;
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::vec::Vec;
use std::{format, vec};

use serde::Serialize;

use super::hex;
use super::schedule::{Drawn, Step, Witness};
use crate::crypto::rust::ml_dsa;
use crate::handshake::transcript::DirectionKeys;
use crate::{
    Accept, Config, DATAGRAM_LEN, Engine, Event, Identity, Instant, ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN,
    ModePolicy, Path, SecretIdentity, Seed, SessionId, SignError, Signer, Traffic, TransmitKind, TxBuf, UnixTime,
};

const WALL: UnixTime = UnixTime(1_800_000_000);
const LATENCY: Duration = Duration::from_millis(5);
const LABEL: &[u8] = b"test vector";
const NAMES: [&str; 2] = ["initiator", "responder"];

#[derive(Serialize)]
pub(super) struct Vectors {
    mode: String,
    offer: String,
    initiator: Party,
    responder: Party,
    drawn: Drawn,
    datagrams: Vec<Datagram>,
    key_schedule: Vec<Step>,
    finish_key: String,
    status_key: String,
    session: Session,
    messages: Vec<Message>,
}

#[derive(Serialize)]
struct Party {
    address: String,
    x25519_secret: String,
    ml_dsa_seed: String,
    fingerprint: String,
    text: String,
}

#[derive(Serialize)]
struct Datagram {
    from: &'static str,
    what: String,
    bytes: String,
}

#[derive(Serialize)]
struct Session {
    id: String,
    root: String,
    i2r: Direction,
    r2i: Direction,
    exporter_label: String,
    exporter: String,
}

#[derive(Serialize)]
struct Direction {
    chain_key: String,
    header_key: String,
    connection_id: String,
}

#[derive(Clone, Serialize)]
struct Message {
    from: &'static str,
    number: u64,
    text: String,
}

/// The handshake with one mode offered, and a message each way.
pub(super) fn run(offer: ModePolicy) -> Vectors {
    let mut pair = Pair::new();
    let messages = [(0, b"hello".to_vec()), (1, vec![0x5a; 1500])];
    let peer = pair.engines[1].peer_id();
    let session = pair.engines[0].connect(pair.now, Path::new(pair.addresses[1], None), &peer, offer).unwrap();
    pair.sessions[0] = Some(session);
    pair.engines[0].session(session).unwrap().send(&messages[0].1).unwrap();
    while pair.delivered < messages.len() {
        pair.turn();
        // The answer follows the message.
        if pair.received.len() == 1 && pair.sent == 1 {
            pair.engines[1].session(pair.sessions[1].unwrap()).unwrap().send(&messages[1].1).unwrap();
            pair.sent = 2;
        }
        assert!(pair.now < Instant::ORIGIN + Duration::from_secs(5), "messages arrive");
    }
    assert_eq!(pair.received, [(1, messages[0].1.clone()), (0, messages[1].1.clone())]);

    let identities = [0, 1].map(identity);
    let (schedule, keys, root) =
        pair.witness.key_schedule(identities.each_ref().map(|identity| &identity.0.public.x25519));
    let (name, root_key) = (hex(root.session), hex(root.key.expose()));
    let secrets = root.secrets();
    let exporter = secrets.exporter.export(LABEL);
    for (engine, id) in pair.engines.iter_mut().zip(pair.sessions) {
        assert!(engine.session(id.unwrap()).unwrap().exporter(LABEL).as_ref() == Some(&exporter), "the engines agree");
    }
    let party = |n: usize| pair.party(n);
    Vectors {
        mode: secrets.mode.to_string(),
        offer: hex([secrets.mode.to_byte()]),
        initiator: party(0),
        responder: party(1),
        key_schedule: schedule,
        finish_key: hex(keys.finish.expose()),
        status_key: hex(keys.status.expose()),
        session: Session {
            id: name,
            root: root_key,
            i2r: direction(&secrets.i2r),
            r2i: direction(&secrets.r2i),
            exporter_label: hex(LABEL),
            exporter: hex(exporter.expose()),
        },
        messages: messages.iter().map(|(n, text)| Message { from: NAMES[*n], number: 0, text: hex(text) }).collect(),
        drawn: pair.witness.drawn,
        datagrams: pair.datagrams,
    }
}

fn direction(keys: &DirectionKeys) -> Direction {
    Direction {
        chain_key: hex(keys.chain.expose()),
        header_key: hex(keys.header.expose()),
        connection_id: hex(keys.cid),
    }
}

pub(super) fn identity_seed(n: usize) -> Seed {
    Seed::new([n as u8 + 1; 32])
}

pub(super) fn identity(n: usize) -> Identity {
    let secret = SecretIdentity::generate(&identity_seed(n));
    let (key, public_key) = ml_dsa::key_pair(secret.ml_dsa.as_ref().unwrap());
    Identity::with_signer(&secret.x25519, Arc::new(AsDrawn { key, public_key }))
}

/// Signs with the randomness that the engine drew, which the provider of the feature `aws-lc` does not take.
struct AsDrawn {
    key: ml_dsa::SigningKey,
    public_key: Box<[u8; ML_DSA_PUBLIC_KEY_LEN]>,
}

impl Signer for AsDrawn {
    fn public_key(&self) -> &[u8; ML_DSA_PUBLIC_KEY_LEN] {
        &self.public_key
    }

    fn sign(
        &self,
        message: &[u8; 64],
        randomness: &[u8; 32],
        signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
    ) -> Result<(), SignError> {
        ml_dsa::sign(&self.key, message, randomness, signature).then_some(()).ok_or(SignError)
    }
}

fn engine_seed(n: usize) -> Seed {
    Seed::new([n as u8 + 3; 32])
}

/// The initiator, the responder, and the wire between them.
struct Pair {
    engines: [Engine; 2],
    addresses: [SocketAddr; 2],
    sessions: [Option<SessionId>; 2],
    now: Instant,
    wire: Vec<(Instant, usize, [u8; DATAGRAM_LEN])>,
    datagrams: Vec<Datagram>,
    witness: Witness,
    received: Vec<(usize, Vec<u8>)>,
    sent: usize,
    delivered: usize,
}

impl Pair {
    fn new() -> Self {
        let engine = |n, accept| {
            let config = Config::builder(Traffic::balanced()).accept(accept).build().unwrap();
            Engine::new(&config, identity(n), &engine_seed(n), Instant::ORIGIN, WALL).unwrap()
        };
        Self {
            engines: [engine(0, Accept::Nobody), engine(1, Accept::Anyone(ModePolicy::A_THEN_B))],
            addresses: ["192.0.2.1:7000", "192.0.2.2:7000"].map(|address| address.parse().unwrap()),
            sessions: [None; 2],
            now: Instant::ORIGIN,
            wire: Vec::new(),
            datagrams: Vec::new(),
            witness: Witness::new(&engine_seed(1).derive(b"B4AE2-cookie-jar")),
            received: Vec::new(),
            sent: 1,
            delivered: 0,
        }
    }

    /// A millisecond.
    fn turn(&mut self) {
        self.now = self.now + Duration::from_millis(1);
        let now = self.now;
        let (arrived, still) = std::mem::take(&mut self.wire).into_iter().partition(|(at, ..)| *at <= now);
        self.wire = still;
        for (_, to, mut bytes) in arrived {
            self.engines[to].handle_datagram(now, Path::new(self.addresses[1 - to], None), &mut bytes);
        }
        for me in [0, 1] {
            if self.engines[me].poll_timeout().is_some_and(|at| at <= now) {
                self.engines[me].handle_timeout(now);
            }
            while let Some(job) = self.engines[me].poll_job() {
                self.witness.see(&job.work);
                self.engines[me].handle_completion(now, job.run());
            }
            let mut bytes = [0; DATAGRAM_LEN];
            while let Some(transmit) = self.engines[me].poll_transmit(TxBuf::new(&mut bytes).unwrap()) {
                let what = self.name(me, transmit.kind);
                self.datagrams.push(Datagram { from: NAMES[me], what, bytes: hex(bytes) });
                self.wire.push((transmit.due + LATENCY, 1 - me, bytes));
            }
            while let Some(event) = self.engines[me].poll_event() {
                self.event(me, event);
            }
        }
    }

    fn event(&mut self, me: usize, event: Event) {
        match event {
            Event::Incoming(id) => self.sessions[me] = Some(id),
            Event::Delivered(..) => self.delivered += 1,
            Event::Readable(id) => {
                let mut session = self.engines[me].session(id).unwrap();
                let mut message = vec![0; session.next_len().unwrap()];
                session.recv(&mut message).unwrap();
                self.received.push((me, message));
            }
            _ => {}
        }
    }

    /// What the next datagram is: on a perfect wire each is sent once.
    fn name(&self, from: usize, kind: TransmitKind) -> String {
        let mine = self.datagrams.iter().filter(|datagram| datagram.from == NAMES[from]);
        let cells = mine.clone().filter(|datagram| datagram.what.starts_with("Cell")).count();
        if kind == TransmitKind::Cell {
            return format!("Cell {cells}");
        }
        match (from, mine.count() - cells) {
            (0, 0) => "Hello".into(),
            (0, n @ 1..3) => format!("Init {}", n - 1),
            (0, n) => format!("Finish {}", n - 3),
            (_, 0) => "Challenge".into(),
            // The responder answers the Init before it can have a Finish to tell the status of.
            (_, n) if self.witness.response.is_empty() => format!("Response {}", n - 1),
            _ => "Status".into(),
        }
    }

    fn party(&self, n: usize) -> Party {
        let secret = SecretIdentity::generate(&identity_seed(n));
        let id = self.engines[n].peer_id();
        Party {
            address: self.addresses[n].to_string(),
            x25519_secret: hex(secret.x25519.expose()),
            ml_dsa_seed: hex(secret.ml_dsa.unwrap().expose()),
            fingerprint: hex(id.as_bytes()),
            text: id.to_string(),
        }
    }
}
