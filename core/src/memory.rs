//! The most memory an engine takes: a sum over its tables, from the configuration alone.
//!
//! Each module says what its own things take; here they are added up.

use crate::config::{Accept, Config};
use crate::engine::Engine;
use crate::engine::bound::Load;
use crate::mode::{Mode, ModePolicy};

/// The most bytes of heap that an engine can hold, whatever its application, its peers and strangers do.
///
/// A sum over the tables at their fullest, from [`Config::memory_bound`]; the repository's tests fill the tables and
/// compare. Sums are of what is asked of the allocator: what it adds to each block is its own matter, and so are the
/// [`Identity`](crate::Identity), which engines share, and the jobs' stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MemoryBound {
    /// Open sessions without the text of their messages: keys, the order of messages, places in the tables. Times
    /// [`Limits::sessions`](crate::Limits::sessions).
    pub sessions: u64,
    /// Text of messages queued and received: [`Limits::send_bytes`](crate::Limits::send_bytes) and
    /// [`Limits::receive_bytes`](crate::Limits::receive_bytes), times [`Limits::sessions`](crate::Limits::sessions).
    pub messages: u64,
    /// Handshakes of ours, all sessions being dialled at once: state, messages, and their jobs, of which each has at
    /// most one; not those that are out when their session ends. Times [`Limits::sessions`](crate::Limits::sessions).
    pub dials: u64,
    /// Handshakes of others: state and messages. Times [`Limits::half_open`](crate::Limits::half_open).
    pub half_open: u64,
    /// Jobs for handshakes of others, whether they wait, run or have been run, so long as the driver holds no
    /// [`Completion`](crate::Completion) back. Times [`Limits::pending_jobs`](crate::Limits::pending_jobs), and where
    /// mode B is accepted [`Limits::pending_signatures`](crate::Limits::pending_signatures).
    pub jobs: u64,
    /// What is remembered of prefixes. Times [`Limits::prefixes`](crate::Limits::prefixes).
    pub prefixes: u64,
    /// Used cookies, of two periods. Times [`Limits::cookies`](crate::Limits::cookies).
    pub cookies: u64,
    /// Challenges waiting to be sent: [`Limits::challenges_per_second`](crate::Limits::challenges_per_second), but at
    /// most 256.
    pub challenges: u64,
    /// The engine itself, and what the growth of the largest table takes for a moment.
    pub other: u64,
}

impl MemoryBound {
    /// All of it. Saturates.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self { sessions, messages, dials, half_open, jobs, prefixes, cookies, challenges, other } = *self;
        let all = [sessions, messages, dials, half_open, jobs, prefixes, cookies, challenges, other];
        all.into_iter().fold(0, u64::saturating_add)
    }
}

impl Config {
    /// The most bytes of heap that an engine of this configuration can hold.
    ///
    /// ```
    /// use b4ae_core::{Accept, Config, Limits, ModePolicy, Traffic};
    ///
    /// let limits = Limits { sessions: 8, message: 16 << 10, send_bytes: 32 << 10, receive_bytes: 32 << 10, ..Limits::default() };
    /// let config = Config::builder(Traffic::balanced()).limits(limits).accept(Accept::Anyone(ModePolicy::A)).build()?;
    /// let bound = config.memory_bound();
    /// assert_eq!(bound.messages, 8 * (32 + 32) << 10);
    /// assert!(bound.total() < 8 << 20);
    /// # Ok::<(), b4ae_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn memory_bound(&self) -> MemoryBound {
        let modes = |policy: &ModePolicy| policy.contains(Mode::B);
        let (mode, peers) = match &self.accept {
            Accept::Nobody => (None, 0),
            Accept::Anyone(policy) => (Some(modes(policy)), 0),
            Accept::Listed(peers) => (Some(peers.iter().any(|(_, policy)| modes(policy))), size_of_val(&peers[..])),
        };
        let mode = mode.map(|signs| if signs { Mode::B } else { Mode::A });
        let load = Load { mode, traffic: &self.traffic };
        let mut bound = Engine::memory_bound(&self.limits, load);
        bound.other += peers as u64;
        bound
    }
}

/// Bytes of a vector or ring that has grown to `len` elements: it doubles.
pub(crate) fn vec<T>(len: usize) -> u64 {
    // The standard library begins with four, or with one that is large.
    let least = if size_of::<T>() <= 1024 { 4 } else { 1 };
    let places = if len == 0 { 0 } else { (len as u64).next_power_of_two().max(least) };
    places * size_of::<T>() as u64
}

/// Bytes of the standard library's B-tree with `len` entries, in the worst order of their coming and going: every node
/// but the root then has five of the eleven entries it has room for.
pub(crate) fn tree<K, V>(len: usize) -> u64 {
    const ROOM: usize = 11;
    if len == 0 {
        return 0;
    }
    let pointer = size_of::<usize>();
    // Entries, the parent, and two counts of two bytes.
    let leaf = (ROOM * (size_of::<K>() + size_of::<V>()) + pointer + 4).next_multiple_of(pointer);
    let nodes = 1 + len / 5;
    let inner = if len > ROOM { 1 + nodes / 6 } else { 0 };
    (nodes * leaf + inner * (ROOM + 1) * pointer) as u64
}

/// Bytes of `count` boxed keys of 32 bytes.
pub(crate) const fn keys(count: u64) -> u64 {
    32 * count
}
