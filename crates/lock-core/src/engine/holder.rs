//! Who holds a lock: found out for those who did not get it, or wait for long.

use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use crate::backend::{LockBackend, LockKey, holder_of};
use crate::engine::held::{ServiceContext, SharedLease};
use crate::engine::plan::Target;
use crate::engine::spans;
use crate::engine::store::Store;
use crate::engine::store_health::Paced;
use crate::engine::telemetry;
use crate::sync::panics;
use crate::time::instant::Instant;
use crate::types::holder::Holder;
use crate::types::status::LockStatus;

/// A wait that takes longer is told.
pub(crate) const LONG_WAIT: Duration = Duration::from_secs(30);
/// How long after the end of a wait its error may come for the sake of the holder's name.
const PATIENCE: Duration = Duration::from_millis(200);

/// Who has a lock that a task of a service did not get.
pub(crate) enum Found {
    /// A guard of the same service.
    Own(Holder),
    /// Somebody else; `None` if the store does not know, or has not said so in time.
    Other(Option<Holder>),
}

/// Finds out who has a lock, for the error of a wait that was over at `deadline`.
///
/// The store is asked once, and nobody waits for its answer for long.
pub(crate) async fn after_wait(
    context: &ServiceContext,
    key: &LockKey,
    deadline: Instant,
) -> Found {
    if let Some(lease) = context.own_lease(key) {
        return Found::Own(holder_of(lease.token(), None));
    }
    let (store, until) = (context.store(), deadline + PATIENCE);
    if !store.capabilities().inspect || store.now() >= until {
        return Found::Other(None);
    }
    tokio::select! {
        biased;
        status = context.background().in_runtime(ask(store, key)) => {
            Found::Other(status.and_then(|status| status.holder))
        }
        () = store.clock().sleep_until(until) => Found::Other(None),
    }
}

/// Tells, from the background, that a task waits for long for a lock that the store gives it not.
pub(crate) fn tell_long_wait(
    context: &ServiceContext,
    target: &Target,
    (waited, is_forever): (Duration, bool),
    span: Span,
) {
    let (store, target) = (context.store().clone(), target.clone());
    context.background().spawn(async move {
        let is_told = store.health().allows(Paced::LongWait, store.now());
        let status = if is_told && store.capabilities().inspect {
            ask(&store, &target.key).await
        } else {
            None
        };
        panics::contained(|| {
            if let Some(holder) = status.as_ref().and_then(|status| status.holder.as_ref()) {
                spans::record_holder(&span, holder);
            }
            let told = (is_told, is_forever);
            telemetry::long_wait(&store, &target.name, waited, status.as_ref(), told);
        });
    });
}

/// Tells, once for each lease, that a task waits for long for a lock that its own service holds.
pub(crate) fn tell_long_hold(lease: &Arc<SharedLease>, waited: Duration, is_forever: bool) {
    if waited < LONG_WAIT || !lease.begins_to_be_missed() {
        return;
    }
    let store = lease.store();
    let is_told = store.health().allows(Paced::LongWait, store.now());
    let held = store.now().saturating_duration_since(lease.hold().since());
    panics::contained(|| {
        telemetry::long_hold(store, lease.name(), waited, held, (is_told, is_forever));
    });
}

/// What the store says of the lock, if it answers.
async fn ask(store: &Store, key: &LockKey) -> Option<LockStatus> {
    let asking = panics::caught(async { store.backend().status(key.clone()).await });
    asking.await.ok().flatten()
}
