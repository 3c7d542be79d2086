//! Passing a lock on to another process: its guard is turned into a token here, and whoever adopts the
//! token there holds the lock, by the same owner token in the store.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{OwnerToken, RenewReply, RenewRequest};
use crate::engine::doubt::Doubt;
use crate::engine::extend::{cannot_renew, extend, renew_one};
use crate::engine::held::{Held, NewLease, ServiceContext};
use crate::engine::metrics::Count;
use crate::engine::plan::Plan;
use crate::engine::store::Store;
use crate::engine::telemetry;
use crate::machine::attempt::{StepAnswer, StoreAttempt, Verdict};
use crate::machine::lease::Lease;
use crate::machine::local_queue::Term;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::fencing::FencingToken;
use crate::types::loss::LossReason;

/// What is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PassedOn {
    pub(crate) owner: OwnerToken,
    pub(crate) fencing: Option<FencingToken>,
    /// How long the store may keep the lease, from when it was passed on.
    pub(crate) stands_for: Duration,
}

/// Sets the lease to its ttl once more, and leaves it to whoever gets the result.
pub(crate) async fn pass_on(held: Held) -> Result<PassedOn> {
    let shared = held.lease();
    ensure_renews(shared.store())?;
    loop {
        let now = shared.store().now();
        let (ttl, settled_at) = shared.update(|lease| lease.before_passing_on(now));
        if now < settled_at {
            shared.store().clock().sleep_until(settled_at).await;
            continue;
        }
        // Whoever adopts it has the whole ttl for that, also if the store had granted less at first.
        extend(shared, ttl).await?;
        // Another task may have begun to extend it meanwhile.
        if let Some(stands_for) = shared.pass_on().map_err(|end| shared.ended_error(end))? {
            let (owner, fencing) = (shared.token(), shared.fencing());
            return Ok(PassedOn { owner, fencing, stands_for });
        }
    }
}

/// Holds the lock that was passed on, if its owner token still owns it.
pub(crate) async fn adopt(
    context: Arc<ServiceContext>,
    plan: Arc<Plan>,
    passed_on: PassedOn,
) -> Result<Held> {
    // Before it is let in, so that a shutdown which begins just then waits for its end.
    let _counted = context.count();
    let target = context.admit(&plan)?;
    let store = context.store();
    ensure_renews(store)?;
    let PassedOn { owner, fencing, stands_for } = passed_on;
    if plan.options.require_fencing && fencing.is_none() {
        let message = "require_fencing is set, but the lock was passed on without a fencing token; \
                       acquire it on a backend that issues them";
        return Err(LockError::new(LockErrorKind::Unsupported, message).not_applied());
    }
    let (ttl, sent) = (plan.options.ttl, store.now());
    let request = RenewRequest::new(target.key.clone(), owner, ttl, store.clock());
    let renewing = renew_one(store.clone(), request);
    let reply = context.background().in_runtime(renewing).await;
    let reason = match reply {
        Ok(RenewReply::Renewed) => None,
        Ok(RenewReply::NotHeld) => Some(LossReason::Removed),
        Ok(RenewReply::HeldByOther) => Some(LossReason::HeldByOther),
        Ok(RenewReply::Failed(error)) | Err(error) => return Err(not_known(error)),
    };
    if let Some(reason) = reason {
        let text = format!("the token no longer owns the lock: {reason}");
        return Err(LockError::lost(reason, &text));
    }
    let now = store.now();
    let mut attempt = StoreAttempt::new(&store.capabilities());
    attempt.step_sent(sent, ttl);
    // The lease that was set before may be the longer one.
    attempt.renewal_sent(now, stands_for);
    let granted = StepAnswer::Granted { lease: ttl };
    let Verdict::Hold { valid_until } = attempt.step_answered(now, granted) else {
        let message = "the store confirmed the lock, but its answer took longer than the lease; a \
                       longer ttl gives it more time";
        return Err(LockError::new(LockErrorKind::Unavailable, message));
    };
    let lease = Lease::granted(&plan.terms(store), now, valid_until, false, attempt);
    let fencing = fencing.map(FencingToken::next_adopted);
    let (term, doubt) = (Term::Outside, Doubt::since(sent));
    let new = NewLease { target, token: owner, fencing, term, doubt };
    let held = Held::new(Arc::clone(&context), new, lease, now);
    if context.is_closing() {
        // It belongs to the token as before.
        held.lease().pass_on().ok();
    }
    let held = held.hand_out()?;
    store.metrics().count(Count::Adopted, Some(held.lease().name()));
    telemetry::adopted(context.store(), held.lease().name(), fencing);
    Ok(held)
}

/// An owner token is confirmed and kept by renewals alone.
fn ensure_renews(store: &Store) -> Result<()> {
    if store.capabilities().renew {
        return Ok(());
    }
    Err(cannot_renew(store, "so a lock on it cannot be passed on to another process"))
}

/// The store was asked, and did not say.
fn not_known(error: LockError) -> LockError {
    if !error.is_retryable() {
        return error;
    }
    let message = format!("the store did not say whether the token still owns the lock: {error}");
    LockError::new(LockErrorKind::Unknown, message).with_source(error)
}
