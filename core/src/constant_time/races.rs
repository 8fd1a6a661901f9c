//! Two classes of input each, whose instructions are counted, or whose time is taken.

use alloc::boxed::Box;
use core::hint::black_box;

use super::handshake::{COOKIE, FROM, HELLO_HASH, MAC1, MAC2, NOW, fragment_of, hello_of, init_of, keys_of};
use super::session::TAG;
use super::{Measure, Race, Rule, Runner, flipped};
use crate::crypto::aead::TAG_LEN;
use crate::crypto::{ml_kem, x25519};
use crate::engine::routes::{Route, Routes};
use crate::handshake::cookie::{Cookie, CookieJar};
use crate::random::Stream;
use crate::secret::Secret;
use crate::session::inbox::Inbox;
use crate::transmit::DATAGRAM_LEN;
use crate::wire::cell::{self, Control, DATA_LEN, Fragment, TEXT_LEN};
use crate::wire::{knock, sealed};

pub(super) const RACES: &[Race] = &[
    Race { name: "Secret ==: first byte or last", rule: Rule::Equal, build: equality, planted: true },
    Race { name: "Hello refused: first byte of mac1 or last", rule: Rule::Equal, build: mac1, planted: true },
    Race { name: "cookie refused: first byte of its stamp or last", rule: Rule::Equal, build: stamp, planted: true },
    Race { name: "Init fragment refused: first byte of mac2 or last", rule: Rule::Equal, build: mac2, planted: true },
    Race {
        name: "handshake fragment refused: first byte of its tag or last",
        rule: Rule::Equal,
        build: fragment,
        planted: true,
    },
    Race { name: "cell refused: first byte of its tag or last", rule: Rule::Equal, build: tag, planted: true },
    Race {
        name: "cell refused: last byte of its counter or of the check",
        rule: Rule::Equal,
        build: header,
        planted: true,
    },
    Race { name: "X25519: a scalar of few bits or of many", rule: Rule::Equal, build: scalar, planted: false },
    Race {
        name: "ML-KEM-1024: a right ciphertext or a wrong one",
        rule: Rule::Equal,
        build: ciphertext,
        planted: false,
    },
    Race {
        name: "unknown connection id: below those that are there or above",
        rule: Rule::Alike,
        build: below,
        planted: true,
    },
    Race {
        name: "unknown connection id: five bytes of one that is there or none",
        rule: Rule::Alike,
        build: near,
        planted: false,
    },
    Race { name: "cell written: cover or payload", rule: Rule::Told, build: written, planted: false },
    Race { name: "message of one byte put together or of 1024", rule: Rule::Told, build: taken, planted: false },
];

/// Bytes that differ from round to round.
fn bytes<const N: usize>(round: u64) -> [u8; N] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&round.to_le_bytes());
    Stream::new(Secret::new(key)).bytes()
}

fn pick<T>(second: bool, first: T, other: T) -> T {
    if second { other } else { first }
}

fn equality() -> Runner {
    let (mut a, mut b) = (Secret::<32>::zero(), Secret::<32>::zero());
    Box::new(move |second, round, measure| {
        *a.as_mut() = bytes(round);
        *b.as_mut() = flipped(*a.expose(), pick(second, 0, 31));
        measure(&mut || {
            black_box(black_box(&a) == black_box(&b));
        });
    })
}

/// A race of datagrams that are edited in one of two places and then refused by `refuse`.
fn refused(
    make: impl Fn(u64) -> [u8; DATAGRAM_LEN] + 'static,
    places: [usize; 2],
    refuse: impl Fn(&mut [u8; DATAGRAM_LEN]) -> bool + 'static,
) -> Runner {
    let mut datagram = Box::new([0; DATAGRAM_LEN]);
    Box::new(move |second, round, measure: &mut Measure<'_>| {
        *datagram = flipped(make(round), pick(second, places[0], places[1]));
        measure(&mut || {
            assert!(refuse(black_box(&mut datagram)), "it is not authentic");
        });
    })
}

fn mac1() -> Runner {
    let (keys, own) = (keys_of([1; 32]), keys_of([1; 32]));
    let make = move |round| hello_of(&keys, round);
    refused(make, [MAC1, MAC1 + 15], move |datagram| knock::read(&own, datagram).is_none())
}

fn stamp() -> Runner {
    let mut jar = CookieJar::new(Secret::new([2; 32]));
    Box::new(move |second, round, measure| {
        let (mut edited, _) = jar.issue(Cookie { nonce: bytes(round), ..COOKIE }, FROM, &HELLO_HASH);
        edited.stamp = flipped(edited.stamp, pick(second, 0, 7));
        measure(&mut || {
            assert!(jar.check(black_box(&edited), FROM, &HELLO_HASH, NOW).is_none(), "it is not ours");
        });
    })
}

fn mac2() -> Runner {
    let (keys, own) = (keys_of([1; 32]), keys_of([1; 32]));
    let (cookie, tag) = CookieJar::new(Secret::new([2; 32])).issue(COOKIE, FROM, &HELLO_HASH);
    let own_tag = tag.duplicate();
    let make = move |round| init_of(&keys, cookie, &tag, round);
    refused(make, [MAC2, MAC2 + 15], move |datagram| knock::verify_init(&own, &own_tag, datagram).is_none())
}

fn fragment() -> Runner {
    let (key, own) = (Secret::new([1; 32]), Secret::new([1; 32]));
    let make = move |round| fragment_of(&key, &[6; 100], round);
    refused(make, [TAG, TAG + 15], move |datagram| sealed::read_fragment(&own, datagram).is_none())
}

fn cell_of(round: u64) -> [u8; DATAGRAM_LEN] {
    let mut datagram = [0; DATAGRAM_LEN];
    *cell::text_mut(&mut datagram) = bytes(round);
    cell::seal(&[2; 8], round, &[1; 32], &Secret::new([2; 32]), &mut datagram);
    datagram
}

/// The header's mask follows from the tag: whoever edits the tag and gets past the header has guessed the check as
/// well.
fn tag() -> Runner {
    let key = Secret::new([2; 32]);
    refused(|_| cell_of(7), [TAG, TAG + TAG_LEN - 1], move |datagram| cell::open(7, &key, datagram).is_none())
}

fn header() -> Runner {
    refused(cell_of, [13, 15], move |datagram| {
        // By chance, one in 2^16 is sound.
        black_box(cell::counter(&[1; 32], datagram));
        true
    })
}

fn scalar() -> Runner {
    let point = x25519::public_key(&Secret::new([3; 32]));
    let mut scalar = Secret::<32>::zero();
    Box::new(move |second, round, measure| {
        *scalar.as_mut() = [pick(second, 0, 0xff); 32];
        scalar.as_mut()[..8].copy_from_slice(&round.to_le_bytes());
        measure(&mut || {
            black_box(x25519::shared_secret(black_box(&scalar), &point));
        });
    })
}

fn ciphertext() -> Runner {
    let (key, ek) = ml_kem::key_pair(&Secret::new([1; 64]));
    Box::new(move |second, round, measure| {
        let Some((right, _)) = ml_kem::encapsulate(&ek, &Secret::new(bytes(round))) else { return };
        let ct = pick(second, *right, flipped(*right, (round % ml_kem::CT_LEN as u64) as usize));
        measure(&mut || {
            black_box(ml_kem::decapsulate(&key, black_box(&ct)));
        });
    })
}

/// The ids that are there: a thousand, none of which begins with a byte at either end.
fn ids() -> impl Iterator<Item = [u8; 8]> {
    (0..1000).map(|n| {
        let mut cid = bytes(n);
        cid[0] = 0x40 | cid[0] & 0x3f;
        cid
    })
}

/// A race of two ids a round, which are not there.
fn probes(probe: impl Fn(bool, u64) -> [u8; 8] + 'static) -> Runner {
    let mut routes = Routes::new(&Secret::new([5; 32]));
    for (slot, cid) in (0..).zip(ids()) {
        routes.insert(cid, Route::Session(slot));
    }
    Box::new(move |second, round, measure| {
        let cid = probe(second, round);
        measure(&mut || {
            assert!(routes.get(black_box(&cid)).is_none(), "it is not there");
        });
    })
}

fn below() -> Runner {
    probes(|second, round| {
        let mut cid = bytes(round + 2000);
        cid[0] = pick(second, 0, 0xff);
        cid
    })
}

fn near() -> Runner {
    probes(|second, round| {
        let (there, mut cid) = (bytes::<8>(round % 1000), bytes::<8>(round + 2000));
        let known = pick(second, 5, 0);
        cid[..known].copy_from_slice(&there[..known]);
        cid[0] = 0x40 | cid[0] & 0x3f;
        cid
    })
}

fn written() -> Runner {
    let mut text = Box::new([0; TEXT_LEN]);
    Box::new(move |second, round, measure| {
        let data: [u8; DATA_LEN] = bytes(round);
        let fragment = Fragment { message: 0, unordered: false, index: 0, count: 1, len: DATA_LEN as u32 };
        let fragment = pick(second, None, Some(fragment));
        let data = pick::<&[u8]>(second, &[], &data);
        measure(&mut || cell::write(black_box(&mut text), &Control::default(), fragment.as_ref(), data));
    })
}

fn taken() -> Runner {
    Box::new(move |second, round, measure| {
        let mut data: [u8; DATA_LEN] = bytes(round);
        let len = pick(second, 1, DATA_LEN);
        data[len..].fill(0);
        let fragment = Fragment { message: 0, unordered: false, index: 0, count: 1, len: len as u32 };
        let (mut inbox, mut out) = (Inbox::new(8 * DATA_LEN, DATA_LEN), [0; DATA_LEN]);
        measure(&mut || {
            assert!(inbox.insert(black_box(&fragment), &data) == Ok(true), "a message");
            assert!(inbox.take(&mut out).is_some(), "a message");
        });
    })
}
