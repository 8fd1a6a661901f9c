//! When cells leave, as a choice of the application's: which schedule, how fast, and what follows from that.

use core::time::Duration;

/// When cells leave: one of three schedules, which are functions of the configuration and the set of sessions alone, or
/// low-overhead traffic, which is not.
///
/// | | cells leave | an observer sees |
/// | --- | --- | --- |
/// | [`constant`](Self::constant) | in slots of a fixed interval, all sessions together | the interval, and by the share of a destination the number of sessions to within a factor of two |
/// | [`poisson`](Self::poisson) | at random, each session's by themselves | a session's mean rate |
/// | [`burst`](Self::burst) | in a group every `period`, silence between | the period, a group's cells for each session, their spacing |
/// | [`low_overhead_unprotected`](Self::low_overhead_unprotected) | when there is something to say | that there is |
///
/// The two ends of a session need not have the same, but each one's time limits have to be long enough for the other's
/// gaps: see [`shortest_idle_timeout`](Self::shortest_idle_timeout).
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
    /// `interval` apart, all sessions together.
    Constant,
    /// For each session at random, `interval` apart in the mean.
    Poisson,
    /// `cells` for each session every `period`, all sessions' `interval` apart.
    Burst {
        period: Duration,
        cells: u32,
    },
    LowOverhead {
        cover_mean: Duration,
        delay_min: Duration,
        delay_max: Duration,
    },
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

    /// Cells of each session at random, `mean_gap` apart in the mean: gaps are exponentially distributed, drawn in
    /// advance, and have no memory, so that a point in time says nothing about any other, and whoever watches learns
    /// the mean rate and no more. Points of different sessions are independent, and may be as close as chance has
    /// it; the load grows with the number of sessions.
    ///
    /// `mean_gap` is 10 µs to 10 minutes. One gap in a million is longer than fourteen times the mean.
    pub const fn poisson(mean_gap: Duration) -> Self {
        let mut traffic = Self::constant(mean_gap);
        traffic.max_queue_latency = longer(traffic.max_queue_latency, mean_gap.saturating_mul(20));
        traffic.pattern = Pattern::Poisson;
        traffic
    }

    /// A group of cells every `period`, and silence between: for phones and radios that sleep, and wake once a period.
    /// Each session sends exactly `cells` in a group, whatever it has to say; all of a group are 10 ms apart
    /// ([`with_spacing`](Self::with_spacing)), in an order drawn in advance. A session begins with a group, and ends
    /// after one. Only the circuit breaker, which looks at losses alone, leaves some of a session's cells out.
    ///
    /// A message waits for the next group, and what confirms it for the peer's next one. `period` is at most a day, and
    /// long enough for the groups of a full house; `cells` is 1 to 128.
    ///
    /// An observer sees the period, how many cells a group has for each destination, and so how many sessions; whoever
    /// watches one session sees its share of the group, and how long that takes tells the number of sessions to within
    /// a factor of two.
    pub const fn burst(period: Duration, cells: u32) -> Self {
        let mut traffic = Self::constant(Duration::from_millis(10));
        traffic.max_queue_latency = longer(traffic.max_queue_latency, period.saturating_mul(20));
        traffic.pattern = Pattern::Burst { period, cells };
        traffic
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

    /// The share of a session's slots, 0.0 to 0.9, reserved for cells that carry no message even when messages wait.
    /// Nothing on the wire shows it: it bounds the application's throughput at `1 - dummy_rate` of the slots.
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

    /// How long before its slot a cell is sealed, so that at the slot the driver only sends.
    #[must_use]
    pub const fn with_lead(mut self, lead: Duration) -> Self {
        self.lead = lead;
        self
    }

    /// A session that ends keeps its slots until the next multiple of this, so that the moment of a close does not
    /// show. Default 10 s. In groups a session leaves after a whole one, so that a close is never told more exactly
    /// than to a period.
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

    /// For groups: the time between two cells of a group, all sessions together. Default 10 ms. No effect on other
    /// traffic.
    #[must_use]
    pub const fn with_spacing(mut self, spacing: Duration) -> Self {
        if let Pattern::Burst { .. } = self.pattern {
            self.interval = spacing;
        }
        self
    }

    /// For low-overhead traffic: the mean gap between cover cells of a session, and the bounds of the random delay a
    /// payload cell gets, which is never below a millisecond. No effect on other traffic.
    #[must_use]
    pub const fn with_cover(mut self, mean_gap: Duration, delay_min: Duration, delay_max: Duration) -> Self {
        if let Pattern::LowOverhead { .. } = self.pattern {
            self.pattern = Pattern::LowOverhead { cover_mean: mean_gap, delay_min, delay_max };
        }
        self
    }

    /// Time between two slots: on a grid and within a group those of all sessions together; of Poisson traffic a
    /// session's own, in the mean.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How long what waits in a session's queue may take to leave: see
    /// [`with_max_queue_latency`](Self::with_max_queue_latency).
    pub const fn max_queue_latency(&self) -> Duration {
        self.max_queue_latency
    }

    /// How long before its slot a cell is sealed.
    pub const fn lead(&self) -> Duration {
        self.lead
    }

    /// Whether cells leave on a constant grid.
    pub const fn is_constant_rate(&self) -> bool {
        matches!(self.pattern, Pattern::Constant)
    }

    /// Whether when, where to and how long cells leave does not depend on what applications do: the guarantee, which
    /// holds for all but low-overhead traffic. Then a `send` changes nothing, and need wake nobody.
    pub const fn is_protected(&self) -> bool {
        !matches!(self.pattern, Pattern::LowOverhead { .. })
    }

    /// How late a cell may leave. What is later is not sent but lost, as if by the network: a driver that was away
    /// would otherwise send what it missed together. The interval on a grid and within a group, where the next cell
    /// follows; of Poisson traffic 5 ms, or the mean gap if that is shorter. Low-overhead traffic has no bound.
    pub const fn tolerance(&self) -> Duration {
        match self.pattern {
            Pattern::Constant | Pattern::Burst { .. } => self.interval,
            Pattern::Poisson => shorter(self.interval, Duration::from_millis(5)),
            Pattern::LowOverhead { .. } => Duration::MAX,
        }
    }

    /// What is between two slots at least, and between two groups.
    pub(crate) const fn rest(&self) -> Duration {
        match self.pattern {
            Pattern::Burst { period, .. } => period,
            Pattern::Constant | Pattern::Poisson | Pattern::LowOverhead { .. } => self.interval,
        }
    }

    /// How far apart slots are, in the mean, those of so many sessions together; within a group, of bursts.
    pub fn slot_distance(&self, sessions: u32) -> Duration {
        match self.pattern {
            Pattern::Constant | Pattern::Burst { .. } => self.interval,
            Pattern::Poisson | Pattern::LowOverhead { .. } => self.interval / sessions.max(1),
        }
    }

    /// The longest a session waits for a slot of its own when there are so many; of random gaps, what one in a million
    /// exceeds. `max_queue_latency` must not be shorter.
    pub fn longest_gap(&self, sessions: u32) -> Duration {
        let round = u32::checked_next_power_of_two(sessions).unwrap_or(u32::MAX);
        let round_takes = self.interval.saturating_mul(round);
        match self.pattern {
            // A permutation per round puts two slots of one owner up to 2P - 1 apart.
            Pattern::Constant => round_takes.saturating_mul(2),
            Pattern::Poisson => self.interval.saturating_mul(RARE_GAP),
            // From the first slot of a group's only round to the last of the next one's.
            Pattern::Burst { period, .. } => period.saturating_add(round_takes),
            Pattern::LowOverhead { cover_mean, delay_max, .. } => {
                cover_mean.saturating_mul(RARE_GAP).max(delay_max.saturating_mul(2))
            }
        }
    }

    /// The shortest idle timeout that [`build`](crate::ConfigBuilder::build) takes for so many sessions: a session that
    /// the circuit breaker allows every eighth slot is still heard in time. An end whose *peer* has this traffic needs
    /// as long a timeout, whatever its own traffic is.
    pub fn shortest_idle_timeout(&self, sessions: u32) -> Duration {
        match self.pattern {
            Pattern::Constant => self.longest_gap(sessions).saturating_mul(4),
            // Eight gaps together are longer than thirty means once in two million times.
            Pattern::Poisson => self.interval.saturating_mul(30),
            // Three groups in a row may be lost; and of groups of few cells the breaker leaves some empty.
            Pattern::Burst { period, cells } => period.saturating_mul((8_u32.div_ceil(cells.max(1)) + 1).max(4)),
            Pattern::LowOverhead { .. } => self.longest_gap(sessions),
        }
    }

    /// The shortest handshake timeout that [`build`](crate::ConfigBuilder::build) takes, zero for a grid and
    /// low-overhead traffic: a handshake is complete with the peer's first cell, and of groups the first may be
    /// lost.
    pub fn shortest_handshake_timeout(&self, sessions: u32) -> Duration {
        match self.pattern {
            Pattern::Poisson => self.longest_gap(sessions),
            Pattern::Burst { period, .. } => self.longest_gap(sessions).saturating_add(period),
            Pattern::Constant | Pattern::LowOverhead { .. } => Duration::ZERO,
        }
    }
}

/// An exponential gap in a million is longer than so many times the mean.
const RARE_GAP: u32 = 14;

const fn longer(a: Duration, b: Duration) -> Duration {
    if a.as_nanos() > b.as_nanos() { a } else { b }
}

const fn shorter(a: Duration, b: Duration) -> Duration {
    if a.as_nanos() < b.as_nanos() { a } else { b }
}
