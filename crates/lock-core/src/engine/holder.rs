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
use crate::types::duration_text::rounded;
use crate::types::error::{LockError, LockErrorKind};
use crate::types::holder::{Holder, held_by};
use crate::types::status::LockStatus;

/// A wait that takes longer is told.
pub(crate) const LONG_WAIT: Duration = Duration::from_secs(30);
/// How long after the end of a wait its error may come for the sake of the holder's name.
const PATIENCE: Duration = Duration::from_millis(200);

/// Who has a lock that a task of a service did not get.
pub(crate) enum Found {
    /// A guard of the same service; `is_new`: acquired while the task waited.
    Own { holder: Holder, is_new: bool },
    /// Somebody else; `None` if the store does not know, or has not said so in time.
    Other(Option<Holder>),
    /// Nobody, by the time that the store was asked.
    Nobody,
}

/// A wait that was in vain.
pub(crate) struct InVain {
    found: Found,
    /// How long it took; `None` if there was none.
    waited: Option<Duration>,
}

impl InVain {
    pub(crate) const fn holder(&self) -> Option<&Holder> {
        match &self.found {
            Found::Own { holder, .. } | Found::Other(Some(holder)) => Some(holder),
            Found::Other(None) | Found::Nobody => None,
        }
    }

    /// The error that says so. It says no more than what is known: who held the lock before the end
    /// of the wait, and how often it changed hands, is not.
    pub(crate) fn into_error(self, and: &str) -> LockError {
        let when = |how: &str| match self.waited {
            Some(waited) => format!("{how} the wait of {}", rounded(waited)),
            None => String::new(),
        };
        let message = match &self.found {
            Found::Own { is_new: true, .. } => format!(
                "this service holds the lock itself: one of its tasks acquired it{}; raise the wait, \
                 or hold the lock for a shorter time",
                when(" during")
            ),
            Found::Own { is_new: false, .. } => format!(
                "this service holds the lock itself{}; a lock is not re-entrant: if this task holds it, \
                 use its guard",
                when(", and did not release it during")
            ),
            Found::Other(Some(holder)) if holder.has_released => {
                format!(
                    "nobody held the lock any more{}{}",
                    when(" at the end of"),
                    held_by(holder)
                )
            }
            Found::Other(Some(holder)) if holder.is_this_process => format!(
                "another task of this process held the lock{}{}",
                when(" at the end of"),
                held_by(holder)
            ),
            Found::Other(holder) => format!(
                "somebody else held the lock{}{}",
                when(" at the end of"),
                holder.as_ref().map(held_by).unwrap_or_default()
            ),
            Found::Nobody => match self.waited {
                Some(_) => format!("others got the lock before this task{}", when(" during")),
                None => "somebody else held the lock, and has released it since".to_owned(),
            },
        };
        let holder = self.holder().cloned();
        LockError::new(LockErrorKind::Timeout, format!("{message}{and}")).with_holder(holder)
    }
}

/// Finds out who has a lock, for the error of a wait from `began` to `deadline`.
///
/// The store is asked once, and nobody waits for its answer for long.
pub(crate) async fn after_wait(
    context: &ServiceContext,
    key: Option<&LockKey>,
    (began, deadline): (Instant, Instant),
) -> InVain {
    let waited = context.store().now().saturating_duration_since(began);
    let found = match key {
        Some(key) => find(context, key, (began, deadline)).await,
        None => Found::Other(None),
    };
    InVain { found, waited: (deadline > began).then_some(waited) }
}

async fn find(
    context: &ServiceContext,
    key: &LockKey,
    (began, deadline): (Instant, Instant),
) -> Found {
    if let Some(lease) = context.own_lease(key) {
        let is_new = lease.hold().since() > began;
        return Found::Own { holder: holder_of(lease.token(), None), is_new };
    }
    let (store, until) = (context.store(), deadline + PATIENCE);
    if !store.capabilities().inspect || store.now() >= until {
        return Found::Other(None);
    }
    tokio::select! {
        biased;
        answer = context.background().in_runtime(ask(store, key)) => match answer {
            Some(Some(status)) => Found::Other(status.holder),
            Some(None) => Found::Nobody,
            None => Found::Other(None),
        },
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
            ask(&store, &target.key).await.flatten()
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
async fn ask(store: &Store, key: &LockKey) -> Option<Option<LockStatus>> {
    panics::caught(async { store.backend().status(key.clone()).await }).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::holder::Who;

    #[test]
    fn the_error_of_a_wait_says_no_more_than_is_known() {
        let of = |name: &str| Holder::new(Who::Other(name.to_owned()));
        let mine = || Holder { is_this_process: true, ..of("a") };
        let text = |found, waited: Option<u64>| {
            let waited = waited.map(Duration::from_secs);
            InVain { found, waited }.into_error("; and more").to_string()
        };
        let named = "another program, which stored \"a\"";
        for (found, waited, expected) in [
            (
                Found::Other(Some(of("a"))),
                Some(1),
                format!(
                    "somebody else held the lock at the end of the wait of 1s; it is held by {named}"
                ),
            ),
            (Found::Other(None), None, "somebody else held the lock".to_owned()),
            (
                Found::Other(Some(mine())),
                Some(1),
                format!(
                    "another task of this process held the lock at the end of the wait of 1s; it is \
                     held by this process, {named}"
                ),
            ),
            (
                Found::Other(Some(of("a").with_released(true))),
                Some(1),
                format!(
                    "nobody held the lock any more at the end of the wait of 1s; its name stays taken \
                     for the min_hold of {named}"
                ),
            ),
            (
                Found::Nobody,
                Some(1),
                "others got the lock before this task during the wait of 1s".to_owned(),
            ),
            (
                Found::Nobody,
                None,
                "somebody else held the lock, and has released it since".to_owned(),
            ),
        ] {
            assert_eq!(text(found, waited), format!("{expected}; and more"));
        }
    }
}
