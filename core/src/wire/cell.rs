//! The cell: what an open session sends, payload and cover alike.
//!
//! ```text
//! cid(8) ‖ masked header(8) ‖ ciphertext(1168) ‖ tag(16)
//! header    = counter(6) ‖ check(2), little-endian
//! plaintext = control(128) ‖ frame header(16) ‖ data(1024)
//! ```
//!
//! The header is masked by one ChaCha20 block under the direction's header key, with the tag as sample. `check` is a
//! one-time universal hash of the counter under keys from the same block: a forged or flipped header is refused
//! before any key is derived, but for one in 2^16.

use crate::crypto::{aead, stream};
use crate::secret::{Secret, declassify, same};
use crate::transmit::DATAGRAM_LEN;

/// Bytes of a message that a cell carries.
pub(crate) const DATA_LEN: usize = 1024;
const CONTROL_LEN: usize = 128;
const FRAME_LEN: usize = 16;
/// Length of a cell's plaintext.
pub(crate) const TEXT_LEN: usize = CONTROL_LEN + FRAME_LEN + DATA_LEN;
/// Counters are 46 bits; a session ends before they run out.
pub(crate) const COUNTER_END: u64 = 1 << 46;

const HEADER: usize = 8;
const TEXT: core::ops::Range<usize> = 16..16 + TEXT_LEN;

const _: () = assert!(TEXT.end + aead::TAG_LEN == DATAGRAM_LEN);

/// One block of keystream: the first eight bytes mask the header, the rest keys its check.
struct HeaderKeys([u8; 32]);

impl HeaderKeys {
    fn new(key: &[u8; 32], tag: &[u8; aead::TAG_LEN]) -> Self {
        let mut block = [0; 32];
        stream::keystream(key, tag.first_chunk().expect("12 of 16"), &mut block);
        Self(block)
    }

    /// Multiply-add-shift (Dietzfelbinger 1996) over the 46-bit counter with a 64-bit multiplier and 96-bit addend:
    /// two counters agree with probability 2^-16.
    fn check(&self, counter: u64) -> [u8; 2] {
        let a = u64::from_le_bytes(*self.0[8..].first_chunk().expect("8 of 32"));
        let b = u128::from_le_bytes(*self.0[16..].first_chunk().expect("16 of 32"));
        let sum = (u128::from(a) * u128::from(counter)).wrapping_add(b >> 64);
        // The product is below 2^112; bits 48 to 63 depend on every bit of the counter.
        ((sum >> 48) as u16).to_le_bytes()
    }

    fn apply(&self, header: &mut [u8; HEADER]) {
        header.iter_mut().zip(&self.0).for_each(|(byte, mask)| *byte ^= mask);
    }

    fn header(&self, counter: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..6].copy_from_slice(&counter.to_le_bytes()[..6]);
        header[6..].copy_from_slice(&self.check(counter));
        header
    }
}

/// Seals the text that stands in `out` as cell `counter` under a key used for nothing else.
pub(crate) fn seal(cid: &[u8; 8], counter: u64, header_key: &[u8; 32], key: &Secret<32>, out: &mut [u8; DATAGRAM_LEN]) {
    out[..8].copy_from_slice(cid);
    out[8..14].copy_from_slice(&counter.to_le_bytes()[..6]);
    out[14..16].fill(0);
    let (clear, rest) = out.split_at_mut(TEXT.start);
    let (text, _) = rest.split_at_mut(TEXT_LEN);
    let tag = aead::seal(key, &aead::nonce(0), clear, text);
    out[TEXT.end..].copy_from_slice(&tag);
    let keys = HeaderKeys::new(header_key, &tag);
    let mut header = keys.header(counter);
    keys.apply(&mut header);
    out[8..16].copy_from_slice(&header);
}

/// The counter a datagram claims, if its header is sound. Proves nothing yet.
pub(crate) fn counter(header_key: &[u8; 32], datagram: &[u8; DATAGRAM_LEN]) -> Option<u64> {
    let keys = HeaderKeys::new(header_key, datagram.last_chunk().expect("16 of 1200"));
    let mut header = *datagram[8..].first_chunk::<HEADER>().expect("8 of 1200");
    keys.apply(&mut header);
    let mut counter = [0; 8];
    counter[..6].copy_from_slice(&header[..6]);
    if !same(&keys.header(u64::from_le_bytes(counter)), &header) {
        return None;
    }
    // How far ahead it is shows in how many steps lead to its key.
    declassify(&mut counter);
    Some(u64::from_le_bytes(counter)).filter(|&counter| counter < COUNTER_END)
}

/// Opens cell `counter` in place and returns its text; leaves the datagram alone if it is not authentic.
pub(crate) fn open<'d>(
    counter: u64,
    key: &Secret<32>,
    datagram: &'d mut [u8; DATAGRAM_LEN],
) -> Option<&'d [u8; TEXT_LEN]> {
    let mut clear = [0; 16];
    clear[..8].copy_from_slice(&datagram[..8]);
    clear[8..14].copy_from_slice(&counter.to_le_bytes()[..6]);
    let tag = *datagram.last_chunk().expect("16 of 1200");
    let text = &mut datagram[TEXT];
    aead::open(key, &aead::nonce(0), &clear, text, &tag).then(|| &*text.first_chunk_mut().expect("all of it"))
}

/// Where a cell's text is written before it is sealed.
pub(crate) fn text_mut(out: &mut [u8; DATAGRAM_LEN]) -> &mut [u8; TEXT_LEN] {
    out[TEXT].first_chunk_mut().expect("all of it")
}

/// How many cells back an acknowledgement reaches.
pub(crate) const ACK_SPAN: u64 = 256;

/// The control part of a cell: in every cell, payload or cover.
///
/// `ack largest(6) flags(1) 0 map(32) message limit(6) cell limit(6) path challenge(8) path response(8)
/// heard largest(6) heard cells(6)`, zeros to 128.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Control {
    pub(crate) heard: Heard,
    /// Of cells with message data, once there is one.
    pub(crate) ack: Option<Ack>,
    /// The sender has closed the session: everything it had to say has been confirmed, or given up.
    pub(crate) close: bool,
    /// Messages with this number or above may not be begun yet.
    pub(crate) message_limit: u64,
    /// Cells of messages that may be begun, counted from the start of the session.
    pub(crate) cell_limit: u64,
    pub(crate) path_challenge: Option<[u8; 8]>,
    pub(crate) path_response: Option<[u8; 8]>,
}

/// What has arrived, payload and cover alike: the largest counter, and how many cells.
///
/// Apart from [`Ack`], which reaches back [`ACK_SPAN`] cells from the last with data: were it to reach back from the
/// last cell of any kind, a sender much faster than its peer would pass its span in cover alone between two of the
/// peer's cells, and its data would never be acknowledged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Heard {
    pub(crate) largest: u64,
    pub(crate) cells: u64,
}

impl Heard {
    /// Notes an authentic cell. Returns whether it is the largest so far.
    pub(crate) fn note(&mut self, counter: u64) -> bool {
        let newest = self.cells == 0 || counter > self.largest;
        self.largest = self.largest.max(counter);
        self.cells += 1;
        newest
    }
}

/// Which cells with data have been taken in: `largest`, and a bit for each of the [`ACK_SPAN`] up to it, itself in bit
/// 0.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Ack {
    pub(crate) largest: u64,
    pub(crate) map: [u64; 4],
}

impl Ack {
    /// Whether `counter` is acknowledged.
    pub(crate) fn contains(&self, counter: u64) -> bool {
        self.largest
            .checked_sub(counter)
            .is_some_and(|back| back < ACK_SPAN && self.map[(back / 64) as usize] >> (back % 64) & 1 == 1)
    }

    /// Whether this is too far behind for the map to tell.
    pub(crate) fn is_past(&self, counter: u64) -> bool {
        self.largest.checked_sub(counter).is_some_and(|back| back >= ACK_SPAN)
    }
}

const ACK: u8 = 1;
const CLOSE: u8 = 2;
const CHALLENGE: u8 = 4;
const RESPONSE: u8 = 8;

fn put48(out: &mut [u8], value: u64) {
    out[..6].copy_from_slice(&value.to_le_bytes()[..6]);
}

fn get48(bytes: &[u8]) -> u64 {
    let mut value = [0; 8];
    value[..6].copy_from_slice(&bytes[..6]);
    u64::from_le_bytes(value)
}

/// Part of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Fragment {
    pub(crate) message: u64,
    /// The message may be handed out before earlier ones.
    pub(crate) unordered: bool,
    pub(crate) index: u16,
    /// Fragments of the message, padding included.
    pub(crate) count: u16,
    /// Length of the message, padding excluded.
    pub(crate) len: u32,
}

/// A fragment and the data area it stands in.
pub(crate) type Data<'t> = (Fragment, &'t [u8; DATA_LEN]);

const PAD: u8 = 0;
const DATA: u8 = 1;

/// Writes a cell's text: the same work whether or not there is a fragment.
pub(crate) fn write(text: &mut [u8; TEXT_LEN], control: &Control, fragment: Option<&Fragment>, data: &[u8]) {
    text.fill(0);
    let ack = control.ack.unwrap_or_default();
    put48(&mut text[0..], ack.largest);
    let bit = |on: bool, bit: u8| if on { bit } else { 0 };
    text[6] = bit(control.ack.is_some(), ACK)
        | bit(control.close, CLOSE)
        | bit(control.path_challenge.is_some(), CHALLENGE)
        | bit(control.path_response.is_some(), RESPONSE);
    for (out, word) in text[8..40].chunks_exact_mut(8).zip(ack.map) {
        out.copy_from_slice(&word.to_le_bytes());
    }
    put48(&mut text[40..], control.message_limit);
    put48(&mut text[46..], control.cell_limit);
    text[52..60].copy_from_slice(&control.path_challenge.unwrap_or_default());
    text[60..68].copy_from_slice(&control.path_response.unwrap_or_default());
    put48(&mut text[68..], control.heard.largest);
    put48(&mut text[74..], control.heard.cells);

    let frame = &mut text[CONTROL_LEN..];
    if let Some(fragment) = fragment {
        frame[0] = DATA;
        frame[1] = u8::from(fragment.unordered);
        frame[2..4].copy_from_slice(&fragment.index.to_le_bytes());
        frame[4..6].copy_from_slice(&fragment.count.to_le_bytes());
        frame[6..10].copy_from_slice(&fragment.len.to_le_bytes());
        put48(&mut frame[10..], fragment.message);
        frame[FRAME_LEN..FRAME_LEN + data.len()].copy_from_slice(data);
    } else {
        frame[0] = PAD;
    }
}

/// Reads a cell's text. `None` if no honest peer writes such a thing.
pub(crate) fn read(text: &[u8; TEXT_LEN]) -> Option<(Control, Option<Data<'_>>)> {
    let flags = text[6];
    let has = |bit| flags & bit != 0;
    let mut ack = Ack { largest: get48(&text[0..]), map: [0; 4] };
    for (word, bytes) in ack.map.iter_mut().zip(text[8..40].chunks_exact(8)) {
        *word = u64::from_le_bytes(*bytes.first_chunk().expect("8"));
    }
    let control = Control {
        heard: Heard { largest: get48(&text[68..]), cells: get48(&text[74..]) },
        ack: has(ACK).then_some(ack),
        close: has(CLOSE),
        message_limit: get48(&text[40..]),
        cell_limit: get48(&text[46..]),
        path_challenge: has(CHALLENGE).then(|| *text[52..].first_chunk().expect("8")),
        path_response: has(RESPONSE).then(|| *text[60..].first_chunk().expect("8")),
    };
    let frame = &text[CONTROL_LEN..];
    let fragment = Fragment {
        message: get48(&frame[10..]),
        unordered: frame[1] == 1,
        index: u16::from_le_bytes([frame[2], frame[3]]),
        count: u16::from_le_bytes([frame[4], frame[5]]),
        len: u32::from_le_bytes(*frame[6..].first_chunk().expect("4")),
    };
    match frame[0] {
        PAD => Some((control, None)),
        DATA if fragment.index < fragment.count => {
            Some((control, Some((fragment, frame[FRAME_LEN..].first_chunk().expect("1024")))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    const CID: [u8; 8] = *b"a cell's";

    fn keys() -> (Secret<32>, Secret<32>) {
        (Secret::new([1; 32]), Secret::new([2; 32]))
    }

    fn control() -> Control {
        Control {
            ack: Some(Ack { largest: (1 << 46) - 1, map: [1, 2, u64::MAX, 1 << 63] }),
            heard: Heard { largest: (1 << 46) - 1, cells: 1 << 40 },
            close: true,
            message_limit: (1 << 48) - 1,
            cell_limit: 77,
            path_challenge: Some([3; 8]),
            path_response: Some([4; 8]),
        }
    }

    fn sealed(counter: u64) -> [u8; DATAGRAM_LEN] {
        let (header, key) = keys();
        let mut out = [0; DATAGRAM_LEN];
        let fragment = Fragment { message: 5, unordered: true, index: 1, count: 2, len: 1030 };
        write(text_mut(&mut out), &control(), Some(&fragment), b"letter");
        seal(&CID, counter, header.expose(), &key, &mut out);
        out
    }

    #[test]
    fn what_is_written_is_read() {
        let fragment =
            Fragment { message: (1 << 48) - 1, unordered: false, index: 65_534, count: 65_535, len: u32::MAX };
        let mut text = [0xff; TEXT_LEN];
        for control in [control(), Control::default(), Control { close: true, ..Control::default() }] {
            for fragment in [Some(fragment), Some(Fragment { unordered: true, ..fragment }), None] {
                write(&mut text, &control, fragment.as_ref(), if fragment.is_some() { &[6; 9] } else { &[] });
                let (read_control, read_data) = read(&text).unwrap();
                assert_eq!(read_control, control);
                assert_eq!(read_data.map(|(fragment, _)| fragment), fragment);
                if let Some((_, data)) = read_data {
                    assert!(data[..9] == [6; 9] && data[9..].iter().all(|&byte| byte == 0));
                }
            }
        }
    }

    #[test]
    fn an_unknown_frame_and_an_index_out_of_range_are_refused() {
        let fragment = Fragment { message: 0, unordered: false, index: 2, count: 2, len: 0 };
        let mut text = [0; TEXT_LEN];
        write(&mut text, &Control::default(), Some(&fragment), &[]);
        assert!(read(&text).is_none());
        write(&mut text, &Control::default(), None, &[]);
        text[CONTROL_LEN] = 2;
        assert!(read(&text).is_none());
    }

    #[test]
    fn a_cell_opens_under_its_own_counter_and_keys() {
        let (header, key) = keys();
        for at in [0, 1, 255, 1 << 32, COUNTER_END - 1] {
            let mut datagram = sealed(at);
            assert_eq!(counter(header.expose(), &datagram), Some(at));
            assert!(open(at ^ 1, &key, &mut datagram).is_none());
            assert!(open(at, &header, &mut datagram).is_none());
            assert_eq!(read(open(at, &key, &mut datagram).unwrap()).unwrap().0, control());
        }
    }

    /// The header's check alone refuses all but one in 2^16, and the tag the rest.
    #[test]
    fn a_flipped_bit_anywhere_is_refused() {
        let (header, key) = keys();
        let whole = sealed(1000);
        for bit in 0..DATAGRAM_LEN * 8 {
            let mut datagram = whole;
            datagram[bit / 8] ^= 1 << (bit % 8);
            let claimed = counter(header.expose(), &datagram);
            if (64..128).contains(&bit) || bit >= (DATAGRAM_LEN - aead::TAG_LEN + 12) * 8 {
                assert_eq!(claimed, (bit >= 128).then_some(1000), "bit {bit}");
            }
            if let Some(claimed) = claimed {
                assert!(open(claimed, &key, &mut datagram).is_none(), "bit {bit}");
            }
        }
    }

    #[test]
    fn one_header_in_65536_is_sound_by_chance() {
        let (header, _) = keys();
        let mut random = Stream::new(Secret::new([5; 32]));
        let mut datagram = [0; DATAGRAM_LEN];
        let sound = (0..1 << 20).filter(|_| {
            // The counter's two upper bits must be zero besides: one in 2^18.
            random.fill(&mut datagram[8..16]);
            random.fill(&mut datagram[DATAGRAM_LEN - aead::TAG_LEN..]);
            counter(header.expose(), &datagram).is_some()
        });
        assert!((0..=16).contains(&sound.count()));
    }

    #[test]
    fn an_acknowledgement_reaches_its_span_back() {
        let ack = Ack { largest: 1000, map: [u64::MAX; 4] };
        assert!(ack.contains(1000) && ack.contains(1001 - ACK_SPAN) && !ack.contains(1000 - ACK_SPAN));
        assert!(!ack.contains(1001) && !ack.is_past(1001 - ACK_SPAN) && ack.is_past(1000 - ACK_SPAN));
    }
}
