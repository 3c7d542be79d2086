//! `extend`: a holder sets its lease to a new length.

use std::time::Duration;

use crate::backend::{LockBackend, RenewReply, RenewRequest};
use crate::engine::held::SharedLease;
use crate::engine::store::Store;
use crate::machine::lease::Lease;
use crate::sync::panics;
use crate::types::duration_text::exact;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::loss::LossReason;
use crate::types::options::MIN_KEEP_ALIVE_TTL;

/// Sets the lease to `ttl` from now.
pub(crate) async fn extend(shared: &SharedLease, ttl: Duration) -> Result<()> {
    let store = shared.store();
    let capabilities = store.capabilities();
    if !capabilities.renew {
        let cure = "take the lock with a ttl that is long enough";
        return Err(cannot_renew(store, cure));
    }
    let (min, max) = (capabilities.ttl_min, capabilities.ttl_max);
    if ttl < min || ttl > max {
        let message = format!(
            "ttl is {}; the {} backend accepts {} to {}",
            exact(ttl),
            store.kind(),
            exact(min),
            exact(max)
        );
        return Err(LockError::new(LockErrorKind::InvalidConfig, message).not_applied());
    }
    if ttl < MIN_KEEP_ALIVE_TTL && shared.keeps_alive() {
        let message = format!(
            "ttl is {}, too short to be renewed in time; with keep_alive it must be at least {}",
            exact(ttl),
            exact(MIN_KEEP_ALIVE_TTL)
        );
        return Err(LockError::new(LockErrorKind::InvalidConfig, message).not_applied());
    }
    let sent = store.now();
    let (before, extension) = shared.update(|lease| (lease.ttl(), lease.extend(sent, ttl)));
    let extension = extension.map_err(|end| shared.ended_error(end))?;
    if ttl < before {
        // It counts from now, whatever the store says.
        shared.hold().set_anew(sent, sent, before);
    }
    if let Some(at) = extension.look_at {
        shared.schedule(at);
    }
    let (key, clock) = (shared.key().clone(), store.clock());
    let request = RenewRequest::new(key, shared.token(), extension.asked, clock).with_exact();
    let mut unanswered = Unanswered(Some(shared));
    let renewing = renew_one(store.clone(), request);
    let reply = shared.context().background().in_runtime(renewing).await;
    let now = store.now();
    let reason = match reply {
        Ok(RenewReply::Renewed) => {
            unanswered.0 = None;
            shared.doubt().confirmed(sent);
            shared.hold().set_anew(sent, now, before);
            let extended = shared.update(|lease| lease.extended(extension, sent, now));
            let is_reliable = extended.map_err(|end| shared.ended_error(end))?;
            return if is_reliable { Ok(()) } else { Err(may_be_undone()) };
        }
        Ok(RenewReply::NotHeld) => LossReason::Removed,
        Ok(RenewReply::HeldByOther) => LossReason::HeldByOther,
        Ok(RenewReply::Failed(error)) | Err(error) => {
            if error.is_not_applied() {
                unanswered.0 = None;
                shared.update(Lease::extension_answered);
            }
            return Err(not_known(error));
        }
    };
    let (end, undo_at) = shared.update(|lease| (lease.lose(reason), lease.undo_at(now)));
    shared.schedule(undo_at);
    Err(shared.ended_error(end))
}

/// An extension that has not been answered; dropping it says that it will not be.
struct Unanswered<'a>(Option<&'a SharedLease>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.0 {
            let now = shared.store().now();
            shared.update(|lease| lease.extension_failed(now));
        }
    }
}

/// The backend has no renewals; `then` says what that means, or what to do.
pub(crate) fn cannot_renew(store: &Store, then: &str) -> LockError {
    let why = match store.capabilities().limited_by {
        "" => String::new(),
        why => format!(" ({why})"),
    };
    let message = format!("the {} backend cannot renew leases{why}; {then}", store.kind());
    LockError::new(LockErrorKind::Unsupported, message).not_applied()
}

/// Renews one lease, by an exchange of its own.
pub(crate) async fn renew_one(store: Store, request: RenewRequest) -> Result<RenewReply> {
    let renewing = async { store.backend().renew(vec![request]).await };
    let replies = panics::caught(renewing).await;
    store.heard_renewals(&replies);
    let mut replies = replies?;
    match (replies.len(), replies.pop()) {
        (1, Some(reply)) => Ok(reply),
        (count, _) => {
            let message = format!("the backend gave {count} answers to one renewal");
            Err(LockError::new(LockErrorKind::Backend, message))
        }
    }
}

/// An earlier `extend` to a shorter lease got no answer, and may take effect after this one.
fn may_be_undone() -> LockError {
    let message = "an earlier `extend` was not confirmed, and may still make the lease shorter; repeat \
                   the call when the store answers again";
    LockError::new(LockErrorKind::Unknown, message)
}

/// An `extend` that got no answer: the store's lease may be longer than the guard believes.
fn not_known(error: LockError) -> LockError {
    if !error.is_retryable() {
        return error;
    }
    let message = format!(
        "the store did not confirm the new lease; the shorter of the old and the new one counts: {error}"
    );
    LockError::new(LockErrorKind::Unknown, message).with_source(error)
}
