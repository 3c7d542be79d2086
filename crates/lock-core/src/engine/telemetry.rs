//! The names of all events, in one place: they are part of the public contract.
//!
//! Every event has the target `distlock`, the field `event` with one of the names below, and the
//! fields `lock` and `backend`, its own or those of [`acquire_span`], which surrounds every
//! acquisition.

use std::time::Duration;

use tracing::{Level, Span, debug, span, warn};

use crate::api::lease::Lease;
use crate::api::lock::Plan;
use crate::api::service::ServiceInner;
use crate::backend::token::FencingToken;
use crate::types::error::LockError;
use crate::types::loss::LossReason;
use crate::types::name::LockName;
use crate::types::status::ReleaseOutcome;

/// The span around one acquisition, with its wait.
pub(crate) fn acquire_span(service: &ServiceInner, plan: &Plan) -> Span {
    let (lock, backend) = (plan.name.as_str(), service.kind());
    span!(target: "distlock", Level::DEBUG, "distlock.acquire", lock, backend)
}

/// The lock was granted.
pub(crate) fn acquired(waited: Duration, fencing: Option<FencingToken>) {
    let fencing_token = fencing.map(FencingToken::get);
    debug!(target: "distlock", event = "acquired", ?waited, fencing_token);
}

/// Somebody else held the lock for the whole wait.
pub(crate) fn contended(waited: Duration) {
    debug!(target: "distlock", event = "contended", ?waited);
}

/// The store could not be asked.
pub(crate) fn failed(error: &LockError) {
    debug!(target: "distlock", event = "failed", %error);
}

/// The lease ended before its guard did.
pub(crate) fn lost(service: &ServiceInner, name: &LockName, reason: LossReason) {
    let (lock, backend) = (name.as_str(), service.kind());
    warn!(target: "distlock", event = "lost", lock, backend, %reason);
}

/// The guard released.
pub(crate) fn released(lease: &Lease, outcome: ReleaseOutcome) {
    let (lock, backend) = (lease.name().as_str(), lease.0.service.kind());
    if outcome.is_released() {
        debug!(target: "distlock", event = "released", lock, backend, ?outcome);
    } else {
        warn!(target: "distlock", event = "released", lock, backend, ?outcome);
    }
}
