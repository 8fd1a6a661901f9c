//! How much memory an engine takes at most: the sum of what its parts say of theirs.

use super::admit::{self, Pending};
use super::dial::Dial;
use super::half_open::HalfOpen;
use super::routes::Routes;
use super::slab::Slab;
use super::{Engine, Outgoing, Timer, UNUSED_COOKIES, transmit};
use crate::config::{Limits, Traffic};
use crate::handshake::limiter::{Limiter, Places, Signatures};
use crate::handshake::message;
use crate::handshake::replay::Replay;
use crate::job::Job;
use crate::memory::{self, MemoryBound};
use crate::mode::Mode;
use crate::scheduler::Scheduler;
use crate::session::entry::Entry;
use crate::time::Instant;

/// Bytes of heap of the engine's own keys and random streams.
const ENGINE_KEYS: u64 = 4096;

/// What of the configuration, beside its limits, decides how much memory an engine takes.
#[derive(Clone, Copy)]
pub(crate) struct Load<'c> {
    /// The mode with the longest handshake that others may ask for, if any may.
    pub(crate) mode: Option<Mode>,
    pub(crate) traffic: &'c Traffic,
}

impl Engine {
    /// The most bytes of heap that an engine with these limits holds.
    pub(crate) fn memory_bound(limits: &Limits, load: Load<'_>) -> MemoryBound {
        let sessions = limits.sessions as usize;
        let (half_open, pending_jobs, pending_signatures, prefixes, challenges, cookies) = match load.mode {
            Some(mode) => (
                limits.half_open as usize,
                limits.pending_jobs as usize,
                if mode == Mode::B { limits.pending_signatures as usize } else { 0 },
                limits.prefixes,
                admit::max_challenges(limits),
                limits.cookies,
            ),
            None => (0, 0, 0, 0, 0, UNUSED_COOKIES),
        };
        let mode = load.mode.unwrap_or(Mode::A);
        let (cells, due) = if load.traffic.is_protected() { (0, 0) } else { (2 * sessions, transmit::max_due(limits)) };

        let table = Slab::<Entry>::bound(limits.sessions);
        let places = Places::bound(limits.sessions);
        // Those with events, and the owners of slots.
        let lists = memory::vec::<u32>(sessions) + Scheduler::bound(load.traffic, sessions);
        let due = memory::vec::<(u32, u32, Instant)>(due);
        let timed = |len| memory::tree::<(Instant, Timer), ()>(len);
        let outgoing = |len| memory::tree::<Outgoing, ()>(len);
        // One queue for all: room for twice as many of each kind is room for what it doubles to.
        let jobs = |len: usize| (2 * len).max(4) as u64 * size_of::<Job>() as u64;
        let computing = Job::bound_respond(Mode::A).max(Job::bound_accept(mode));

        let half_table = Slab::<HalfOpen>::bound(u32::try_from(half_open).unwrap_or(u32::MAX));
        let by_cookie = memory::tree::<[u8; 32], u32>(half_open);
        let each = |count: usize, bytes: u64| count as u64 * bytes;
        let messages = (limits.send_bytes + limits.receive_bytes) as u64;
        // A table that grows has its old place until the new one is filled, a filter until the next one is there, and
        // a message until it is copied into a job.
        let growth = [table / 2, half_table / 2, Replay::bound(cookies) / 2, Entry::bound(limits) / 2];
        let copied = message::response_len(Mode::B) as u64;
        MemoryBound {
            sessions: table
                + places
                + lists
                + due
                + Routes::bound(sessions)
                + timed(cells)
                + each(sessions, Entry::bound(limits)),
            messages: each(sessions, messages),
            dials: each(sessions, Dial::bound())
                + Routes::bound(sessions)
                + timed(sessions)
                + outgoing(sessions)
                + jobs(sessions),
            half_open: half_table
                + by_cookie
                + Routes::bound(half_open)
                + timed(half_open)
                + outgoing(half_open)
                + each(half_open, HalfOpen::bound(mode)),
            jobs: each(pending_jobs, computing)
                + each(pending_signatures, Job::bound_respond(Mode::B))
                + Signatures::bound(pending_signatures)
                + jobs(pending_jobs + pending_signatures),
            prefixes: Limiter::bound(prefixes),
            cookies: Replay::bound(cookies),
            challenges: memory::vec::<Pending>(challenges),
            other: size_of::<Self>() as u64 + ENGINE_KEYS + copied + growth.into_iter().max().unwrap_or(0),
        }
    }
}
