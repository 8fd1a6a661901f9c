//! Work too slow for a turn: key exchange, signatures, puzzles.
//!
//! The engine hands out a [`Job`], the driver runs it where blocking is allowed and feeds the [`Completion`] back.
//! A job draws its randomness when it is made, so runs replay whatever order jobs finish in.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;

use crate::crypto::ml_kem::CT_LEN;
use crate::crypto::{burn_stack, ml_dsa};
use crate::handshake::initiator::{AwaitResponse, Confirmed, InitRandomness, Puzzle};
use crate::handshake::message::{self, INIT_LEN};
use crate::handshake::responder::{Accepted, AwaitFinish, RespondRandomness, Responded};
use crate::handshake::{Failed, NoReply, Prologue};
use crate::identity::{Identity, PeerId};
use crate::memory;
use crate::mode::Mode;
use crate::secret::Secret;
use crate::session::SessionId;
use crate::time::UnixTime;

/// Length of an ML-DSA-87 public key in bytes (FIPS 204, table 2).
pub const ML_DSA_PUBLIC_KEY_LEN: usize = 2592;
/// Length of an ML-DSA-87 signature in bytes (FIPS 204, table 2).
pub const ML_DSA_SIGNATURE_LEN: usize = 4627;

/// Signs with a long-term ML-DSA-87 key (FIPS 204, pure, empty context), as [`verify_signature`] checks. Called from
/// [`Job::run`], never by the engine itself, so it may block: a hardware token is just a slow signer.
pub trait Signer: Send + Sync {
    /// The public key.
    fn public_key(&self) -> &[u8; ML_DSA_PUBLIC_KEY_LEN];

    /// Signs `message`, a domain-separated hash, into `signature`. `randomness` hedges the signature where the
    /// signer has no better source.
    fn sign(
        &self,
        message: &[u8; 64],
        randomness: &[u8; 32],
        signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
    ) -> Result<(), SignError>;
}

/// The signer could not sign: absent, locked or broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignError;

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signer did not sign")
    }
}

impl core::error::Error for SignError {}

/// Whether `signature` is what a [`Signer`] with this public key has to make of `message`: ML-DSA-87 (FIPS 204), pure,
/// with the empty context. Peers check no more and no less, so that whoever writes a signer can try it with this.
///
/// ```
/// use b4ae_core::{ML_DSA_SIGNATURE_LEN, Secret, Signer, SoftwareSigner, verify_signature};
///
/// let signer = SoftwareSigner::new(&Secret::new([1; 32]));
/// let (message, mut signature) = ([2; 64], [0; ML_DSA_SIGNATURE_LEN]);
/// signer.sign(&message, &[3; 32], &mut signature)?;
/// assert!(verify_signature(signer.public_key(), &message, &signature));
/// assert!(!verify_signature(signer.public_key(), &[4; 64], &signature));
/// # Ok::<(), b4ae_core::SignError>(())
/// ```
#[must_use]
pub fn verify_signature(
    public_key: &[u8; ML_DSA_PUBLIC_KEY_LEN],
    message: &[u8; 64],
    signature: &[u8; ML_DSA_SIGNATURE_LEN],
) -> bool {
    ml_dsa::verify(public_key, message, signature)
}

/// An ML-DSA-87 key held in memory, expanded: expanding it for each signature would take half as long as signing.
pub struct SoftwareSigner {
    key: ml_dsa::SigningKey,
    public_key: Box<[u8; ML_DSA_PUBLIC_KEY_LEN]>,
}

impl SoftwareSigner {
    /// The key of a FIPS 204 seed.
    pub fn new(seed: &Secret<32>) -> Self {
        let (key, public_key) = ml_dsa::key_pair(seed);
        Self { key, public_key }
    }
}

impl fmt::Debug for SoftwareSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SoftwareSigner(..)")
    }
}

impl Signer for SoftwareSigner {
    fn public_key(&self) -> &[u8; ML_DSA_PUBLIC_KEY_LEN] {
        &self.public_key
    }

    fn sign(
        &self,
        message: &[u8; 64],
        randomness: &[u8; 32],
        signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
    ) -> Result<(), SignError> {
        if ml_dsa::sign(&self.key, message, randomness, signature) { Ok(()) } else { Err(SignError) }
    }
}

/// One unit of slow work. `Send`, owns all it needs, runs anywhere; it takes tens of microseconds to a millisecond,
/// or as long as a [`Signer`] takes, and up to 256 KiB of stack.
#[must_use = "a handshake waits for this job"]
pub struct Job {
    pub(crate) ticket: Ticket,
    pub(crate) work: Work,
    pub(crate) pending: Option<Outstanding>,
    pub(crate) wanted: Wanted,
}

/// Held by whoever waits for a job. When it is dropped, the job is not worth doing any more, wherever it is by then.
#[derive(Default)]
pub(crate) struct Errand(Arc<()>);

/// A job's view of its [`Errand`].
pub(crate) struct Wanted(Weak<()>);

impl Wanted {
    fn is_so(&self) -> bool {
        self.0.strong_count() != 0
    }
}

impl Errand {
    /// The most bytes of heap that an errand takes, for as long as either end is held.
    pub(crate) fn bound() -> u64 {
        2 * size_of::<usize>() as u64
    }

    pub(crate) fn wanted(&self) -> Wanted {
        Wanted(Arc::downgrade(&self.0))
    }
}

/// Counts the jobs that are out for handshakes of others: one more for each copy, until it is dropped, wherever that
/// is. So a job that never comes back, as when a signer panics, does not count for ever.
#[derive(Default)]
pub(crate) struct Outstanding(Arc<()>);

impl Outstanding {
    /// The most bytes of heap that a counter takes.
    pub(crate) fn bound() -> u64 {
        2 * size_of::<usize>() as u64
    }

    pub(crate) fn one_more(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// Whose job it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ticket {
    /// A handshake we began.
    Session(SessionId),
    /// A handshake of another's.
    HalfOpen { slot: u32, generation: u32 },
}

pub(crate) enum Work {
    /// Solve the puzzle and make the ephemeral keys.
    Init { prologue: Box<Prologue>, puzzle: Puzzle, randomness: InitRandomness },
    /// Verify the Response and make the Finish.
    Finish {
        state: Arc<AwaitResponse>,
        identity: Identity,
        peer: PeerId,
        mode: Mode,
        response: Vec<u8>,
        wall: UnixTime,
        randomness: Secret<32>,
    },
    /// Answer an Init.
    Respond { prologue: Box<Prologue>, identity: Identity, mode: Mode, init: Vec<u8>, randomness: RespondRandomness },
    /// Verify the Finish.
    Accept { state: Arc<AwaitFinish>, own: PeerId, finish: Vec<u8>, wall: UnixTime },
}

pub(crate) enum Outcome {
    Init {
        state: Arc<AwaitResponse>,
        solution: u64,
    },
    Finish(Result<Box<Confirmed>, NoReply>),
    Respond(Result<Box<Responded>, NoReply>),
    Accept(Result<Box<Accepted>, Failed>),
    /// Nobody waited for it any more.
    Forgotten,
}

impl Outcome {
    /// Whether the signer signed, if it was asked.
    pub(crate) fn signature(&self) -> Option<bool> {
        match self {
            Self::Finish(Ok(confirmed)) => (confirmed.secrets.mode == Mode::B).then_some(true),
            Self::Respond(Ok(responded)) => (responded.state.mode == Mode::B).then_some(true),
            Self::Finish(Err(NoReply::Unsigned)) | Self::Respond(Err(NoReply::Unsigned)) => Some(false),
            _ => None,
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job(..)")
    }
}

/// A finished job, for [`Engine::handle_completion`](crate::Engine::handle_completion).
#[must_use = "a handshake waits for this completion"]
pub struct Completion {
    pub(crate) ticket: Ticket,
    pub(crate) outcome: Outcome,
    /// Counted as out until the engine has it.
    pub(crate) _pending: Option<Outstanding>,
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Completion(..)")
    }
}

impl Job {
    /// The most bytes of heap that a job which answers an Init takes, with what comes of it.
    pub(crate) fn bound_respond(mode: Mode) -> u64 {
        let messages = INIT_LEN + message::response_len(mode) + CT_LEN;
        Self::bound_others(size_of::<Prologue>() + messages + size_of::<Responded>())
    }

    /// The most bytes of heap that a job which verifies a Finish takes, with what comes of it.
    pub(crate) fn bound_accept(mode: Mode) -> u64 {
        Self::bound_others(message::finish_len(mode) + size_of::<Accepted>())
    }

    fn bound_others(work: usize) -> u64 {
        // What was drawn, and the state or secrets of a transcript.
        (work + size_of::<AwaitFinish>()) as u64 + memory::keys(16) + Errand::bound()
    }

    /// The most bytes of heap that a job for a handshake of ours takes, with what comes of it: the Response, which the
    /// handshake gives away to it, and the Finish, which it gives back.
    pub(crate) fn bound_own() -> u64 {
        let messages = message::response_len(Mode::B) + message::finish_len(Mode::B);
        (messages + size_of::<Prologue>() + size_of::<Confirmed>()) as u64 + memory::keys(20) + Errand::bound()
    }

    /// Whether it calls the [`Signer`], and so takes as long as that does: it answers an Init in mode B, or a Response.
    ///
    /// A driver keeps such jobs from others: one that waits in a token must not keep one waiting that does not need it.
    #[must_use]
    pub fn signs(&self) -> bool {
        matches!(self.work, Work::Respond { mode: Mode::B, .. } | Work::Finish { mode: Mode::B, .. })
    }

    /// Whether it is for a handshake that this side began, and not for a stranger's.
    ///
    /// A driver has such jobs run first: of others there may be as many as strangers like.
    #[must_use]
    pub fn is_own(&self) -> bool {
        matches!(self.ticket, Ticket::Session(_))
    }

    /// Whether its handshake still waits for it. One that nobody waits for comes to nothing, without calling the
    /// [`Signer`], when it is run; it may as well be dropped.
    ///
    /// Of those that are out and wanted there are never more than a job for each session, and those that
    /// [`Limits::pending_jobs`](crate::Limits::pending_jobs) or, where they call the signer,
    /// [`Limits::pending_signatures`](crate::Limits::pending_signatures) counts.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.wanted.is_so()
    }

    /// Does the work, on the calling thread.
    pub fn run(self) -> Completion {
        let done = self.work();
        // Hashes and ciphers leave copies of their keys in dead frames; the larger primitives burn their own.
        burn_stack::<2048>();
        done
    }

    #[inline(never)]
    fn work(self) -> Completion {
        // If its handshake was forgotten while it waited for its turn, others wait behind it.
        let wanted = self.is_wanted();
        let outcome = match self.work {
            _ if !wanted => Outcome::Forgotten,
            Work::Init { prologue, puzzle, randomness } => {
                let solution = puzzle.solve();
                Outcome::Init { state: Arc::new(AwaitResponse::new(&prologue, &randomness)), solution }
            }
            Work::Finish { state, identity, peer, mode, response, wall, randomness } => {
                Outcome::Finish(state.confirm(&identity, peer, mode, response, wall, randomness.expose()).map(Box::new))
            }
            Work::Respond { prologue, identity, mode, init, randomness } => {
                Outcome::Respond(Responded::new(&prologue, &identity, mode, &init, &randomness).map(Box::new))
            }
            Work::Accept { state, own, finish, wall } => Outcome::Accept(state.accept(own, finish, wall).map(Box::new)),
        };
        Completion { ticket: self.ticket, outcome, _pending: self.pending }
    }
}
