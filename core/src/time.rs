//! Time as data: the engine never reads a clock.

use core::num::NonZeroU64;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A monotonic point in time, in nanoseconds since an origin the driver chose.
///
/// Opaque apart from ordering and differences. `Option<Instant>` is eight bytes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instant(NonZeroU64);

impl Instant {
    /// The driver's origin.
    pub const ORIGIN: Self = Self(NonZeroU64::MIN);

    /// The last instant that comes, 584 years after the origin. The one after it is where deadlines beyond the end of
    /// time fall, and never comes.
    pub(crate) const LAST: Self = Self::from_nanos(u64::MAX - 2);

    /// The instant `nanos` after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// Time elapsed since `earlier`, or zero when `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// `duration` before this, or the origin.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self::from_nanos(self.as_nanos().saturating_sub(nanos(duration)))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates: a deadline past the end of time never fires.
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(nanos(rhs)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Saturates at zero.
    fn sub(self, rhs: Self) -> Duration {
        self.saturating_since(rhs)
    }
}

/// `duration` in whole nanoseconds, saturating after 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Wall-clock seconds since 1970, an input of its own: monotonic time cannot answer for expiry dates.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct UnixTime(pub u64);

/// Maps the standard library's clock onto [`Instant`]; owned by the driver, one per engine.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

#[cfg(feature = "std")]
impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "std")]
impl Clock {
    /// A clock whose origin is now.
    #[expect(clippy::disallowed_methods, reason = "the driver's clock, not the engine's")]
    pub fn new() -> Self {
        Self { origin: std::time::Instant::now() }
    }

    /// The current instant.
    pub fn now(&self) -> Instant {
        Instant::ORIGIN + self.origin.elapsed()
    }

    /// `at` on the standard library's clock, for arming a timer.
    pub fn to_std(&self, at: Instant) -> std::time::Instant {
        self.origin + Duration::from_nanos(at.as_nanos())
    }

    /// The wall clock, for [`Engine::handle_wall_clock`](crate::Engine::handle_wall_clock).
    #[expect(clippy::disallowed_methods, reason = "the driver's clock, not the engine's")]
    pub fn wall() -> UnixTime {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        UnixTime(since.map_or(0, |since| since.as_secs()))
    }
}
