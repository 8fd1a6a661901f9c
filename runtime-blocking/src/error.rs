//! What a call that does not wait, or not for long, can come to; named as in [`std::sync::mpsc`].

use std::fmt;

use b4ae_driver::{Closed, SendError};
use thiserror::Error;

/// A message was not taken for sending at once.
#[derive(Clone, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum TrySendError {
    /// There is no room in the session's queue. The message comes back.
    #[error("the session's queue is full")]
    Full(Vec<u8>),
    /// It cannot be sent, now or later.
    #[error(transparent)]
    Failed(#[from] SendError),
}

/// A message was not taken for sending in time.
#[derive(Clone, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SendTimeoutError {
    /// There was no room in the session's queue in that time. The message comes back.
    #[error("the session's queue was full for as long as there was time")]
    Timeout(Vec<u8>),
    /// It cannot be sent, now or later.
    #[error(transparent)]
    Failed(#[from] SendError),
}

/// No message was there.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum TryRecvError {
    /// None has arrived yet.
    #[error("no message has arrived")]
    Empty,
    /// The session has ended, and everything that had arrived was taken.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// No message came in time.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum RecvTimeoutError {
    /// None arrived in that time.
    #[error("no message arrived in time")]
    Timeout,
    /// The session has ended, and everything that had arrived was taken.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// What was waited for did not come in time, or cannot come.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum TimeoutError<E> {
    /// Time ran out.
    #[error("not done in time")]
    Timeout,
    /// It failed, or will never happen.
    #[error(transparent)]
    Failed(#[from] E),
}

impl<E> TimeoutError<E> {
    /// What became of a wait with a limit.
    pub(crate) fn of<T>(waited: Option<Result<T, E>>) -> Result<T, Self> {
        waited.ok_or(Self::Timeout)?.map_err(Self::Failed)
    }
}

// Messages are nobody's business, a log's least of all.
impl fmt::Debug for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl fmt::Debug for SendTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(_) => f.write_str("Timeout(..)"),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_that_comes_back_does_not_show_in_debug() {
        let secret = b"meet me at noon".to_vec();
        let shown =
            [format!("{:?}", TrySendError::Full(secret.clone())), format!("{:?}", SendTimeoutError::Timeout(secret))];
        assert_eq!(shown, ["Full(..)", "Timeout(..)"]);
    }
}
