//! SipHash-2-4 with 128 bits out, as OpenSSL computes it.

use alloc::vec;
use alloc::vec::Vec;

use super::{Tally, fixed};
use crate::crypto::siphash::SipKey;
use crate::secret::Secret;

const TAGS: &str = include_str!("../../../vectors/siphash_2_4_128.txt");

pub(super) fn tallies() -> Vec<Tally> {
    let mut tally = Tally::new("SipHash-2-4-128", "OpenSSL 3.0.19");
    let counting: [u8; 64] = core::array::from_fn(|i| i as u8);
    let key = SipKey::new(&Secret::new(*counting.first_chunk().unwrap()));
    for (len, line) in TAGS.lines().enumerate() {
        let tag: [u8; 16] = fixed(line);
        let (whole, cut) = (&counting[..len], len / 3);
        tally.valid(len, key.tag(&[whole]) == tag && key.verify(&[&whole[..cut], &whole[cut..]], &tag));
    }
    vec![tally.of(64)]
}
