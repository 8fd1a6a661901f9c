//! One error type per question: can it be bound, can the peer be reached, can the message go.

use std::io;
use std::net::SocketAddr;

use b4ae_core::{CloseReason, ConfigError};
use thiserror::Error;

/// An endpoint could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another socket has the port.
    #[error("UDP port {} on {} is in use by another program: stop it, or listen on another port", addr.port(), addr.ip())]
    InUse {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The port is privileged.
    #[error("no permission to bind UDP {addr}: use a port from 1024 up, or grant the process CAP_NET_BIND_SERVICE")]
    Denied {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// No interface of this machine has the address.
    #[error("{} is not an address of this machine: listen on one of its own, or on 0.0.0.0 or [::]", addr.ip())]
    Unavailable {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The socket could not be made for another reason.
    #[error("cannot bind UDP {addr}: {source}")]
    Socket {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration does not fit the identity.
    #[error("the configuration cannot be used: {0}")]
    Config(#[from] ConfigError),
    /// The system has no randomness to give.
    #[error("the system's random number generator failed: {0}")]
    Entropy(getrandom::Error),
    /// A thread could not be started, or its wake-up descriptor not be made.
    #[error("cannot start a thread for the endpoint: {0}; raise the process's limit on threads or open files")]
    Thread(io::Error),
    /// The loop was to run on the caller's runtime, and there is none: the adapter knows of none, or the call came from
    /// outside of it.
    #[error(
        "there is no runtime to run the loop on: leave it its own thread, run it yourself, or bind within a Tokio runtime"
    )]
    NoRuntime,
    /// The runtime refused to watch the socket.
    #[error("the runtime cannot watch the socket: {0}")]
    Runtime(io::Error),
}

/// A peer was not reached.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host name has no usable address.
    #[error("cannot resolve the host {0:?}: {1}")]
    Resolve(String, io::Error),
    /// The engine took no session.
    #[error("cannot open a session: {0}")]
    Core(#[from] b4ae_core::ConnectError),
    /// The handshake ended without a session.
    #[error("no session with the peer: {0}")]
    Failed(CloseReason),
    /// The endpoint has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A message was not taken for sending.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SendError {
    /// Longer than the configured limit.
    #[error("the message has {len} bytes, over the limit of {max}: split it, or raise the message limit on both sides")]
    TooLong {
        /// The message's length in bytes.
        len: usize,
        /// The longest message allowed, in bytes.
        max: usize,
    },
    /// The session has ended, or has been asked to.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// The session has ended: nothing more is sent or received.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum Closed {
    /// It was closed, for this reason.
    #[error("the session has ended: {0}")]
    Session(CloseReason),
    /// The endpoint has stopped and all its sessions with it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The endpoint has stopped: it was closed, its last handle dropped, or its runtime shut down.
#[derive(Clone, Copy, Debug, Default, Eq, Error, PartialEq)]
#[error("the endpoint has stopped")]
pub struct Stopped;
