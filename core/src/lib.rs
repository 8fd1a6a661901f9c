//! A pure state machine for the B4AE protocol: bytes, time and entropy in; datagrams, events and jobs out.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod config;
mod engine;
mod error;
mod identity;
mod job;
mod metrics;
mod mode;
mod random;
mod secret;
mod session;
mod time;
mod transmit;
mod uri;

pub use config::{Accept, Config, ConfigBuilder, Limits, Padding, Traffic};
pub use engine::{Engine, Event, Shutdown};
pub use error::{
    BufferTooSmall, CloseReason, ConfigError, ConnectError, ParseError, RecvError, SendError, UnknownSession,
};
pub use identity::{Identity, PeerId, SecretIdentity};
pub use job::{Completion, Job, ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN, SignError, Signer, SoftwareSigner};
pub use metrics::{Drops, Metrics, SessionStats};
pub use mode::{Mode, ModePolicy};
pub use random::Seed;
pub use secret::Secret;
pub use session::{MessageId, Session, SessionId, SessionState};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::{Instant, UnixTime};
pub use transmit::{DATAGRAM_LEN, Path, Transmit, TransmitKind, TxBuf};
pub use uri::PeerUri;
