//! What the check of constant time (`constant-time/`) needs and nobody else may have: secrets marked as such, run
//! through the code that must not let time tell them. Never in a build without `--cfg b4ae_constant_time`.
//!
//! With `--cfg b4ae_leaks` besides, the code leaks in a few places, so that the check can show that it notices.

mod handshake;
#[cfg(b4ae_leaks)]
pub(crate) mod leaks;
mod primitives;
mod races;
mod session;

use alloc::boxed::Box;
use core::fmt;
use std::sync::OnceLock;

use crate::secret::Secret;

/// Marks bytes as secret, or as no longer secret.
pub type Mark = fn(&mut [u8]);

static MARKS: OnceLock<(Mark, Mark)> = OnceLock::new();

/// Sets how bytes are marked as secret and as no longer secret, once and for the whole process.
pub fn watch(secret: Mark, declassified: Mark) {
    MARKS.get_or_init(|| (secret, declassified));
}

pub(crate) fn declassify(bytes: &mut [u8]) {
    if let Some((_, declassified)) = MARKS.get() {
        declassified(bytes);
    }
}

fn classify(bytes: &mut [u8]) {
    if let Some((secret, _)) = MARKS.get() {
        secret(bytes);
    }
}

/// Bytes marked as secret.
fn secret<const N: usize>(fill: u8) -> Secret<N> {
    let mut secret = Secret::new([fill; N]);
    classify(secret.as_mut());
    secret
}

/// A secret that is none any more.
fn opened<const N: usize>(secret: &[u8; N]) -> [u8; N] {
    let mut bytes = *secret;
    declassify(&mut bytes);
    bytes
}

/// Code run with secrets marked, while somebody counts branches and addresses that depend on them.
pub struct Case {
    /// What is run, and on what.
    pub name: &'static str,
    /// Runs it. Returns on how many outcomes, which are public, the primitives' crates themselves branch: the core can
    /// declassify only what it gets to see.
    pub run: fn() -> u64,
    /// Whether it is made to leak by `--cfg b4ae_leaks`.
    pub planted: bool,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Everything that must not depend on secrets.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [primitives::CASES, handshake::CASES, session::CASES].into_iter().flatten()
}

/// Runs its argument once and notes what that took.
pub type Measure<'m> = dyn FnMut(&mut dyn FnMut()) + 'm;

/// Two classes of input that time is not to tell apart.
pub struct Race {
    /// What is run, and the two classes.
    pub name: &'static str,
    /// What must hold.
    pub rule: Rule,
    /// Prepares it: a function of whether the second class runs, of the round, and of who measures.
    pub build: fn() -> Runner,
    /// Whether it is made to leak by `--cfg b4ae_leaks`.
    pub planted: bool,
}

/// Prepares an input of the class (`true`: the second) for the round, and has the work on it measured.
pub type Runner = Box<dyn FnMut(bool, u64, &mut Measure<'_>)>;

impl fmt::Debug for Race {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What must hold for the two classes of a [`Race`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// In each round both execute the same number of instructions.
    Equal,
    /// The numbers are those of one distribution.
    Alike,
    /// Nothing: the difference is reported.
    Told,
}

/// Every race.
pub fn races() -> impl Iterator<Item = &'static Race> {
    races::RACES.iter()
}

/// `bytes` with one bit flipped.
fn flipped<const N: usize>(mut bytes: [u8; N], at: usize) -> [u8; N] {
    bytes[at] ^= 1;
    bytes
}
