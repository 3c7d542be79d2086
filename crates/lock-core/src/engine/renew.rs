//! What the keeper does with leases that are due: it renews them in batches, and sees to those
//! that are lost.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::backend::{Clock, LockBackend, RenewReply, RenewRequest};
use crate::engine::held::{Duty, Holding};
use crate::sync::panics;
use crate::time::clock::Instant;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::loss::LossReason;

/// So many leases are renewed by one call of the backend.
const BATCH: usize = 5_000;

/// A renewal that failed is tried again after a quarter of what is left of the lease, at most
/// this late: a store that comes back must not be noticed much later.
const RETRY_MAX: Duration = Duration::from_secs(1);
const RETRY_MIN: Duration = Duration::from_millis(10);

/// A holder that was told of its loss gets this long to stop and release by itself, before the
/// keeper frees what may still stand in the store.
pub(crate) const GRACE: Duration = Duration::from_millis(100);

struct Renewal {
    lease: Weak<Holding>,
    request: RenewRequest,
    /// How often the lease's deadline had been lowered when this was sent.
    lowered: u32,
}

/// Sorts out what is due; the returned tasks do the exchanges.
pub(crate) fn batches(
    due: Vec<Weak<Holding>>,
    backend: &Arc<dyn LockBackend>,
    clock: Clock,
) -> Vec<impl Future<Output = ()> + Send + 'static> {
    let now = clock.now();
    let mut renewals = Vec::with_capacity(due.len());
    for weak in due {
        let Some(lease) = weak.upgrade() else { continue };
        match panics::contained(|| lease.duty(now)) {
            Some(Duty::Nothing) => {}
            Some(Duty::LookAgain(at)) => lease.schedule(at),
            None => lease.schedule(now + GRACE),
            Some(Duty::Undo(dealing)) => lease.adopt_undo(*dealing),
            Some(Duty::Renew(request, lowered)) => {
                renewals.push(Renewal { lease: weak, request, lowered });
            }
        }
    }
    let mut tasks = Vec::new();
    while !renewals.is_empty() {
        let rest = renewals.split_off(renewals.len().min(BATCH));
        tasks.push(renew(std::mem::replace(&mut renewals, rest), Arc::clone(backend), clock));
    }
    tasks
}

async fn renew(batch: Vec<Renewal>, backend: Arc<dyn LockBackend>, clock: Clock) {
    let sent = clock.now();
    let requests: Vec<_> = batch.iter().map(|renewal| renewal.request.clone()).collect();
    let replies = panics::caught(async { backend.renew(requests).await }).await;
    let now = clock.now();
    match replies {
        Ok(replies) if replies.len() == batch.len() => {
            for (renewal, reply) in batch.iter().zip(replies) {
                // The others of the batch must hear their answers too.
                if panics::contained(|| renewal.settle(sent, now, reply)).is_none() {
                    renewal.retry(now);
                }
            }
        }
        // Too few answers: nothing is known of any of them.
        Ok(_) => batch.iter().for_each(|renewal| renewal.retry(now)),
        Err(error) => {
            batch.iter().for_each(|renewal| renewal.retry(now));
            tracing::warn!(target: "distlock", %error, leases = batch.len(), "renewal failed");
        }
    }
}

impl Renewal {
    fn settle(&self, sent: Instant, now: Instant, reply: RenewReply) {
        let Some(lease) = self.lease.upgrade() else { return };
        match reply {
            RenewReply::Renewed => match lease.renewed(sent, now, self.request.ttl, self.lowered) {
                Ok(()) => lease.schedule(lease.next_look(sent)),
                Err(_) => lease.schedule(now + GRACE),
            },
            RenewReply::NotHeld => self.lost(&lease, now, LossReason::Removed),
            RenewReply::HeldByOther => self.lost(&lease, now, LossReason::HeldByOther),
            RenewReply::Failed(error) => {
                tracing::warn!(target: "distlock", lock = %lease.name(), %error, "renewal failed");
                self.retry(now);
            }
        }
    }

    fn lost(&self, lease: &Holding, now: Instant, reason: LossReason) {
        lease.lose(reason);
        lease.schedule(now + GRACE);
    }

    fn retry(&self, now: Instant) {
        let Some(lease) = self.lease.upgrade() else { return };
        let left = lease.deadline().saturating_duration_since(now);
        lease.schedule(now + (left / 4).clamp(RETRY_MIN, RETRY_MAX));
    }
}

/// Renews one lease now, for `extend`; `Ok` if the store set it.
pub(crate) async fn renew_one(
    backend: Arc<dyn LockBackend>,
    request: RenewRequest,
) -> Result<RenewReply> {
    let mut replies = panics::caught(async { backend.renew(vec![request]).await }).await?;
    match (replies.len(), replies.pop()) {
        (1, Some(reply)) => Ok(reply),
        (count, _) => {
            let message = format!("the backend gave {count} answers to one renewal");
            Err(LockError::new(LockErrorKind::Backend, message))
        }
    }
}
