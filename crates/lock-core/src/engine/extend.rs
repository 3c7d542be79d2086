//! `extend`: a holder sets its lease to a new length.

use std::time::Duration;

use crate::backend::{AnyBackend, LockBackend, RenewReply, RenewRequest};
use crate::engine::held::SharedLease;
use crate::sync::panics;
use crate::types::duration_text::exact;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::loss::LossReason;

/// Sets the lease to `ttl` from now.
pub(crate) async fn extend(shared: &SharedLease, ttl: Duration) -> Result<()> {
    let store = shared.store();
    let capabilities = store.capabilities();
    if !capabilities.renew {
        let why = match capabilities.limited_by {
            "" => String::new(),
            why => format!(" ({why})"),
        };
        let message = format!(
            "the {} backend cannot renew leases{why}; take the lock with a ttl that is long enough",
            store.kind()
        );
        return Err(LockError::new(LockErrorKind::Unsupported, message).not_applied());
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
    let sent = store.now();
    let extension =
        shared.update(|lease| lease.extend(sent, ttl)).map_err(|end| shared.ended_error(end))?;
    if let Some(at) = extension.look_at {
        shared.schedule(at);
    }
    let request = RenewRequest::new(shared.key().clone(), shared.token(), ttl, store.clock());
    let renewing = renew_one(store.backend().clone(), request);
    let reply = shared.context().background().in_runtime(renewing).await;
    store.heard(&reply);
    let now = store.now();
    let reason = match reply {
        Ok(RenewReply::Renewed) => {
            shared.doubt().confirmed(sent);
            let extended = shared.update(|lease| lease.extended(extension, sent, now, ttl));
            return extended.map_err(|end| shared.ended_error(end));
        }
        Ok(RenewReply::NotHeld) => LossReason::Removed,
        Ok(RenewReply::HeldByOther) => LossReason::HeldByOther,
        Ok(RenewReply::Failed(error)) | Err(error) => return Err(not_known(error)),
    };
    let (end, undo_at) = shared.update(|lease| (lease.lose(reason), lease.undo_at(now)));
    shared.schedule(undo_at);
    Err(shared.ended_error(end))
}

/// Renews one lease, by an exchange of its own.
pub(crate) async fn renew_one(backend: AnyBackend, request: RenewRequest) -> Result<RenewReply> {
    let mut replies = panics::caught(async { backend.renew(vec![request]).await }).await?;
    match (replies.len(), replies.pop()) {
        (1, Some(reply)) => Ok(reply),
        (count, _) => {
            let message = format!("the backend gave {count} answers to one renewal");
            Err(LockError::new(LockErrorKind::Backend, message))
        }
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
