//! Instants and durations as the server and the machine's clock count them.

use std::time::Duration;

use lock_core::Instant;
use lock_core::backend::Clock;

/// The same instant by the machine's clock, which is the one that requests on the wire obey.
pub(crate) fn on_system_clock(clock: Clock, at: Instant) -> Instant {
    if clock == Clock::SYSTEM {
        return at;
    }
    let now = Clock::SYSTEM.now();
    now + at.saturating_duration_since(clock.now())
}

/// Milliseconds, rounded up: nothing is granted for less than was asked.
pub(crate) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_are_rounded_up_to_whole_milliseconds() {
        assert_eq!(whole_millis(Duration::from_micros(1_001)), 2);
        assert_eq!(whole_millis(Duration::from_millis(10)), 10);
        assert_eq!(whole_millis(Duration::ZERO), 1);
    }
}
