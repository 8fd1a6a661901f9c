//! What a session holds: what dropping an end with many of them gives back to the allocator.

use std::any::Any;

use stats_alloc::Region;

use crate::ALLOCATOR;
use crate::peer::Peer;

/// A power of two, so that no table has room to spare.
const SESSIONS: usize = 256;

/// Bytes of Rust's heap a session, at the initiator and at the responder.
pub(crate) fn idle(peer: &dyn Peer) -> [f64; 2] {
    let empty = peer.pair(SESSIONS).ends().map(freed);
    let mut pair = peer.pair(SESSIONS);
    for _ in 0..SESSIONS {
        pair.handshake();
    }
    let full = pair.ends().map(freed);
    [0, 1].map(|end| (full[end] - empty[end]) / SESSIONS as f64)
}

fn freed(end: Box<dyn Any>) -> f64 {
    let region = Region::new(ALLOCATOR);
    drop(end);
    let change = region.change();
    (change.bytes_deallocated - change.bytes_allocated) as f64
}
