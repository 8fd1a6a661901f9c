//! Configuration: required choices are arguments, ranges are checked at `build`, the result is immutable.

use alloc::vec::Vec;
use core::time::Duration;

use crate::error::ConfigError;
use crate::identity::PeerId;
use crate::mode::ModePolicy;
use crate::time::nanos;
use crate::wire::cell::DATA_LEN;

/// When cells leave. A function of the configuration and the set of sessions alone, unless the pattern is
/// low-overhead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    pub(crate) interval: Duration,
    pub(crate) dummy_permille: u16,
    pub(crate) max_queue_latency: Duration,
    pub(crate) lead: Duration,
    pub(crate) leave_boundary: Duration,
    pub(crate) circuit_breaker: bool,
    pub(crate) pattern: Pattern,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pattern {
    Constant,
    LowOverhead { cover_mean: Duration, delay_min: Duration, delay_max: Duration },
}

impl Traffic {
    /// A constant grid: one slot every `interval`, for all sessions together, from the first session on.
    ///
    /// A session's own slots come every `interval` times the number of sessions, rounded up to a power of two.
    pub const fn constant(interval: Duration) -> Self {
        Self {
            interval,
            dummy_permille: 0,
            max_queue_latency: Duration::from_secs(10),
            lead: Duration::from_millis(2),
            leave_boundary: Duration::from_secs(10),
            circuit_breaker: true,
            pattern: Pattern::Constant,
        }
    }

    /// 100 slots a second, one in five reserved for cover.
    pub const fn balanced() -> Self {
        Self { dummy_permille: 200, ..Self::constant(Duration::from_millis(10)) }
    }

    /// 10 slots a second, half of them reserved for cover.
    pub const fn high_security() -> Self {
        Self {
            dummy_permille: 500,
            max_queue_latency: Duration::from_secs(60),
            ..Self::constant(Duration::from_millis(100))
        }
    }

    /// Cells leave when there is something to say, up to 1000 a second, after a random delay and among Poisson
    /// cover: **obfuscation, not protection**. Whoever watches the link can tell when the application is active.
    pub const fn low_overhead_unprotected() -> Self {
        Self {
            pattern: Pattern::LowOverhead {
                cover_mean: Duration::from_secs(1),
                delay_min: Duration::ZERO,
                delay_max: Duration::from_millis(20),
            },
            ..Self::constant(Duration::from_millis(1))
        }
    }

    /// The share of slots, 0.0 to 0.9, reserved for cells that carry no message even when messages wait. Nothing on
    /// the wire shows it: it bounds the application's throughput at `1 - dummy_rate` of the slots.
    #[must_use]
    pub fn with_dummy_rate(mut self, share: f64) -> Self {
        self.dummy_permille = if share >= 0.0 { (share * 1000.0 + 0.5) as u16 } else { u16::MAX };
        self
    }

    /// How long what waits in a session's queue may take to leave: `send` answers `Full` beyond it. A message that
    /// has waited this long may take a slot that `dummy_rate` reserved.
    #[must_use]
    pub const fn with_max_queue_latency(mut self, latency: Duration) -> Self {
        self.max_queue_latency = latency;
        self
    }

    /// How long before its slot a cell is sealed.
    pub const fn lead(&self) -> Duration {
        self.lead
    }

    /// How long before its slot a cell is sealed, so that at the slot the driver only sends.
    #[must_use]
    pub const fn with_lead(mut self, lead: Duration) -> Self {
        self.lead = lead;
        self
    }

    /// A session that ends keeps its slots until the next multiple of this, so that the moment of a close does not
    /// show. Default 10 s.
    #[must_use]
    pub const fn with_leave_boundary(mut self, boundary: Duration) -> Self {
        self.leave_boundary = boundary;
        self
    }

    /// Whether a session whose path loses a tenth of its cells uses fewer of its slots (RFC 8084). Default: yes.
    #[must_use]
    pub const fn with_circuit_breaker(mut self, on: bool) -> Self {
        self.circuit_breaker = on;
        self
    }

    /// For low-overhead traffic: the mean gap between cover cells of a session, and the bounds of the random delay a
    /// payload cell gets. No effect on a constant grid.
    #[must_use]
    pub const fn with_cover(mut self, mean_gap: Duration, delay_min: Duration, delay_max: Duration) -> Self {
        if let Pattern::LowOverhead { .. } = self.pattern {
            self.pattern = Pattern::LowOverhead { cover_mean: mean_gap, delay_min, delay_max };
        }
        self
    }

    /// Time between two slots, all sessions together.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// Whether cells leave on a constant grid: the traffic the product's guarantee is about.
    pub const fn is_constant_rate(&self) -> bool {
        matches!(self.pattern, Pattern::Constant)
    }
}

/// Every bound. What an attacker or a peer can make the engine hold is limited by these, and
/// [`Config::memory_bound`] adds it up.
///
/// Each says what one more of it adds to that bound, the others being as they are by default, where pointers have 64
/// bits. The repository's `tests/tests/memory.rs` fills what each bounds, counts, and checks the figures.
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
    /// Jobs handed out and not yet completed, for handshakes of others. Default 64.
    ///
    /// Memory: at most 15 000 bytes each, and the stack of whoever runs them.
    pub pending_jobs: u32,
    /// Challenges answered per second, all strangers together. Default 10 000.
    ///
    /// Memory: at most 100 bytes each, and never of more than 256: only those that wait to be sent are held.
    pub challenges_per_second: u32,
    /// Handshakes per second and IPv4 /32 or IPv6 /64; ten times as many per /24 or /48. Default 20. No memory of its
    /// own.
    pub handshakes_per_prefix: u32,
    /// Prefixes remembered. Default 4096.
    ///
    /// Memory: at most 65 bytes each.
    pub prefixes: u32,
    /// Cookies remembered per 30 s. Default 100 000.
    ///
    /// Memory: at most 4 bytes each, taken at once: two filters, of 1.8 bytes a cookie. Without `std` the sets are exact,
    /// take at most 84 bytes a cookie, and grow with use.
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
            idle_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(20),
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

    /// The longest a session waits for a slot of its own when every session slot is taken.
    fn longest_gap(&self) -> Duration {
        // A permutation per round puts two slots of one owner up to 2P - 1 apart.
        let round = u64::from(self.limits.sessions.next_power_of_two());
        Duration::from_nanos(nanos(self.traffic.interval).saturating_mul(round * 2))
    }
}

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
            // Gaps are exponential: one in a million is longer than fourteen times the mean.
            let gap = cover_mean.saturating_mul(14).max(delay_max.saturating_mul(2));
            if config.idle_timeout < gap {
                return Err(ConfigError::IdleTimeout { needed_ms: nanos(gap).div_ceil(1_000_000) });
            }
        }
        let limits = &config.limits;
        let ranges = [
            ("sessions", limits.sessions as usize, 1, 1 << 16),
            ("sessions_per_prefix", limits.sessions_per_prefix as usize, 1, 1 << 16),
            ("half_open", limits.half_open as usize, 1, 1 << 16),
            ("pending_jobs", limits.pending_jobs as usize, 1, 1 << 16),
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
        if traffic.is_constant_rate() {
            let gap = config.longest_gap();
            if traffic.max_queue_latency < gap {
                return Err(ConfigError::QueueLatency { needed_ms: nanos(gap).div_ceil(1_000_000) });
            }
            if config.idle_timeout < gap * 4 {
                return Err(ConfigError::IdleTimeout { needed_ms: nanos(gap * 4).div_ceil(1_000_000) });
            }
        }
        Ok(config)
    }
}
