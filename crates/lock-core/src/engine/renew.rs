//! The background's job for the leases of a service: it renews those that are due, in batches, and
//! frees those that are lost. When a lease is due, and for what, is decided by
//! [`Lease::duty`](crate::machine::lease::Lease::duty).

use std::mem;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::backend::{LockBackend, RenewReply, RenewRequest};
use crate::engine::held::SharedLease;
use crate::engine::metrics::Count;
use crate::engine::schedule::Schedule;
use crate::engine::store::Store;
use crate::engine::telemetry;
use crate::machine::lease::{Duty, Renewal};
use crate::sync::panics;
use crate::time::instant::Instant;
use crate::types::error::LockError;
use crate::types::loss::LossReason;

/// A lease is looked at again so long after a panic.
const AFTER_PANIC: Duration = Duration::from_millis(100);

/// A renewal is late if it is confirmed when more than this part of the ttl is over: the first one is
/// sent after a third.
const LATE: f64 = 0.5;

/// So many leases are renewed by one call of the backend.
const BATCH: usize = 5_000;

struct Sent {
    lease: Weak<SharedLease>,
    request: RenewRequest,
    renewal: Renewal,
}

/// Looks after the leases of a schedule, for ever.
pub(crate) async fn run(schedule: Arc<Schedule<SharedLease>>, store: Store) {
    loop {
        let due = schedule.due(store.clock()).await;
        let mut renewals = sort_out(due, &store);
        while !renewals.is_empty() {
            let rest = renewals.split_off(renewals.len().min(BATCH));
            let batch = mem::replace(&mut renewals, rest);
            // Each as a task of its own, so that a slow one holds up no other.
            drop(tokio::spawn(renew(batch, store.clone())));
        }
    }
}

/// Does what is due at once, and returns the renewals to send.
fn sort_out(due: Vec<Weak<SharedLease>>, store: &Store) -> Vec<Sent> {
    let now = store.now();
    let mut renewals = Vec::with_capacity(due.len());
    for weak in due {
        let Some(shared) = weak.upgrade() else { continue };
        // A backend or a subscriber that panics costs no other lease its renewal.
        match panics::contained(|| look_after(&shared, weak, now)) {
            Some(renewal) => renewals.extend(renewal),
            None => shared.schedule(now + AFTER_PANIC),
        }
    }
    renewals
}

/// Does for one lease what is due, or says what to send.
fn look_after(shared: &Arc<SharedLease>, weak: Weak<SharedLease>, now: Instant) -> Option<Sent> {
    // Before the right to undo is taken, so that a shutdown waits for the one or the other.
    let _counted = shared.context().under_way().count();
    match shared.update(|lease| lease.duty(now)) {
        Duty::Nothing => None,
        Duty::LookAgain(at) => {
            shared.schedule(at);
            None
        }
        Duty::Undo(attempt) => {
            shared.undo(attempt, now);
            None
        }
        Duty::Renew { renewal, within } => {
            let (key, clock) = (shared.key().clone(), shared.store().clock());
            let request = RenewRequest::new(key, shared.token(), renewal.ttl, clock);
            Some(Sent { lease: weak, request: request.with_within(within), renewal })
        }
    }
}

async fn renew(batch: Vec<Sent>, store: Store) {
    let sent = store.now();
    let requests: Vec<_> = batch.iter().map(|renewal| renewal.request.clone()).collect();
    let backend = store.backend().clone();
    let replies = panics::caught(async { backend.renew(requests).await }).await;
    store.heard_renewals(&replies);
    let now = store.now();
    match replies {
        Ok(replies) if replies.len() == batch.len() => {
            for (renewal, reply) in batch.iter().zip(replies) {
                // The others of the batch must get their answers too.
                if panics::contained(|| renewal.settle(sent, now, reply)).is_none() {
                    renewal.retry(now);
                }
            }
        }
        // Too few answers: nothing is known of any of them.
        Ok(_) => batch.iter().for_each(|renewal| renewal.retry(now)),
        Err(error) => {
            for renewal in &batch {
                renewal.count_failed(&store, &error);
                renewal.retry(now);
            }
            telemetry::renewal_failed(&store, None, batch.len(), &error);
        }
    }
}

impl Sent {
    fn settle(&self, sent: Instant, now: Instant, reply: RenewReply) {
        let Some(shared) = self.lease.upgrade() else { return };
        let (metrics, lock) = (shared.store().metrics(), Some(shared.name()));
        let lost = match reply {
            RenewReply::Renewed => {
                shared.doubt().confirmed(sent);
                let (ttl, look_at) = shared.update(|lease| {
                    let renewed = lease.renewed(self.renewal, sent, now);
                    (lease.ttl(), renewed.unwrap_or_else(|_| lease.undo_at(now)))
                });
                metrics.count(Count::Renewed, lock);
                if shared.hold().set_anew(sent, now, ttl) > LATE {
                    metrics.count(Count::RenewedLate, lock);
                }
                return shared.schedule(look_at);
            }
            RenewReply::NotHeld => LossReason::Removed,
            RenewReply::HeldByOther => LossReason::HeldByOther,
            RenewReply::Failed(error) => {
                self.count_failed(shared.store(), &error);
                telemetry::renewal_failed(shared.store(), Some(shared.name()), 1, &error);
                return self.retry(now);
            }
        };
        metrics.count(Count::RenewalNotHeld, lock);
        let undo_at = shared.update(|lease| {
            lease.lose(lost);
            lease.undo_at(now)
        });
        shared.schedule(undo_at);
    }

    fn count_failed(&self, store: &Store, error: &LockError) {
        let refused = !error.is_retryable();
        let what = if refused { Count::RenewalRefused } else { Count::RenewalUnanswered };
        let lease = self.lease.upgrade();
        store.metrics().count(what, lease.as_ref().map(|lease| lease.name()));
    }

    fn retry(&self, now: Instant) {
        let Some(shared) = self.lease.upgrade() else { return };
        let at = shared.update(|lease| lease.renewal_failed(now));
        shared.schedule(at);
    }
}
