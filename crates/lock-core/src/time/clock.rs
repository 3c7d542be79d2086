//! The clock that leases are measured by: the machine's, or tokio's in tests; and sleeping on it.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::time::instant::Instant;
use crate::time::system;
use crate::time::timer::Timer;

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
            Source::System => system::now(),
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

fn tokio_now() -> Instant {
    static ORIGIN: OnceLock<tokio::time::Instant> = OnceLock::new();
    let now = tokio::time::Instant::now();
    let origin = *ORIGIN.get_or_init(|| now);
    // Each runtime has a time of its own, and paused ones leap: another one's now can lie before.
    let middle = Instant::from_nanos(u64::MAX / 2);
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
