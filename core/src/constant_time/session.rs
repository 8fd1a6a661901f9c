//! An open session: keys, cells, messages; and the ids by which its datagrams are found.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::handshake::FROM;
use super::{Case, classify, declassify, flipped, opened, secret};
use crate::config::Limits;
use crate::engine::routes::{Route, Routes};
use crate::handshake::transcript::Transcript;
use crate::mode::Mode;
use crate::secret::Secret;
use crate::session::chain::{ReceiveChain, SendChain, Unusable, Workspace};
use crate::session::inbox::Inbox;
use crate::session::link::{Link, Side};
use crate::session::queue::SendQueue;
use crate::time::Instant;
use crate::transmit::{DATAGRAM_LEN, Path};
use crate::wire::cell::{self, Control, DATA_LEN, Fragment, TEXT_LEN};

pub(super) const CASES: &[Case] = &[
    Case { name: "chains: keys in order, late, and after a gap", run: chains, planted: false },
    Case { name: "cell: header and tag", run: cell, planted: true },
    Case { name: "session: cover and payload sealed, opened, read, refused", run: session, planted: true },
    Case { name: "message: cut, padded, put together", run: message, planted: true },
    Case { name: "connection ids: probes near those that are there", run: routes, planted: true },
];

fn chains() -> u64 {
    let root = secret(1);
    let (mut send, mut receive, mut work) = (SendChain::empty(), ReceiveChain::empty(64), Workspace::new());
    send.begin(root.expose());
    receive.begin(root.expose());
    let mut next = || {
        send.next(&mut work);
        work.key().duplicate()
    };
    let keys: Vec<Secret<32>> = (0..600).map(|_| next()).collect();
    for counter in [0, 5, 3, 300, 299, 599] {
        assert!(receive.peek(counter, Instant::ORIGIN, &mut work).is_ok(), "a key that is there");
        assert!(opened(work.key().expose()) == opened(keys[counter as usize].expose()), "the sender's key");
        receive.commit(counter, &mut work);
    }
    assert_eq!(receive.peek(3, Instant::ORIGIN, &mut work).err(), Some(Unusable::Replayed), "a key that is gone");
    0
}

/// Where a cell's masked header and its tag stand.
const HEADER: usize = 8;
pub(super) const TAG: usize = DATAGRAM_LEN - 16;

fn cell() -> u64 {
    let (header_key, key) = (secret::<32>(1), secret(2));
    let mut datagram = [0; DATAGRAM_LEN];
    classify(cell::text_mut(&mut datagram));
    cell::seal(&[2; 8], 77, header_key.expose(), &key, &mut datagram);
    declassify(&mut datagram);
    // Each bit of the counter and of the check.
    for bit in 0..64 {
        let mut edited = datagram;
        edited[HEADER + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(cell::counter(header_key.expose(), &edited), None, "an edited header");
    }
    assert_eq!(cell::counter(header_key.expose(), &datagram), Some(77), "its own counter");
    for at in [16, TAG, TAG + 7, TAG + 15] {
        assert!(cell::open(77, &key, &mut flipped(datagram, at)).is_none(), "an edited cell");
    }
    assert!(cell::open(77, &key, &mut datagram).is_some(), "a cell");
    5
}

fn links() -> [Box<Link>; 2] {
    let mut transcript = Transcript::new(&[b"known"]);
    transcript.mix_key(&secret(1));
    [Side::Initiator, Side::Responder].map(|side| {
        let secrets = transcript.duplicate().finish(Mode::A);
        Link::new(&secrets, side, Path::new(FROM, None), &Limits::default(), Instant::ORIGIN)
    })
}

fn session() -> u64 {
    let ([mut sender, mut receiver], mut work) = (links(), Workspace::new());
    let fragment = Fragment { message: 0, unordered: false, index: 0, count: 1, len: 5 };
    let mut data = *b"hello";
    classify(&mut data);
    let mut inbox = Inbox::new(8 * DATA_LEN, DATA_LEN);
    for fragment in [None, Some(fragment), None] {
        let mut datagram = [0; DATAGRAM_LEN];
        let control = Control { path_challenge: Some([3; 8]), ..Control::default() };
        cell::write(cell::text_mut(&mut datagram), &control, fragment.as_ref(), fragment.map_or(&[], |_| &data));
        sender.seal(&mut work, &mut datagram);
        declassify(&mut datagram);
        for at in [HEADER, HEADER + 6, TAG] {
            assert!(receiver.open(Instant::ORIGIN, &mut work, &mut flipped(datagram, at)).is_err(), "an edited cell");
        }
        let mut opened = datagram;
        let Ok((_, text)) = receiver.open(Instant::ORIGIN, &mut work, &mut opened) else { panic!("a cell") };
        let mut text: [u8; TEXT_LEN] = *text;
        assert!(receiver.open(Instant::ORIGIN, &mut work, &mut { datagram }).is_err(), "a cell a second time");
        // What the peer acknowledges and which part of which message it sends decides what the receiver does, and
        // nothing is sent because of it; a message's bytes decide nothing.
        declassify(&mut text[..TEXT_LEN - DATA_LEN]);
        let Some((control, got)) = cell::read(&text) else { panic!("a text") };
        assert_eq!(control.path_challenge, Some([3; 8]), "as written");
        assert_eq!(got.map(|(fragment, _)| fragment), fragment, "as written");
        if let Some((fragment, data)) = got {
            assert_eq!(inbox.insert(&fragment, data), Ok(true), "a message");
        }
    }
    assert_eq!(inbox.take(&mut [0; DATA_LEN]), Some(5), "its length");
    3
}

fn message() -> u64 {
    let now = Instant::ORIGIN;
    // Three cells by their length, padded to four.
    let mut bytes = [7; 2 * DATA_LEN + 5];
    classify(&mut bytes);
    let (mut queue, mut inbox) = (SendQueue::default(), Inbox::new(8 * DATA_LEN, 4 * DATA_LEN));
    queue.credit(1, 8);
    queue.push(&bytes, 4, false, now);
    let mut whole = false;
    for counter in 0..4 {
        let mut text = [0; TEXT_LEN];
        let Some((fragment, data)) = queue.next(counter, now, true) else { panic!("a fragment") };
        cell::write(&mut text, &Control::default(), Some(&fragment), data);
        // The padding too: a hostile peer writes what it likes there.
        classify(&mut text[TEXT_LEN - DATA_LEN..]);
        let Some((_, Some((fragment, data)))) = cell::read(&text) else { panic!("a text") };
        whole = inbox.insert(&fragment, data) == Ok(true);
    }
    let mut out = [0; 4 * DATA_LEN];
    assert!(whole && inbox.take(&mut out) == Some(bytes.len()), "the message");
    declassify(&mut out);
    declassify(&mut bytes);
    assert_eq!(out[..bytes.len()], bytes, "as sent");
    0
}

fn routes() -> u64 {
    let mut routes = Routes::new(&secret(1));
    let ids: [[u8; 8]; 100] =
        core::array::from_fn(|n| (n as u64 + 1).wrapping_mul(0x0123_4567_89ab_cdef).to_be_bytes());
    for (slot, mut cid) in (0..).zip(ids) {
        // Not secret from who is on the path, but from everyone else.
        classify(&mut cid);
        routes.insert(cid, Route::Session(slot));
    }
    for cid in ids {
        for at in 0..8 {
            assert_eq!(routes.get(&flipped(cid, at)), None, "an id that is not there");
        }
    }
    0
}
