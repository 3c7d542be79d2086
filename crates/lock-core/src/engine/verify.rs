//! Asks the store whether it still has a lease: for its holder, and for the tasks of the same service
//! that want the lock.
//!
//! The question is a renewal for the shortest time that the backend accepts. A renewal never shortens
//! a lease, so this one changes nothing that is longer.

use std::sync::Arc;

use crate::backend::{RenewReply, RenewRequest};
use crate::engine::extend::{cannot_renew, renew_one};
use crate::engine::held::SharedLease;
use crate::sync::panics;
use crate::time::instant::Instant;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::loss::{LeaseEnd, LossReason};

/// Asks the store whether the lease still stands; one that does not is lost.
pub(crate) async fn verify(shared: &SharedLease) -> Result<()> {
    let store = shared.store();
    if !store.capabilities().renew {
        let cure = "so it cannot be asked whether a lock is still held; is_held() says what is \
                    known without asking";
        return Err(cannot_renew(store, cure));
    }
    let sent = store.now();
    let request = question(shared, sent).map_err(|end| shared.ended_error(end))?;
    let renewing = renew_one(store.clone(), request);
    let reply = shared.context().background().in_runtime(renewing).await;
    settle(shared, sent, reply)
}

/// A task of the same service wants the lock: if the store has not confirmed the lease for long, the
/// background verifies it.
///
/// Without this, nobody would notice that the lock is gone in the store: its holder may not need a
/// renewal for a long time, and the others of its service wait for the holder, not for the store.
pub(crate) fn if_in_doubt(shared: &Arc<SharedLease>, now: Instant) {
    if !shared.doubt().begin(now) {
        return;
    }
    let Ok(request) = question(shared, now) else { return };
    let (store, lease) = (shared.store().clone(), Arc::downgrade(shared));
    // The job holds no service while it waits, so that it keeps none alive.
    shared.context().background().spawn(async move {
        let reply = renew_one(store, request).await;
        let Some(shared) = lease.upgrade() else { return };
        // A subscriber that panics must not end the verifications of this lease.
        let settled = panics::contained(|| settle(&shared, now, reply));
        if !matches!(settled, Some(Ok(()))) {
            shared.doubt().failed(shared.store().now());
        }
    });
}

/// The renewal that asks, or how the lease has ended.
fn question(shared: &SharedLease, now: Instant) -> Result<RenewRequest, LeaseEnd> {
    let store = shared.store();
    let ttl = store.capabilities().ttl_min;
    let left = shared.update(|lease| {
        lease.verifying(now, ttl)?;
        Ok(lease.deadline().saturating_duration_since(now))
    })?;
    let request = RenewRequest::new(shared.key().clone(), shared.token(), ttl, store.clock());
    // When the lease is over here, the answer is of no use.
    Ok(request.with_within(left))
}

/// Takes note of what the store said.
fn settle(shared: &SharedLease, sent: Instant, reply: Result<RenewReply>) -> Result<()> {
    let reason = match reply {
        Ok(RenewReply::Renewed) => {
            shared.doubt().confirmed(sent);
            return shared.ended().map_or(Ok(()), |end| Err(shared.ended_error(end)));
        }
        Ok(RenewReply::NotHeld) => LossReason::Removed,
        Ok(RenewReply::HeldByOther) => LossReason::HeldByOther,
        Ok(RenewReply::Failed(error)) | Err(error) => return Err(not_known(error)),
    };
    Err(shared.ended_error(shared.lose_in_store(reason)))
}

/// The store was asked, and did not say.
fn not_known(error: LockError) -> LockError {
    if !error.is_retryable() {
        return error;
    }
    let message = format!("the store did not say whether the lock is still held: {error}");
    LockError::new(LockErrorKind::Unknown, message).with_source(error)
}
