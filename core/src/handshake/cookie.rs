//! The stateless cookie: proof that an initiator receives at the address and port it sends from.

use core::net::{IpAddr, SocketAddr};

use crate::crypto::hash;
use crate::crypto::siphash::SipKey;
use crate::secret::Secret;
use crate::time::Instant;

/// Length of a cookie in bytes.
pub(crate) const COOKIE_LEN: usize = STAMPED + 8;
/// Bytes of a cookie under its stamp.
const STAMPED: usize = 16;
/// Seconds a cookie secret is in use; the one before it is still accepted.
const EPOCH: u32 = 120;
/// Seconds a cookie can be used.
pub(crate) const LIFETIME: u32 = 30;

/// What a cookie vouches for: issued by us, when, with which puzzle, accepting which modes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Cookie {
    /// Server time in seconds.
    pub(crate) time: u32,
    pub(crate) nonce: [u8; 10],
    pub(crate) puzzle_bits: u8,
    /// The modes accepted when it was issued.
    pub(crate) accept: u8,
    /// Lets the issuer tell its own cookies from others at the cost of one short MAC.
    pub(crate) stamp: [u8; 8],
}

impl Cookie {
    pub(crate) fn to_bytes(self) -> [u8; COOKIE_LEN] {
        let mut bytes = [0; COOKIE_LEN];
        bytes[..4].copy_from_slice(&self.time.to_le_bytes());
        bytes[4..14].copy_from_slice(&self.nonce);
        bytes[14] = self.puzzle_bits;
        bytes[15] = self.accept;
        bytes[16..].copy_from_slice(&self.stamp);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; COOKIE_LEN]) -> Self {
        Self {
            time: u32::from_le_bytes(*bytes.first_chunk().expect("24 is enough")),
            nonce: *bytes[4..].first_chunk().expect("24 is enough"),
            puzzle_bits: bytes[14],
            accept: bytes[15],
            stamp: *bytes[16..].first_chunk().expect("24 is enough"),
        }
    }

    /// Whether a cookie of that time can be used now.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        CookieJar::time(now).checked_sub(self.time).is_some_and(|age| age <= LIFETIME)
    }

    /// Which of the two replay filters remembers it.
    pub(crate) fn period(&self) -> u32 {
        self.time / LIFETIME
    }
}

/// Issues and checks cookies. Holds no state about anybody.
pub(crate) struct CookieJar {
    master: Secret<32>,
    /// The keys of an even and an odd epoch: a fresh cookie is of this epoch or of the one before.
    keys: [Keys; 2],
}

/// One epoch's keys, so that a key's exposure has an end. Which epoch's they are follows from the cookie's own time: a
/// rotation drops nobody.
struct Keys {
    epoch: u32,
    tag: Secret<32>,
    stamp: SipKey,
}

impl Keys {
    fn new(master: &Secret<32>, epoch: u32) -> Self {
        let tag = hash::prf(master.expose(), b"B4AE2-cookie-key", &[&epoch.to_le_bytes()]);
        let stamp = SipKey::new(&hash::prf(tag.expose(), b"B4AE2-stamp-key.", &[]));
        Self { epoch, tag, stamp }
    }

    /// The cookie's secret: known to us, and to the initiator that was told it under seal. It never crosses the wire
    /// in the clear; it keys the MAC of Init fragments.
    fn tag(&self, cookie: &Cookie, [ip, port]: [&[u8]; 2], hello_hash: &[u8; 32]) -> Secret<32> {
        hash::prf(self.tag.expose(), b"B4AE2-cookie-tag", &[&cookie.to_bytes(), ip, port, hello_hash])
    }
}

impl CookieJar {
    pub(crate) fn new(master: Secret<32>) -> Self {
        let keys = [0, 1].map(|epoch| Keys::new(&master, epoch));
        Self { master, keys }
    }

    /// Server time: seconds since the driver's origin.
    pub(crate) fn time(now: Instant) -> u32 {
        u32::try_from(now.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX)
    }

    fn keys(&mut self, epoch: u32) -> &Keys {
        let keys = &mut self.keys[(epoch % 2) as usize];
        if keys.epoch != epoch {
            *keys = Keys::new(&self.master, epoch);
        }
        keys
    }

    /// Stamps a cookie for whoever says this Hello from this address. With it comes its tag.
    pub(crate) fn issue(
        &mut self,
        mut cookie: Cookie,
        from: SocketAddr,
        hello_hash: &[u8; 32],
    ) -> (Cookie, Secret<32>) {
        let (ip, port) = address(from);
        let keys = self.keys(cookie.time / EPOCH);
        let stamp = keys.stamp.tag(&[&cookie.to_bytes()[..STAMPED], &ip, &port, hello_hash]);
        cookie.stamp = *stamp.first_chunk().expect("8 of 16");
        let tag = keys.tag(&cookie, [&ip, &port], hello_hash);
        (cookie, tag)
    }

    /// The tag of a cookie, if it is one of ours for whoever says this Hello from this address and can be used now.
    pub(crate) fn check(
        &mut self,
        cookie: &Cookie,
        from: SocketAddr,
        hello_hash: &[u8; 32],
        now: Instant,
    ) -> Option<Secret<32>> {
        // Before any key is derived: no forger makes us derive those of other epochs.
        if !cookie.is_fresh(now) {
            return None;
        }
        let (ip, port) = address(from);
        let keys = self.keys(cookie.time / EPOCH);
        let stamped = [&cookie.to_bytes()[..STAMPED], &ip, &port, hello_hash];
        keys.stamp.verify(&stamped, &cookie.stamp).then(|| keys.tag(cookie, [&ip, &port], hello_hash))
    }
}

fn address(from: SocketAddr) -> ([u8; 16], [u8; 2]) {
    let ip = match from.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    (ip, from.port().to_le_bytes())
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const COOKIE: Cookie = Cookie { time: 1000, nonce: [1; 10], puzzle_bits: 2, accept: 6, stamp: [0; 8] };
    const HELLO: [u8; 32] = [3; 32];

    fn jar() -> CookieJar {
        CookieJar::new(Secret::new([1; 32]))
    }

    fn from() -> SocketAddr {
        "192.0.2.1:7000".parse().unwrap()
    }

    fn at(seconds: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(seconds)
    }

    #[test]
    fn a_cookie_is_taken_back_from_whom_it_was_given_to() {
        let (cookie, tag) = jar().issue(COOKIE, from(), &HELLO);
        assert!(jar().check(&cookie, from(), &HELLO, at(1000)).is_some_and(|again| again == tag));
        let refused = |cookie: Cookie, from: &str, hello: &[u8; 32]| {
            jar().check(&cookie, from.parse().unwrap(), hello, at(1000)).is_none()
        };
        assert!(refused(cookie, "192.0.2.2:7000", &HELLO));
        assert!(refused(cookie, "192.0.2.1:7001", &HELLO));
        assert!(refused(cookie, "[2001:db8::1]:7000", &HELLO));
        assert!(refused(cookie, "192.0.2.1:7000", &[4; 32]));
        for bit in 0..COOKIE_LEN * 8 {
            let mut bytes = cookie.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(Cookie::from_bytes(&bytes), "192.0.2.1:7000", &HELLO), "bit {bit}");
        }
        let mut another = CookieJar::new(Secret::new([2; 32]));
        assert!(another.check(&cookie, from(), &HELLO, at(1000)).is_none());
    }

    #[test]
    fn a_tag_is_bound_to_all_that_the_cookie_vouches_for() {
        let tag = |cookie, from: &str, hello| jar().issue(cookie, from.parse().unwrap(), &hello).1;
        let first = tag(COOKIE, "192.0.2.1:7000", HELLO);
        let others = [
            tag(COOKIE, "192.0.2.2:7000", HELLO),
            tag(COOKIE, "192.0.2.1:7001", HELLO),
            tag(COOKIE, "[2001:db8::1]:7000", HELLO),
            tag(COOKIE, "192.0.2.1:7000", [4; 32]),
            tag(Cookie { time: 1001, ..COOKIE }, "192.0.2.1:7000", HELLO),
            tag(Cookie { time: 1000 + EPOCH, ..COOKIE }, "192.0.2.1:7000", HELLO),
            tag(Cookie { nonce: [2; 10], ..COOKIE }, "192.0.2.1:7000", HELLO),
            tag(Cookie { puzzle_bits: 0, ..COOKIE }, "192.0.2.1:7000", HELLO),
            tag(Cookie { accept: 2, ..COOKIE }, "192.0.2.1:7000", HELLO),
            CookieJar::new(Secret::new([2; 32])).issue(COOKIE, from(), &HELLO).1,
        ];
        assert!(others.iter().all(|other| *other != first));
    }

    #[test]
    fn a_mapped_address_is_the_address() {
        let (cookie, _) = jar().issue(COOKIE, from(), &HELLO);
        assert!(jar().check(&cookie, "[::ffff:192.0.2.1]:7000".parse().unwrap(), &HELLO, at(1000)).is_some());
    }

    #[test]
    fn a_cookie_is_fresh_for_its_lifetime_and_not_before_it_was_issued() {
        let mut jar = jar();
        let (cookie, _) = jar.issue(COOKIE, from(), &HELLO);
        let fresh = [999, 1000, 1030, 1031].map(|now| jar.check(&cookie, from(), &HELLO, at(now)).is_some());
        assert_eq!(fresh, [false, true, true, false]);
        let (never, _) = jar.issue(Cookie { time: u32::MAX, ..COOKIE }, from(), &HELLO);
        assert!(jar.check(&never, from(), &HELLO, at(1000)).is_none());
    }

    #[test]
    fn a_new_epoch_drops_no_cookie_that_is_fresh() {
        let mut jar = jar();
        for epoch in 1..5 {
            let start = epoch * EPOCH;
            let (before, _) = jar.issue(Cookie { time: start - 1, ..COOKIE }, from(), &HELLO);
            let (after, _) = jar.issue(Cookie { time: start, ..COOKIE }, from(), &HELLO);
            assert!(before.stamp != after.stamp);
            for cookie in [before, after, before] {
                assert!(jar.check(&cookie, from(), &HELLO, at(u64::from(start) + 5)).is_some());
            }
        }
    }

    #[test]
    fn a_cookie_reads_as_it_was_written() {
        let cookie = Cookie { stamp: [7; 8], ..COOKIE };
        assert_eq!(Cookie::from_bytes(&cookie.to_bytes()), cookie);
    }
}
