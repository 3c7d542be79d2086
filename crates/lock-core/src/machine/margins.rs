//! The margins between two clocks, and between an expiry and the one who waits for it.

use std::time::Duration;

/// What is subtracted from a lease because two clocks never run alike: 1 % and 2 ms.
#[must_use]
pub fn drift(lease: Duration) -> Duration {
    lease / 100 + Duration::from_millis(2)
}

/// A holder's lease has surely ended this long after the remaining time that the store told.
pub const AFTER_EXPIRY: Duration = Duration::from_millis(1);
