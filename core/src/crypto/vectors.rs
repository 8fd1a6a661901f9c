//! Every primitive against other people's vectors and other people's code, as the core calls it.
//!
//! `cargo test -p b4ae-core crypto::vectors -- --nocapture` prints what was run. A vector that is not run is counted
//! with the reason. `core/vectors/README.md` says where the data is from.

mod acvp;
pub(crate) mod aws_lc;
mod blake2;
mod rfc;
mod rustcrypto;
mod siphash;
mod wycheproof;
mod xeddsa;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;
use std::println;

use data_encoding::HEXLOWER_PERMISSIVE;

pub(crate) use blake2::Simd;
pub(crate) use rustcrypto::Kem;

/// A reason that several sources share: `&[u8; N]` leaves no other length to test.
const LENGTH: &str = "wrong length: the types here have room for one length only";

/// A reason of the provider `aws-lc`'s.
const CONTEXT: &str = "aws-lc-rs has the empty context alone, as has the protocol";

/// What became of one source's vectors for one primitive.
pub(crate) struct Tally {
    primitive: &'static str,
    source: &'static str,
    valid: usize,
    invalid: usize,
    skipped: Vec<(String, usize)>,
    failed: Vec<String>,
}

impl Tally {
    pub(crate) fn new(primitive: &'static str, source: &'static str) -> Self {
        Self { primitive, source, valid: 0, invalid: 0, skipped: Vec::new(), failed: Vec::new() }
    }

    /// A vector that has to come out as its author says, and whether it did.
    pub(crate) fn valid(&mut self, id: impl Display, agrees: bool) {
        self.valid += 1;
        self.check(&id, agrees);
    }

    /// A vector that has to be refused, and whether it was.
    pub(crate) fn invalid(&mut self, id: impl Display, refused: bool) {
        self.invalid += 1;
        self.check(&id, refused);
    }

    /// A vector that says itself whether it is to be accepted.
    pub(crate) fn verdict(&mut self, id: impl Display, valid: bool, accepted: bool) {
        if valid { self.valid(id, accepted) } else { self.invalid(id, !accepted) }
    }

    pub(crate) fn skip(&mut self, reason: &str, count: usize) {
        match self.skipped.iter_mut().find(|(known, _)| known == reason) {
            Some((_, sum)) => *sum += count,
            None => self.skipped.push((reason.into(), count)),
        }
    }

    fn check(&mut self, id: &impl Display, as_told: bool) {
        if !as_told {
            self.failed.push(format!("{}, {}: {id}", self.primitive, self.source));
        }
    }

    fn skips(&self) -> usize {
        self.skipped.iter().map(|(_, count)| count).sum()
    }

    /// Requires that the source's own number of vectors was reached: nothing is left out in silence.
    pub(crate) fn of(self, total: usize) -> Self {
        assert_eq!(self.valid + self.invalid + self.skips(), total, "{}, {}", self.primitive, self.source);
        self
    }
}

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).expect("vectors are hexadecimal")
}

fn fixed<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().expect("vectors have the length of their field")
}

#[test]
fn nobody_elses_vectors_and_no_other_implementation_disagree() {
    let sources: [fn() -> Vec<Tally>; 9] = [
        rfc::tallies,
        blake2::tallies,
        wycheproof::tallies,
        acvp::tallies,
        aws_lc::tallies,
        rustcrypto::tallies,
        siphash::tallies,
        xeddsa::tallies,
        crate::handshake::transcript::noise::tallies,
    ];
    let mut tallies: Vec<Tally> = sources.into_iter().flat_map(|source| source()).collect();
    tallies.sort_by_key(|tally| tally.primitive);

    println!("{:<18} {:<44} {:>6} {:>6} {:>7} {:>7}", "primitive", "source", "run", "valid", "invalid", "skipped");
    for tally in &tallies {
        let Tally { primitive, source, valid, invalid, .. } = tally;
        let (run, skipped) = (valid + invalid, tally.skips());
        println!("{primitive:<18} {source:<44} {run:>6} {valid:>6} {invalid:>7} {skipped:>7}");
        for (reason, count) in &tally.skipped {
            println!("{:19}skipped {count}: {reason}", "");
        }
    }
    let run: usize = tallies.iter().map(|tally| tally.valid + tally.invalid).sum();
    let skipped: usize = tallies.iter().map(Tally::skips).sum();
    println!("{run} run, {skipped} skipped, each with a reason");

    assert!(tallies.iter().all(|tally| tally.valid + tally.invalid > 0), "a source without a vector");
    let failed: Vec<&String> = tallies.iter().flat_map(|tally| &tally.failed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
