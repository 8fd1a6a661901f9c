//! Configuration: required choices are arguments, ranges are checked at `build`, the result is immutable.

mod traffic;

use alloc::vec::Vec;
use core::time::Duration;

pub(crate) use traffic::Pattern;
pub use traffic::Traffic;

use crate::error::ConfigError;
use crate::identity::PeerId;
use crate::mode::ModePolicy;
use crate::time::nanos;
use crate::wire::cell::DATA_LEN;

/// Every bound. What an attacker or a peer can make the engine hold is limited by these, and
/// [`Config::memory_bound`] adds it up.
///
/// Each says what one more of it adds to that bound, the others being as they are by default, where pointers have 64
/// bits. The repository's `tests/tests/memory/` fills what each bounds, counts, and checks the figures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Concurrent sessions, handshakes we started included. Default 64.
    ///
    /// Memory: at most 4 500 000 bytes each: `send_bytes` and `receive_bytes`, and some 250 kB, of which 128 KiB are
    /// buffers kept for the next messages and most of the rest is the order of messages. An idle session takes some
    /// 3.5 kB; one that is being dialled 25 kB more, until it is open.
    pub sessions: u32,
    /// Sessions that others may hold which they opened from one IPv4 address or IPv6 /64, so that one host cannot take
    /// every place. Default 32. No memory of its own.
    pub sessions_per_prefix: u32,
    /// Handshakes of others under way at once. Default 256.
    ///
    /// Memory: at most 19 000 bytes each, of which mode B's messages are 16 kB; where it is not accepted, 3 kB.
    pub half_open: u32,
    /// Jobs handed out and not yet completed, for handshakes of others, that call no signer: answers in mode A, and
    /// the verifying of what a peer says last. Default 64.
    ///
    /// Memory: at most 10 000 bytes each, and the stack of whoever runs them.
    pub pending_jobs: u32,
    /// Jobs handed out and not yet completed, for handshakes of others, that call the [`Signer`](crate::Signer):
    /// answers in mode B. Default 16. They are not among `pending_jobs`, so that a slow hardware token, or one
    /// that never comes back, keeps nobody out who asks for mode A. Of one host, an IPv4 address or an IPv6 /64, there
    /// are at most a quarter of them, and one at least.
    ///
    /// What a burst has beyond them is dropped, and its initiators try again, first within about a second. That bounds
    /// what waits and not the signatures a second, since each signature makes room for the next. Sixteen is what a
    /// token that takes a second for each still makes before the handshakes are forgotten, after 20 s: with more
    /// places it would make no more of them in time, and everybody would be late.
    ///
    /// Memory: at most 15 000 bytes each where mode B is accepted, and the stack of whoever runs them.
    pub pending_signatures: u32,
    /// Hellos answered per second, with a Challenge each, all strangers together; at once at most a tenth of that.
    /// Default 10 000.
    ///
    /// Memory: at most 100 bytes each, and never of more than 256: only those that wait to be sent are held.
    pub challenges_per_second: u32,
    /// Handshakes per second and IPv4 /32 or IPv6 /64, five at once; ten times as many per /24 or /48. Default 20. No
    /// memory of its own.
    pub handshakes_per_prefix: u32,
    /// Prefixes remembered. Default 4096.
    ///
    /// Memory: at most 65 bytes each.
    pub prefixes: u32,
    /// Cookies remembered per 30 s. Default 100 000.
    ///
    /// Memory: at most 4 bytes each, taken at once: two filters, of 1.8 bytes a cookie. Without `std` the sets are
    /// exact, take at most 84 bytes a cookie, and grow with use.
    pub cookies: u32,
    /// The longest message, in bytes. Default 1 MiB. No memory of its own: what there is is `send_bytes` and
    /// `receive_bytes`. (Below 16 KiB the buffers kept for the next messages are shorter: 8 bytes a session for each.)
    pub message: usize,
    /// Bytes of unconfirmed messages per session. Default 2 MiB.
    ///
    /// Memory: at most 1 byte each, in each session.
    pub send_bytes: usize,
    /// Unconfirmed messages per session. Default 256.
    ///
    /// Memory: at most 60 bytes each, in each session, beside their text.
    pub send_messages: usize,
    /// Bytes of messages received and not yet taken per session: the flow-control credit. Default 2 MiB.
    ///
    /// Memory: at most 1.1 bytes each, in each session.
    pub receive_bytes: usize,
    /// Cells out of order that a session can still open. Default 64, as for ESP (RFC 4303): a sender takes a cell for
    /// lost once 16 later ones have arrived.
    ///
    /// Memory: at most 33 bytes each, in each session.
    pub reorder_window: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 64,
            sessions_per_prefix: 32,
            half_open: 256,
            pending_jobs: 64,
            pending_signatures: 16,
            challenges_per_second: 10_000,
            handshakes_per_prefix: 20,
            prefixes: 4096,
            cookies: 100_000,
            message: 1 << 20,
            send_bytes: 2 << 20,
            send_messages: 256,
            receive_bytes: 2 << 20,
            reorder_window: 64,
        }
    }
}

/// Whose handshakes are answered, and in which modes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Accept {
    /// Nobody's: the engine is silent to every stranger.
    #[default]
    Nobody,
    /// Anyone's who knows our fingerprint.
    Anyone(ModePolicy),
    /// The listed peers', each in its own modes. Others learn no more than that a handshake failed.
    ///
    /// The mode is chosen before the peer is known, among those of all the listed together: a peer that may use only
    /// some of them has to offer only those.
    Listed(Vec<(PeerId, ModePolicy)>),
}

/// How message lengths are hidden from whoever sees cells but not what is in them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Padding {
    /// The smallest bucket in bytes, `1024 * 2^k`. Default 1024.
    pub min: u32,
    /// The largest bucket in bytes, `1024 * 2^k`. Longer messages are padded by PADMÉ. Default 16384.
    pub max: u32,
}

impl Default for Padding {
    fn default() -> Self {
        Self { min: 1024, max: 16384 }
    }
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) traffic: Traffic,
    pub(crate) limits: Limits,
    pub(crate) accept: Accept,
    pub(crate) padding: Padding,
    pub(crate) idle_timeout: Duration,
    pub(crate) handshake_timeout: Duration,
    pub(crate) puzzle_bits_min: u8,
    #[cfg(b4ae_mutants)]
    pub(crate) mutant: Option<crate::mutant::Mutant>,
}

impl Config {
    /// Starts a configuration; when cells leave is the one choice without a default.
    pub fn builder(traffic: Traffic) -> ConfigBuilder {
        ConfigBuilder(Self {
            traffic,
            limits: Limits::default(),
            accept: Accept::default(),
            padding: Padding::default(),
            idle_timeout: IDLE_TIMEOUT,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            puzzle_bits_min: 0,
            #[cfg(b4ae_mutants)]
            mutant: None,
        })
    }

    /// The traffic in force.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// Builds a [`Config`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ConfigBuilder(Config);

impl ConfigBuilder {
    /// Replaces the default bounds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.0.limits = limits;
        self
    }

    /// Whose handshakes to answer. Default: nobody's.
    pub fn accept(mut self, accept: Accept) -> Self {
        self.0.accept = accept;
        self
    }

    /// How message lengths are padded.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.0.padding = padding;
        self
    }

    /// How long a session lives without an authentic cell. Default 60 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.0.idle_timeout = timeout;
        self
    }

    /// How long `connect` tries. Default 20 s.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.0.handshake_timeout = timeout;
        self
    }

    /// Bits of the client puzzle that even an unloaded server asks, at most 20. Default 0.
    pub fn puzzle_bits_min(mut self, bits: u8) -> Self {
        self.0.puzzle_bits_min = bits;
        self
    }

    /// Breaks the engine on purpose, to show that a test notices.
    #[cfg(b4ae_mutants)]
    pub fn mutant(mut self, mutant: crate::mutant::Mutant) -> Self {
        self.0.mutant = Some(mutant);
        self
    }

    /// Checks the whole.
    pub fn build(self) -> Result<Config, ConfigError> {
        let config = self.0;
        let traffic = &config.traffic;
        if traffic.interval < Duration::from_micros(10) || traffic.interval > Duration::from_secs(600) {
            return Err(ConfigError::Interval);
        }
        if traffic.dummy_permille > 900 {
            return Err(ConfigError::DummyRate);
        }
        if let Pattern::LowOverhead { cover_mean, delay_min, delay_max } = traffic.pattern {
            if delay_min > delay_max {
                return Err(ConfigError::Delay);
            }
            if cover_mean < Duration::from_millis(1) {
                return Err(ConfigError::Interval);
            }
        }
        let limits = &config.limits;
        let ranges = [
            ("sessions", limits.sessions as usize, 1, 1 << 16),
            ("sessions_per_prefix", limits.sessions_per_prefix as usize, 1, 1 << 16),
            ("half_open", limits.half_open as usize, 1, 1 << 16),
            ("pending_jobs", limits.pending_jobs as usize, 1, 1 << 16),
            ("pending_signatures", limits.pending_signatures as usize, 1, 1 << 16),
            ("challenges_per_second", limits.challenges_per_second as usize, 1, 1 << 24),
            ("handshakes_per_prefix", limits.handshakes_per_prefix as usize, 1, 1 << 16),
            ("prefixes", limits.prefixes as usize, 16, 1 << 20),
            ("cookies", limits.cookies as usize, 64, 1 << 24),
            ("message", limits.message, 1, 1 << 24),
            ("send_messages", limits.send_messages, 1, 1 << 16),
            ("send_bytes", limits.send_bytes, limits.message, 1 << 30),
            ("reorder_window", limits.reorder_window, 1, 2048),
            ("puzzle_bits_min", config.puzzle_bits_min as usize, 0, 20),
        ];
        for (name, value, least, most) in ranges {
            if value < least || value > most {
                return Err(ConfigError::Limit(name));
            }
        }
        // Sealed long ahead, a cell says what was true then; sealed for ever ahead, sealing never ends.
        if traffic.lead > Duration::from_secs(1) {
            return Err(ConfigError::Limit("lead"));
        }
        let Padding { min, max } = config.padding;
        let bucket = |size: u32| (1024..=1 << 20).contains(&size) && size.is_power_of_two();
        if !bucket(min) || !bucket(max) || min > max {
            return Err(ConfigError::Padding);
        }
        // A message that the window cannot hold, padding included, could never begin.
        let longest = (config.padding.cells(limits.message) * DATA_LEN).max(2048 + limits.message + limits.message / 8);
        if !(longest..=1 << 30).contains(&limits.receive_bytes) {
            return Err(ConfigError::Limit("receive_bytes"));
        }
        config.check_times()?;
        Ok(config)
    }
}

impl Config {
    /// Whether a full house of sessions is served within the time limits.
    fn check_times(&self) -> Result<(), ConfigError> {
        let (traffic, sessions) = (&self.traffic, self.limits.sessions);
        let ms = |time: Duration| nanos(time).div_ceil(1_000_000);
        if let Pattern::Burst { period, cells } = traffic.pattern {
            if !(1..=128).contains(&cells) {
                return Err(ConfigError::Limit("cells of a group"));
            }
            let group = traffic.interval.saturating_mul(sessions.next_power_of_two()).saturating_mul(cells);
            if period < group || period > Duration::from_secs(24 * 3600) {
                return Err(ConfigError::Period { needed_ms: ms(group) });
            }
        }
        let gap = traffic.longest_gap(sessions);
        if traffic.is_protected() && traffic.max_queue_latency < gap {
            return Err(ConfigError::QueueLatency { needed_ms: ms(gap) });
        }
        let idle = traffic.shortest_idle_timeout(sessions);
        if self.idle_timeout < idle {
            return Err(ConfigError::IdleTimeout { needed_ms: ms(idle) });
        }
        let handshake = traffic.shortest_handshake_timeout(sessions);
        if self.handshake_timeout < handshake {
            return Err(ConfigError::HandshakeTimeout { needed_ms: ms(handshake) });
        }
        Ok(())
    }

    /// How long a session that is closing may take to deliver what was queued: as long as that may wait for its slots,
    /// if that is longer than silence may last.
    pub(crate) fn closing_timeout(&self) -> Duration {
        self.idle_timeout.max(self.traffic.max_queue_latency)
    }
}
