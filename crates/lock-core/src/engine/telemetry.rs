//! The names of all events, in one place: they are part of the public contract.
//!
//! Every event has the target `distlock`, the field `event` with one of the names below, and the
//! fields `lock` and `backend`, its own or those of [`acquire_span`], which surrounds every
//! acquisition.

use std::time::Duration;

use tracing::{Level, Span, debug, span, warn};

use crate::types::error::LockError;
use crate::types::fencing::FencingToken;
use crate::types::loss::LossReason;
use crate::types::name::{LockKey, LockName};
use crate::types::status::ReleaseOutcome;

/// The span around one acquisition, with its wait.
pub(crate) fn acquire_span(lock: &str, backend: &str) -> Span {
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
pub(crate) fn lost(lock: &LockName, backend: &str, reason: LossReason) {
    warn!(target: "distlock", event = "lost", lock = lock.as_str(), backend, %reason);
}

/// The guard was turned into a token.
pub(crate) fn passed_on(lock: &LockName, backend: &str) {
    debug!(target: "distlock", event = "passed_on", lock = lock.as_str(), backend);
}

/// The lock of a token was adopted.
pub(crate) fn adopted(lock: &LockName, backend: &str, fencing: Option<FencingToken>) {
    let fencing_token = fencing.map(FencingToken::get);
    debug!(target: "distlock", event = "adopted", lock = lock.as_str(), backend, fencing_token);
}

/// The guard released.
pub(crate) fn released(lock: &LockName, backend: &str, outcome: ReleaseOutcome) {
    let lock = lock.as_str();
    if outcome.is_released() {
        debug!(target: "distlock", event = "released", lock, backend, ?outcome);
    } else {
        warn!(target: "distlock", event = "released", lock, backend, ?outcome);
    }
}

/// A release got no answer; it is tried again.
pub(crate) fn release_failed(key: &LockKey, error: &LockError) {
    debug!(target: "distlock", %key, %error, "release failed");
}

/// One renewal got no answer; it is tried again.
pub(crate) fn renewal_failed(lock: &LockName, error: &LockError) {
    warn!(target: "distlock", %lock, %error, "renewal failed");
}

/// A whole batch of renewals got no answer; they are tried again.
pub(crate) fn renewals_failed(leases: usize, error: &LockError) {
    warn!(target: "distlock", %error, leases, "renewal failed");
}
