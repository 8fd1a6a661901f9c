//! What every B4AE runtime adapter shares: one turn of the loop, the socket, the mailbox, pacing and the job pool.

pub mod address;
mod config;
mod counters;
mod error;
mod handle;
mod jobs;
mod lateness;
mod link;
mod links;
mod mailbox;
mod outbox;
mod pacing;
mod peer;
mod peer_handle;
mod socket;
mod stats;
mod sync;
pub mod thread;
mod turn;

pub use config::{EndpointConfig, Placement};
pub use error::{BindError, Closed, ConnectError, SendError, Stopped};
pub use handle::Handle;
pub use peer_handle::PeerHandle;
pub use stats::{EndpointStats, Pacing};
pub use turn::{Driver, Turn};
