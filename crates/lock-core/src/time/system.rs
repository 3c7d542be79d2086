//! Reads the machine's clock. Instants begin long before its boot, so that none is near zero.

use crate::time::instant::Instant;

/// How far the first instant that the clock can tell lies behind [`Instant::ORIGIN`], in
/// nanoseconds: 146 years. A machine may have been booted a moment ago, and an instant from which a
/// lease or a timeout is subtracted must not saturate for that.
const LEAD: u64 = u64::MAX / 4;

/// The time now; suspended time counts.
#[cfg(target_os = "linux")]
pub(crate) fn now() -> Instant {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    let since_boot = seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
    Instant::from_nanos(since_boot.saturating_add(LEAD))
}

/// The nanoseconds since the boot at which the kernel's clock shows this instant.
#[cfg(target_os = "linux")]
pub(crate) const fn since_boot(at: Instant) -> u64 {
    at.as_nanos().saturating_sub(LEAD)
}

/// The time now.
#[cfg(not(target_os = "linux"))]
pub(crate) fn now() -> Instant {
    static FIRST: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let first = *FIRST.get_or_init(std::time::Instant::now);
    Instant::from_nanos(LEAD) + first.elapsed()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_century_before_now_is_an_instant_like_any_other() {
        let century = Duration::from_secs(100 * 365 * 24 * 60 * 60);
        let now = now();
        assert_eq!(now.saturating_duration_since(now - century), century);
    }
}
