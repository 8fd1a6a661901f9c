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
