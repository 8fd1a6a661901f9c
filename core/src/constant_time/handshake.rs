//! What strangers say, and the handshake that follows: keys that nobody else has, and those of whoever has a
//! fingerprint, which a stranger has not.

use core::net::{Ipv4Addr, SocketAddr};

use super::{Case, classify, declassify, flipped, opened, secret};
use crate::crypto::aead::TAG_LEN;
use crate::handshake::cookie::{Cookie, CookieJar};
use crate::handshake::message::{Hello, kind};
use crate::handshake::transcript::Transcript;
use crate::identity::PeerId;
use crate::mode::{Mode, ModePolicy};
use crate::random::Stream;
use crate::secret::Secret;
use crate::time::Instant;
use crate::transmit::DATAGRAM_LEN;
use crate::wire::knock::{self, InitHeader, Knock, KnockKeys};
use crate::wire::sealed::{self, Challenge, FragmentHeader};

pub(super) const CASES: &[Case] = &[
    Case { name: "Hello: mask, mac1 and its verification", run: hello, planted: true },
    Case { name: "cookie: stamp, tag, mac2 and their verification", run: cookie, planted: true },
    Case { name: "Challenge: seal and open", run: challenge, planted: true },
    Case { name: "handshake fragment: seal and open", run: fragment, planted: true },
    Case { name: "transcript: keys, sealed fields, session keys", run: transcript, planted: true },
];

pub(super) const FROM: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7000);
pub(super) const COOKIE: Cookie = Cookie { time: 1, nonce: [3; 10], puzzle_bits: 0, accept: 1, stamp: [0; 8] };

pub(super) const HELLO_HASH: [u8; 32] = [4; 32];
/// The cookie's own second.
pub(super) const NOW: Instant = Instant::from_nanos(1_500_000_000);

/// What a datagram is filled with, another for each round.
fn public_stream(round: u64) -> Stream {
    let mut key = [9; 32];
    key[..8].copy_from_slice(&round.to_le_bytes());
    Stream::new(Secret::new(key))
}

pub(super) fn keys_of(responder: [u8; 32]) -> KnockKeys {
    KnockKeys::new(PeerId::from_bytes(responder))
}

pub(super) fn hello_of(keys: &KnockKeys, round: u64) -> [u8; DATAGRAM_LEN] {
    let mut out = [0; DATAGRAM_LEN];
    knock::write_hello(keys, &Hello::new(ModePolicy::A, &[1; 32], &[2; 8]), &mut public_stream(round), &mut out);
    declassify(&mut out);
    out
}

/// Where `mac1` stands in a knock, and `mac2` in an Init fragment.
pub(super) const MAC1: usize = 12 + 96;
pub(super) const MAC2: usize = DATAGRAM_LEN - 16;

fn hello() -> u64 {
    let keys = keys_of(*secret(1).expose());
    let datagram = hello_of(&keys, 0);
    assert!(matches!(knock::read(&keys, &datagram), Some(Knock::Hello(_))), "a Hello");
    for at in [0, 11, 12, MAC1, MAC1 + 7, MAC1 + 15] {
        assert!(knock::read(&keys, &flipped(datagram, at)).is_none(), "an edited Hello");
    }
    0
}

pub(super) fn init_of(keys: &KnockKeys, cookie: Cookie, tag: &Secret<32>, round: u64) -> [u8; DATAGRAM_LEN] {
    let header = InitHeader {
        index: 0,
        have: 0,
        cookie,
        hello_hash: HELLO_HASH,
        cid: [2; 8],
        puzzle: 0,
        tag: [5; 8],
        len: 1000,
    };
    let mut out = [0; DATAGRAM_LEN];
    knock::write_init(keys, tag, &header, &[6; knock::CHUNK], &mut public_stream(round), &mut out);
    declassify(&mut out);
    out
}

fn cookie() -> u64 {
    let keys = keys_of(*secret(1).expose());
    let mut jar = CookieJar::new(secret(2));
    let (mut cookie, tag) = jar.issue(COOKIE, FROM, &HELLO_HASH);
    declassify(&mut cookie.stamp);
    assert!(jar.check(&cookie, FROM, &HELLO_HASH, NOW).is_some_and(|again| again == tag), "a cookie of ours");
    for at in [0, 7] {
        let edited = Cookie { stamp: flipped(cookie.stamp, at), ..cookie };
        assert!(jar.check(&edited, FROM, &HELLO_HASH, NOW).is_none(), "an edited cookie");
    }
    let datagram = init_of(&keys, cookie, &tag, 0);
    assert!(matches!(knock::read(&keys, &datagram), Some(Knock::Init(_))), "an Init fragment");
    for at in [0, MAC1 + 16, MAC2, MAC2 + 7, MAC2 + 15] {
        assert!(knock::verify_init(&keys, &tag, &mut flipped(datagram, at)).is_none(), "an edited fragment");
    }
    assert!(knock::verify_init(&keys, &tag, &mut { datagram }).is_some(), "an Init fragment");
    0
}

fn challenge() -> u64 {
    let key = sealed::challenge_key(&secret(1), &HELLO_HASH);
    let mut datagram = [0; DATAGRAM_LEN];
    let challenge = Challenge { cookie: COOKIE, tag: secret(2) };
    sealed::write_challenge(&key, &[2; 8], &challenge, &mut public_stream(0), &mut datagram);
    declassify(&mut datagram);
    assert!(sealed::read_challenge(&key, &mut { datagram }).is_some(), "a Challenge");
    // Its tag stands behind 96 bytes of text.
    for at in [20, 116, 123, 131] {
        assert!(sealed::read_challenge(&key, &mut flipped(datagram, at)).is_none(), "an edited Challenge");
    }
    5
}

pub(super) fn fragment_of(key: &Secret<32>, chunk: &[u8], round: u64) -> [u8; DATAGRAM_LEN] {
    let header = FragmentHeader { kind: kind::FINISH, index: 0, have: 0, poll: false, len: 100, tag: [5; 8] };
    let mut out = [0; DATAGRAM_LEN];
    sealed::write_fragment(key, &[2; 8], &header, chunk, &mut public_stream(round), &mut out);
    declassify(&mut out);
    out
}

fn fragment() -> u64 {
    let key = secret(1);
    let mut chunk = [6; 100];
    classify(&mut chunk);
    let datagram = fragment_of(&key, &chunk, 0);
    assert!(sealed::read_fragment(&key, &mut { datagram }).is_some(), "a fragment");
    for at in [20, DATAGRAM_LEN - TAG_LEN, DATAGRAM_LEN - 8, DATAGRAM_LEN - 1] {
        assert!(sealed::read_fragment(&key, &mut flipped(datagram, at)).is_none(), "an edited fragment");
    }
    5
}

fn transcript() -> u64 {
    let begin = || {
        let mut transcript = Transcript::new(&[b"prologue"]);
        transcript.mix_key(&secret(1));
        transcript.mix_key(&secret(2));
        transcript
    };
    let mut writer = begin();
    let mut field = [7; 144];
    classify(&mut field);
    writer.encrypt_and_hash(&mut field);
    declassify(&mut field);
    for at in [0, 128, 143] {
        assert!(begin().decrypt_and_hash(&mut flipped(field, at)).is_err(), "an edited field");
    }
    let mut reader = begin();
    assert!(reader.decrypt_and_hash(&mut { field }).is_ok(), "a field");
    let keys = |transcript: Transcript| {
        let [fragments] = transcript.fragment_keys([b"B4AE2 test"]);
        let secrets = transcript.finish(Mode::A);
        let exported = secrets.exporter.export(b"a use");
        let (chain, header) = (secrets.i2r.chain.expose(), secrets.r2i.header.expose());
        [fragments.expose(), chain, header, exported.expose()].map(opened)
    };
    assert_eq!(keys(writer), keys(reader), "the same keys");
    4
}
