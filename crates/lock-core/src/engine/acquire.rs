//! Acquiring a lock: takes a place in the local queue of its name and waits for its turn, which is
//! either to ask the store or to hold the lease that another task has handed over.

use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument, Span};

use crate::engine::acquisition::Acquisition;
use crate::engine::asking::Asking;
use crate::engine::held::{Held, ServiceContext, SharedLease};
use crate::engine::holder::{InVain, after_wait, tell_long_hold};
use crate::engine::local_queues::{Entered, Turn};
use crate::engine::metrics::Count;
use crate::engine::plan::{Plan, Target};
use crate::engine::spans;
use crate::engine::telemetry;
use crate::engine::verify::if_in_doubt;
use crate::time::instant::Instant;
use crate::types::error::{LockError, Result};

/// Acquires the lock of `plan`, waiting for it as the plan says, or else for `unset_wait`.
/// `None`: somebody else held it for the whole wait.
pub(crate) async fn acquire(
    context: Arc<ServiceContext>,
    plan: Arc<Plan>,
    unset_wait: Duration,
    operation: &'static str,
) -> Result<Option<Held>> {
    let span = spans::acquire_span(plan.name(), context.store().kind());
    acquire_in(&span, &context, plan, unset_wait, operation).instrument(span.clone()).await
}

/// As [`acquire`], for whoever wants to know who held the lock for the whole wait.
pub(crate) async fn acquire_or_find(
    context: Arc<ServiceContext>,
    plan: Arc<Plan>,
    unset_wait: Duration,
    operation: &'static str,
) -> Result<Result<Held, InVain>> {
    let span = spans::acquire_span(plan.name(), context.store().kind());
    let acquiring = async {
        let (asked, began) = (Arc::clone(&plan), context.store().now());
        let acquired = acquire_in(&span, &context, plan, unset_wait, operation).await?;
        if let Some(held) = acquired {
            return Ok(Ok(held));
        }
        let wait = (began, asked.deadline(began, unset_wait));
        let in_vain = after_wait(&context, asked.key(), wait).await;
        if let Some(holder) = in_vain.holder() {
            spans::record_holder(&span, holder);
        }
        Ok(Err(in_vain))
    };
    acquiring.instrument(span.clone()).await
}

/// As [`acquire`], within this span.
async fn acquire_in(
    span: &Span,
    context: &Arc<ServiceContext>,
    plan: Arc<Plan>,
    unset_wait: Duration,
    operation: &'static str,
) -> Result<Option<Held>> {
    let asked = Arc::clone(&plan);
    let obtaining = async {
        // Before it is let in, so that a shutdown which begins just then waits for its end.
        let _counted = context.count();
        let target = context.admit(&plan).inspect_err(|_| {
            context.store().metrics().count(Count::Failed, plan.lock_name());
            spans::record_outcome(span, "failed", None);
        })?;
        let began = context.store().now();
        let deadline = plan.deadline(began, unset_wait);
        let asking = Asking::new(context.store(), &target.name, span, began, deadline > began);
        let obtained = tokio::select! {
            biased;
            obtained = obtain(context, plan, &target, &asking, (began, deadline)) => obtained,
            () = context.closing() => Err(LockError::shut_down()),
        };
        asking.ended(&obtained);
        obtained
    };
    let kind = context.store().kind();
    obtaining
        .await
        .inspect_err(|error| telemetry::failed(asked.name(), kind, error))
        .map_err(|error| error.with_operation(operation).with_name(asked.name()))
}

async fn obtain(
    context: &Arc<ServiceContext>,
    plan: Arc<Plan>,
    target: &Target,
    asking: &Asking<'_>,
    (began, deadline): (Instant, Instant),
) -> Result<Option<Held>> {
    let mut now = began;
    let is_forever = deadline == Instant::FAR_FUTURE;
    let wanted = |holder: &Arc<SharedLease>, now: Instant| {
        if_in_doubt(holder, now);
        asking.waits_for(holder);
        tell_long_hold(holder, now.saturating_duration_since(began), is_forever);
    };
    let obtained = loop {
        let leadership = match context.queues().enter(&target.key, &plan, now, deadline) {
            Entered::Lead(leadership) => leadership,
            Entered::Refused(holder) => {
                asking.is_contended();
                if let Some(holder) = holder {
                    if_in_doubt(&holder, now);
                }
                break None;
            }
            Entered::Wait(waiter) => {
                asking.is_contended();
                asking.is_waiting();
                match waiter.turn(deadline, wanted).await? {
                    None => break None,
                    Some(Turn::Lead(leadership)) => {
                        now = context.store().now();
                        leadership.begin(now);
                        leadership
                    }
                    Some(Turn::Hold(held)) => match accept(context, held, began)? {
                        Some(held) => return Ok(Some(held)),
                        None => {
                            now = context.store().now();
                            continue;
                        }
                    },
                }
            }
        };
        let times = (began, now, deadline);
        break Acquisition::new(context, leadership, plan, target, asking, times)?.run().await?;
    };
    if obtained.is_none() {
        let waited = context.store().now().saturating_duration_since(began);
        telemetry::contended(target.name.as_str(), context.store().kind(), waited);
    }
    Ok(obtained)
}

/// Accepts what another task has handed over. `None`: too late, it went back to the store.
fn accept(context: &ServiceContext, held: Held, began: Instant) -> Result<Option<Held>> {
    if !held.accept() {
        return Ok(None);
    }
    let held = held.hand_out()?;
    let waited = context.store().now().saturating_duration_since(began);
    let lease = held.lease();
    telemetry::acquired(lease.name().as_str(), context.store().kind(), waited, lease.fencing());
    Ok(Some(held))
}
