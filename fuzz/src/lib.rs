//! Fuzz targets as functions of bytes: `cargo fuzz` finds inputs for them, and the replay test runs the ones that were
//! kept. Each panics when a promise is broken.

#![forbid(unsafe_code)]

#[cfg(fuzzing)]
pub mod cell;
#[cfg(fuzzing)]
pub mod handshake;
pub mod keyfile;
#[allow(dead_code, unreachable_pub, missing_docs, reason = "the node's own source, of which this uses a part")]
#[path = "../../node/src/keyfile.rs"]
mod node_keyfile;
#[cfg(fuzzing)]
mod pair;
mod program;
#[cfg(fuzzing)]
pub mod rotation;
pub mod scenario;
#[cfg(fuzzing)]
pub mod session;
#[cfg(fuzzing)]
pub mod stranger;
pub mod uri;
#[cfg(fuzzing)]
mod watched;
#[cfg(fuzzing)]
mod wire;

/// A target: it panics when the bytes break something. Returns how often it came to what it is about, which a corpus
/// has to show: messages that arrived, sessions that opened, text that was taken.
pub type Target = fn(&[u8]) -> usize;

/// Every target of this build by its name.
pub const TARGETS: &[(&str, Target)] = &[
    #[cfg(fuzzing)]
    ("cell", cell::run),
    #[cfg(fuzzing)]
    ("handshake", handshake::run),
    ("keyfile", keyfile::run),
    #[cfg(fuzzing)]
    ("rotation", rotation::run),
    ("scenario", scenario::run),
    #[cfg(fuzzing)]
    ("session", session::run),
    #[cfg(fuzzing)]
    ("stranger", stranger::run),
    ("uri", uri::run),
];
