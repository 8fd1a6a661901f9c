//! The stateless cookie: proof that an initiator receives at the address and port it sends from.

use core::net::{IpAddr, SocketAddr};

use super::message::CHALLENGE_CORE_LEN;
use crate::crypto::hash;
use crate::secret::Secret;
use crate::time::Instant;

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
}

impl Cookie {
    pub(crate) fn to_bytes(self) -> [u8; CHALLENGE_CORE_LEN] {
        let mut bytes = [0; CHALLENGE_CORE_LEN];
        bytes[..4].copy_from_slice(&self.time.to_le_bytes());
        bytes[4..14].copy_from_slice(&self.nonce);
        bytes[14] = self.puzzle_bits;
        bytes[15] = self.accept;
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; CHALLENGE_CORE_LEN]) -> Self {
        Self {
            time: u32::from_le_bytes(*bytes.first_chunk().expect("16 is enough")),
            nonce: *bytes[4..].first_chunk().expect("16 is enough"),
            puzzle_bits: bytes[14],
            accept: bytes[15],
        }
    }

    /// Which of the two replay filters remembers it.
    pub(crate) fn period(&self) -> u32 {
        self.time / LIFETIME
    }
}

/// Issues and checks cookies. Holds no state about anybody.
pub(crate) struct CookieJar {
    master: Secret<32>,
}

impl CookieJar {
    pub(crate) fn new(master: Secret<32>) -> Self {
        Self { master }
    }

    /// Server time: seconds since the driver's origin.
    pub(crate) fn time(now: Instant) -> u32 {
        u32::try_from(now.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX)
    }

    /// Whether a cookie of that time can be used now. The time is ours, vouched for by the tag.
    pub(crate) fn is_fresh(cookie: &Cookie, now: Instant) -> bool {
        let now = Self::time(now);
        cookie.time <= now && now - cookie.time <= LIFETIME
    }

    /// The cookie's secret: known to us, and to the initiator that was told it under seal. It never crosses the wire
    /// in the clear; it keys the MAC of Init fragments.
    pub(crate) fn tag(&self, cookie: &Cookie, from: SocketAddr, hello_hash: &[u8; 32]) -> Secret<32> {
        // One key an epoch, so that a key's exposure has an end. The tag's key follows from the cookie's own time:
        // a rotation drops nobody.
        let epoch = cookie.time / EPOCH;
        let key = hash::prf(self.master.expose(), b"B4AE2-cookie-key", &[&epoch.to_le_bytes()]);
        let ip = match from.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let port = from.port().to_le_bytes();
        hash::prf(key.expose(), b"B4AE2-cookie-tag", &[&cookie.to_bytes(), &ip, &port, hello_hash])
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const COOKIE: Cookie = Cookie { time: 1000, nonce: [1; 10], puzzle_bits: 2, accept: 6 };

    #[test]
    fn a_tag_is_bound_to_all_that_the_cookie_vouches_for() {
        let jar = CookieJar::new(Secret::new([1; 32]));
        let from: SocketAddr = "192.0.2.1:7000".parse().unwrap();
        let tag = jar.tag(&COOKIE, from, &[3; 32]);
        assert!(jar.tag(&COOKIE, from, &[3; 32]) == tag);
        let others = [
            jar.tag(&COOKIE, "192.0.2.2:7000".parse().unwrap(), &[3; 32]),
            jar.tag(&COOKIE, "192.0.2.1:7001".parse().unwrap(), &[3; 32]),
            jar.tag(&COOKIE, "[2001:db8::1]:7000".parse().unwrap(), &[3; 32]),
            jar.tag(&COOKIE, from, &[4; 32]),
            jar.tag(&Cookie { time: 1001, ..COOKIE }, from, &[3; 32]),
            jar.tag(&Cookie { time: 1000 + EPOCH, ..COOKIE }, from, &[3; 32]),
            jar.tag(&Cookie { nonce: [2; 10], ..COOKIE }, from, &[3; 32]),
            jar.tag(&Cookie { puzzle_bits: 0, ..COOKIE }, from, &[3; 32]),
            jar.tag(&Cookie { accept: 2, ..COOKIE }, from, &[3; 32]),
            CookieJar::new(Secret::new([2; 32])).tag(&COOKIE, from, &[3; 32]),
        ];
        assert!(others.iter().all(|other| *other != tag));
    }

    #[test]
    fn a_mapped_address_is_the_address() {
        let jar = CookieJar::new(Secret::new([1; 32]));
        let [v4, mapped] = ["192.0.2.1:7000", "[::ffff:192.0.2.1]:7000"].map(|a| a.parse::<SocketAddr>().unwrap());
        assert!(jar.tag(&COOKIE, v4, &[3; 32]) == jar.tag(&COOKIE, mapped, &[3; 32]));
    }

    #[test]
    fn a_cookie_is_fresh_for_its_lifetime_and_not_before_it_was_issued() {
        let at = |seconds| Instant::ORIGIN + Duration::from_secs(seconds);
        let fresh = [999, 1000, 1030, 1031].map(|seconds| CookieJar::is_fresh(&COOKIE, at(seconds)));
        assert_eq!(fresh, [false, true, true, false]);
        assert!(!CookieJar::is_fresh(&Cookie { time: u32::MAX, ..COOKIE }, at(1000)));
    }

    #[test]
    fn a_cookie_reads_as_it_was_written() {
        assert_eq!(Cookie::from_bytes(&COOKIE.to_bytes()), COOKIE);
    }
}
