//! What every backend would write again: deadlines, and the machine's clock.

use std::future::Future;
use std::pin::pin;

use futures_util::future::{Either, select};

use crate::time::clock::Clock;
use crate::time::instant::Instant;

/// The outcome of an exchange, or `None` if there is none by `deadline` on the machine's clock.
///
/// An outcome that is there at the deadline counts. Needs no async runtime.
///
/// ```
/// # use lock_core as distlock;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// use std::future::{pending, ready};
/// use std::time::Duration;
/// use distlock::backend::{Clock, in_time};
///
/// let deadline = Clock::SYSTEM.now() + Duration::from_millis(10);
/// assert_eq!(in_time(deadline, ready(7)).await, Some(7));
/// assert_eq!(in_time(deadline, pending::<()>()).await, None);
/// # });
/// ```
///
/// # Cancel safety
///
/// The exchange is dropped with the future, and at the deadline.
pub async fn in_time<F: Future>(deadline: Instant, exchange: F) -> Option<F::Output> {
    match select(pin!(exchange), Clock::SYSTEM.sleep_until(deadline)).await {
        Either::Left((outcome, _)) => Some(outcome),
        Either::Right(_) => None,
    }
}

/// The same instant on the machine's clock, which is the one that requests on a wire obey.
///
/// A request may be measured by tokio's clock, which tests pause.
#[must_use]
pub fn on_system_clock(clock: Clock, at: Instant) -> Instant {
    if clock == Clock::SYSTEM {
        return at;
    }
    let now = Clock::SYSTEM.now();
    now + at.saturating_duration_since(clock.now())
}
