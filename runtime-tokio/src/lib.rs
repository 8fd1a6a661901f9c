//! B4AE for Tokio: an endpoint, peers, messages.

mod endpoint;
mod peer;
mod task;
mod timer;

pub use b4ae_driver::{
    BindError, Closed, ConnectError, EndpointConfig, EndpointStats, Pacing, Placement, SendError, Stopped,
};
pub use endpoint::Endpoint;
pub use peer::Peer;
