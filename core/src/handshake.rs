//! The handshake: `Noise_XXhfs` with X25519 and ML-KEM-1024, behind a stateless cookie.
//!
//! ```text
//! I -> R  Hello      1 datagram    offer, connection id; silent without the fingerprint
//! R -> I  Challenge  1             stateless cookie, accepted modes, puzzle
//! I -> R  Init       2             e, e1
//! R -> I  Response   2 (A), 8 (B)  e, ee, ekem1, s, es, answer [, V, signature]
//! I -> R  Finish     1 (A), 7 (B)  s, se, [V, signature]
//! R -> I  a cell                   confirms
//! ```

pub(crate) mod cookie;
#[cfg(test)]
mod deniability;
pub(crate) mod fragment;
pub(crate) mod initiator;
pub(crate) mod limiter;
pub(crate) mod message;
pub(crate) mod replay;
pub(crate) mod responder;
pub(crate) mod transcript;

pub(crate) use message::{Hello, Prologue};

/// A handshake message that is not what an honest peer would have sent. One failure looks like any other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Failed;

/// Why a message was not answered. The peer gets silence in either case; this side alone is told which it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoReply {
    /// For what the peer sent.
    Failed,
    /// Our signer did not sign.
    Unsigned,
}

impl From<Failed> for NoReply {
    fn from(Failed: Failed) -> Self {
        Self::Failed
    }
}
