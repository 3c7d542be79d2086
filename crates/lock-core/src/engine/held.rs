//! What is known of a lock that is held: the state behind its guard, its leases and the keeper's
//! renewals.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::api::lock::Plan;
use crate::api::service::ServiceInner;
use crate::backend::token::FencingToken;
use crate::backend::{OwnerToken, RenewRequest};
use crate::engine::attempt_driver::Dealing;
use crate::engine::local_queues::{Released, Successor, Term};
use crate::engine::renew::GRACE;
use crate::engine::schedule::Slot;
use crate::engine::telemetry;
use crate::machine::attempt::StoreAttempt;
use crate::sync::lazy_notify::Bell;
use crate::time::clock::Instant;
use crate::types::error::{LockError, Result};
use crate::types::loss::LossReason;
use crate::types::name::{LockKey, LockName};
use crate::types::status::ReleaseOutcome;

mod extension;

/// What a fresh grant brings into its lease.
pub(crate) struct Granted {
    pub(crate) at: Instant,
    pub(crate) token: OwnerToken,
    pub(crate) fencing: Option<FencingToken>,
    pub(crate) valid_until: Instant,
    /// The store set less than was asked, until the grant is claimed.
    pub(crate) is_window: bool,
    pub(crate) machine: StoreAttempt,
    /// The line's number for this grant.
    pub(crate) term: Term,
    /// It was passed on to a task that has not taken it yet.
    pub(crate) is_offer: bool,
}

impl Granted {
    /// What is left of a lease, for the next one in line.
    pub(crate) fn passed_on(
        from: &Holding,
        machine: StoreAttempt,
        plan: &Plan,
        now: Instant,
        term: Term,
    ) -> Self {
        let asked = machine.bound(now, plan.options.ttl);
        let valid_until = machine.valid_until();
        Self {
            at: now,
            token: from.token,
            fencing: from.fencing.map(FencingToken::next_local),
            // A fixed lease is never longer than what was asked for.
            valid_until: if plan.options.keep_alive { valid_until } else { valid_until.min(asked) },
            is_window: valid_until < asked,
            machine,
            term,
            is_offer: true,
        }
    }
}

/// Whoever was offered a lease takes it within this time, or it goes back to the store.
const OFFER: Duration = Duration::from_secs(2);

/// Looks at an offer lie at least this far apart.
const OFFER_LOOK: Duration = Duration::from_millis(10);

/// What the end of a guard's lease leaves to do.
pub(crate) struct End {
    /// What the store has to be told.
    pub(crate) release: Option<Dealing>,
    /// Who leads the line as soon as that is on its way.
    pub(crate) next: Option<Successor>,
    /// What came of it, if the store has to be told nothing.
    pub(crate) outcome: ReleaseOutcome,
}

impl End {
    const fn without_release(outcome: ReleaseOutcome) -> Self {
        Self { release: None, next: None, outcome }
    }
}

pub(crate) struct Holding {
    pub(crate) service: Arc<ServiceInner>,
    name: LockName,
    key: LockKey,
    /// Not the plan, which would be kept for as long as the lock: only what is needed of it.
    ttl: Duration,
    keep_alive: bool,
    token: OwnerToken,
    fencing: Option<FencingToken>,
    /// When the lease ends that was asked for, counted from the grant.
    asked_end: Instant,
    max_hold_end: Instant,
    min_hold_end: Instant,
    term: Term,
    slot: AtomicU32,
    /// The guard's deadline in nanoseconds; never later than the store's expiry.
    deadline: AtomicU64,
    /// Why the lease ended, once it has; it never changes again.
    ended: AtomicU8,
    changed: Bell,
    state: Mutex<State>,
}

struct State {
    /// Taken by whoever releases.
    machine: Option<StoreAttempt>,
    /// Counts the calls of `extend`: only the latest one sets the deadline.
    extensions: u32,
    /// Counts those that lowered the deadline: a renewal sent before one must not raise it again.
    lowered: u32,
    /// The store's lease is shorter than asked: the keeper claims the rest by a renewal, unless the
    /// work is over before.
    is_window: bool,
    /// A renewal was sent, and none has been confirmed since.
    is_unconfirmed: bool,
    /// The deadline from when on the task has taken what was passed on to it.
    offered: Option<Instant>,
    /// The keeper frees what is left of a lost lease not before.
    undo_at: Option<Instant>,
}

/// What the keeper has to do for a lease that is due.
pub(crate) enum Duty {
    Nothing,
    LookAgain(Instant),
    /// With how often the deadline had been lowered by then.
    Renew(RenewRequest, u32),
    Undo(Box<Dealing>),
}

impl Holding {
    pub(crate) fn grant(service: Arc<ServiceInner>, plan: &Plan, granted: &Granted) -> Arc<Self> {
        let Granted { at: granted_at, token, fencing, valid_until, machine, term, .. } = *granted;
        let options = &plan.options;
        let max_hold_end = options.max_hold.map_or(Instant::FAR_FUTURE, |max| granted_at + max);
        let deadline = valid_until.min(max_hold_end);
        // Whoever does not take what was passed on delays the others no longer than this.
        let first = if granted.is_offer { deadline.min(granted_at + OFFER) } else { deadline };
        // Of what is left, which is less than the ttl after a slow answer, and in a window.
        let left = first.min(valid_until).saturating_duration_since(granted_at);
        let wants_renewal = options.keep_alive || granted.is_window;
        let due = (wants_renewal || granted.is_offer).then(|| granted_at + left / 3);
        let holding = Arc::new(Self {
            service,
            name: plan.name.clone(),
            key: plan.known_key(),
            ttl: options.ttl,
            keep_alive: options.keep_alive,
            token,
            fencing,
            asked_end: granted_at + options.ttl,
            max_hold_end,
            min_hold_end: granted_at + options.min_hold,
            term,
            slot: AtomicU32::new(Slot::MAX),
            deadline: AtomicU64::new(first.as_nanos()),
            ended: AtomicU8::new(0),
            changed: Bell::default(),
            state: Mutex::new(State {
                machine: Some(machine),
                extensions: 0,
                lowered: 0,
                is_window: granted.is_window,
                is_unconfirmed: false,
                offered: granted.is_offer.then_some(deadline),
                undo_at: None,
            }),
        });
        holding.service.keeper().ledger().enter(&holding, due);
        holding
    }

    /// The task to which this was passed on takes it. `false`: too late.
    pub(crate) fn take_up(&self) -> bool {
        if self.ended().is_some() {
            return false;
        }
        let offered = self.lock().offered.take();
        if let Some(deadline) = offered {
            self.set_deadline(deadline);
            self.changed.ring();
        }
        true
    }

    pub(crate) fn name(&self) -> &LockName {
        &self.name
    }

    pub(crate) const fn key(&self) -> &LockKey {
        &self.key
    }

    pub(crate) const fn fencing(&self) -> Option<FencingToken> {
        self.fencing
    }

    pub(crate) const fn term(&self) -> Term {
        self.term
    }

    /// Until when it is held, as far as is known: the past, if it is over.
    pub(crate) fn held_until(&self) -> Instant {
        match self.ended.load(Ordering::Acquire) {
            0 => self.deadline(),
            _ => Instant::default(),
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::from_nanos(self.deadline.load(Ordering::Acquire))
    }

    pub(crate) fn slot(&self) -> Slot {
        self.slot.load(Ordering::Relaxed)
    }

    pub(crate) fn set_slot(&self, slot: Slot) {
        self.slot.store(slot, Ordering::Relaxed);
    }

    pub(crate) fn schedule(&self, at: Instant) {
        self.service.keeper().ledger().schedule(self, at);
    }

    pub(crate) fn adopt_undo(&self, dealing: Dealing) {
        let _counted = self.service.count();
        self.service.keeper().ledger().leave(self.slot());
        self.service.keeper().adopt(dealing.into_keeper());
    }

    /// Why the lease has ended, if it has; looks at the clock.
    pub(crate) fn ended(&self) -> Option<LossReason> {
        // A lease that has ended is not worth a look at the clock.
        let ended = LossReason::from_code(self.ended.load(Ordering::Acquire));
        ended.or_else(|| self.ended_at(self.service.clock().now()))
    }

    fn ended_at(&self, now: Instant) -> Option<LossReason> {
        let ended = LossReason::from_code(self.ended.load(Ordering::Acquire));
        if ended.is_some() || now < self.deadline() {
            return ended;
        }
        let reason =
            if now >= self.max_hold_end { LossReason::MaxHold } else { LossReason::Expired };
        Some(self.lose(reason))
    }

    /// Ends the lease, unless it has ended already; returns why it ended.
    pub(crate) fn lose(&self, reason: LossReason) -> LossReason {
        let order = (Ordering::SeqCst, Ordering::Acquire);
        match self.ended.compare_exchange(0, reason.code(), order.0, order.1) {
            Ok(_) => {
                self.changed.ring();
                if reason != LossReason::Released {
                    // An offer that nobody took is nobody's loss.
                    if self.lock().offered.is_none() {
                        telemetry::lost(&self.service, &self.name, reason);
                    }
                    self.service.lines().lost(self);
                }
                reason
            }
            Err(before) => LossReason::from_code(before).unwrap_or(reason),
        }
    }

    /// A renewal that was sent at `sent`, when the deadline had been lowered so often, was confirmed at `now`.
    pub(crate) fn renewed(
        &self,
        sent: Instant,
        now: Instant,
        ttl: Duration,
        lowered: u32,
    ) -> Result<()> {
        self.confirmed(sent, now, ttl, |state, bound| {
            if state.lowered == lowered {
                let deadline = bound.min(self.max_hold_end);
                self.set_deadline(deadline.max(self.deadline()));
            }
        })
    }

    /// When the keeper looks again after a renewal that was sent at `sent`: for the next one, or
    /// for the end.
    pub(crate) fn next_look(&self, sent: Instant) -> Instant {
        if self.keep_alive { sent + self.ttl / 3 } else { self.deadline() }
    }

    /// What the keeper has to do at `now`.
    pub(crate) fn duty(self: &Arc<Self>, now: Instant) -> Duty {
        if self.ended().is_some() {
            return self.undo_when_due(now);
        }
        let deadline = self.deadline();
        let mut state = self.lock();
        let wants_renewal = self.keep_alive || state.is_window;
        if !wants_renewal || deadline >= self.max_hold_end {
            return Duty::LookAgain(deadline);
        }
        if state.offered.is_some() {
            // It may be taken at any moment, and its claim must not be late then.
            let pause = deadline.saturating_duration_since(now) / 3;
            return Duty::LookAgain((now + pause.max(OFFER_LOOK)).min(deadline));
        }
        let ttl = if self.keep_alive {
            self.ttl
        } else {
            // A claim brings a fixed lease to what was asked, counted from the grant.
            self.asked_end.saturating_duration_since(now)
        };
        let Some(machine) = &mut state.machine else { return Duty::Nothing };
        machine.renewal_sent(now, ttl);
        state.is_unconfirmed = true;
        let lowered = state.lowered;
        drop(state);
        let within = deadline.saturating_duration_since(now) / 4;
        Duty::Renew(self.renew_request(ttl).with_within(within), lowered)
    }

    /// Ends the lease on behalf of its guard.
    pub(crate) fn end(self: &Arc<Self>) -> End {
        let now = self.service.clock().now();
        self.ended_at(now);
        let reason = self.lose(LossReason::Released);
        let (machine, is_unconfirmed) = {
            let mut state = self.lock();
            (state.machine.take(), state.is_unconfirmed)
        };
        let Some(machine) = machine else {
            return End::without_release(ReleaseOutcome::AlreadyExpired);
        };
        self.service.keeper().ledger().leave(self.slot());
        let rest_until = self.rest_until(reason);
        let mut given_back = (machine, None);
        if reason == LossReason::Released {
            // What the store has not confirmed, or what has to rest, is not passed on; and when the
            // service ends, nobody takes it up any more.
            let may_pass = !is_unconfirmed && rest_until <= now && !self.service.is_closing();
            let left = machine.valid_until().saturating_duration_since(now);
            let left = if may_pass { left } else { Duration::ZERO };
            match self.service.lines().released(self, machine, now, left) {
                Released::PassedOn => return End::without_release(ReleaseOutcome::Released),
                Released::GivenBack(machine, next) => given_back = (machine, next),
            }
        }
        let (machine, next) = given_back;
        let release = Some(self.resume(machine, rest_until, now));
        End { release, next, outcome: ReleaseOutcome::Unknown }
    }

    /// Takes the right to release what is left in the store of a lost lease.
    fn take_undo(self: &Arc<Self>, now: Instant) -> Option<Dealing> {
        let machine = self.lock().machine.take()?;
        Some(self.resume(machine, Instant::default(), now))
    }

    /// The dealings with the store go on, with the release.
    fn resume(
        self: &Arc<Self>,
        mut machine: StoreAttempt,
        rest_until: Instant,
        now: Instant,
    ) -> Dealing {
        let capabilities = self.service.backend().capabilities();
        let not_before = if capabilities.rest { Instant::default() } else { rest_until };
        machine.leave(not_before);
        let (service, key) = (Arc::clone(&self.service), self.key.clone());
        let rest_until = if capabilities.rest { rest_until } else { Instant::default() };
        Dealing::resume(service, key, self.token, machine, rest_until, Some(now))
    }

    /// Until when a release leaves the name taken, because of `min_hold`.
    pub(crate) fn rest_until(&self, reason: LossReason) -> Instant {
        match reason {
            LossReason::Released | LossReason::ShutDown => self.min_hold_end,
            _ => Instant::default(),
        }
    }

    pub(crate) async fn wait_for_end(&self) -> LossReason {
        loop {
            if let Some(reason) = self.ended() {
                return reason;
            }
            let deadline = self.deadline();
            let is_changed = || self.ended().is_some() || self.deadline() != deadline;
            tokio::select! {
                () = self.changed.until(|| is_changed().then_some(())) => {}
                () = self.service.clock().sleep_until(deadline) => {}
            }
        }
    }

    /// Takes note of a renewal that was sent at `sent` and confirmed at `now`, and raises the
    /// deadline with the new bound of the store's expiry; a lease whose deadline has passed stays
    /// lost.
    fn confirmed(
        &self,
        sent: Instant,
        now: Instant,
        ttl: Duration,
        raise: impl FnOnce(&State, Instant),
    ) -> Result<()> {
        // Before the state is locked: whoever finds the end tells the line.
        let ended = self.ended_at(now);
        let mut state = self.lock();
        let Some(machine) = &mut state.machine else {
            return Err(LockError::lost(LossReason::Released));
        };
        let bound = machine.renewed(sent, ttl);
        let ended = ended.or_else(|| LossReason::from_code(self.ended.load(Ordering::Acquire)));
        if let Some(reason) = ended {
            return Err(LockError::lost(reason));
        }
        state.is_window = false;
        state.is_unconfirmed = false;
        raise(&state, bound);
        drop(state);
        self.changed.ring();
        Ok(())
    }

    fn undo_when_due(self: &Arc<Self>, now: Instant) -> Duty {
        let mut state = self.lock();
        let undo_at = *state.undo_at.get_or_insert(now + GRACE);
        drop(state);
        if now < undo_at {
            return Duty::LookAgain(undo_at);
        }
        match self.take_undo(now) {
            Some(dealing) => Duty::Undo(Box::new(dealing)),
            None => Duty::Nothing,
        }
    }

    fn renew_request(&self, ttl: Duration) -> RenewRequest {
        RenewRequest::new(self.key.clone(), self.token, ttl, self.service.clock())
    }

    /// Whoever sleeps until the old one must be told, as soon as the state is not locked any more.
    fn set_deadline(&self, deadline: Instant) {
        self.deadline.store(deadline.as_nanos(), Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
