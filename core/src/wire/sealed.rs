//! What follows a Hello within a handshake: Challenge, Response and Finish fragments, Status.
//!
//! ```text
//! cid(8) ‖ nonce(12) ‖ sealed ‖ tag(16)
//! ```
//!
//! The connection id is the receiver's. A Challenge seals 96 bytes and fills the rest at random, since whoever knows
//! the fingerprint can ask for any number of them; the others seal all.

use crate::crypto::{aead, hash};
use crate::handshake::cookie::Cookie;
use crate::handshake::message::kind;
use crate::random::Stream;
use crate::secret::Secret;
use crate::transmit::DATAGRAM_LEN;

const CID: usize = 8;
const START: usize = CID + 12;
const CHALLENGE_END: usize = START + 96;
const END: usize = DATAGRAM_LEN - aead::TAG_LEN;
const HEADER: usize = 16;

/// Bytes of a message that a fragment carries.
pub(crate) const CHUNK: usize = END - START - HEADER;

/// A fragment's header: `type index have(2) flags len(2) 0 tag(8)`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct FragmentHeader {
    pub(crate) kind: u8,
    pub(crate) index: u8,
    /// In a Status: the Finish fragments the responder has.
    pub(crate) have: u16,
    /// In a Finish: asks for a Status.
    pub(crate) poll: bool,
    pub(crate) len: u16,
    pub(crate) tag: [u8; 8],
}

impl FragmentHeader {
    fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = self.kind;
        bytes[1] = self.index;
        bytes[2..4].copy_from_slice(&self.have.to_le_bytes());
        bytes[4] = u8::from(self.poll);
        bytes[5..7].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.tag);
        bytes
    }

    fn from_bytes(bytes: &[u8; HEADER]) -> Self {
        Self {
            kind: bytes[0],
            index: bytes[1],
            have: u16::from_le_bytes([bytes[2], bytes[3]]),
            poll: bytes[4] == 1,
            len: u16::from_le_bytes([bytes[5], bytes[6]]),
            tag: *bytes[8..].first_chunk().expect("16 is enough"),
        }
    }
}

/// Seals a fragment.
pub(crate) fn write_fragment(
    key: &Secret<32>,
    cid: &[u8; 8],
    header: &FragmentHeader,
    chunk: &[u8],
    random: &mut Stream,
    out: &mut [u8; DATAGRAM_LEN],
) {
    out[START..START + HEADER].copy_from_slice(&header.to_bytes());
    let body = &mut out[START + HEADER..END];
    body[..chunk.len()].copy_from_slice(chunk);
    body[chunk.len()..].fill(0);
    seal(key, cid, END, random, out);
}

/// Opens a fragment in place.
pub(crate) fn read_fragment<'d>(
    key: &Secret<32>,
    datagram: &'d mut [u8; DATAGRAM_LEN],
) -> Option<(FragmentHeader, &'d [u8])> {
    let (header, body) = open(key, END, datagram)?.split_first_chunk().expect("16 of many");
    Some((FragmentHeader::from_bytes(header), body))
}

/// What a Challenge says: the cookie and, for the initiator's eyes, its tag.
pub(crate) struct Challenge {
    pub(crate) cookie: Cookie,
    pub(crate) tag: Secret<32>,
}

/// The key of Challenges in answer to one Hello.
pub(crate) fn challenge_key(fingerprint_key: &Secret<32>, hello_hash: &[u8; 32]) -> Secret<32> {
    hash::prf(fingerprint_key.expose(), b"B4AE2-chall-key.", &[hello_hash])
}

/// Seals a Challenge.
pub(crate) fn write_challenge(
    key: &Secret<32>,
    cid: &[u8; 8],
    challenge: &Challenge,
    random: &mut Stream,
    out: &mut [u8; DATAGRAM_LEN],
) {
    random.fill(&mut out[CHALLENGE_END + aead::TAG_LEN..]);
    let body = &mut out[START..CHALLENGE_END];
    body.fill(0);
    body[0] = kind::CHALLENGE;
    body[1..17].copy_from_slice(&challenge.cookie.to_bytes());
    body[17..49].copy_from_slice(challenge.tag.expose());
    seal(key, cid, CHALLENGE_END, random, out);
}

/// Opens a Challenge in place.
pub(crate) fn read_challenge(key: &Secret<32>, datagram: &mut [u8; DATAGRAM_LEN]) -> Option<Challenge> {
    let body = open(key, CHALLENGE_END, datagram)?;
    if body[0] != kind::CHALLENGE {
        return None;
    }
    let cookie = Cookie::from_bytes(body[1..].first_chunk().expect("96 is enough"));
    Some(Challenge { cookie, tag: Secret::new(*body[17..].first_chunk().expect("96 is enough")) })
}

fn seal(key: &Secret<32>, cid: &[u8; 8], end: usize, random: &mut Stream, out: &mut [u8; DATAGRAM_LEN]) {
    out[..CID].copy_from_slice(cid);
    random.fill(&mut out[CID..START]);
    let nonce = *out[CID..].first_chunk().expect("12");
    let tag = aead::seal(key, &nonce, cid, &mut out[START..end]);
    out[end..end + aead::TAG_LEN].copy_from_slice(&tag);
}

fn open<'d>(key: &Secret<32>, end: usize, datagram: &'d mut [u8; DATAGRAM_LEN]) -> Option<&'d [u8]> {
    let cid: [u8; 8] = *datagram.first_chunk().expect("8");
    let nonce = *datagram[CID..].first_chunk().expect("12");
    let tag = *datagram[end..].first_chunk().expect("16");
    aead::open(key, &nonce, &cid, &mut datagram[START..end], &tag).then_some(&datagram[START..end])
}
