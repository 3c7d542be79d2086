//! Single exchanges with a backend, without a lock service between: what tests of a backend send.

use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::{
    Attempt, AttemptRequest, Clock, LockBackend, LockKey, OwnerToken, ReleaseReply, ReleaseRequest,
};
use lock_core::{LockName, Result};

/// The key of a lock without a namespace.
///
/// # Errors
///
/// [`InvalidName`](lock_core::LockErrorKind::InvalidName) for a name that is not allowed.
pub fn key(name: &str) -> Result<LockKey> {
    LockKey::new("", &LockName::from(name))
}

/// Asks once for a lock, in the machine's time.
///
/// # Errors
///
/// What the backend says.
pub async fn attempt<B: LockBackend>(
    backend: &Arc<B>,
    name: &str,
    token: OwnerToken,
    ttl: Duration,
) -> Result<Attempt> {
    let request = AttemptRequest::new(key(name)?, token, ttl, Clock::SYSTEM);
    Arc::clone(backend).attempt(request).await
}

/// Whether somebody else has the lock.
#[must_use]
pub fn is_held(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::Held { .. })
}

/// Gives a lock back once.
///
/// # Errors
///
/// What the backend says.
pub async fn release<B: LockBackend>(
    backend: &Arc<B>,
    name: &str,
    token: OwnerToken,
) -> Result<ReleaseReply> {
    let request = ReleaseRequest::new(key(name)?, token, Clock::SYSTEM);
    Arc::clone(backend).release(request).await
}
