//! How hard a puzzle is asked of whoever begins a handshake.

use crate::time::Instant;

/// The hardest puzzle asked or solved.
pub(crate) const MAX_PUZZLE_BITS: u8 = 20;

/// How hard a puzzle to ask: harder while a budget is nearly used up.
pub(crate) struct Pressure {
    bits: u8,
    looked: Instant,
}

impl Pressure {
    pub(crate) fn new(now: Instant) -> Self {
        Self { bits: 0, looked: now }
    }

    pub(crate) fn bits(&self) -> u8 {
        self.bits
    }

    /// Two bits harder for each second above 70 % of the budget, one easier for each below 30 %.
    pub(super) fn look(&mut self, now: Instant, used: usize, capacity: u32) {
        let seconds = (now - self.looked).as_secs();
        if seconds == 0 {
            return;
        }
        self.looked = now;
        let (used, capacity) = (used * 10, capacity as usize);
        if used > capacity * 7 {
            self.bits = (self.bits + 2).min(MAX_PUZZLE_BITS);
        } else if used < capacity * 3 {
            // Nobody may have asked for a while.
            self.bits = self.bits.saturating_sub(u8::try_from(seconds).unwrap_or(u8::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::net::IpAddr;
    use core::time::Duration;

    use super::*;
    use crate::config::{Accept, Config, Traffic};
    use crate::engine::Engine;
    use crate::handshake::Hello;
    use crate::identity::{Identity, SecretIdentity};
    use crate::mode::ModePolicy;
    use crate::random::{Seed, Stream};
    use crate::secret::Secret;
    use crate::time::UnixTime;
    use crate::transmit::{DATAGRAM_LEN, Path};
    use crate::wire::knock::{self, KnockKeys};
    use crate::wire::sealed;

    /// An engine that accepts both modes.
    fn server() -> Engine {
        let config = Config::builder(Traffic::balanced()).accept(Accept::Anyone(ModePolicy::A_THEN_B));
        let config = config.build().expect("a sound configuration");
        let identity = Identity::from_secret(&SecretIdentity::generate(&Seed::new([1; 32])));
        Engine::new(&config, identity, &Seed::new([2; 32]), Instant::ORIGIN, UnixTime(0)).expect("an engine")
    }

    /// How hard a puzzle whoever offers these modes is asked.
    fn asked(server: &mut Engine, now: Instant, offer: ModePolicy) -> u8 {
        let path = Path::new(([192, 0, 2, 1], 7000).into(), None);
        let keys = KnockKeys::new(server.peer_id());
        let hello = Hello::new(offer, &[3; 32], &[4; 8]);
        let (mut datagram, mut random) = ([0; DATAGRAM_LEN], Stream::new(Secret::new([5; 32])));
        knock::write_hello(&keys, &hello, &mut random, &mut datagram);
        server.handle_datagram(now, path, &mut datagram);
        server.write_challenge(&mut datagram).expect("it is answered");
        let key = sealed::challenge_key(&keys.challenge, &hello.hash());
        sealed::read_challenge(&key, &mut datagram).expect("a Challenge").cookie.puzzle_bits
    }

    #[test]
    fn a_slow_signer_is_paid_for_by_those_alone_who_need_it() {
        let mut server = server();
        let hosts = (1..=3).flat_map(|host| [IpAddr::from([198, 51, 100, host]); 4]);
        let out: Vec<_> = hosts.filter_map(|ip| server.place_for_signature(ip)).collect();
        assert_eq!(out.len(), 12, "three quarters");
        let at = |seconds| Instant::ORIGIN + Duration::from_secs(seconds);
        for second in 1..=4 {
            assert_eq!(asked(&mut server, at(second), ModePolicy::A), 0);
            assert_eq!(asked(&mut server, at(second), ModePolicy::A_THEN_B), 0, "it is mode A that comes of it");
            assert_eq!(asked(&mut server, at(second), ModePolicy::B), 2 * second as u8);
            assert_eq!(asked(&mut server, at(second), ModePolicy::B_THEN_A), 2 * second as u8);
        }
        assert_eq!(server.metrics().puzzle_bits, 8);
        drop(out);
        assert_eq!(asked(&mut server, at(20), ModePolicy::B), 0);
    }
}
