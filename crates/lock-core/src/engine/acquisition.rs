//! Asking the store for a lock: asks, waits, asks again, and gives up in time. Once, for every
//! backend.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::api::guard::LockGuard;
use crate::api::lease::Lease;
use crate::api::lock::Plan;
use crate::api::service::ServiceInner;
use crate::backend::{AttemptRequest, Grant, Ticket, Waiting, Wake};
use crate::engine::attempt_driver::{Asked, Dealing};
use crate::engine::held::{Granted, Holding};
use crate::engine::local_queues::{Inheritance, Seat};
use crate::engine::telemetry;
use crate::sync::panics;
use crate::time::clock::Instant;
use crate::types::error::{LockError, LockErrorKind, Result};

/// A store that could not be asked is asked again after pauses that grow from the first to the
/// second.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A holder's lease has surely ended this long after the time that the store told.
const AFTER_EXPIRY: Duration = Duration::from_millis(1);

/// One caller's pursuit of a lock, for its whole line if it leads one.
pub(crate) struct Pursuit {
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
    seat: Seat,
}

/// What to wait for before asking again.
enum Until {
    Time(Instant),
    News(Waiting),
}

impl Pursuit {
    /// Somebody has wanted the lock since `began`, and asks for it from `now` until `deadline`.
    pub(crate) fn new(
        mut seat: Seat,
        plan: Arc<Plan>,
        (began, now, deadline): (Instant, Instant, Instant),
    ) -> Result<Self> {
        let service = Arc::clone(seat.service());
        let poll = service.backend().capabilities().poll;
        let inheritance = seat.inherit();
        let ticket = inheritance.as_ref().and_then(|inheritance| inheritance.ticket);
        let dealing = match inheritance {
            Some(Inheritance { dealing, ttl, .. }) if ttl == plan.options.ttl => dealing,
            // Another lease was asked for, and will be granted: only the place in line is kept.
            _ => Dealing::new(Arc::clone(&service), seat.key().clone(), now)?,
        };
        Ok(Self {
            dealing,
            deadline,
            service,
            plan,
            ticket,
            began,
            now,
            poll_pause: Pause::new(poll),
            retry_pause: Pause::new(RETRY),
            last_failure: None,
            seat,
        })
    }

    /// `None`: somebody else held the lock until the deadline.
    pub(crate) async fn run(mut self) -> Result<Option<LockGuard>> {
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
            self.promise(&until);
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
        if self.dealing.is_asking() {
            // Whoever led before has asked, and its future is gone; the answer is still to come.
            return self.dealing.asked().await;
        }
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

    fn hold(mut self, grant: Grant, valid_until: Instant) -> Result<LockGuard> {
        telemetry::acquired(self.waited(), grant.fencing);
        let granted = Granted {
            at: self.now,
            token: self.dealing.token(),
            fencing: grant.fencing,
            valid_until,
            is_window: grant.granted_ttl.is_some_and(|ttl| ttl < self.plan.options.ttl)
                && self.service.backend().capabilities().renew,
            machine: self.dealing.take_machine(),
            term: self.seat.rise(),
            is_offer: false,
        };
        let service = Arc::clone(&self.service);
        let holding = Holding::grant(Arc::clone(&service), &self.plan, &granted);
        service.lines().granted(self.seat.key(), &holding, self.now);
        let guard = LockGuard::new(Lease(holding));
        // Only now: a shutdown that begins later finds the lease in the ledger.
        if service.is_closing() {
            return Err(LockError::shut_down());
        }
        Ok(guard)
    }

    /// The line is told when this one acts again.
    fn promise(&self, until: &Until) {
        let at = match until {
            Until::Time(at) => *at,
            Until::News(waiting) => self.now + waiting.retry_after,
        };
        self.seat.promise(at, self.last_failure.as_ref());
    }

    fn waited(&self) -> Duration {
        self.now.saturating_duration_since(self.began)
    }

    /// The wait is over. What the last answer was decides whether the lock was refused, or could
    /// not be asked for.
    fn give_up(mut self) -> Result<Option<LockGuard>> {
        self.last_failure.take().map_or(Ok(None), |error| Err(holds_nothing(error)))
    }
}

impl Drop for Pursuit {
    fn drop(&mut self) {
        let Self { seat, dealing, ticket, plan, .. } = self;
        seat.bequeath(|| Inheritance {
            dealing: dealing.take(),
            ticket: *ticket,
            ttl: plan.options.ttl,
        });
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
