//! A lease: the local view of a lock that is held, shared by its guard, its body and the keeper.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::attempt::StoreAttempt;
use crate::backend::{OwnerToken, RenewReply, RenewRequest};
use crate::clock::Instant;
use crate::dealing::Dealing;
use crate::error::{LockError, LockErrorKind, Result};
use crate::ledger::Slot;
use crate::lock::Plan;
use crate::loss::LossReason;
use crate::name::LockName;
use crate::renewal::{self, GRACE};
use crate::service::ServiceInner;
use crate::telemetry;
use crate::token::FencingToken;

/// A body's view of its lock: whether it is still held, until when, and under which fencing
/// token. It cannot release.
///
/// It is cheap to clone, and a clone does not keep the lock: when the guard or the body ends, every
/// clone says that the lease is over.
#[derive(Clone)]
pub struct Lease(pub(crate) Arc<LeaseInner>);

impl Lease {
    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &LockName {
        self.0.name()
    }

    /// Whether the lock is still held, as far as the local clock and the keeper know.
    ///
    /// It errs on the safe side: it says "no" a little before the store's lease ends.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.ended().is_none()
    }

    /// `Ok` if the lock is still held: for `?` before a step that must not happen without it.
    ///
    /// # Errors
    ///
    /// [`Lost`](LockErrorKind::Lost), with the reason, if the lease is over.
    pub fn ensure_held(&self) -> Result<()> {
        match self.0.ended() {
            None => Ok(()),
            Some(reason) => {
                Err(LockError::lost(reason).with_operation("ensure_held").with_name(self.name()))
            }
        }
    }

    /// How long the lease runs at least; zero when it is over. A renewal raises it.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        match self.0.ended() {
            None => self.0.deadline().saturating_duration_since(self.0.service.clock().now()),
            Some(_) => Duration::ZERO,
        }
    }

    /// The grant's fencing token; `None` where the backend issues none.
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.0.fencing
    }

    /// Ends when the lease does, and says why: at its deadline at the latest, whatever the network
    /// does; also on release.
    ///
    /// # Cancel safety
    ///
    /// It only watches; it can be dropped and asked again.
    pub fn lost(&self) -> impl Future<Output = LossReason> + Send + 'static + use<> {
        let lease = Arc::clone(&self.0);
        async move { lease.wait_for_end().await }
    }

    /// Sets the lease to `ttl` from now; it does not add to what is left.
    ///
    /// A shorter lease takes effect at once, locally: the store's own follows with the release.
    /// [`max_hold`](crate::Lock::max_hold) bounds it silently.
    ///
    /// # Errors
    ///
    /// [`Lost`](LockErrorKind::Lost) if the lease is over, or the store says that it is;
    /// [`Unknown`](LockErrorKind::Unknown) if the store did not answer: a longer lease was perhaps
    /// set, but the old deadline stays; [`Unsupported`](LockErrorKind::Unsupported) where the
    /// backend cannot renew; [`InvalidConfig`](LockErrorKind::InvalidConfig) for a `ttl` that the
    /// backend does not accept.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the store's lease was perhaps raised; the local deadline was not.
    pub fn extend(
        &self,
        ttl: Duration,
    ) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
        let lease = Arc::clone(&self.0);
        async move {
            lease
                .extend(ttl)
                .await
                .map_err(|error| error.with_operation("extend").with_name(lease.name()))
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", self.name())
            .field("fencing_token", &self.0.fencing)
            .field("remaining", &self.remaining())
            .field("ended", &self.0.ended())
            .finish()
    }
}

/// What a fresh grant brings into its lease.
pub(crate) struct Granted {
    pub(crate) at: Instant,
    pub(crate) token: OwnerToken,
    pub(crate) fencing: Option<FencingToken>,
    pub(crate) valid_until: Instant,
    /// The store set less than was asked, until the grant is claimed.
    pub(crate) is_window: bool,
    pub(crate) machine: StoreAttempt,
}

pub(crate) struct LeaseInner {
    pub(crate) service: Arc<ServiceInner>,
    plan: Arc<Plan>,
    token: OwnerToken,
    fencing: Option<FencingToken>,
    granted_at: Instant,
    slot: AtomicU32,
    /// The guard's deadline in nanoseconds; never later than the store's expiry.
    deadline: AtomicU64,
    /// Why the lease ended, once it has; it never changes again.
    ended: AtomicU8,
    changed: Notify,
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

impl LeaseInner {
    pub(crate) fn grant(
        service: Arc<ServiceInner>,
        plan: Arc<Plan>,
        granted: &Granted,
    ) -> Arc<Self> {
        let Granted { at: granted_at, token, fencing, valid_until, is_window, machine } = *granted;
        let lease = Arc::new(Self {
            service,
            plan,
            token,
            fencing,
            granted_at,
            slot: AtomicU32::new(Slot::MAX),
            deadline: AtomicU64::new(0),
            ended: AtomicU8::new(0),
            changed: Notify::new(),
            state: Mutex::new(State {
                machine: Some(machine),
                extensions: 0,
                lowered: 0,
                is_window,
                undo_at: None,
            }),
        });
        let deadline = valid_until.min(lease.max_hold_end());
        lease.deadline.store(deadline.as_nanos(), Ordering::Release);
        let options = &lease.plan.options;
        // Of what is left, which is less than the ttl after a slow answer, and in a window.
        let left = valid_until.saturating_duration_since(granted_at);
        let due = (options.keep_alive || is_window).then(|| granted_at + left / 3);
        lease.service.keeper().ledger().enter(&lease, due);
        lease
    }

    pub(crate) fn name(&self) -> &LockName {
        &self.plan.name
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
        let ended = LossReason::from_code(self.ended.load(Ordering::Acquire));
        if ended.is_some() {
            return ended;
        }
        let now = self.service.clock().now();
        if now < self.deadline() {
            return None;
        }
        let reason =
            if now >= self.max_hold_end() { LossReason::MaxHold } else { LossReason::Expired };
        Some(self.lose(reason))
    }

    /// Ends the lease, unless it has ended already; returns why it ended.
    pub(crate) fn lose(&self, reason: LossReason) -> LossReason {
        let order = (Ordering::AcqRel, Ordering::Acquire);
        match self.ended.compare_exchange(0, reason.code(), order.0, order.1) {
            Ok(_) => {
                self.changed.notify_waiters();
                if reason != LossReason::Released {
                    telemetry::lost(&self.service, &self.plan, reason);
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
        let mut state = self.lock();
        self.raise(&mut state, sent, now, ttl).map(|bound| {
            state.is_window = false;
            if state.lowered != lowered {
                return;
            }
            let deadline = bound.min(self.max_hold_end());
            self.set_deadline(deadline.max(self.deadline()));
        })
    }

    /// When the keeper looks again after a renewal that was sent at `sent`: for the next one, or
    /// for the end.
    pub(crate) fn next_look(&self, sent: Instant) -> Instant {
        let options = &self.plan.options;
        if options.keep_alive { sent + options.ttl / 3 } else { self.deadline() }
    }

    /// What the keeper has to do at `now`.
    pub(crate) fn duty(self: &Arc<Self>, now: Instant) -> Duty {
        if self.ended().is_some() {
            return self.undo_when_due(now);
        }
        let options = &self.plan.options;
        let deadline = self.deadline();
        let mut state = self.lock();
        let wants_renewal = options.keep_alive || state.is_window;
        if !wants_renewal || deadline >= self.max_hold_end() {
            return Duty::LookAgain(deadline);
        }
        let ttl = if options.keep_alive {
            options.ttl
        } else {
            // A claim brings a fixed lease to what was asked, counted from the grant.
            (self.granted_at + options.ttl).saturating_duration_since(now)
        };
        let Some(machine) = &mut state.machine else { return Duty::Nothing };
        machine.renewal_sent(now, ttl);
        let lowered = state.lowered;
        drop(state);
        let within = deadline.saturating_duration_since(now) / 4;
        Duty::Renew(self.renew_request(ttl).with_within(within), lowered)
    }

    /// Takes the right to release; `None` if somebody has it already.
    pub(crate) fn take_dealing(self: &Arc<Self>, rest_until: Instant) -> Option<Dealing> {
        let mut machine = self.lock().machine.take()?;
        let capabilities = self.service.backend().capabilities();
        let not_before = if capabilities.rest { Instant::default() } else { rest_until };
        machine.leave(not_before);
        let (service, key) = (Arc::clone(&self.service), self.plan.known_key());
        let rest_until = if capabilities.rest { rest_until } else { Instant::default() };
        Some(Dealing::resume(service, key, self.token, machine, rest_until))
    }

    /// Ends the lease on behalf of its guard.
    pub(crate) fn end(self: &Arc<Self>) -> Option<Dealing> {
        self.ended();
        let reason = self.lose(LossReason::Released);
        let dealing = self.take_dealing(self.rest_until(reason))?;
        self.service.keeper().ledger().leave(self.slot());
        Some(dealing)
    }

    /// Until when a release leaves the name taken, because of `min_hold`.
    pub(crate) fn rest_until(&self, reason: LossReason) -> Instant {
        match reason {
            LossReason::Released | LossReason::ShutDown => {
                self.granted_at + self.plan.options.min_hold
            }
            _ => Instant::default(),
        }
    }

    async fn wait_for_end(&self) -> LossReason {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(reason) = self.ended() {
                return reason;
            }
            tokio::select! {
                () = changed => {}
                () = self.service.clock().sleep_until(self.deadline()) => {}
            }
        }
    }

    async fn extend(self: &Arc<Self>, ttl: Duration) -> Result<()> {
        let capabilities = self.service.backend().capabilities();
        if !capabilities.renew {
            let message = format!("the {} backend cannot renew leases", self.service.kind());
            return Err(LockError::new(LockErrorKind::Unsupported, message).not_applied());
        }
        let (min, max) = (capabilities.ttl_min, capabilities.ttl_max);
        if ttl < min || ttl > max {
            let message = format!("ttl is {ttl:?}; the backend accepts {min:?} to {max:?}");
            return Err(LockError::new(LockErrorKind::InvalidConfig, message).not_applied());
        }
        if let Some(reason) = self.ended() {
            return Err(LockError::lost(reason));
        }
        let sent = self.service.clock().now();
        let mine = self.begin_extension(sent, ttl)?;
        let backend = Arc::clone(self.service.backend());
        let renewing = renewal::renew_one(backend, self.renew_request(ttl));
        let reply = self.service.within(renewing).await;
        let now = self.service.clock().now();
        let reason = match reply {
            Ok(RenewReply::Renewed) => return self.finish_extension(mine, sent, now, ttl),
            Ok(RenewReply::NotHeld) => LossReason::Removed,
            Ok(RenewReply::HeldByOther) => LossReason::HeldByOther,
            Ok(RenewReply::Failed(error)) | Err(error) => return Err(not_known(error)),
        };
        let reason = self.lose(reason);
        self.schedule(now + GRACE);
        Err(LockError::lost(reason))
    }

    /// Lowers the deadline if the new lease is shorter: before anything is sent, so that no answer
    /// is needed for it.
    fn begin_extension(&self, now: Instant, ttl: Duration) -> Result<u32> {
        let mut state = self.lock();
        let Some(machine) = &mut state.machine else {
            return Err(LockError::lost(LossReason::Released));
        };
        machine.renewal_sent(now, ttl);
        state.extensions = state.extensions.wrapping_add(1);
        let local_end = now + ttl;
        if local_end < self.deadline() {
            // The store's lease is long enough as it is.
            state.is_window = false;
            state.lowered = state.lowered.wrapping_add(1);
            self.set_deadline(local_end);
        }
        if !self.plan.options.keep_alive && !state.is_window {
            // The store's lease may outlive the guard's from now on: the keeper is to undo it.
            self.schedule(self.deadline());
        }
        Ok(state.extensions)
    }

    fn finish_extension(
        &self,
        mine: u32,
        sent: Instant,
        now: Instant,
        ttl: Duration,
    ) -> Result<()> {
        let mut state = self.lock();
        let is_latest = state.extensions == mine;
        let bound = self.raise(&mut state, sent, now, ttl)?;
        state.is_window = false;
        if is_latest {
            // The store's bound may lie later, from a longer lease before; this one is what counts.
            let asked = sent + ttl;
            self.set_deadline(bound.min(asked).min(self.max_hold_end()));
        }
        Ok(())
    }

    /// Takes note of a confirmed renewal; a lease whose deadline has passed stays lost.
    fn raise(
        &self,
        state: &mut State,
        sent: Instant,
        now: Instant,
        ttl: Duration,
    ) -> Result<Instant> {
        let Some(machine) = &mut state.machine else {
            return Err(LockError::lost(LossReason::Released));
        };
        let bound = machine.renewed(sent, ttl);
        if now >= self.deadline() {
            return Err(LockError::lost(self.ended().unwrap_or(LossReason::Expired)));
        }
        match LossReason::from_code(self.ended.load(Ordering::Acquire)) {
            Some(reason) => Err(LockError::lost(reason)),
            None => Ok(bound),
        }
    }

    fn undo_when_due(self: &Arc<Self>, now: Instant) -> Duty {
        let mut state = self.lock();
        let undo_at = *state.undo_at.get_or_insert(now + GRACE);
        drop(state);
        if now < undo_at {
            return Duty::LookAgain(undo_at);
        }
        match self.take_dealing(Instant::default()) {
            Some(dealing) => Duty::Undo(Box::new(dealing)),
            None => Duty::Nothing,
        }
    }

    fn renew_request(&self, ttl: Duration) -> RenewRequest {
        RenewRequest::new(self.plan.known_key(), self.token, ttl, self.service.clock())
    }

    fn set_deadline(&self, deadline: Instant) {
        self.deadline.store(deadline.as_nanos(), Ordering::Release);
        // Whoever sleeps until the old one must look again.
        self.changed.notify_waiters();
    }

    fn max_hold_end(&self) -> Instant {
        self.plan.options.max_hold.map_or(Instant::FAR_FUTURE, |max| self.granted_at + max)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An `extend` that got no answer: the store's lease may be longer than the guard believes.
fn not_known(error: LockError) -> LockError {
    if !error.is_retryable() {
        return error;
    }
    let message = format!("the store did not confirm the new lease; the old one stays: {error}");
    LockError::new(LockErrorKind::Unknown, message).with_source(error)
}
