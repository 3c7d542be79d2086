//! Time as leases need it: an instant that counts suspended time, and a sleep on the same scale.

use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::time::timer::Timer;

/// A point in time, in nanoseconds since an arbitrary origin; arithmetic saturates.
///
/// On Linux the origin is the boot of the machine and suspended time counts (`CLOCK_BOOTTIME`),
/// because a store's clock goes on while a laptop sleeps; [`std::time::Instant`] stands still.
/// Elsewhere it is the platform's monotonic clock.
/// Time for which a hypervisor paused the whole machine is counted by neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
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

/// Tells the time, and sleeps, without an async runtime.
///
/// [`Clock::SYSTEM`] is the machine's clock.
/// [`Clock::TOKIO`] follows [`tokio::time`], which tests can pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock(Source);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    System,
    Tokio,
}

impl Clock {
    /// The machine's clock; suspended time counts where the platform can tell.
    pub const SYSTEM: Self = Self(Source::System);

    /// The clock of the current tokio runtime: it can be paused and advanced by tests.
    pub const TOKIO: Self = Self(Source::Tokio);

    /// The time now.
    #[must_use]
    pub fn now(self) -> Instant {
        match self.0 {
            Source::System => system_now(),
            Source::Tokio => tokio_now(),
        }
    }

    /// Sleeps until `at`.
    ///
    /// With [`Clock::SYSTEM`] the sleep can be polled by any executor and outlives every runtime;
    /// with [`Clock::TOKIO`] it belongs to the runtime in which it is first polled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the sleep forgets it.
    pub fn sleep_until(self, at: Instant) -> Sleep {
        let kind = match self.0 {
            Source::System => Kind::System(Timer::new(at)),
            Source::Tokio => Kind::Tokio { sleep: None },
        };
        Sleep { at, clock: self, kind }
    }

    /// Sleeps for `duration` from now; see [`Clock::sleep_until`].
    pub fn sleep(self, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }
}

/// The future of [`Clock::sleep_until`].
#[derive(Debug)]
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    at: Instant,
    clock: Clock,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    System(Timer),
    Tokio { sleep: Option<Pin<Box<tokio::time::Sleep>>> },
}

impl Sleep {
    /// When it ends.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.at
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.at == Instant::FAR_FUTURE {
            return Poll::Pending;
        }
        let now = this.clock.now();
        if now >= this.at {
            return Poll::Ready(());
        }
        match &mut this.kind {
            Kind::System(timer) => timer.poll(cx),
            Kind::Tokio { sleep } => {
                let left = this.at.saturating_duration_since(now);
                sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(left))).as_mut().poll(cx)
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn system_now() -> Instant {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    Instant(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

#[cfg(not(target_os = "linux"))]
fn system_now() -> Instant {
    static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
    // Not zero at the start, so that subtracting a lease from an early instant does not saturate.
    let origin = *ORIGIN.get_or_init(std::time::Instant::now);
    Instant(nanos(origin.elapsed()).saturating_add(u64::MAX / 4))
}

fn tokio_now() -> Instant {
    static ORIGIN: OnceLock<tokio::time::Instant> = OnceLock::new();
    let now = tokio::time::Instant::now();
    let origin = *ORIGIN.get_or_init(|| now);
    // Each runtime has a time of its own, and paused ones leap: another one's now can lie before.
    let middle = Instant(u64::MAX / 2);
    match now.checked_duration_since(origin) {
        Some(after) => middle + after,
        None => middle - origin.saturating_duration_since(now),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{self, Either};

    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Instant::from_nanos(5) - Duration::from_secs(1), Instant::from_nanos(0));
        assert_eq!(Instant::from_nanos(5) + Duration::MAX, Instant::FAR_FUTURE);
        let (early, late) = (Instant::from_nanos(1), Instant::from_nanos(4));
        assert_eq!(late.saturating_duration_since(early), Duration::from_nanos(3));
        assert_eq!(early.saturating_duration_since(late), Duration::ZERO);
    }

    #[test]
    fn a_system_sleep_needs_no_runtime_and_does_not_end_early() {
        let before = Clock::SYSTEM.now();
        futures_executor::block_on(Clock::SYSTEM.sleep_until(before));
        futures_executor::block_on(Clock::SYSTEM.sleep(Duration::from_millis(20)));
        assert!(Clock::SYSTEM.now().saturating_duration_since(before) >= Duration::from_millis(20));
    }

    #[test]
    fn the_earlier_of_two_sleeps_ends_first_even_if_it_was_set_later() {
        let late = Clock::SYSTEM.sleep(Duration::from_secs(600));
        let early = Clock::SYSTEM.sleep(Duration::from_millis(5));
        let first = futures_executor::block_on(future::select(late, early));
        assert!(matches!(first, Either::Right(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_tokio_sleep_follows_paused_time() {
        let before = Clock::TOKIO.now();
        Clock::TOKIO.sleep(Duration::from_secs(3_600)).await;
        assert_eq!(
            Clock::TOKIO.now().saturating_duration_since(before),
            Duration::from_secs(3_600)
        );
    }
}
