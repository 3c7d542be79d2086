//! A lock that is held: [`Held`], which its guard owns, and [`SharedLease`], which guard, body and
//! background share.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::backend::OwnerToken;
use crate::engine::attempt_driver::AttemptDriver;
use crate::engine::context::{Context, Handle};
use crate::engine::doubt::Doubt;
use crate::engine::hold::{Hold, Used};
use crate::engine::lease_end;
use crate::engine::local_queues::{NextLeader, Released, Watched};
use crate::engine::loss_text::loss_text;
use crate::engine::metrics::Level;
use crate::engine::plan::{Plan, Target};
use crate::engine::schedule::{Scheduled, Slot};
use crate::engine::store::Store;
use crate::engine::telemetry;
use crate::machine::attempt::StoreAttempt;
use crate::machine::lease::Lease;
use crate::machine::local_queue::Term;
use crate::sync::lazy_notify::LazyNotify;
use crate::time::instant::Instant;
use crate::types::error::{LockError, Result};
use crate::types::fencing::FencingToken;
use crate::types::loss::{LeaseEnd, LossReason};
use crate::types::name::{LockKey, LockName};
use crate::types::status::ReleaseOutcome;

/// What a service's clones, locks and guards share.
pub(crate) type ServiceContext = Context<SharedLease, Held>;

/// Whatever keeps a service in use.
pub(crate) type ServiceHandle = Handle<SharedLease, Held>;

impl ServiceContext {
    /// The lease of the guard of this service that holds the lock, if one does.
    pub(crate) fn own_lease(&self, key: &LockKey) -> Option<Arc<SharedLease>> {
        self.schedule().find(|lease| lease.key() == key && lease.ended().is_none())
    }
}

/// Owns a lock: dropping it ends the lease.
pub(crate) struct Held(Arc<SharedLease>);

/// What a fresh grant brings into its lease.
pub(crate) struct NewLease {
    pub(crate) target: Target,
    pub(crate) token: OwnerToken,
    pub(crate) fencing: Option<FencingToken>,
    /// The number under which it is held in its queue.
    pub(crate) term: Term,
    /// How long ago the store confirmed it.
    pub(crate) doubt: Doubt,
}

/// What the end of a lease leaves to do.
pub(crate) struct Ending {
    /// What the store has to be told.
    pub(crate) release: Option<AttemptDriver>,
    /// The task that leads the queue as soon as that is on its way.
    pub(crate) next: Option<NextLeader<SharedLease, Held>>,
    /// What came of it, if the store has to be told nothing.
    pub(crate) outcome: ReleaseOutcome,
}

impl Ending {
    const fn without_release(outcome: ReleaseOutcome) -> Self {
        Self { release: None, next: None, outcome }
    }
}

impl Held {
    /// The lock that `new` describes is held from now on.
    pub(crate) fn new(
        context: Arc<ServiceContext>,
        new: NewLease,
        lease: Lease,
        now: Instant,
    ) -> Self {
        let NewLease { target, token, fencing, term, doubt } = new;
        // Without a field of its own, so that a guard is no larger than a pointer.
        context.enter();
        let first_look = lease.first_look(now);
        let shared = Arc::new(SharedLease {
            context,
            target,
            token,
            fencing,
            term,
            hold: Hold::new(now),
            doubt,
            slot: Slot::new(),
            deadline: AtomicU64::new(lease.deadline().as_nanos()),
            ended: AtomicU8::new(0),
            is_missed: AtomicBool::new(false),
            changed: LazyNotify::default(),
            lease: Mutex::new(lease),
        });
        shared.context.schedule().enter(&shared, first_look);
        Self(shared)
    }

    pub(crate) const fn lease(&self) -> &Arc<SharedLease> {
        &self.0
    }

    /// Releases, and says what the store said, and why if it said nothing.
    pub(crate) async fn release(self) -> (ReleaseOutcome, Option<LockError>) {
        let shared = Arc::clone(&self.0);
        // Before the lease leaves the schedule, so that a shutdown waits for the one or the other.
        let _counted = shared.context.count();
        // The drop that follows finds nothing left to do.
        let Ending { release, mut next, outcome } = shared.end();
        drop(self);
        let (outcome, cause) = match release {
            None => (outcome, None),
            Some(driver) => {
                let mut release = pin!(driver.release());
                poll_fn(|cx| {
                    let polled = release.as_mut().poll(cx);
                    // The release is on its way: whoever asks now comes after it.
                    if let Some(next) = next.take() {
                        next.call();
                    }
                    polled
                })
                .await
            }
        };
        telemetry::released(shared.store(), &shared.target.name, outcome, cause.as_ref());
        (outcome, cause)
    }

    /// The user gets it, unless the service is being shut down: a shutdown that begins later finds
    /// the lease in the schedule.
    pub(crate) fn hand_out(self) -> Result<Self> {
        if self.0.context.is_closing() {
            return Err(LockError::shut_down());
        }
        if self.0.hold.hand_out() {
            self.0.store().metrics().raise(Level::Held, Some(self.0.name()));
        }
        Ok(self)
    }

    /// The task to which this was handed over accepts it. `false`: too late.
    pub(crate) fn accept(&self) -> bool {
        let now = self.0.context.store().now();
        self.0.update(|lease| lease.accept(now))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _counted = self.0.context.count();
        let Ending { release, next, .. } = self.0.end();
        // Dropping the driver sends the release.
        drop(release);
        if let Some(next) = next {
            next.call();
        }
        self.0.context.leave();
    }
}

/// A lease that is held, or was.
pub(crate) struct SharedLease {
    context: Arc<ServiceContext>,
    target: Target,
    token: OwnerToken,
    fencing: Option<FencingToken>,
    term: Term,
    hold: Hold,
    doubt: Doubt,
    slot: Slot,
    /// The lease's deadline in nanoseconds, to be read without the mutex.
    deadline: AtomicU64,
    /// How the lease ended, once it has, to be read without the mutex.
    ended: AtomicU8,
    /// Whether it was told that another task of the service waits for it for long.
    is_missed: AtomicBool,
    changed: LazyNotify,
    lease: Mutex<Lease>,
}

impl SharedLease {
    pub(crate) const fn context(&self) -> &Arc<ServiceContext> {
        &self.context
    }

    pub(crate) fn store(&self) -> &Store {
        self.context.store()
    }

    pub(crate) const fn name(&self) -> &LockName {
        &self.target.name
    }

    pub(crate) const fn key(&self) -> &LockKey {
        &self.target.key
    }

    pub(crate) const fn token(&self) -> OwnerToken {
        self.token
    }

    pub(crate) const fn fencing(&self) -> Option<FencingToken> {
        self.fencing
    }

    pub(crate) const fn doubt(&self) -> &Doubt {
        &self.doubt
    }

    pub(crate) const fn hold(&self) -> &Hold {
        &self.hold
    }

    /// Another task of the service waits for it for long; `true` the first time.
    pub(crate) fn begins_to_be_missed(&self) -> bool {
        !self.is_missed.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::from_nanos(self.deadline.load(Ordering::Acquire))
    }

    /// Whether the lease is renewed until its end.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.lock().keeps_alive()
    }

    /// How the lease has ended, if it has; looks at the clock.
    pub(crate) fn ended(&self) -> Option<LeaseEnd> {
        // A lease that has ended is not worth a look at the clock.
        self.known_end().or_else(|| self.ended_at(self.store().now()))
    }

    /// How long the lease runs at least; zero when it is over.
    pub(crate) fn remaining(&self) -> Duration {
        let now = self.store().now();
        let left = self.deadline().saturating_duration_since(now);
        if self.ended_at(now).is_some() { Duration::ZERO } else { left }
    }

    /// The store says that the lease is gone; the background undoes what may be left of it.
    pub(crate) fn lose_in_store(&self, reason: LossReason) -> LeaseEnd {
        let now = self.store().now();
        let (end, undo_at) = self.update(|lease| (lease.lose(reason), lease.undo_at(now)));
        self.schedule(undo_at);
        end
    }

    /// Ends when the lease does, and says how.
    pub(crate) async fn wait_for_end(&self) -> LeaseEnd {
        loop {
            if let Some(end) = self.ended() {
                return end;
            }
            let deadline = self.deadline();
            let is_changed = || self.ended().is_some() || self.deadline() != deadline;
            tokio::select! {
                () = self.changed.until(|| is_changed().then_some(())) => {}
                () = self.store().clock().sleep_until(deadline) => {}
            }
        }
    }

    /// What a caller is told who needs the lease after its end.
    pub(crate) fn ended_error(&self, end: LeaseEnd) -> LockError {
        match end {
            LeaseEnd::Released => LockError::released(),
            LeaseEnd::Lost(reason) => LockError::lost(reason, &self.loss_text(reason)),
        }
    }

    /// Until when the lease lasts, if a renewal of it is not confirmed.
    pub(crate) fn unconfirmed_until(&self) -> Option<Instant> {
        let lease = self.lock();
        (lease.is_unconfirmed() && lease.ended().is_none()).then(|| lease.deadline())
    }

    /// The background is to look at the lease at `at`.
    pub(crate) fn schedule(&self, at: Instant) {
        self.context.schedule().schedule(self, at);
    }

    /// Ends the lease on behalf of its owner.
    pub(crate) fn end(&self) -> Ending {
        if self.known_end() == Some(LeaseEnd::Released) {
            return Ending::without_release(ReleaseOutcome::AlreadyExpired);
        }
        let now = self.store().now();
        let Some(given_up) = self.update_at(Some(now), |lease| lease.give_up(now)) else {
            return Ending::without_release(ReleaseOutcome::AlreadyExpired);
        };
        self.context.schedule().leave(self);
        // When the service ends, nobody accepts it any more.
        let handover = given_up.handover.filter(|_| !self.context.is_closing());
        let next = if self.known_end() == Some(LeaseEnd::Released) {
            let left = handover.unwrap_or_default();
            let hand_over = |plan: &Plan, term| self.hand_over(plan, term, given_up.attempt, now);
            match self.context.queues().released(&self.target.key, self.term, now, left, hand_over)
            {
                Released::ToStore(next) => next,
                Released::HandedOver => {
                    return Ending::without_release(ReleaseOutcome::Released);
                }
            }
        } else {
            None
        };
        let release = Some(self.releasing(given_up.attempt, given_up.min_hold_end, now));
        Ending { release, next, outcome: ReleaseOutcome::Unknown }
    }

    /// Leaves the lease to whoever gets its token. Returns how long the store may keep it, or `None` if
    /// it cannot be passed on yet.
    pub(crate) fn pass_on(&self) -> Result<Option<Duration>, LeaseEnd> {
        let now = self.store().now();
        let stands_for = self.update(|lease| lease.pass_on(now))?;
        if stands_for.is_some() {
            self.context.schedule().leave(self);
        }
        Ok(stands_for)
    }

    /// Ends the lease because the service ends. Returns whether it had not ended before, and the
    /// release of what it has in the store, if nobody else has that.
    ///
    /// In one step: the holder, who learns of the loss, must not take the release first.
    pub(crate) fn shut_down(&self) -> (bool, Option<AttemptDriver>) {
        let now = self.store().now();
        let (is_ended_here, given_up) = self.update_at(Some(now), |lease| {
            let is_ended_here = lease.look(now).is_none();
            lease.lose(LossReason::ShutDown);
            (is_ended_here, lease.give_up(now))
        });
        let release = given_up.map(|given_up| {
            self.context.schedule().leave(self);
            self.releasing(given_up.attempt, given_up.min_hold_end, now)
        });
        (is_ended_here, release)
    }

    /// Undoes what is left in the store of a lost lease, as a job of the background.
    pub(crate) fn undo(&self, attempt: StoreAttempt, now: Instant) {
        self.context.schedule().leave(self);
        self.releasing(attempt, Instant::ORIGIN, now).undo_in_background();
    }

    /// Changes the lease, and tells everybody whom the change concerns.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut Lease) -> T) -> T {
        self.update_at(None, change)
    }

    /// As [`update`](Self::update), by one who has just looked at the clock.
    fn update_at<T>(&self, now: Option<Instant>, change: impl FnOnce(&mut Lease) -> T) -> T {
        let mut lease = self.lock();
        let before = (lease.deadline(), lease.ended());
        let result = change(&mut lease);
        let after = (lease.deadline(), lease.ended());
        if before == after {
            return result;
        }
        self.deadline.store(after.0.as_nanos(), Ordering::SeqCst);
        self.ended.store(after.1.map_or(0, LeaseEnd::code), Ordering::SeqCst);
        let is_offered = lease.is_offered();
        let (ttl, keeps_alive) = (lease.ttl(), lease.keeps_alive());
        drop(lease);
        self.changed.notify();
        if let (None, Some(end)) = (before.1, after.1) {
            let now = now.unwrap_or_else(|| self.store().now());
            let held = now.saturating_duration_since(self.hold.since());
            let used = Used { end, held, ttl, keeps_alive, part: self.hold.used(now, ttl) };
            self.on_end(used, is_offered);
        }
        result
    }

    /// The lease has ended.
    fn on_end(&self, used: Used, is_offered: bool) {
        let store = self.store();
        if let LeaseEnd::Lost(reason) = used.end {
            // An offer that no task accepted is nobody's loss.
            if reason == LossReason::PassedOn {
                telemetry::passed_on(store, &self.target.name);
            } else if !is_offered {
                telemetry::lost(store, &self.target.name, used.held, &self.loss_text(reason));
            }
            self.context.queues().lost(&self.target.key, self.term);
        }
        if self.hold.end() {
            lease_end::ended(store, &self.target, used);
        }
    }

    /// What is left of this lease, held by the next task.
    fn hand_over(
        &self,
        plan: &Plan,
        term: Term,
        attempt: StoreAttempt,
        now: Instant,
    ) -> (Held, Weak<Self>) {
        let lease = Lease::handed_over(&plan.terms(self.store()), now, attempt);
        let fencing = self.fencing.map(FencingToken::next_local);
        let (target, doubt) = (self.target.clone(), self.doubt.hand_on(now));
        let new = NewLease { target, token: self.token, fencing, term, doubt };
        let held = Held::new(Arc::clone(&self.context), new, lease, now);
        let watched = Arc::downgrade(&held.0);
        (held, watched)
    }

    fn releasing(
        &self,
        attempt: StoreAttempt,
        min_hold_end: Instant,
        now: Instant,
    ) -> AttemptDriver {
        let (store, background) = (self.store().clone(), Arc::clone(self.context.background()));
        let owner = (self.target.key.clone(), self.token);
        AttemptDriver::releasing(store, background, owner, attempt, min_hold_end, now)
    }

    fn ended_at(&self, now: Instant) -> Option<LeaseEnd> {
        let known = self.known_end();
        if known.is_some() || now < self.deadline() {
            return known;
        }
        self.update(|lease| lease.look(now))
    }

    fn loss_text(&self, reason: LossReason) -> String {
        loss_text(reason, &self.lock())
    }

    fn known_end(&self) -> Option<LeaseEnd> {
        LeaseEnd::from_code(self.ended.load(Ordering::Acquire))
    }

    fn lock(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scheduled for SharedLease {
    fn slot(&self) -> &Slot {
        &self.slot
    }
}

impl Watched for SharedLease {
    fn held_until(&self) -> Instant {
        if self.known_end().is_some() { Instant::ORIGIN } else { self.deadline() }
    }
}
