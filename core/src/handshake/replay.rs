//! Which cookies have been used: two sets by issue period, so that no moment forgets a cookie that is still fresh.

use core::cmp::Ordering;

use super::cookie::{COOKIE_LEN, Cookie};
use crate::random::Stream;

/// Two sets, the even and the odd periods'.
pub(crate) struct Replay {
    sets: [Set; 2],
    capacity: usize,
}

struct Set {
    period: u32,
    used: usize,
    filter: Filter,
}

impl Replay {
    pub(crate) fn new(capacity: u32, random: &mut Stream) -> Self {
        let capacity = capacity as usize;
        let mut set = |period| Set { period, used: 0, filter: Filter::new(capacity, random) };
        Self { sets: [set(0), set(1)], capacity }
    }

    /// The most bytes of heap that both sets take.
    pub(crate) fn bound(capacity: u32) -> u64 {
        2 * Filter::bound(capacity as usize)
    }

    /// Whether [`insert`](Self::insert) would take this cookie.
    pub(crate) fn takes(&self, cookie: &Cookie) -> bool {
        let period = cookie.period();
        let set = &self.sets[(period % 2) as usize];
        match period.cmp(&set.period) {
            Ordering::Less => false,
            Ordering::Equal => set.used < self.capacity && !set.filter.contains(cookie),
            Ordering::Greater => true,
        }
    }

    /// Remembers a cookie that our own tag vouched for. `false` if it was there already, or if so many are that the
    /// answer could not be trusted: either costs the peer a fresh Challenge, never its session.
    pub(crate) fn insert(&mut self, cookie: &Cookie, random: &mut Stream) -> bool {
        let period = cookie.period();
        let capacity = self.capacity;
        let set = &mut self.sets[(period % 2) as usize];
        if set.period != period {
            if period < set.period {
                return false;
            }
            *set = Set { period, used: 0, filter: Filter::new(capacity, random) };
        }
        if set.used >= capacity {
            return false;
        }
        let fresh = set.filter.insert(cookie);
        set.used += usize::from(fresh);
        fresh
    }
}

#[cfg(feature = "std")]
use bloom::Filter;
#[cfg(not(feature = "std"))]
use exact::Filter;

#[cfg(feature = "std")]
mod bloom {
    use bloomfilter::Bloom;

    use super::{COOKIE_LEN, Cookie, Stream};

    /// One false positive in a thousand when full: it costs a peer one round trip.
    const FALSE_POSITIVES: f64 = 0.001;

    /// What the filter keeps before its bits: a version, their number, that of hashes, and the seed.
    const HEADER: usize = 1 + 8 + 4 + 32;

    pub(super) struct Filter(Bloom<[u8; COOKIE_LEN]>);

    impl Filter {
        pub(super) fn bound(capacity: usize) -> u64 {
            (HEADER + Bloom::<[u8; COOKIE_LEN]>::compute_bitmap_size(capacity, FALSE_POSITIVES)) as u64
        }

        pub(super) fn new(capacity: usize, random: &mut Stream) -> Self {
            // The filter's two hash keys are the halves of the seed, and must differ: drawn at random, they do.
            let filter = Bloom::new_for_fp_rate_with_seed(capacity, FALSE_POSITIVES, &random.bytes());
            Self(filter.expect("the capacity is checked by the configuration"))
        }

        pub(super) fn contains(&self, cookie: &Cookie) -> bool {
            self.0.check(&cookie.to_bytes())
        }

        pub(super) fn insert(&mut self, cookie: &Cookie) -> bool {
            !self.0.check_and_set(&cookie.to_bytes())
        }
    }
}

#[cfg(not(feature = "std"))]
mod exact {
    use alloc::collections::BTreeSet;

    use super::{COOKIE_LEN, Cookie, Stream};
    use crate::memory;

    pub(super) struct Filter(BTreeSet<[u8; COOKIE_LEN]>);

    impl Filter {
        pub(super) fn bound(capacity: usize) -> u64 {
            memory::tree::<[u8; COOKIE_LEN], ()>(capacity)
        }

        pub(super) fn new(_capacity: usize, _random: &mut Stream) -> Self {
            Self(BTreeSet::new())
        }

        pub(super) fn contains(&self, cookie: &Cookie) -> bool {
            self.0.contains(&cookie.to_bytes())
        }

        pub(super) fn insert(&mut self, cookie: &Cookie) -> bool {
            self.0.insert(cookie.to_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::*;
    use crate::handshake::cookie::LIFETIME;
    use crate::secret::Secret;
    use crate::time::Instant;

    fn cookie(time: u32, random: &mut Stream) -> Cookie {
        Cookie { time, nonce: random.bytes(), puzzle_bits: 0, accept: 2, stamp: [0; 8] }
    }

    #[test]
    fn no_moment_forgets_a_cookie_that_is_still_fresh() {
        let mut random = Stream::new(Secret::new([1; 32]));
        let mut replay = Replay::new(1000, &mut random);
        let mut used = Vec::new();
        let mut refused = 0;
        for second in 0..400_u32 {
            let now = Instant::ORIGIN + Duration::from_secs(second.into());
            used.retain(|cookie: &Cookie| cookie.is_fresh(now));
            assert!(used.iter().all(|cookie| !replay.insert(cookie, &mut random)), "second {second}");
            // Used as late as can be, some of them: the next period's set is in use by then.
            for age in [0, 1, LIFETIME - 1, LIFETIME] {
                let cookie = cookie(second.saturating_sub(age), &mut random);
                let takes = replay.takes(&cookie);
                assert_eq!(replay.insert(&cookie, &mut random), takes, "second {second}");
                refused += u32::from(!takes);
                used.push(cookie);
            }
        }
        assert!(refused <= 8, "{refused} of 1600 unused cookies refused");
    }

    #[test]
    fn a_full_period_refuses_and_the_next_begins_anew() {
        let mut random = Stream::new(Secret::new([2; 32]));
        let mut replay = Replay::new(64, &mut random);
        let mut accepted = |time| {
            let cookies = (0..200).map(|_| cookie(time, &mut random)).collect::<Vec<_>>();
            let mut one = |cookie| {
                let takes = replay.takes(cookie);
                assert_eq!(replay.insert(cookie, &mut random), takes);
                takes
            };
            cookies.iter().filter(|cookie| one(cookie)).count()
        };
        assert_eq!(accepted(0), 64);
        assert_eq!(accepted(LIFETIME), 64);
        assert_eq!(accepted(LIFETIME - 1), 0);
        assert_eq!(accepted(2 * LIFETIME), 64);
        assert_eq!(accepted(0), 0, "a period that is over does not come back");
    }
}
