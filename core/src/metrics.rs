//! Counters, taken as one copy. Aggregates only: per-peer numbers are metadata.

use core::time::Duration;

/// A snapshot of the engine's counters since it was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Metrics {
    /// Sessions that own slots or are draining.
    pub sessions: u32,
    /// Handshakes under way, both roles.
    pub handshakes: u32,
    /// Cells sealed into slots, whether payload or cover.
    pub cells_sent: u64,
    /// Cells received and authenticated.
    pub cells_received: u64,
    /// Slots that passed while the driver was away, and were not sent.
    pub slots_skipped: u64,
    /// Handshake datagrams sent.
    pub handshake_datagrams_sent: u64,
    /// Challenges sent.
    pub challenges_sent: u64,
    /// Handshakes completed, both roles.
    pub handshakes_completed: u64,
    /// Handshakes that failed or timed out, both roles.
    pub handshakes_failed: u64,
    /// Signatures that the [`Signer`](crate::Signer) made, both roles.
    pub signatures: u64,
    /// Signatures that it was asked for and did not make, both roles. One that takes for ever, or panics, is not among
    /// them: nothing says so.
    pub signatures_failed: u64,
    /// Messages given to the application.
    pub messages_received: u64,
    /// Messages the peer has confirmed.
    pub messages_delivered: u64,
    /// Message fragments sent again.
    pub retransmissions: u64,
    /// Bits of the client puzzle asked at present: of those who ask for mode B, if that is more than of others.
    pub puzzle_bits: u8,
    /// Datagrams dropped, by reason.
    pub drops: Drops,
}

/// Why datagrams were dropped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Drops {
    /// Not [`DATAGRAM_LEN`](crate::DATAGRAM_LEN) long.
    pub length: u64,
    /// Neither a known connection id nor a valid `mac1`.
    pub stranger: u64,
    /// Known connection id or peer fingerprint, but it does not authenticate.
    pub unauthentic: u64,
    /// Seen before, or too old to tell.
    pub replayed: u64,
    /// A cookie that is stale, or for another address.
    pub cookie: u64,
    /// A puzzle solution that is wrong.
    pub puzzle: u64,
    /// Over a budget: challenges per second, handshakes per prefix, half-open handshakes, pending jobs, pending
    /// signatures.
    pub limited: u64,
    /// Authentic, but against the protocol or beyond the flow-control credit.
    pub protocol: u64,
}

/// One session's numbers, asked for by id.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SessionStats {
    /// Messages queued and not yet confirmed by the peer.
    pub queued_messages: usize,
    /// Their bytes.
    pub queued_bytes: usize,
    /// Messages received and not yet taken by the application.
    pub waiting_messages: usize,
    /// Cells sent, payload and cover alike.
    pub cells_sent: u64,
    /// Cells received and authenticated, payload and cover alike.
    pub cells_received: u64,
    /// Message fragments sent again.
    pub retransmissions: u64,
    /// Smoothed round-trip time, slot waits included, once measured.
    pub rtt: Option<Duration>,
}
