//! What must never happen, and did.

use std::fmt;

use b4ae_core::{Instant, MessageId, SessionId};

/// An engine broke its contract.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Violation {
    /// A datagram of another length than every datagram has.
    Length {
        /// Its length in bytes.
        len: usize,
    },
    /// After `handle_timeout(now)`, and every output taken, the next deadline is before `now`.
    DeadlineInPast {
        /// Now.
        now: Instant,
        /// The deadline.
        deadline: Instant,
    },
    /// Deadline after deadline at one instant: a driver would spin.
    Spin {
        /// The instant.
        now: Instant,
    },
    /// An event after the session's `Closed`.
    AfterClosed {
        /// The session.
        session: SessionId,
    },
    /// A second `Established` or `Incoming`.
    OpenedTwice {
        /// The session.
        session: SessionId,
    },
    /// A session that is open without a peer, a mode or an exporter.
    Anonymous {
        /// The session.
        session: SessionId,
    },
    /// A session whose two ends do not agree who they are or in which mode, or not with whom was asked for.
    WrongPeer {
        /// The session.
        session: SessionId,
    },
    /// A message id out of sequence, of no message, or confirmed twice.
    MessageId {
        /// The session.
        session: SessionId,
        /// The id.
        id: MessageId,
    },
    /// A message that nobody sent.
    Invented {
        /// The session.
        session: SessionId,
    },
    /// A message delivered twice.
    Doubled {
        /// The session.
        session: SessionId,
    },
    /// A message delivered before one that was sent earlier.
    OutOfOrder {
        /// The session.
        session: SessionId,
    },
    /// An id from an event finds no session.
    Missing {
        /// The session.
        session: SessionId,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { len } => write!(f, "a datagram of {len} bytes left a host"),
            Self::DeadlineInPast { now, deadline } => {
                write!(f, "at {} ns the next deadline is {} ns", now.as_nanos(), deadline.as_nanos())
            }
            Self::Spin { now } => write!(f, "a driver would spin at {} ns", now.as_nanos()),
            Self::AfterClosed { session } => write!(f, "session {session}: an event after Closed"),
            Self::OpenedTwice { session } => write!(f, "session {session} opened twice"),
            Self::Anonymous { session } => write!(f, "session {session} is open but has no peer, mode or exporter"),
            Self::WrongPeer { session } => write!(f, "session {session}: the ends disagree who they are, or how"),
            Self::MessageId { session, id } => write!(f, "session {session}: message id {} is wrong", id.0),
            Self::Invented { session } => write!(f, "session {session}: a message that nobody sent"),
            Self::Doubled { session } => write!(f, "session {session}: a message came twice"),
            Self::OutOfOrder { session } => write!(f, "session {session}: a message overtook an earlier one"),
            Self::Missing { session } => write!(f, "session {session}: named in an event, but not there"),
        }
    }
}

impl std::error::Error for Violation {}
