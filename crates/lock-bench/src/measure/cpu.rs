//! What this process costs.

use std::time::Duration;

/// The CPU time of this process, user and system.
pub(crate) fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let whole = Duration::from_secs(time.tv_sec.unsigned_abs());
    (whole + Duration::from_nanos(time.tv_nsec.unsigned_abs())).as_secs_f64()
}
