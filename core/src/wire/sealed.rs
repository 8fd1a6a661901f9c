//! What follows a Hello within a handshake: Challenge, Response and Finish fragments, Status.
//!
//! ```text
//! cid(8) ‖ nonce(12) ‖ sealed ‖ tag(16)
//! ```
//!
//! The connection id is the receiver's. A Challenge seals 96 bytes and fills the rest at random, since whoever knows
//! the fingerprint can ask for any number of them; the others seal all.

use crate::crypto::{aead, hash};
use crate::handshake::cookie::{COOKIE_LEN, Cookie};
use crate::handshake::message::kind;
use crate::random::Stream;
use crate::secret::{Secret, declassify};
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
    let (cookie, rest) = body[1..].split_at_mut(COOKIE_LEN);
    cookie.copy_from_slice(&challenge.cookie.to_bytes());
    rest[..32].copy_from_slice(challenge.tag.expose());
    seal(key, cid, CHALLENGE_END, random, out);
}

/// Opens a Challenge in place.
pub(crate) fn read_challenge(key: &Secret<32>, datagram: &mut [u8; DATAGRAM_LEN]) -> Option<Challenge> {
    let body = open(key, CHALLENGE_END, datagram)?;
    let mut kind = [body[0]];
    // Authentic: no secret from the one who asked for it.
    declassify(&mut kind);
    if kind != [kind::CHALLENGE] {
        return None;
    }
    let (cookie, rest) = body[1..].split_first_chunk().expect("96 is enough");
    let tag = Secret::copy_of(rest.first_chunk().expect("96 is enough"));
    Some(Challenge { cookie: Cookie::from_bytes(cookie), tag })
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

#[cfg(test)]
mod tests {
    use super::*;

    const CID: [u8; 8] = [1; 8];

    fn random() -> Stream {
        Stream::new(Secret::new([2; 32]))
    }

    #[test]
    fn a_fragment_is_read_with_its_key_and_no_flipped_bit() {
        let (key, other) = (Secret::new([3; 32]), Secret::new([4; 32]));
        let header =
            FragmentHeader { kind: kind::FINISH, index: 6, have: 0x0708, poll: true, len: 0x090a, tag: [11; 8] };
        let mut out = [0; DATAGRAM_LEN];
        write_fragment(&key, &CID, &header, &[0xaa; CHUNK - 1], &mut random(), &mut out);
        assert_eq!(out[..8], CID);
        assert!(read_fragment(&other, &mut out).is_none());
        for bit in 0..DATAGRAM_LEN * 8 {
            let mut wrong = out;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(read_fragment(&key, &mut wrong).is_none(), "bit {bit}");
        }
        let (read, chunk) = read_fragment(&key, &mut out).unwrap();
        assert!(read == header && chunk[..CHUNK - 1] == [0xaa; CHUNK - 1] && chunk[CHUNK - 1] == 0);
    }

    #[test]
    fn a_challenge_is_read_by_whoever_said_the_hello() {
        let fingerprint_key = Secret::new([5; 32]);
        let key = challenge_key(&fingerprint_key, &[6; 32]);
        let cookie = Cookie { time: 7, nonce: [8; 10], puzzle_bits: 9, accept: 10, stamp: [13; 8] };
        let challenge = Challenge { cookie, tag: Secret::new([11; 32]) };
        let mut out = [0; DATAGRAM_LEN];
        write_challenge(&key, &CID, &challenge, &mut random(), &mut out);
        assert!(read_challenge(&challenge_key(&fingerprint_key, &[7; 32]), &mut out).is_none());
        assert!(read_challenge(&challenge_key(&Secret::new([6; 32]), &[6; 32]), &mut out).is_none());
        for bit in 0..(CHALLENGE_END + aead::TAG_LEN) * 8 {
            let mut wrong = out;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(read_challenge(&key, &mut wrong).is_none(), "bit {bit}");
        }
        let read = read_challenge(&key, &mut out).unwrap();
        assert!(read.cookie == cookie && read.tag == challenge.tag);
    }

    #[test]
    fn another_kind_of_message_is_not_a_challenge() {
        let key = Secret::new([12; 32]);
        let mut out = [0; DATAGRAM_LEN];
        out[START] = kind::STATUS;
        seal(&key, &CID, CHALLENGE_END, &mut random(), &mut out);
        assert!(read_challenge(&key, &mut out).is_none());
    }
}
