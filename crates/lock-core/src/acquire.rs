//! Acquiring: asks, waits, asks again, and gives up in time. Once, for every backend.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tracing::Instrument;

use crate::backend::{AttemptRequest, Grant, Ticket, Waiting, Wake};
use crate::clock::Instant;
use crate::dealing::{Asked, Dealing};
use crate::error::{LockError, LockErrorKind, Result};
use crate::guard::LockGuard;
use crate::lease::{Granted, Lease, LeaseInner};
use crate::lock::Plan;
use crate::name::LockKey;
use crate::panics;
use crate::service::{Counted, ServiceInner};
use crate::telemetry;

/// A store that could not be asked is asked again after pauses that grow from the first to the
/// second.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A holder's lease has surely ended this long after the time that the store told.
const AFTER_EXPIRY: Duration = Duration::from_millis(1);

/// Acquires the lock of `plan`, waiting for it as the plan says, or else for `unset_wait`.
/// `None`: somebody else held it for the whole wait.
pub(crate) async fn acquire(
    service: Arc<ServiceInner>,
    plan: Arc<Plan>,
    unset_wait: Duration,
    operation: &'static str,
) -> Result<Option<LockGuard>> {
    let span = telemetry::acquire_span(&service, &plan);
    let name = plan.name.clone();
    let pursuit = async {
        // Before it is let in, so that a shutdown which begins just then waits for its end.
        let counted = service.count();
        let key = service.admit(&plan)?;
        let pursuit = Pursuit::new(Arc::clone(&service), plan, key, unset_wait, counted)?;
        tokio::select! {
            biased;
            acquired = pursuit.run() => acquired,
            () = service.closing() => Err(LockError::shut_down()),
        }
    };
    let told = async { pursuit.await.inspect_err(telemetry::failed) };
    told.instrument(span).await.map_err(|error| error.with_operation(operation).with_name(&name))
}

/// One caller's pursuit of a lock.
struct Pursuit {
    service: Arc<ServiceInner>,
    plan: Arc<Plan>,
    dealing: Dealing,
    ticket: Option<Ticket>,
    began: Instant,
    /// The newest reading of the clock: after each answer, and after each wait.
    now: Instant,
    deadline: Instant,
    poll_pause: Pause,
    retry_pause: Pause,
    /// Why the last try got no answer; the reason given when the wait is over.
    last_failure: Option<LockError>,
    /// Dropped last, when the dealing is with the keeper.
    _counted: Counted,
}

/// What to wait for before asking again.
enum Until {
    Time(Instant),
    News(Waiting),
}

impl Pursuit {
    fn new(
        service: Arc<ServiceInner>,
        plan: Arc<Plan>,
        key: LockKey,
        unset_wait: Duration,
        counted: Counted,
    ) -> Result<Self> {
        let began = service.clock().now();
        let poll = service.backend().capabilities().poll;
        Ok(Self {
            dealing: Dealing::new(Arc::clone(&service), key, began)?,
            deadline: plan.options.wait.deadline(began, unset_wait),
            _counted: counted,
            service,
            plan,
            ticket: None,
            began,
            now: began,
            poll_pause: Pause::new(poll),
            retry_pause: Pause::new(RETRY),
            last_failure: None,
        })
    }

    async fn run(mut self) -> Result<Option<LockGuard>> {
        loop {
            let asked = self.ask().await;
            let until = match self.heed(asked)? {
                Heeded::Granted(grant, valid_until) => {
                    return self.hold(grant, valid_until).map(Some);
                }
                Heeded::Wait(until) => until,
            };
            if self.now >= self.deadline {
                return self.give_up();
            }
            let pushed = self.wait(until).await;
            self.now = self.service.clock().now();
            if let Some(grant) = pushed {
                let asked = self.dealing.pushed(grant, self.plan.options.ttl);
                if let Heeded::Granted(grant, valid_until) = self.heed(asked)? {
                    return self.hold(grant, valid_until).map(Some);
                }
            }
        }
    }

    async fn ask(&mut self) -> Asked {
        let options = &self.plan.options;
        let request = AttemptRequest {
            key: self.dealing.key().clone(),
            token: self.dealing.token(),
            ttl: options.ttl,
            queue: self.deadline > self.now && self.service.backend().capabilities().queueing,
            ticket: self.ticket,
            metadata: options.metadata.clone(),
            clock: self.service.clock(),
            asked_at: self.now,
        };
        self.dealing.ask(request).await
    }

    /// Draws the conclusion of an answer; an error ends the pursuit.
    fn heed(&mut self, asked: Asked) -> Result<Heeded> {
        let now = self.dealing.heard_at();
        self.now = now;
        let until = match asked {
            Asked::Granted { grant, valid_until } => {
                return Ok(Heeded::Granted(grant, valid_until));
            }
            Asked::TooLate => {
                self.start_afresh()?;
                self.last_failure = Some(too_late(now.saturating_duration_since(self.began)));
                Until::Time(now)
            }
            Asked::Held { retry_after } => {
                self.last_failure = None;
                self.retry_pause = Pause::new(RETRY);
                if !self.service.backend().capabilities().repeatable {
                    self.start_afresh()?;
                }
                let pause = self.poll_pause.next();
                // Some(0) says that it should be free and is not: no reason to ask in a hurry.
                let free = retry_after.filter(|left| !left.is_zero());
                let soonest = free.map_or(pause, |left| left + AFTER_EXPIRY);
                Until::Time(now + pause.min(soonest))
            }
            Asked::Queued(waiting) => {
                self.last_failure = None;
                self.retry_pause = Pause::new(RETRY);
                self.ticket = Some(waiting.ticket);
                Until::News(waiting)
            }
            Asked::Failed(error) if error.is_retryable() && now < self.deadline => {
                if !self.service.backend().capabilities().repeatable {
                    self.start_afresh()?;
                }
                self.last_failure = Some(error);
                Until::Time(now + self.retry_pause.next())
            }
            Asked::Failed(error) => return Err(holds_nothing(error)),
        };
        Ok(Heeded::Wait(until))
    }

    /// Goes on with a fresh token; what the old one may own is undone.
    fn start_afresh(&mut self) -> Result<()> {
        let key = self.dealing.key().clone();
        self.dealing = Dealing::new(Arc::clone(&self.service), key, self.now)?;
        Ok(())
    }

    /// Waits for news, the time to ask again, or the end of the wait; a grant may be pushed.
    async fn wait(&mut self, until: Until) -> Option<Grant> {
        let clock = self.service.clock();
        match until {
            Until::Time(at) => {
                clock.sleep_until(at.min(self.deadline)).await;
                None
            }
            Until::News(waiting) => {
                let at = (clock.now() + waiting.retry_after).min(self.deadline);
                let wake = panics::caught(waiting.wake.map(Ok));
                tokio::select! {
                    biased;
                    wake = self.service.within(wake) => match wake {
                        Ok(Wake::Granted(grant)) => Some(grant),
                        Ok(Wake::AskAgain) => None,
                        // No news then, but no hurry either.
                        Err(_panic) => {
                            clock.sleep_until(at).await;
                            None
                        }
                    },
                    () = clock.sleep_until(at) => None,
                }
            }
        }
    }

    fn hold(self, grant: Grant, valid_until: Instant) -> Result<LockGuard> {
        let waited = self.now.saturating_duration_since(self.began);
        telemetry::acquired(waited, grant.fencing);
        let granted = Granted {
            at: self.now,
            token: self.dealing.token(),
            fencing: grant.fencing,
            valid_until,
            is_window: grant.granted_ttl.is_some_and(|ttl| ttl < self.plan.options.ttl)
                && self.service.backend().capabilities().renew,
            machine: self.dealing.into_machine(),
        };
        let service = Arc::clone(&self.service);
        let guard = LockGuard::new(Lease(LeaseInner::grant(self.service, self.plan, &granted)));
        // Only now: a shutdown that begins later finds the lease in the ledger.
        if service.is_closing() {
            return Err(LockError::shut_down());
        }
        Ok(guard)
    }

    /// The wait is over. What the last answer was decides whether the lock was refused, or could
    /// not be asked for.
    fn give_up(self) -> Result<Option<LockGuard>> {
        match self.last_failure {
            Some(error) => Err(holds_nothing(error)),
            None => {
                telemetry::contended(self.now.saturating_duration_since(self.began));
                Ok(None)
            }
        }
    }
}

enum Heeded {
    Granted(Grant, Instant),
    Wait(Until),
}

/// Whatever the backend called it: whoever acquires and gets no usable answer holds nothing.
fn holds_nothing(error: LockError) -> LockError {
    match error.kind() {
        LockErrorKind::Unknown | LockErrorKind::Timeout => {
            LockError::new(LockErrorKind::Unavailable, error.to_string()).with_source(error)
        }
        _ => error,
    }
}

fn too_late(took: Duration) -> LockError {
    let message = format!(
        "the store granted the lock, but its answer took {took:?}, longer than the lease; a longer \
         ttl gives it more time"
    );
    LockError::new(LockErrorKind::Unavailable, message)
}

/// Pauses that double up to a bound, each shortened at random by up to a half, so that many
/// callers do not ask in step.
struct Pause {
    next: Duration,
    longest: Duration,
}

impl Pause {
    const fn new((first, longest): (Duration, Duration)) -> Self {
        Self { next: first, longest }
    }

    fn next(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.longest);
        full.mul_f64(1.0 - fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_are_never_below_half() {
        let mut pause = Pause::new((Duration::from_millis(10), Duration::from_millis(80)));
        for full in [10, 20, 40, 80, 80, 80].map(Duration::from_millis) {
            let next = pause.next();
            assert!(next <= full && next >= full / 2, "{next:?} of {full:?}");
        }
    }
}
