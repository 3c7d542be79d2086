//! Drives the state machine of a store attempt, [`StoreAttempt`]: sends its requests and releases, and
//! makes sure that an exchange that was started is always finished, by its caller or by the background.

use std::future::{Future, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use crate::backend::capabilities::Capabilities;
use crate::backend::contract::Exchange;
use crate::backend::{
    AcquireReply, AcquireRequest, GivenUp, Grant, Lane, OwnerToken, ReleaseReply, ReleaseRequest,
    Sleep, Waiting,
};
use crate::engine::background::Background;
use crate::engine::farewell::{Errand, MOMENT};
use crate::engine::metrics::Count;
use crate::engine::store::Store;
use crate::engine::telemetry;
use crate::machine::attempt::{Next, StepAnswer, StoreAttempt, Verdict};
use crate::sync::panics;
use crate::time::instant::Instant;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::name::LockKey;
use crate::types::status::ReleaseOutcome;

/// Everything that one token does with the store, driven by the task that asks or by the background.
///
/// Dropping it undoes whatever the token may own: at once if the store answers without a pause,
/// else by handing everything over to the background.
pub(crate) struct AttemptDriver {
    store: Store,
    driven_by: DrivenBy,
    key: LockKey,
    token: OwnerToken,
    machine: StoreAttempt,
    /// The end of `min_hold`: a release leaves the lock standing until then.
    min_hold_end: Instant,
    in_flight: InFlight,
    /// When the newest answer came.
    answered_at: Instant,
    /// The clock as it was read just before, for the first thing to do.
    just_now: Option<Instant>,
    /// Why the newest release that failed did.
    release_error: Option<LockError>,
    /// A shutdown reports what becomes of the release.
    is_reported: bool,
}

enum DrivenBy {
    /// A task of the user's.
    Caller(Arc<Background>),
    /// A job of the background, which must not keep its own service alive.
    Background,
}

enum InFlight {
    Nothing,
    Step { future: Exchange<AcquireReply>, ttl: Duration, given_up: GivenUp },
    Release { future: Exchange<ReleaseReply>, lane: Lane },
    Pause(Sleep),
}

/// What came of asking once.
#[derive(Debug)]
pub(crate) enum Asked {
    Granted {
        grant: Grant,
        valid_until: Instant,
    },
    /// It was granted, but the answer came after the lease had ended.
    TooLate,
    Held {
        retry_after: Option<Duration>,
    },
    Queued(Waiting),
    Failed(LockError),
}

impl AttemptDriver {
    /// A fresh token, driven by the caller.
    pub(crate) fn new(store: Store, background: Arc<Background>, key: LockKey) -> Result<Self> {
        let machine = StoreAttempt::new(&store.capabilities());
        let token = OwnerToken::fresh()?;
        Ok(Self::idle(store, background, (key, token), machine))
    }

    /// The release of a lease that a token has, driven by the caller. The name stays taken until
    /// `min_hold_end`.
    pub(crate) fn releasing(
        store: Store,
        background: Arc<Background>,
        owner: (LockKey, OwnerToken),
        mut machine: StoreAttempt,
        min_hold_end: Instant,
        now: Instant,
    ) -> Self {
        // A store that cannot leave a lock standing is asked when it is over.
        let store_keeps = store.capabilities().min_hold;
        let (not_before, min_hold_end) = if store_keeps {
            (Instant::ORIGIN, min_hold_end)
        } else {
            (min_hold_end, Instant::ORIGIN)
        };
        machine.leave(not_before);
        let mut driver = Self::idle(store, background, owner, machine);
        driver.min_hold_end = min_hold_end;
        driver.just_now = Some(now);
        driver
    }

    /// A driver that has nothing under way.
    fn idle(
        store: Store,
        background: Arc<Background>,
        (key, token): (LockKey, OwnerToken),
        machine: StoreAttempt,
    ) -> Self {
        Self {
            store,
            driven_by: DrivenBy::Caller(background),
            key,
            token,
            machine,
            min_hold_end: Instant::ORIGIN,
            in_flight: InFlight::Nothing,
            answered_at: Instant::ORIGIN,
            just_now: None,
            release_error: None,
            is_reported: false,
        }
    }

    /// What becomes of the release is reported by whoever drives it now.
    pub(crate) const fn reported(mut self) -> Self {
        self.is_reported = true;
        self
    }

    pub(crate) const fn token(&self) -> OwnerToken {
        self.token
    }

    pub(crate) const fn answered_at(&self) -> Instant {
        self.answered_at
    }

    /// Whether a step is under way, from before a change of hands.
    pub(crate) const fn is_asking(&self) -> bool {
        matches!(self.in_flight, InFlight::Step { .. })
    }

    /// Goes on with the step that is under way.
    pub(crate) async fn asked(&mut self) -> Asked {
        poll_fn(|cx| self.poll_step(cx)).await
    }

    /// Asks the store once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future and then the driver hands the exchange over to the background.
    pub(crate) async fn ask(&mut self, request: AcquireRequest) -> Asked {
        let (ttl, given_up) = (request.ttl, request.given_up.clone());
        self.machine.step_sent(request.asked_at, ttl);
        if !request.queue {
            self.machine.step_does_not_queue();
        }
        let future = self.store.backend().begin_acquire(request);
        self.in_flight = InFlight::Step { future, ttl, given_up };
        self.asked().await
    }

    /// A grant was pushed while the token waited in the queue.
    pub(crate) fn pushed(&mut self, grant: Grant, ttl: Duration) -> Asked {
        let now = self.store.now();
        self.answered_at = now;
        let lease = grant.granted_ttl.unwrap_or(ttl);
        let since = grant.since.unwrap_or(now);
        let verdict = self.machine.pushed(now, lease, since);
        asked(verdict, grant)
    }

    /// Ends the asking with a grant: the machine goes on in the lease, and nothing is undone.
    pub(crate) fn take_machine(&mut self) -> StoreAttempt {
        mem::replace(&mut self.machine, StoreAttempt::new(&Capabilities::none()))
    }

    /// The same attempt, for another task to drive; nothing is left here.
    pub(crate) fn take(&mut self) -> Self {
        let driven_by = match &self.driven_by {
            DrivenBy::Caller(background) => DrivenBy::Caller(Arc::clone(background)),
            DrivenBy::Background => DrivenBy::Background,
        };
        self.move_to(driven_by)
    }

    /// Undoes everything, as a job of the background.
    pub(crate) fn undo_in_background(mut self) {
        if let DrivenBy::Caller(background) = &self.driven_by {
            let background = Arc::clone(background);
            self.go_on_in(&background);
        }
    }

    /// Leaves what is under way to a job of the background.
    fn go_on_in(&mut self, background: &Background) {
        if let InFlight::Step { given_up, .. } = &self.in_flight {
            given_up.set();
        }
        // From now on, not only from when the job begins.
        let errand = background.errand(self.is_reported);
        background.spawn_errand(self.move_to(DrivenBy::Background).undo(errand));
    }

    /// Releases, and returns when the outcome is known, with the reason if it could not be had; the
    /// background does the rest, if any.
    ///
    /// A store that cannot leave a lock standing is asked by the background, when `min_hold` is over;
    /// what it will say is not known before.
    pub(crate) async fn release(mut self) -> (ReleaseOutcome, Option<LockError>) {
        // Nothing was sent yet, so what is waited for is `min_hold`, on a store that cannot keep it:
        // the background does that.
        if let Next::WaitUntil(at) = self.machine.next(Instant::ORIGIN)
            && self.store.now() < at
        {
            return (ReleaseOutcome::Unknown, None);
        }
        poll_fn(|cx| self.poll_until(cx, |machine| machine.outcome().is_some())).await;
        let outcome = self.machine.outcome().unwrap_or(ReleaseOutcome::AlreadyExpired);
        (outcome, self.release_error.clone())
    }

    async fn undo(mut self, mut errand: Errand) {
        let farewell = Arc::clone(errand.farewell());
        tokio::select! {
            biased;
            () = self.undone(&mut errand) => return,
            () = farewell.urged() => {}
        }
        // What a caller began may depend on a runtime that stands still.
        if let Some(release) = self.release_beside() {
            // It may have come before a step that is still to be answered.
            let is_step = self.is_asking();
            // A task of its own, since an exchange is never cut off.
            let release = tokio::spawn(panics::caught(release));
            tokio::select! {
                biased;
                () = self.undone(&mut errand) => return,
                released = release => match released {
                    Ok(Ok(reply)) if !is_step || reply == ReleaseReply::Released => {
                        // The rest is for a program that goes on.
                        drop(errand);
                        return poll_fn(|cx| self.poll_until(cx, |_| false)).await;
                    }
                    _ => {}
                }
            }
        }
        self.undone(&mut errand).await;
    }

    async fn undone(&mut self, errand: &mut Errand) {
        poll_fn(|cx| {
            let polled = self.poll_until(cx, |_| false);
            let pauses_until = match &self.in_flight {
                InFlight::Pause(pause) => pause.deadline(),
                _ => Instant::ORIGIN,
            };
            let now = self.store.now();
            errand.goes_on(pauses_until <= now + MOMENT);
            // The store does not answer, and nobody relies on the lease any more.
            if self.store.health().is_troubled() && self.machine.is_lease_over(now) {
                errand.is_awaited_no_more();
            }
            polled
        })
        .await;
    }

    /// Another release, in the background's lane, beside an exchange that a caller began.
    fn release_beside(&self) -> Option<Exchange<ReleaseReply>> {
        let is_callers = match &self.in_flight {
            InFlight::Step { .. } => true,
            InFlight::Release { lane, .. } => *lane == Lane::Caller,
            InFlight::Nothing | InFlight::Pause(_) => false,
        };
        is_callers.then(|| self.begin_release(self.store.now(), Lane::Background))
    }

    fn move_to(&mut self, driven_by: DrivenBy) -> Self {
        let in_flight = mem::replace(&mut self.in_flight, InFlight::Nothing);
        let machine = self.take_machine();
        let Self { token, min_hold_end, answered_at, is_reported, .. } = *self;
        let (store, key, just_now) = (self.store.clone(), self.key.clone(), None);
        let release_error = self.release_error.take();
        Self {
            store,
            driven_by,
            key,
            token,
            machine,
            min_hold_end,
            in_flight,
            answered_at,
            just_now,
            release_error,
            is_reported,
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Asked> {
        let InFlight::Step { future, ttl, .. } = &mut self.in_flight else {
            // The machine and this struct disagree; do not wait for what will never come.
            self.machine.step_failed(false);
            return Poll::Ready(Asked::Failed(LockError::new(
                LockErrorKind::Backend,
                "an attempt was awaited that had not been sent",
            )));
        };
        let ttl = *ttl;
        let result = ready!(self.driven_by.poll(future, cx));
        self.in_flight.clear();
        self.store.heard(&result);
        let now = self.store.now();
        self.answered_at = now;
        Poll::Ready(match result {
            Ok(AcquireReply::Granted(grant)) => {
                let lease = grant.granted_ttl.unwrap_or(ttl);
                asked(self.machine.step_answered(now, StepAnswer::Granted { lease }), grant)
            }
            Ok(AcquireReply::Held { retry_after }) => {
                self.machine.step_answered(now, StepAnswer::Held);
                Asked::Held { retry_after }
            }
            Ok(AcquireReply::Queued(waiting)) => {
                self.machine.step_answered(now, StepAnswer::Queued);
                Asked::Queued(waiting)
            }
            Err(error) => {
                self.machine.step_failed(error.is_not_applied());
                Asked::Failed(error)
            }
        })
    }

    /// Does what the machine says until it is done, or `enough`.
    fn poll_until(&mut self, cx: &mut Context<'_>, enough: fn(&StoreAttempt) -> bool) -> Poll<()> {
        // Read when it is needed, and again when time has passed.
        let mut time = self.just_now.take();
        loop {
            if enough(&self.machine) {
                return Poll::Ready(());
            }
            let now = *time.get_or_insert_with(|| self.store.now());
            match self.machine.next(now) {
                Next::Done | Next::Caller => return Poll::Ready(()),
                Next::AwaitStep => {
                    drop(ready!(self.poll_step(cx)));
                    time = None;
                }
                Next::AwaitRelease => {
                    ready!(self.poll_release(cx));
                    time = None;
                }
                Next::SendRelease => self.send_release(now),
                Next::WaitUntil(at) => {
                    let sleep = self.store.clock().sleep_until(at);
                    let pause = match &mut self.in_flight {
                        InFlight::Pause(pause) if pause.deadline() == at => pause,
                        other => {
                            *other = InFlight::Pause(sleep);
                            continue;
                        }
                    };
                    ready!(Pin::new(pause).poll(cx));
                    time = None;
                }
            }
        }
    }

    fn send_release(&mut self, now: Instant) {
        self.machine.release_sent(now);
        let lane = match self.driven_by {
            DrivenBy::Caller(_) => Lane::Caller,
            DrivenBy::Background => Lane::Background,
        };
        self.in_flight = InFlight::Release { future: self.begin_release(now, lane), lane };
    }

    fn begin_release(&self, now: Instant, lane: Lane) -> Exchange<ReleaseReply> {
        let min_hold = self.min_hold_end.saturating_duration_since(now);
        let request = ReleaseRequest::new(self.key.clone(), self.token, self.store.clock())
            .with_min_hold(min_hold)
            .with_lane(lane);
        self.store.backend().begin_release(request)
    }

    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let result = match &mut self.in_flight {
            InFlight::Release { future, .. } => ready!(self.driven_by.poll(future, cx)),
            _ => Err(LockError::new(LockErrorKind::Backend, "the release was not under way")),
        };
        self.in_flight.clear();
        self.store.heard(&result);
        match result {
            Ok(reply) => self.machine.release_answered(reply),
            Err(error) => {
                self.machine.release_failed(self.store.now());
                let refused = !error.is_retryable();
                let what = if refused { Count::ReleaseRefused } else { Count::ReleaseUnanswered };
                self.store.metrics().count(what, None);
                // A caller is told by the outcome.
                panics::contained(|| telemetry::release_failed(&self.store, &self.key, &error));
                self.release_error = Some(error);
            }
        }
        Poll::Ready(())
    }
}

impl Drop for AttemptDriver {
    fn drop(&mut self) {
        let DrivenBy::Caller(background) = &self.driven_by else { return };
        if self.machine.owes_nothing() {
            return;
        }
        let background = Arc::clone(background);
        // Only what was not left already: a release keeps its own not-before.
        self.machine.leave(Instant::ORIGIN);
        // The caller's own next call must find its lock free: so the release is on its way before
        // this returns. It never blocks, and a panic of the backend's must not abort an unwinding.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            self.poll_until(&mut Context::from_waker(Waker::noop()), |_| false)
        }));
        if !matches!(polled, Ok(Poll::Ready(()))) {
            self.go_on_in(&background);
        }
    }
}

impl DrivenBy {
    /// Polls a backend's future: in the caller's runtime if there is one, else in the background's,
    /// and with a panic turned into an error that says "perhaps applied".
    fn poll<T>(&self, future: &mut Exchange<T>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let polled = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Caller(background) => background.poll_in_runtime(future.as_mut(), cx),
            Self::Background => future.as_mut().poll(cx),
        }));
        polled.unwrap_or_else(|panic| Poll::Ready(Err(panics::error(&*panic))))
    }
}

impl InFlight {
    /// Drops what has ended; a future that has panicked may panic once more.
    fn clear(&mut self) {
        let ended = mem::replace(self, Self::Nothing);
        catch_unwind(AssertUnwindSafe(|| drop(ended))).ok();
    }
}

fn asked(verdict: Verdict, grant: Grant) -> Asked {
    match verdict {
        Verdict::Hold { valid_until } => Asked::Granted { grant, valid_until },
        _ => Asked::TooLate,
    }
}
