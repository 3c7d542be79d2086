//! Durations as the server counts them.

use std::time::Duration;

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
