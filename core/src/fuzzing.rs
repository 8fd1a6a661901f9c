//! What fuzz targets need and nobody else may have: keys without a handshake, and authentic nonsense. Never in a build
//! without `--cfg fuzzing`.

use alloc::vec::Vec;
use core::fmt;

use crate::engine::Engine;
use crate::handshake::cookie::Cookie;
use crate::handshake::fragment;
use crate::handshake::message::{HELLO_LEN, Hello, INIT_LEN};
use crate::handshake::transcript::Transcript;
use crate::identity::{Identity, PeerId};
use crate::mode::{Mode, ModePolicy};
use crate::random::Stream;
use crate::rotation;
use crate::secret::Secret;
use crate::session::SessionId;
use crate::session::entry::{Entry, Opened};
use crate::session::link::{Link, Side};
use crate::transmit::{DATAGRAM_LEN, Path};
use crate::wire::cell;
use crate::wire::knock::{self, InitHeader, KnockKeys};
use crate::wire::sealed::{self, FragmentHeader};

/// Length in bytes of a cell's plaintext: control, frame header, data.
pub const TEXT_LEN: usize = cell::TEXT_LEN;
/// Bytes of an Init that one datagram carries.
pub const INIT_CHUNK: usize = knock::CHUNK;

impl Engine {
    /// Opens a session in mode A under keys that follow from nothing secret, the same for both sides.
    pub fn open_known(&mut self, path: Path, peer: PeerId, initiator: bool) -> Option<SessionId> {
        let (side, opened) =
            if initiator { (Side::Initiator, Opened::ByUs) } else { (Side::Responder, Opened::ByPeer) };
        let secrets = Transcript::new(&[b"known"]).finish(Mode::A);
        let mut entry = Entry::new(peer, self.config());
        entry.mode = Some(Mode::A);
        entry.open(opened);
        let link = Link::new(&secrets, side, path, self.config().limits(), self.now());
        self.open_known_link(entry, link)
    }

    /// Seals `text` as the session's next cell.
    pub fn seal_text(&mut self, id: SessionId, text: &[u8; TEXT_LEN]) -> Option<[u8; DATAGRAM_LEN]> {
        self.session(id).ok()?;
        let mut out = [0; DATAGRAM_LEN];
        *cell::text_mut(&mut out) = *text;
        let (link, work) = self.known_link(id)?;
        link.seal(work, &mut out);
        Some(out)
    }

    /// The plaintext of a cell that the session's peer sent.
    pub fn open_text(&mut self, id: SessionId, datagram: &[u8; DATAGRAM_LEN]) -> Option<[u8; TEXT_LEN]> {
        self.session(id).ok()?;
        let now = self.now();
        let (link, work) = self.known_link(id)?;
        link.open(now, work, &mut { *datagram }).ok().map(|(_, text)| *text)
    }

    /// Seals a Finish fragment of the handshake that this session began.
    pub fn seal_finish(&mut self, id: SessionId, header: &[u8; 16], chunk: &[u8]) -> Option<[u8; DATAGRAM_LEN]> {
        self.session(id).ok()?;
        let (key, cid) = self.entry(id).dial.as_ref()?.finish_fragments()?;
        Some(seal_fragment(key, &cid, header, chunk))
    }

    /// Seals a Response fragment, or a Status, to an initiator that shakes hands with this engine.
    pub fn seal_answer(&self, status: bool, header: &[u8; 16], chunk: &[u8]) -> Option<[u8; DATAGRAM_LEN]> {
        let (key, cid) = self.some_half_open()?.answer_fragments(status)?;
        Some(seal_fragment(key, &cid, header, chunk))
    }
}

fn le16(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

fn stream() -> Stream {
    Stream::new(Secret::new([0; 32]))
}

/// Adds both identities' signatures to the body of a rotation statement, whatever it says.
pub fn sign_rotation(body: &[u8], old: &Identity, new: &Identity) -> Vec<u8> {
    rotation::signed(body.to_vec(), [old, new], &mut stream()).expect("keys in memory sign")
}

fn seal_fragment(key: &Secret<32>, cid: &[u8; 8], header: &[u8; 16], chunk: &[u8]) -> [u8; DATAGRAM_LEN] {
    let header = FragmentHeader {
        kind: header[0],
        index: header[1],
        have: le16(&header[2..]),
        poll: header[4] == 1,
        len: le16(&header[5..]),
        tag: *header[8..].first_chunk().expect("8 of 16"),
    };
    let mut out = [0; DATAGRAM_LEN];
    sealed::write_fragment(key, cid, &header, &chunk[..chunk.len().min(sealed::CHUNK)], &mut stream(), &mut out);
    out
}

/// A hostile initiator that knows a responder's fingerprint and receives where it sends from.
pub struct Stranger {
    keys: KnockKeys,
    hello: Hello,
    random: Stream,
    challenge: Option<sealed::Challenge>,
}

impl fmt::Debug for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stranger(..)")
    }
}

/// What an Init fragment's header says besides the cookie.
#[derive(Clone, Copy, Debug)]
pub struct InitFields {
    /// Which fragment it is.
    pub index: u8,
    /// The Response fragments the initiator has.
    pub have: u16,
    /// The Init's length.
    pub len: u16,
    /// The Init's tag.
    pub tag: [u8; 8],
    /// The puzzle's solution.
    pub puzzle: u64,
    /// XORed into the hash of the Hello.
    pub hello_hash: u8,
    /// XORed into the first byte of each of the cookie's fields: time, nonce, puzzle, modes.
    pub cookie: [u8; 4],
}

impl Stranger {
    /// A stranger who says a Hello offering `modes`, number `n` of its kind.
    pub fn new(responder: PeerId, modes: ModePolicy, n: u8) -> Self {
        Self {
            keys: KnockKeys::new(responder),
            hello: Hello::new(modes, &[n; 32], &[n; 8]),
            random: stream(),
            challenge: None,
        }
    }

    /// The Hello's text, to be changed at will.
    pub fn text(&mut self) -> &mut [u8; HELLO_LEN] {
        &mut self.hello.bytes
    }

    /// The Hello.
    pub fn hello(&mut self) -> [u8; DATAGRAM_LEN] {
        let mut out = [0; DATAGRAM_LEN];
        knock::write_hello(&self.keys, &self.hello, &mut self.random, &mut out);
        out
    }

    /// Takes in an answer. Whether it is the Challenge that this Hello asked for.
    pub fn challenged(&mut self, datagram: &[u8; DATAGRAM_LEN]) -> bool {
        let key = sealed::challenge_key(&self.keys.challenge, &self.hello.hash());
        let challenge = sealed::read_challenge(&key, &mut { *datagram });
        let read = challenge.is_some();
        self.challenge = challenge.or(self.challenge.take());
        read
    }

    /// A whole Init under public keys of anyone's choice, and its tag.
    pub fn init(&self, keys: &[u8]) -> ([u8; INIT_LEN], [u8; 8]) {
        let mut init = [0; INIT_LEN];
        init[..HELLO_LEN].copy_from_slice(&self.hello.bytes);
        let len = keys.len().min(INIT_LEN - HELLO_LEN);
        init[HELLO_LEN..HELLO_LEN + len].copy_from_slice(&keys[..len]);
        (init, fragment::tag_of(&init))
    }

    /// An Init fragment with valid MACs, once there is a cookie.
    pub fn fragment(&mut self, fields: &InitFields, chunk: &[u8]) -> Option<[u8; DATAGRAM_LEN]> {
        let challenge = self.challenge.as_ref()?;
        let mut cookie = challenge.cookie.to_bytes();
        for (at, with) in [0, 4, 14, 15].into_iter().zip(fields.cookie) {
            cookie[at] ^= with;
        }
        let mut hello_hash = self.hello.hash();
        hello_hash[0] ^= fields.hello_hash;
        let header = InitHeader {
            index: fields.index,
            have: fields.have,
            cookie: Cookie::from_bytes(&cookie),
            hello_hash,
            cid: self.hello.cid(),
            puzzle: fields.puzzle,
            tag: fields.tag,
            len: fields.len,
        };
        let mut out = [0; DATAGRAM_LEN];
        let chunk = &chunk[..chunk.len().min(INIT_CHUNK)];
        knock::write_init(&self.keys, &challenge.tag, &header, chunk, &mut self.random, &mut out);
        Some(out)
    }
}
