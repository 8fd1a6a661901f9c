//! The three shapes of a datagram: what a stranger sends, what follows within a handshake, and a cell.
//!
//! Each is exactly [`DATAGRAM_LEN`](crate::DATAGRAM_LEN) bytes, and each looks uniformly random to whoever lacks the
//! keys; those of the first shape derive from the responder's fingerprint.

pub(crate) mod cell;
pub(crate) mod knock;
pub(crate) mod sealed;
