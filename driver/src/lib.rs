//! What every B4AE runtime adapter shares: one turn of the loop, the socket, the mailbox, pacing and the job pool.

mod config;
mod error;
mod stats;

pub use config::{EndpointConfig, Placement};
pub use error::{BindError, Closed, ConnectError, SendError, Stopped};
pub use stats::{EndpointStats, Pacing};
