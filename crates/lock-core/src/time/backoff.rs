//! The one policy for pauses between tries that failed: they double up to a bound.

use std::time::Duration;

/// Pauses that double from the first to the longest.
///
/// ```
/// # use lock_core as distlock;
/// use std::time::Duration;
/// use distlock::backend::Backoff;
///
/// const RECONNECT: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
/// assert_eq!(RECONNECT.pause(0), Duration::from_millis(50));
/// assert_eq!(RECONNECT.pause(2), Duration::from_millis(200));
/// assert_eq!(RECONNECT.pause(100), Duration::from_secs(2));
/// assert!(RECONNECT.jittered(100) >= Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Pauses that double from `first` up to `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// The first pause.
    #[must_use]
    pub const fn first(self) -> Duration {
        self.first
    }

    /// The longest pause.
    #[must_use]
    pub const fn longest(self) -> Duration {
        self.longest
    }

    /// The pause after so many pauses before it.
    #[must_use]
    pub fn pause(self, before: u32) -> Duration {
        let factor = 1_u32.checked_shl(before).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }

    /// The same, shortened at random by up to a half, so that many who failed at the same moment do
    /// not try again in step.
    #[must_use]
    pub fn jittered(self, before: u32) -> Duration {
        self.pause(before).mul_f64(1.0 - fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound() {
        let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(80));
        for (before, millis) in [10, 20, 40, 80, 80, 80].into_iter().enumerate() {
            let before = u32::try_from(before).unwrap();
            assert_eq!(backoff.pause(before), Duration::from_millis(millis));
        }
        assert_eq!(backoff.pause(u32::MAX), Duration::from_millis(80));
    }

    #[test]
    fn jitter_never_takes_more_than_half() {
        let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(80));
        for before in 0..200 {
            let (full, jittered) = (backoff.pause(before), backoff.jittered(before));
            assert!(jittered <= full && jittered >= full / 2, "{jittered:?} of {full:?}");
        }
    }
}
