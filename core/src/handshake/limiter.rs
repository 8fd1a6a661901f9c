//! Budgets: a token bucket, and one such bucket a prefix.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::job::Outstanding;
use crate::memory;
use crate::random::Stream;
use crate::time::Instant;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// A token bucket, kept as the time at which it was last empty (GCRA).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Nanoseconds: the arrival time at which the bucket would next be full.
    full_at: u64,
}

impl Bucket {
    pub(crate) const fn full() -> Self {
        Self { full_at: 0 }
    }

    /// Takes one token from a bucket of `burst` that refills at `per_second`, if there is one.
    pub(crate) fn take(&mut self, now: Instant, per_second: u32, burst: u32) -> bool {
        self.take_many(now, 1, per_second, u64::from(burst.max(1)))
    }

    /// Takes so many, or none.
    pub(crate) fn take_many(&mut self, now: Instant, tokens: u64, per_second: u32, burst: u64) -> bool {
        let now = now.as_nanos();
        let cost = SECOND / u64::from(per_second.max(1));
        let full_at = self.full_at.max(now);
        let room = burst.checked_sub(tokens);
        if room.is_none_or(|room| full_at - now > cost.saturating_mul(room)) {
            return false;
        }
        self.full_at = full_at.saturating_add(cost.saturating_mul(tokens));
        true
    }

    fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now.as_nanos()
    }
}

/// A network that shares a budget: an IPv4 /32 or /24, an IPv6 /64 or /48.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Prefix {
    V4(u32, u8),
    V6(u64, u8),
}

impl Prefix {
    /// The narrow prefix and the wide one.
    fn of(ip: IpAddr) -> [Self; 2] {
        let v4 = |ip: Ipv4Addr| [Self::V4(ip.to_bits(), 32), Self::V4(ip.to_bits() >> 8, 24)];
        let v6 = |ip: Ipv6Addr| {
            let high = (ip.to_bits() >> 64) as u64;
            [Self::V6(high, 64), Self::V6(high >> 16, 48)]
        };
        match ip.to_canonical() {
            IpAddr::V4(ip) => v4(ip),
            IpAddr::V6(ip) => v6(ip),
        }
    }

    /// The narrow one.
    fn host(ip: IpAddr) -> Self {
        let [host, _] = Self::of(ip);
        host
    }
}

/// How many sessions each host holds: an IPv4 address, or an IPv6 /64. Never more entries than sessions.
#[derive(Default)]
pub(crate) struct Places(BTreeMap<Prefix, u32>);

impl Places {
    /// The most bytes of heap that the places of so many sessions take.
    pub(crate) fn bound(sessions: u32) -> u64 {
        memory::tree::<Prefix, u32>(sessions as usize)
    }

    /// Sessions of the host that `ip` belongs to.
    pub(crate) fn held(&self, ip: IpAddr) -> u32 {
        self.0.get(&Prefix::host(ip)).copied().unwrap_or(0)
    }

    pub(crate) fn take(&mut self, ip: IpAddr) {
        *self.0.entry(Prefix::host(ip)).or_default() += 1;
    }

    pub(crate) fn give_back(&mut self, ip: IpAddr) {
        if let Entry::Occupied(mut held) = self.0.entry(Prefix::host(ip)) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

/// Which part of the signatures that may be waited for one host may wait for: one in so many.
const PART: usize = 4;

/// Signatures that are waited for, by the host that asked for them: an IPv4 address, or an IPv6 /64. Never more hosts
/// than signatures.
#[derive(Default)]
pub(crate) struct Signatures(BTreeMap<Prefix, Outstanding>);

impl Signatures {
    /// The most bytes of heap that so many signatures take.
    pub(crate) fn bound(most: usize) -> u64 {
        memory::tree::<Prefix, Outstanding>(most) + most as u64 * Outstanding::bound()
    }

    /// Those that are waited for, all hosts together.
    pub(crate) fn count(&self) -> usize {
        self.0.values().map(Outstanding::count).sum()
    }

    /// One more for the host of `ip`, unless there are `most`, or as many of that host as one may have.
    pub(crate) fn take(&mut self, ip: IpAddr, most: usize) -> Option<Outstanding> {
        // Nobody tells when the last of a host's is dropped.
        self.0.retain(|_, out| out.count() != 0);
        let host = Prefix::host(ip);
        let held = self.0.get(&host).map_or(0, Outstanding::count);
        if self.count() >= most || held >= (most / PART).max(1) {
            return None;
        }
        Some(self.0.entry(host).or_default().one_more())
    }
}

/// Buckets by prefix, for addresses that a cookie has verified. Never more than `capacity`.
pub(crate) struct Limiter {
    buckets: BTreeMap<Prefix, Bucket>,
    capacity: usize,
    per_second: u32,
}

/// Handshakes a prefix may begin at once.
const BURST: u32 = 5;
/// How much more a wide prefix may do than a narrow one.
const WIDE: u32 = 10;

impl Limiter {
    pub(crate) fn new(capacity: u32, per_second: u32) -> Self {
        Self { buckets: BTreeMap::new(), capacity: capacity as usize, per_second }
    }

    /// The most bytes of heap that so many prefixes take.
    pub(crate) fn bound(capacity: u32) -> u64 {
        memory::tree::<Prefix, Bucket>(capacity as usize)
    }

    /// Whether a handshake from `ip` is within the budgets of both its prefixes.
    pub(crate) fn admit(&mut self, ip: IpAddr, now: Instant, random: &mut Stream) -> bool {
        let [narrow, wide] = Prefix::of(ip);
        self.take(narrow, 1, now, random) && self.take(wide, WIDE, now, random)
    }

    fn take(&mut self, prefix: Prefix, factor: u32, now: Instant, random: &mut Stream) -> bool {
        if !self.buckets.contains_key(&prefix) && self.buckets.len() >= self.capacity {
            self.evict(now, random);
        }
        let bucket = self.buckets.entry(prefix).or_insert(Bucket::full());
        bucket.take(now, self.per_second.saturating_mul(factor), BURST * factor)
    }

    /// Makes room: forgets a full bucket among a few looked at from a random place on, which loses nothing, else the
    /// last looked at.
    fn evict(&mut self, now: Instant, random: &mut Stream) {
        let from = Prefix::V4(u32::from_le_bytes(random.bytes()), 0);
        let from = if random.below(2) == 0 { from } else { Prefix::V6(u64::from_le_bytes(random.bytes()), 0) };
        let candidates = self.buckets.range(from..).chain(self.buckets.range(..from)).take(8);
        let mut victim = None;
        for (prefix, bucket) in candidates {
            victim = Some(*prefix);
            if bucket.is_full(now) {
                break;
            }
        }
        if let Some(victim) = victim {
            self.buckets.remove(&victim);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::*;
    use crate::secret::Secret;

    fn random() -> Stream {
        Stream::new(Secret::new([1; 32]))
    }

    fn admitted(limiter: &mut Limiter, ips: impl Iterator<Item = IpAddr>, now: Instant) -> u32 {
        let mut random = random();
        ips.map(|ip| u32::from(limiter.admit(ip, now, &mut random))).sum()
    }

    fn v4(host: u32) -> IpAddr {
        Ipv4Addr::from_bits(0xc000_0200 + host).into()
    }

    fn v6(subnet: u16, host: u16) -> IpAddr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, subnet, 0, 0, 0, host).into()
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::full();
        let start = Instant::ORIGIN + Duration::from_secs(100);
        let mut taken = |at| (0..1000).filter(|_| bucket.take(at, 10, 4)).count();
        assert_eq!(taken(start), 4);
        assert_eq!(taken(start + Duration::from_millis(99)), 0);
        assert_eq!(taken(start + Duration::from_millis(100)), 1);
        assert_eq!(taken(start + Duration::from_millis(350)), 2);
        assert_eq!(taken(start + Duration::from_secs(100)), 4);
    }

    #[test]
    fn an_address_has_a_burst_and_others_are_not_touched() {
        let mut limiter = Limiter::new(4096, 20);
        let now = Instant::ORIGIN;
        assert_eq!(admitted(&mut limiter, (0..100).map(|_| v4(1)), now), BURST);
        assert_eq!(admitted(&mut limiter, (0..100).map(|_| v4(2)), now), BURST);
        let later = now + Duration::from_secs(1);
        assert_eq!(admitted(&mut limiter, (0..100).map(|_| v4(1)), later), BURST);
    }

    #[test]
    fn many_addresses_of_one_network_share_a_budget() {
        let now = Instant::ORIGIN;
        let budget = BURST * WIDE;
        assert_eq!(admitted(&mut Limiter::new(4096, 20), (0..256).map(v4), now), budget);
        // One /64 is one host; one /48 is one site.
        assert_eq!(admitted(&mut Limiter::new(4096, 20), (0..256).map(|host| v6(1, host)), now), BURST);
        assert_eq!(admitted(&mut Limiter::new(4096, 20), (0..256).map(|subnet| v6(subnet, 1)), now), budget);
        let mapped = |host: u32| Ipv4Addr::from_bits(0xc000_0200 + host).to_ipv6_mapped().into();
        assert_eq!(admitted(&mut Limiter::new(4096, 20), (0..256).map(mapped), now), budget);
    }

    #[test]
    fn places_are_counted_by_host_and_forgotten_with_the_last() {
        let mut places = Places::default();
        [v4(1), v4(2), v4(2), v6(1, 1), v6(1, 2)].into_iter().for_each(|ip| places.take(ip));
        assert_eq!([v4(1), v4(2), v4(3), v6(1, 9), v6(2, 1)].map(|ip| places.held(ip)), [1, 2, 0, 2, 0]);
        [v4(2), v6(1, 1), v6(1, 2), v4(3)].into_iter().for_each(|ip| places.give_back(ip));
        assert_eq!([v4(1), v4(2), v6(1, 1)].map(|ip| places.held(ip)), [1, 1, 0]);
        assert_eq!(places.0.len(), 2);
    }

    #[test]
    fn a_host_waits_for_a_quarter_of_the_signatures_and_is_forgotten_with_the_last() {
        let mut signatures = Signatures::default();
        let mut take = |ip, most, times| -> Vec<_> { (0..times).filter_map(|_| signatures.take(ip, most)).collect() };
        let first = take(v4(1), 16, 9);
        // One /64 is one host, whoever in it asks.
        let mut site = take(v6(1, 1), 16, 2);
        site.extend(take(v6(1, 2), 16, 9));
        let others: Vec<_> = (2..9).flat_map(|host| take(v4(host), 16, 9)).collect();
        assert_eq!((first.len(), site.len(), others.len()), (4, 4, 8));
        assert_eq!((signatures.count(), signatures.0.len()), (16, 4));
        drop((first, others));
        assert!(signatures.take(v4(1), 16).is_some());
        assert_eq!((signatures.count(), signatures.0.len()), (4, 2));
        // Where a quarter is less than one, it is one.
        drop(site);
        let mut few = Signatures::default();
        let out: Vec<_> = [v4(1), v4(1), v4(2), v4(3)].map(|ip| few.take(ip, 2)).into_iter().flatten().collect();
        assert_eq!((out.len(), few.0.len()), (2, 2));
    }

    #[test]
    fn a_full_table_forgets_a_prefix_that_owes_nothing() {
        for seed in 0..16 {
            let mut random = Stream::new(Secret::new([seed; 32]));
            // Seven hosts and the network that they share.
            let mut limiter = Limiter::new(8, 20);
            let spend = |limiter: &mut Limiter, hosts: &[u32], now| {
                let ips = hosts.iter().flat_map(|&host| [v4(host); BURST as usize]);
                assert_eq!(admitted(limiter, ips, now), BURST * hosts.len() as u32);
            };
            spend(&mut limiter, &[1, 2, 3, 4, 5, 6, 7], Instant::ORIGIN);
            let later = Instant::ORIGIN + Duration::from_secs(1);
            spend(&mut limiter, &[1, 2, 4, 5, 6, 7], later);
            assert!(limiter.admit(v4(9), later, &mut random));
            let again = [1, 2, 4, 5, 6, 7].map(|host| limiter.admit(v4(host), later, &mut random));
            assert_eq!(again, [false; 6], "seed {seed}");
        }
    }

    #[test]
    fn the_table_never_grows_beyond_its_capacity() {
        let mut random = random();
        let mut limiter = Limiter::new(64, 20);
        for i in 0..5000_u64 {
            let ip = if i % 2 == 0 {
                Ipv4Addr::from(random.bytes::<4>()).into()
            } else {
                Ipv6Addr::from(random.bytes::<16>()).into()
            };
            limiter.admit(ip, Instant::from_nanos(i * 1_000_000), &mut random);
            assert!(limiter.buckets.len() <= 64);
        }
        assert!(admitted(&mut limiter, (0..10).map(|_| v4(1)), Instant::from_nanos(1 << 40)) == BURST);
    }
}
