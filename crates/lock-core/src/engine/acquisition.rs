//! Asking the store for a lock until it is granted, or the wait is over: the same for every backend.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::backend::{AcquireRequest, GivenUp, Grant, Ticket, Waiting, Wake};
use crate::engine::asking::Asking;
use crate::engine::attempt_driver::{Asked, AttemptDriver};
use crate::engine::doubt::Doubt;
use crate::engine::held::{Held, NewLease, ServiceContext, SharedLease};
use crate::engine::holder::{LONG_WAIT, tell_long_wait};
use crate::engine::local_queues::{LeaderState, Leadership};
use crate::engine::plan::{Plan, Target};
use crate::engine::store_health::CountedWait;
use crate::engine::telemetry;
use crate::machine::lease::Lease;
use crate::machine::margins::AFTER_EXPIRY;
use crate::sync::panics;
use crate::time::backoff::Backoff;
use crate::time::instant::Instant;
use crate::types::duration_text::rounded;
use crate::types::error::{LockError, LockErrorKind, Result};

/// A store that could not be asked is asked again after these pauses.
const RETRY: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// One task's acquisition of a lock, for its whole queue if it leads one.
pub(crate) struct Acquisition<'a> {
    context: Arc<ServiceContext>,
    plan: Arc<Plan>,
    target: Target,
    driver: AttemptDriver,
    ticket: Option<Ticket>,
    began: Instant,
    /// The newest reading of the clock: after each answer, and after each wait.
    now: Instant,
    deadline: Instant,
    /// When the wait has become long, unless that was told.
    long_at: Instant,
    /// How often the store has said since the beginning that another holds the lock.
    polls: u32,
    /// How often it could not be asked since its last answer.
    failures: u32,
    /// Why the last try got no answer; the reason given when the wait is over.
    last_failure: Option<LockError>,
    /// Counts it among the tasks that cannot ask the store.
    counted: Option<CountedWait>,
    leadership: Leadership<SharedLease, Held>,
    asking: &'a Asking<'a>,
}

/// What to wait for before asking again.
enum Until {
    Time(Instant),
    News(Waiting),
}

impl<'a> Acquisition<'a> {
    /// Somebody has wanted the lock since `began`, and asks for it from `now` until `deadline`.
    pub(crate) fn new(
        context: &Arc<ServiceContext>,
        mut leadership: Leadership<SharedLease, Held>,
        plan: Arc<Plan>,
        target: &Target,
        asking: &'a Asking<'a>,
        (began, now, deadline): (Instant, Instant, Instant),
    ) -> Result<Self> {
        let (ticket, driver) = match leadership.take_state() {
            Some(LeaderState { driver, ticket, ttl }) if ttl == plan.options.ttl => {
                (ticket, driver)
            }
            // Another lease was asked for, and will be granted: only the place in the queue is kept.
            state => {
                let ticket = state.and_then(|state| state.ticket);
                (ticket, fresh(context, target)?)
            }
        };
        Ok(Self {
            context: Arc::clone(context),
            plan,
            target: target.clone(),
            driver,
            ticket,
            began,
            now,
            deadline,
            long_at: began + LONG_WAIT,
            polls: 0,
            failures: 0,
            last_failure: None,
            counted: None,
            leadership,
            asking,
        })
    }

    /// `None`: somebody else held the lock until the deadline.
    pub(crate) async fn run(mut self) -> Result<Option<Held>> {
        loop {
            let asked = self.ask().await;
            let until = match self.on_reply(asked)? {
                Reaction::Granted(grant, valid_until) => {
                    return self.hold(grant, valid_until).map(Some);
                }
                Reaction::Wait(until) => until,
            };
            if self.now >= self.deadline {
                return self.give_up();
            }
            self.asking.is_waiting();
            self.tell_if_long();
            self.will_act(&until);
            let pushed = self.wait(until).await;
            self.now = self.context.store().now();
            if let Some(grant) = pushed {
                let asked = self.driver.pushed(grant, self.plan.options.ttl);
                if let Reaction::Granted(grant, valid_until) = self.on_reply(asked)? {
                    return self.hold(grant, valid_until).map(Some);
                }
            }
        }
    }

    async fn ask(&mut self) -> Asked {
        if self.driver.is_asking() {
            // The leader before has asked, and its future is gone; the answer is still to come.
            return self.driver.asked().await;
        }
        let options = &self.plan.options;
        let request = AcquireRequest {
            key: self.target.key.clone(),
            token: self.driver.token(),
            ttl: options.ttl,
            queue: self.deadline > self.now,
            ticket: self.ticket,
            fencing: true,
            clock: self.context.store().clock(),
            asked_at: self.now,
            given_up: GivenUp::default(),
        };
        self.driver.ask(request).await
    }

    /// Decides what an answer means; an error ends the acquisition.
    fn on_reply(&mut self, asked: Asked) -> Result<Reaction> {
        let now = self.driver.answered_at();
        self.now = now;
        let until = match asked {
            Asked::Granted { grant, valid_until } => {
                return Ok(Reaction::Granted(grant, valid_until));
            }
            Asked::TooLate => {
                self.start_afresh()?;
                self.last_failure = Some(too_late(now.saturating_duration_since(self.began)));
                Until::Time(now)
            }
            Asked::Held { retry_after } => {
                self.asking.is_contended();
                self.last_failure = None;
                self.counted = None;
                self.failures = 0;
                if !self.context.store().capabilities().repeatable {
                    self.start_afresh()?;
                }
                let pause = self.poll_pause();
                // Some(0) says that it should be free and is not: no reason to ask in a hurry.
                let free = retry_after.filter(|left| !left.is_zero());
                let soonest = free.map_or(pause, |left| left + AFTER_EXPIRY);
                Until::Time(now + pause.min(soonest))
            }
            Asked::Queued(waiting) => {
                self.asking.is_contended();
                self.last_failure = None;
                self.counted = None;
                self.failures = 0;
                self.ticket = Some(waiting.ticket);
                Until::News(waiting)
            }
            Asked::Failed(error) if error.is_retryable() && now < self.deadline => {
                if !self.context.store().capabilities().repeatable {
                    self.start_afresh()?;
                }
                self.last_failure = Some(error);
                let tasks = 1 + self.context.queues().waiting(&self.target.key);
                let health = self.context.store().health();
                self.counted = Some(health.count_wait(self.began, tasks));
                let pause = RETRY.jittered(self.failures);
                self.failures = self.failures.saturating_add(1);
                Until::Time(now + pause)
            }
            Asked::Failed(error) => return Err(holds_nothing(error)),
        };
        Ok(Reaction::Wait(until))
    }

    /// The pause before a lock that another holds is asked for again.
    fn poll_pause(&mut self) -> Duration {
        let pause = self.context.store().capabilities().poll.jittered(self.polls);
        self.polls = self.polls.saturating_add(1);
        pause
    }

    /// Goes on with a fresh token; what the old one may own is undone.
    fn start_afresh(&mut self) -> Result<()> {
        self.driver = fresh(&self.context, &self.target)?;
        Ok(())
    }

    /// Waits for news, the time to ask again, or the end of the wait; a grant may be pushed.
    async fn wait(&mut self, until: Until) -> Option<Grant> {
        let clock = self.context.store().clock();
        match until {
            Until::Time(at) => {
                clock.sleep_until(at.min(self.deadline)).await;
                None
            }
            Until::News(waiting) => {
                let at = (clock.now() + waiting.retry_after).min(self.deadline).min(self.long_at);
                let wake = panics::caught(waiting.wake.map(Ok));
                tokio::select! {
                    biased;
                    wake = self.context.background().in_runtime(wake) => match wake {
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

    fn hold(mut self, grant: Grant, valid_until: Instant) -> Result<Held> {
        let (lock, backend) = (self.target.name.as_str(), self.context.store().kind());
        telemetry::acquired(lock, backend, self.waited(), grant.fencing);
        let asked = self.plan.options.ttl;
        let is_window = grant.granted_ttl.is_some_and(|ttl| ttl < asked)
            && self.context.store().capabilities().renew;
        let (token, attempt) = (self.driver.token(), self.driver.take_machine());
        let lease = Lease::granted(
            &self.plan.terms(self.context.store()),
            self.now,
            valid_until,
            is_window,
            attempt,
        );
        let (target, term) = (self.target.clone(), self.leadership.become_holder());
        // A grant that was pushed is older than the news of it.
        let doubt = Doubt::since(grant.since.unwrap_or(self.now));
        let new = NewLease { target, token, fencing: grant.fencing, term, doubt };
        let held = Held::new(Arc::clone(&self.context), new, lease, self.now);
        self.context.queues().granted(&self.target.key, term, held.lease(), self.now);
        held.hand_out()
    }

    /// A wait that has become long is told, unless it is one for a store that does not answer.
    fn tell_if_long(&mut self) {
        if self.now < self.long_at {
            return;
        }
        self.long_at = Instant::FAR_FUTURE;
        if self.last_failure.is_none() {
            let is_forever = self.deadline == Instant::FAR_FUTURE;
            let span = self.asking.span().clone();
            tell_long_wait(&self.context, &self.target, (self.waited(), is_forever), span);
        }
    }

    /// Tells the queue when its leader acts again.
    fn will_act(&self, until: &Until) {
        let at = match until {
            Until::Time(at) => *at,
            Until::News(waiting) => self.now + waiting.retry_after,
        };
        self.leadership.will_act(at, self.last_failure.as_ref());
    }

    fn waited(&self) -> Duration {
        self.now.saturating_duration_since(self.began)
    }

    /// The wait is over. What the last answer was decides whether the lock was refused, or could
    /// not be asked for.
    fn give_up(mut self) -> Result<Option<Held>> {
        self.last_failure.take().map_or(Ok(None), |error| Err(holds_nothing(error)))
    }
}

impl Drop for Acquisition<'_> {
    fn drop(&mut self) {
        let Self { leadership, driver, ticket, plan, .. } = self;
        let (ticket, ttl) = (*ticket, plan.options.ttl);
        leadership.hand_off(|| LeaderState { driver: driver.take(), ticket, ttl });
    }
}

/// A driver with a fresh token.
fn fresh(context: &ServiceContext, target: &Target) -> Result<AttemptDriver> {
    let (store, background) = (context.store().clone(), Arc::clone(context.background()));
    AttemptDriver::new(store, background, target.key.clone())
}

enum Reaction {
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
        "the store granted the lock, but its answer took {}, longer than the lease; a longer ttl \
         gives it more time",
        rounded(took)
    );
    LockError::new(LockErrorKind::Unavailable, message)
}
