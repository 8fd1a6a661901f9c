//! Randomness as data: a seed comes in, independent streams come out.

use core::fmt;

use zeroize::Zeroize;

use crate::crypto::{burn_stack, hash, stream};
use crate::secret::Secret;

/// Thirty-two bytes of entropy from the driver, wiped on drop.
pub struct Seed(Secret<32>);

impl Seed {
    /// Takes the bytes over. The caller's own copy is the caller's to wipe.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// A key of its own for the use that `label` names.
    pub(crate) fn derive(&self, label: &hash::Label) -> Secret<32> {
        hash::prf(self.0.expose(), label, &[])
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// A generator with fast key erasure: each block's first 32 bytes are the next key, and what was given out is wiped.
pub(crate) struct Stream {
    key: Secret<32>,
    block: Secret<512>,
    used: usize,
}

impl Stream {
    pub(crate) fn new(key: Secret<32>) -> Self {
        Self { key, block: Secret::zero(), used: 512 }
    }

    pub(crate) fn fill(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            if self.used == 512 {
                self.refill_leaving_traces();
                burn_stack::<256>();
            }
            let take = out.len().min(512 - self.used);
            let from = &mut self.block.as_mut()[self.used..self.used + take];
            let (now, later) = out.split_at_mut(take);
            now.copy_from_slice(from);
            from.zeroize();
            self.used += take;
            out = later;
        }
    }

    #[inline(never)]
    fn refill_leaving_traces(&mut self) {
        stream::keystream(self.key.expose(), &[0; 12], self.block.as_mut());
        self.key.as_mut().copy_from_slice(&self.block.expose()[..32]);
        self.block.as_mut()[..32].zeroize();
        self.used = 32;
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    pub(crate) fn secret<const N: usize>(&mut self) -> Secret<N> {
        let mut out = Secret::zero();
        self.fill(out.as_mut());
        out
    }

    /// A number below `bound`, which must not be zero; without bias worth naming for bounds below 2^32.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(u64::from_le_bytes(self.bytes())) * u128::from(bound);
        (wide >> 64) as u64
    }

    /// Mixes fresh entropy in; what was drawn before says nothing about what follows.
    fn reseed(&mut self, fresh: &Secret<32>) {
        self.key = hash::prf(fresh.expose(), b"B4AE2-rng-reseed", &[self.key.expose()]);
        self.block.as_mut().zeroize();
        self.used = 512;
    }
}

/// Secret and public draws never share a stream, so what is seen on the wire says nothing about keys, and one more
/// public draw does not shift a replayed run's keys.
pub(crate) struct Random {
    pub(crate) secret: Stream,
    pub(crate) public: Stream,
}

impl Random {
    pub(crate) fn new(seed: &Seed) -> Self {
        Self {
            secret: Stream::new(seed.derive(b"B4AE2-rng-secret")),
            public: Stream::new(seed.derive(b"B4AE2-rng-public")),
        }
    }

    pub(crate) fn reseed(&mut self, seed: &Seed) {
        self.secret.reseed(&seed.derive(b"B4AE2-rng-secret"));
        self.public.reseed(&seed.derive(b"B4AE2-rng-public"));
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn stream() -> Stream {
        Stream::new(Secret::new(core::array::from_fn(|i| i as u8)))
    }

    /// Against ChaCha20 in Python: blocks of 512 bytes, the first 32 of each the key of the next.
    #[test]
    fn a_stream_is_what_its_key_says_however_it_is_drawn() {
        let whole = stream().bytes::<1000>();
        assert_eq!(
            HEXLOWER.encode(&hash::digest(&[0; 16], &[&whole])),
            "9e7c573ecab007525fcb867561af84984f8b700b721109db111ef8f75dfb0f3a"
        );
        let mut pieces = [0; 1000];
        let (mut stream, mut at) = (stream(), 0);
        for len in (1..).take_while(|len| len * (len + 1) / 2 <= 1000) {
            stream.fill(&mut pieces[at..at + len]);
            at += len;
        }
        stream.fill(&mut pieces[at..]);
        assert_eq!(pieces, whole);
    }

    #[test]
    fn what_was_given_out_is_not_kept() {
        let mut stream = stream();
        let key = stream.key.duplicate();
        let given = stream.bytes::<16>();
        assert!(stream.key != key);
        assert!(!stream.block.expose().windows(16).any(|window| window == given));
    }

    #[test]
    fn below_stays_below_and_reaches_everything() {
        let mut stream = stream();
        let mut seen = [0_u32; 7];
        for _ in 0..7000 {
            seen[stream.below(7) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| (800..1200).contains(&n)), "{seen:?}");
        assert_eq!(stream.below(1), 0);
    }

    #[test]
    fn public_draws_do_not_shift_secret_ones_and_a_reseed_changes_both() {
        let draws = |public: usize, reseed: bool| {
            let mut random = Random::new(&Seed::new([1; 32]));
            for _ in 0..public {
                random.public.bytes::<100>();
            }
            if reseed {
                random.reseed(&Seed::new([2; 32]));
            }
            (random.secret.bytes::<32>(), random.public.bytes::<32>())
        };
        assert_eq!(draws(0, false).0, draws(50, false).0);
        assert_ne!(draws(0, false).0, draws(0, false).1);
        assert_ne!(draws(0, false).0, draws(0, true).0);
        assert_ne!(draws(0, false).1, draws(0, true).1);
    }
}
