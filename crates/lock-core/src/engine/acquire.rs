//! Acquiring a lock: takes a place in the line of its name, waits for the turn, and then asks the
//! store, or holds what the one before has passed on.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use crate::api::guard::LockGuard;
use crate::api::lock::Plan;
use crate::api::service::ServiceInner;
use crate::engine::acquisition::Pursuit;
use crate::engine::local_queues::{Entered, Turn};
use crate::engine::telemetry;
use crate::time::clock::Instant;
use crate::types::error::{LockError, Result};
use crate::types::name::LockKey;

/// Acquires the lock of `plan`, waiting for it as the plan says, or else for `unset_wait`.
/// `None`: somebody else held it for the whole wait.
pub(crate) async fn acquire(
    service: Arc<ServiceInner>,
    plan: Arc<Plan>,
    unset_wait: Duration,
    operation: &'static str,
) -> Result<Option<LockGuard>> {
    let span = telemetry::acquire_span(&service, &plan);
    let name = plan.name.clone();
    let obtaining = async {
        // Before it is let in, so that a shutdown which begins just then waits for its end.
        let _counted = service.count();
        let key = service.admit(&plan)?;
        let began = service.clock().now();
        let deadline = plan.options.wait.deadline(began, unset_wait);
        tokio::select! {
            biased;
            obtained = obtain(&service, plan, key, began, deadline) => obtained,
            () = service.closing() => Err(LockError::shut_down()),
        }
    };
    let told = async { obtaining.await.inspect_err(telemetry::failed) };
    told.instrument(span).await.map_err(|error| error.with_operation(operation).with_name(&name))
}

async fn obtain(
    service: &Arc<ServiceInner>,
    plan: Arc<Plan>,
    key: LockKey,
    began: Instant,
    deadline: Instant,
) -> Result<Option<LockGuard>> {
    let mut now = began;
    let obtained = loop {
        let seat = match service.lines().enter(service, &key, &plan, now, deadline) {
            Entered::Lead(seat) => seat,
            Entered::Refused => break None,
            Entered::Wait(place) => match place.turn(deadline).await? {
                None => break None,
                Some(Turn::Lead(seat)) => {
                    now = service.clock().now();
                    seat.begin(now);
                    seat
                }
                Some(Turn::Hold(guard)) => match take_up(service, guard, began)? {
                    Some(guard) => return Ok(Some(guard)),
                    None => {
                        now = service.clock().now();
                        continue;
                    }
                },
            },
        };
        break Pursuit::new(seat, plan, (began, now, deadline))?.run().await?;
    };
    if obtained.is_none() {
        telemetry::contended(service.clock().now().saturating_duration_since(began));
    }
    Ok(obtained)
}

/// Takes what another task has passed on. `None`: too late, it went back to the store.
fn take_up(service: &ServiceInner, guard: LockGuard, began: Instant) -> Result<Option<LockGuard>> {
    if !guard.lease().0.take_up() {
        return Ok(None);
    }
    if service.is_closing() {
        return Err(LockError::shut_down());
    }
    let waited = service.clock().now().saturating_duration_since(began);
    telemetry::acquired(waited, guard.fencing_token());
    Ok(Some(guard))
}
