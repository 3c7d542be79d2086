//! A point in time that counts suspended time.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time, in nanoseconds since an arbitrary [origin](Self::ORIGIN), which lies more than
/// a century before the start of the program; arithmetic saturates.
///
/// On Linux suspended time counts (`CLOCK_BOOTTIME`), because a store's clock goes on while a
/// laptop sleeps; [`std::time::Instant`] stands still.
/// Elsewhere it is the platform's monotonic clock.
/// Time for which a hypervisor paused the whole machine is counted by neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// Long before anything that a clock tells: for what has never happened.
    pub const ORIGIN: Self = Self(0);

    /// The instant that is never reached.
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// The instant this many nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this instant; zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A duration in nanoseconds, as far as 64 bits reach.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Instant::from_nanos(5) - Duration::from_secs(1), Instant::from_nanos(0));
        assert_eq!(Instant::from_nanos(5) + Duration::MAX, Instant::FAR_FUTURE);
        let (early, late) = (Instant::from_nanos(1), Instant::from_nanos(4));
        assert_eq!(late.saturating_duration_since(early), Duration::from_nanos(3));
        assert_eq!(early.saturating_duration_since(late), Duration::ZERO);
    }
}
