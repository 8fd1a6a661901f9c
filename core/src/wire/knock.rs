//! What a stranger sends: Hello and Init fragments.
//!
//! ```text
//! nonce(12) ‖ header(96, masked) ‖ mac1(16) ‖ data(1060, masked) ‖ mac2(16)
//! ```
//!
//! `mac1` covers the nonce and the header, and says that the sender knows the fingerprint: turning away whoever does
//! not costs a tenth of a microsecond. `mac2` covers the whole Init fragment under the cookie; in a Hello, data and
//! `mac2` are random.

use crate::crypto::siphash::SipKey;
use crate::crypto::{hash, stream};
use crate::handshake::cookie::{COOKIE_LEN, Cookie};
use crate::handshake::message::{HELLO_LEN, Hello, kind};
use crate::identity::PeerId;
use crate::random::Stream;
use crate::secret::{Secret, declassify};
use crate::transmit::DATAGRAM_LEN;

const HEADER: core::ops::Range<usize> = 12..12 + HELLO_LEN;
const MAC1: core::ops::Range<usize> = HEADER.end..HEADER.end + 16;
const DATA: core::ops::Range<usize> = MAC1.end..DATAGRAM_LEN - 16;

/// Bytes of an Init that a fragment carries.
pub(crate) const CHUNK: usize = DATA.end - DATA.start;

/// Keys that follow from a responder's fingerprint: whoever knows the one knows the others.
pub(crate) struct KnockKeys {
    mac1: SipKey,
    mask: Secret<32>,
    /// Seals Challenges.
    pub(crate) challenge: Secret<32>,
}

impl KnockKeys {
    pub(crate) fn new(responder: PeerId) -> Self {
        let key = |label| hash::prf(responder.as_bytes(), label, &[]);
        Self {
            mac1: SipKey::new(&key(b"B4AE2-mac1-key..")),
            mask: key(b"B4AE2-mask-key.."),
            challenge: key(b"B4AE2-challenge."),
        }
    }
}

/// An Init fragment's header: `type index have(2) cookie(24) hello hash(32) cid(8) puzzle(8) tag(8) len(2)`, zeros to
/// 96.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct InitHeader {
    pub(crate) index: u8,
    /// The Response fragments the initiator has.
    pub(crate) have: u16,
    pub(crate) cookie: Cookie,
    pub(crate) hello_hash: [u8; 32],
    pub(crate) cid: [u8; 8],
    pub(crate) puzzle: u64,
    pub(crate) tag: [u8; 8],
    pub(crate) len: u16,
}

impl InitHeader {
    fn to_bytes(self) -> [u8; HELLO_LEN] {
        let mut bytes = [0; HELLO_LEN];
        bytes[0] = kind::INIT;
        bytes[1] = self.index;
        bytes[2..4].copy_from_slice(&self.have.to_le_bytes());
        bytes[4..4 + COOKIE_LEN].copy_from_slice(&self.cookie.to_bytes());
        bytes[28..60].copy_from_slice(&self.hello_hash);
        bytes[60..68].copy_from_slice(&self.cid);
        bytes[68..76].copy_from_slice(&self.puzzle.to_le_bytes());
        bytes[76..84].copy_from_slice(&self.tag);
        bytes[84..86].copy_from_slice(&self.len.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; HELLO_LEN]) -> Self {
        Self {
            index: bytes[1],
            have: u16::from_le_bytes([bytes[2], bytes[3]]),
            cookie: Cookie::from_bytes(bytes[4..].first_chunk().expect("96 is enough")),
            hello_hash: *bytes[28..].first_chunk().expect("96 is enough"),
            cid: *bytes[60..].first_chunk().expect("96 is enough"),
            puzzle: u64::from_le_bytes(*bytes[68..].first_chunk().expect("96 is enough")),
            tag: *bytes[76..].first_chunk().expect("96 is enough"),
            len: u16::from_le_bytes([bytes[84], bytes[85]]),
        }
    }
}

/// What a knock says, its fingerprint verified.
pub(crate) enum Knock {
    Hello(Hello),
    /// Still to be verified with [`verify_init`].
    Init(InitHeader),
}

/// Verifies `mac1` and reads the header. Touches nothing.
pub(crate) fn read(keys: &KnockKeys, datagram: &[u8; DATAGRAM_LEN]) -> Option<Knock> {
    let mac1 = datagram[MAC1].first_chunk::<16>().expect("16");
    if !keys.mac1.verify(&[&datagram[..HEADER.end]], mac1) {
        return None;
    }
    let mut header = *datagram[HEADER].first_chunk::<HELLO_LEN>().expect("96");
    let nonce = datagram.first_chunk().expect("12");
    stream::mask(keys.mask.expose(), nonce, &mut [&mut header]);
    // Whoever could write the MAC knows what is under the mask.
    declassify(&mut header);
    match header[0] {
        kind::HELLO => Hello::parse(&header).map(Knock::Hello),
        kind::INIT => Some(Knock::Init(InitHeader::from_bytes(&header))),
        _ => None,
    }
}

/// Verifies `mac2` of an Init fragment under the cookie's tag, and unmasks its data.
pub(crate) fn verify_init<'d>(
    keys: &KnockKeys,
    tag: &Secret<32>,
    datagram: &'d mut [u8; DATAGRAM_LEN],
) -> Option<&'d [u8]> {
    let mac2 = datagram[DATA.end..].first_chunk().expect("16");
    if !hash::verify_mac(tag.expose(), b"B4AE2-mac2......", &[&datagram[..DATA.end]], mac2) {
        return None;
    }
    let nonce = *datagram.first_chunk().expect("12");
    let mut skipped = [0; HELLO_LEN];
    stream::mask(keys.mask.expose(), &nonce, &mut [&mut skipped, &mut datagram[DATA]]);
    Some(&datagram[DATA])
}

/// Writes a Hello.
pub(crate) fn write_hello(keys: &KnockKeys, hello: &Hello, random: &mut Stream, out: &mut [u8; DATAGRAM_LEN]) {
    random.fill(out);
    write_header(keys, &hello.bytes, out);
}

/// Writes an Init fragment.
pub(crate) fn write_init(
    keys: &KnockKeys,
    tag: &Secret<32>,
    header: &InitHeader,
    chunk: &[u8],
    random: &mut Stream,
    out: &mut [u8; DATAGRAM_LEN],
) {
    random.fill(&mut out[..HEADER.start]);
    let nonce = *out.first_chunk().expect("12");
    out[DATA].fill(0);
    out[DATA.start..DATA.start + chunk.len()].copy_from_slice(chunk);
    let mut skipped = [0; HELLO_LEN];
    stream::mask(keys.mask.expose(), &nonce, &mut [&mut skipped, &mut out[DATA]]);
    write_header(keys, &header.to_bytes(), out);
    let mac2 = hash::mac(tag.expose(), b"B4AE2-mac2......", &[&out[..DATA.end]]);
    out[DATA.end..].copy_from_slice(&mac2);
}

fn write_header(keys: &KnockKeys, header: &[u8; HELLO_LEN], out: &mut [u8; DATAGRAM_LEN]) {
    let nonce = *out.first_chunk().expect("12");
    out[HEADER].copy_from_slice(header);
    stream::mask(keys.mask.expose(), &nonce, &mut [&mut out[HEADER]]);
    let mac1 = keys.mac1.tag(&[&out[..HEADER.end]]);
    out[MAC1].copy_from_slice(&mac1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::ModePolicy;

    fn keys() -> KnockKeys {
        KnockKeys::new(PeerId::from_bytes([1; 32]))
    }

    fn strangers_keys() -> KnockKeys {
        KnockKeys::new(PeerId::from_bytes([2; 32]))
    }

    fn random() -> Stream {
        Stream::new(Secret::new([3; 32]))
    }

    fn header() -> InitHeader {
        let cookie = Cookie { time: 1, nonce: [2; 10], puzzle_bits: 3, accept: 4, stamp: [10; 8] };
        InitHeader { index: 1, have: 0x0203, cookie, hello_hash: [5; 32], cid: [6; 8], puzzle: 7, tag: [8; 8], len: 9 }
    }

    fn init(tag: &Secret<32>) -> [u8; DATAGRAM_LEN] {
        let mut out = [0; DATAGRAM_LEN];
        write_init(&keys(), tag, &header(), &[0xaa; CHUNK - 1], &mut random(), &mut out);
        out
    }

    #[test]
    fn a_hello_is_read_by_whoever_has_the_fingerprint() {
        let hello = Hello::new(ModePolicy::B_THEN_A, &[4; 32], &[5; 8]);
        let mut out = [0; DATAGRAM_LEN];
        write_hello(&keys(), &hello, &mut random(), &mut out);
        assert!(matches!(read(&keys(), &out), Some(Knock::Hello(read)) if read == hello));
        assert!(read(&strangers_keys(), &out).is_none());
        for bit in 0..MAC1.end * 8 {
            let mut wrong = out;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&keys(), &wrong).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn a_hello_sent_again_is_another_datagram() {
        let hello = Hello::new(ModePolicy::A, &[4; 32], &[5; 8]);
        let (mut random, mut first, mut second) = (random(), [0; DATAGRAM_LEN], [0; DATAGRAM_LEN]);
        write_hello(&keys(), &hello, &mut random, &mut first);
        write_hello(&keys(), &hello, &mut random, &mut second);
        let equal = first.iter().zip(&second).filter(|(a, b)| a == b).count();
        assert!(equal < 30, "{equal} of 1200 bytes");
    }

    #[test]
    fn a_hello_of_another_version_is_not_read() {
        let mut hello = Hello::new(ModePolicy::A, &[4; 32], &[5; 8]);
        hello.bytes[1] ^= 1;
        let mut out = [0; DATAGRAM_LEN];
        write_hello(&keys(), &hello, &mut random(), &mut out);
        assert!(read(&keys(), &out).is_none());
    }

    #[test]
    fn an_init_fragment_is_read_by_whoever_issued_the_cookie() {
        let tag = Secret::new([9; 32]);
        let mut out = init(&tag);
        assert!(matches!(read(&keys(), &out), Some(Knock::Init(read)) if read == header()));
        assert!(read(&strangers_keys(), &out).is_none());
        assert!(verify_init(&keys(), &Secret::new([8; 32]), &mut out).is_none());
        let chunk = verify_init(&keys(), &tag, &mut out).unwrap();
        assert!(chunk[..CHUNK - 1] == [0xaa; CHUNK - 1] && chunk[CHUNK - 1] == 0);
    }

    #[test]
    fn a_flipped_bit_anywhere_in_an_init_fragment_is_refused() {
        let tag = Secret::new([9; 32]);
        let out = init(&tag);
        for bit in 0..DATAGRAM_LEN * 8 {
            let mut wrong = out;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(verify_init(&keys(), &tag, &mut wrong).is_none(), "bit {bit}");
        }
    }
}
