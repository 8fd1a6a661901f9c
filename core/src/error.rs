//! One error type per question a caller can ask; peers and garbage are not among them.
//!
//! Bad datagrams are normal input and only counted ([`Drops`](crate::Drops)). What a peer does to a session ends in
//! a [`CloseReason`]. What the local caller does wrong is a `Result` at the call.

use core::fmt;

/// The configuration contradicts itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The slot interval, mean gap or spacing is below ten microseconds or above ten minutes, or the mean gap between
    /// cover cells of low-overhead traffic below a millisecond.
    Interval,
    /// `dummy_rate` is not within 0.0 to 0.9.
    DummyRate,
    /// A full house of sessions makes a session wait longer for its slot than `max_queue_latency`.
    QueueLatency {
        /// Milliseconds a session may have to wait when there are as many as may be.
        needed_ms: u64,
    },
    /// A session's slots may be so far apart that `idle_timeout` ends it for want of traffic.
    IdleTimeout {
        /// The shortest idle timeout that fits, in milliseconds.
        needed_ms: u64,
    },
    /// The handshake timeout is shorter than the peer's first cell may take.
    HandshakeTimeout {
        /// The shortest handshake timeout that fits, in milliseconds.
        needed_ms: u64,
    },
    /// The groups of a full house of sessions do not fit into their period, or the period is longer than a day.
    Period {
        /// How long such a group takes, in milliseconds.
        needed_ms: u64,
    },
    /// A limit is zero, or too small or large to work with.
    Limit(&'static str),
    /// The delay bounds of low-overhead traffic are in the wrong order.
    Delay,
    /// The padding buckets are not `1024 * 2^k`, or in the wrong order.
    Padding,
    /// Mode B is accepted but the identity has no ML-DSA-87 key, or not its signer.
    NoSigner,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interval => f.write_str(
                "the slot interval must be between 10 microseconds and 10 minutes, and low-overhead cover a millisecond or \
                 more apart",
            ),
            Self::DummyRate => f.write_str("dummy_rate must be between 0.0 and 0.9"),
            Self::QueueLatency { needed_ms } => write!(
                f,
                "max_queue_latency must be at least {needed_ms} ms at this rate and number of sessions: raise it, raise \
                 the rate, or lower the limit on sessions"
            ),
            Self::IdleTimeout { needed_ms } => {
                write!(f, "the idle timeout must be at least {needed_ms} ms at this rate and number of sessions")
            }
            Self::HandshakeTimeout { needed_ms } => {
                write!(f, "the handshake timeout must be at least {needed_ms} ms with this traffic")
            }
            Self::Period { needed_ms } => write!(
                f,
                "the period must be at least {needed_ms} ms for groups of this size, spacing and number of sessions, and \
                 at most a day"
            ),
            Self::Limit(name) => write!(f, "the limit {name} is out of range"),
            Self::Delay => f.write_str("the shortest random delay must not exceed the longest"),
            Self::Padding => {
                f.write_str("padding buckets must be 1024 times a power of two, the smallest not above the largest")
            }
            Self::NoSigner => f.write_str("mode B needs an identity with an ML-DSA-87 key and its signer at hand"),
        }
    }
}

/// A session could not be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ConnectError {
    /// Every place for a session is taken; try again after a `Closed` event.
    Full,
    /// The engine is shutting down.
    ShuttingDown,
    /// The offer names mode B and the identity has no ML-DSA-87 key, or not its signer.
    ModeUnavailable,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "every place for a session is taken",
            Self::ShuttingDown => "the endpoint is shutting down",
            Self::ModeUnavailable => "mode B needs an identity with an ML-DSA-87 key and its signer at hand",
        })
    }
}

/// A message was not queued; nothing changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SendError {
    /// The session's queue is full, or what waits in it already takes `max_queue_latency`; a `Writable` event
    /// follows once there is room.
    Full,
    /// No message to this peer may be this long.
    TooLong {
        /// The longest message allowed, in bytes.
        max: usize,
    },
    /// The peer takes no message, however short: its whole window is smaller than our smallest bucket
    /// ([`Padding::min`](crate::Padding::min)).
    PeerTakesNone,
    /// The session is closing.
    Closing,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the send queue is full"),
            Self::TooLong { max } => write!(f, "the message is longer than {max} bytes"),
            Self::PeerTakesNone => f.write_str("the peer has no room for a padded message, however short"),
            Self::Closing => f.write_str("the session is closing"),
        }
    }
}

/// A message was not taken; it is still there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RecvError {
    /// No complete message is waiting.
    Empty,
    /// The buffer is too small for the next message.
    BufferTooSmall(BufferTooSmall),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no message is waiting"),
            Self::BufferTooSmall(e) => e.fmt(f),
        }
    }
}

/// The memory offered is too small.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BufferTooSmall {
    /// Bytes needed.
    pub needed: usize,
}

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the buffer needs {} bytes", self.needed)
    }
}

/// The id names no session, or one that has been closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownSession;

impl fmt::Display for UnknownSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such session")
    }
}

/// Why a session ended. Coarse on purpose: every way a handshake can be wrong looks the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side closed it.
    Local,
    /// The peer closed it.
    Peer,
    /// Nothing authentic arrived for the idle timeout.
    Idle,
    /// Nobody answered the handshake: the peer is down, the address is wrong, or the fingerprint is not the peer's
    /// (a B4AE peer is silent to whoever does not know its fingerprint).
    Unreachable,
    /// The peer accepts none of the modes offered.
    NoCommonMode,
    /// The handshake ended in failure: what answered could not prove to be the peer.
    HandshakeFailed,
    /// The [`Signer`](crate::Signer) of this side made no signature before the handshake's time was over: it failed, or
    /// a job that verifies what answered, and has the signer sign if it is the peer's, had not come back. So it is
    /// not certain that the peer answered; nobody outside was told anything.
    SignerFailed,
    /// The two sides do not fit together: one sent what the other does not take, as when their limits differ.
    Protocol,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "closed here",
            Self::Peer => "closed by the peer",
            Self::Idle => "nothing was heard from the peer for the idle timeout",
            Self::Unreachable => "no answer: the peer is down, or the address or the fingerprint is wrong",
            Self::NoCommonMode => "the peer accepts none of the modes offered",
            Self::HandshakeFailed => "the handshake failed: what answered could not prove to be the peer",
            Self::SignerFailed => {
                "our signer made no signature in time: it is absent, locked, slow, or was asked too late"
            }
            Self::Protocol => "one side sent what the other does not take: their limits differ",
        })
    }
}

/// The text is not what it should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ParseError {
    /// The text does not start with `b4ae://`.
    Scheme,
    /// The host is missing or empty.
    Host,
    /// The port is missing or not a number between 1 and 65535.
    Port,
    /// The `#fingerprint` is missing.
    NoFingerprint,
    /// The fingerprint is not 56 letters and digits of base32.
    Fingerprint,
    /// The fingerprint's checksum is wrong: a letter was lost or changed.
    Checksum,
    /// The bytes are not a secret identity.
    Identity,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "an address starts with b4ae://",
            Self::Host => "the host is missing",
            Self::Port => "the port must be a number from 1 to 65535",
            Self::NoFingerprint => "the fingerprint is missing: b4ae://host:port#fingerprint",
            Self::Fingerprint => "a fingerprint is 56 letters and digits (a-z, 2-7)",
            Self::Checksum => "the fingerprint's checksum is wrong: a letter was lost or changed",
            Self::Identity => "not a secret identity",
        })
    }
}

macro_rules! errors {
    ($($name:ident),+) => { $(impl core::error::Error for $name {})+ };
}
errors!(ConfigError, ConnectError, SendError, RecvError, BufferTooSmall, UnknownSession, ParseError);
