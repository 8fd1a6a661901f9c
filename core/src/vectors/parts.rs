//! Pieces of the protocol by themselves, from inputs that are written out beside what becomes of them.

use std::net::SocketAddr;
use std::string::{String, ToString as _};
use std::vec::Vec;

use serde::Serialize;

use super::hex;
use crate::crypto::stream;
use crate::handshake::cookie::{Cookie, CookieJar};
use crate::handshake::initiator::Puzzle;
use crate::handshake::message::kind;
use crate::random::Stream;
use crate::secret::Secret;
use crate::session::chain::{SendChain, Workspace};
use crate::wire::cell::{self, Ack, Control, DATA_LEN, Fragment, Heard};
use crate::wire::sealed::{self, FragmentHeader};
use crate::{DATAGRAM_LEN, Identity, Padding, PeerId};

#[derive(Serialize)]
pub(super) struct Parts {
    identities: Vec<Keys>,
    cookies: Vec<Issued>,
    puzzle: Solved,
    status: Status,
    chain: Chain,
    cells: Vec<Sealed>,
    padding: Vec<Padded>,
}

pub(super) fn all() -> Parts {
    Parts {
        identities: [Keys::new(1, false), Keys::new(2, true)].into(),
        cookies: ["192.0.2.1:7000", "[2001:db8::1]:54321"].map(Issued::new).into(),
        puzzle: Solved::new(),
        status: Status::new(),
        chain: Chain::new(),
        cells: cells().into(),
        padding: LENGTHS.iter().map(|&length| Padded::new(length)).collect(),
    }
}

#[derive(Serialize)]
struct Keys {
    x25519_secret: String,
    x25519: String,
    ml_dsa_seed: Option<String>,
    ml_dsa_hash: String,
    fingerprint: String,
    text: String,
}

impl Keys {
    fn new(n: u8, can_sign: bool) -> Self {
        let (x25519, ml_dsa) = (Secret::new([n; 32]), can_sign.then(|| Secret::new([n + 1; 32])));
        let ml_dsa_seed = ml_dsa.as_ref().map(|seed| hex(seed.expose()));
        let keys = Identity::from_secret(&crate::SecretIdentity { x25519: x25519.duplicate(), ml_dsa });
        Self {
            x25519_secret: hex(x25519.expose()),
            x25519: hex(keys.0.public.x25519),
            ml_dsa_seed,
            ml_dsa_hash: hex(keys.0.public.ml_dsa_hash),
            fingerprint: hex(keys.peer_id().as_bytes()),
            text: keys.peer_id().to_string(),
        }
    }
}

#[derive(Serialize)]
struct Issued {
    master: String,
    address: String,
    hello_hash: String,
    time: u32,
    nonce: String,
    puzzle_bits: u8,
    accepted: u8,
    cookie: String,
    tag: String,
}

impl Issued {
    fn new(address: &str) -> Self {
        let (master, hello_hash) = ([1; 32], [2; 32]);
        let cookie = Cookie { time: 1234, nonce: [3; 10], puzzle_bits: 4, accept: 6, stamp: [0; 8] };
        let from: SocketAddr = address.parse().unwrap();
        let (cookie, tag) = CookieJar::new(Secret::new(master)).issue(cookie, from, &hello_hash);
        Self {
            master: hex(master),
            address: address.into(),
            hello_hash: hex(hello_hash),
            time: cookie.time,
            nonce: hex(cookie.nonce),
            puzzle_bits: cookie.puzzle_bits,
            accepted: cookie.accept,
            cookie: hex(cookie.to_bytes()),
            tag: hex(tag.expose()),
        }
    }
}

#[derive(Serialize)]
struct Solved {
    cookie_tag: String,
    fingerprint: String,
    bits: u8,
    smallest_solution: u64,
}

impl Solved {
    fn new() -> Self {
        let puzzle = Puzzle { cookie: Secret::new([5; 32]), responder: PeerId::from_bytes([6; 32]), bits: 12 };
        Self {
            cookie_tag: hex(puzzle.cookie.expose()),
            fingerprint: hex(puzzle.responder.as_bytes()),
            bits: puzzle.bits,
            smallest_solution: puzzle.solve(),
        }
    }
}

/// What the perfect wire of the whole handshakes has no occasion for.
#[derive(Serialize)]
struct Status {
    key: String,
    connection_id: String,
    finish_fragments: u16,
    finish_tag: String,
    datagram: String,
}

impl Status {
    fn new() -> Self {
        let (key, cid, mut random) = (Secret::new([10; 32]), [11; 8], Stream::new(Secret::new([13; 32])));
        let header =
            FragmentHeader { kind: kind::STATUS, index: 0, have: 0b101_1101, poll: false, len: 0, tag: [12; 8] };
        let mut out = [0; DATAGRAM_LEN];
        sealed::write_fragment(&key, &cid, &header, &[], &mut random, &mut out);
        Self {
            key: hex(key.expose()),
            connection_id: hex(cid),
            finish_fragments: header.have,
            finish_tag: hex(header.tag),
            datagram: hex(out),
        }
    }
}

const FIRST_CHAIN_KEY: [u8; 32] = [7; 32];

fn key(counter: u64) -> Secret<32> {
    let (mut chain, mut work) = (SendChain::empty(), Workspace::new());
    chain.begin(&FIRST_CHAIN_KEY);
    (0..=counter).for_each(|_| _ = chain.next(&mut work));
    work.key().duplicate()
}

#[derive(Serialize)]
struct Chain {
    first: String,
    keys: Vec<CellKey>,
}

#[derive(Serialize)]
struct CellKey {
    counter: u64,
    key: String,
}

impl Chain {
    fn new() -> Self {
        let keys = [0, 1, 255, 256, 600].map(|counter| CellKey { counter, key: hex(key(counter).expose()) });
        Self { first: hex(FIRST_CHAIN_KEY), keys: keys.into() }
    }
}

#[derive(Serialize)]
struct Sealed {
    what: &'static str,
    connection_id: String,
    first_chain_key: String,
    header_key: String,
    counter: u64,
    cell_key: String,
    header: String,
    mask: String,
    text: String,
    datagram: String,
}

impl Sealed {
    fn new(what: &'static str, n: u8, counter: u64, control: &Control, data: Option<(&Fragment, &[u8])>) -> Self {
        let (connection_id, header_key, cell_key) = ([n; 8], Secret::new([n + 1; 32]), key(counter));
        let mut out = [0; DATAGRAM_LEN];
        let (fragment, data) = data.unzip();
        cell::write(cell::text_mut(&mut out), control, fragment, data.unwrap_or_default());
        let text = hex(*cell::text_mut(&mut out));
        cell::seal(&connection_id, counter, header_key.expose(), &cell_key, &mut out);
        let mut mask = [0; 32];
        stream::keystream(header_key.expose(), out[1184..].first_chunk().unwrap(), &mut mask);
        Self {
            what,
            connection_id: hex(connection_id),
            first_chain_key: hex(FIRST_CHAIN_KEY),
            header_key: hex(header_key.expose()),
            counter,
            cell_key: hex(cell_key.expose()),
            header: hex(out[8..16].iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect::<Vec<_>>()),
            mask: hex(mask),
            text,
            datagram: hex(out),
        }
    }
}

/// One from I to R and one back.
fn cells() -> [Sealed; 2] {
    let message: Vec<u8> = (0..1500_u32).map(|i| i as u8).collect();
    let fragment =
        Fragment { message: 3, unordered: true, index: 1, count: 2, len: u32::try_from(message.len()).unwrap() };
    let talk = Control { message_limit: 1024, cell_limit: 2048, ..Control::default() };
    let answer = Control {
        heard: Heard { largest: 0x0102_0304_0506, cells: 0x0605_0403_0201 },
        ack: Some(Ack { largest: 700, map: [1, 2, 3, 1 << 63] }),
        close: true,
        message_limit: 1027,
        cell_limit: 2060,
        path_challenge: Some([8; 8]),
        path_response: Some([9; 8]),
    };
    [
        Sealed::new("the first cell from I to R", 16, 0, &talk, Some((&fragment, &message[DATA_LEN..]))),
        Sealed::new("a later one from R to I, with padding", 32, 300, &answer, None),
    ]
}

const LENGTHS: [usize; 20] = [
    0, 1, 1024, 1025, 2048, 2049, 4097, 8193, 16_384, 16_385, 17_408, 17_409, 20_000, 32_768, 32_769, 65_537, 100_000,
    500_000, 1_000_000, 1_048_576,
];

#[derive(Serialize)]
struct Padded {
    length: usize,
    cells: usize,
}

impl Padded {
    fn new(length: usize) -> Self {
        Self { length, cells: Padding::default().cells(length) }
    }
}
