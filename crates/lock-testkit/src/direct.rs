//! Single exchanges with a backend, without a lock service between: what tests of a backend send.

use std::time::Duration;

use lock_core::backend::{
    AcquireReply, AcquireRequest, Clock, LockBackend, LockKey, OwnerToken, ReleaseReply,
    ReleaseRequest,
};
use lock_core::{LockName, Result};

/// The key of a lock without a namespace.
///
/// # Errors
///
/// [`InvalidName`](lock_core::LockErrorKind::InvalidName) for a name that is not allowed.
pub fn key(name: &str) -> Result<LockKey> {
    LockKey::new("", &LockName::new(name)?)
}

/// Asks once for a lock, in the machine's time.
///
/// # Errors
///
/// What the backend says.
pub async fn acquire(
    backend: &impl LockBackend,
    name: &str,
    token: OwnerToken,
    ttl: Duration,
) -> Result<AcquireReply> {
    let request = AcquireRequest::new(key(name)?, token, ttl, Clock::SYSTEM);
    backend.acquire(request).await
}

/// Whether somebody else has the lock.
#[must_use]
pub fn is_held(reply: &AcquireReply) -> bool {
    matches!(reply, AcquireReply::Held { .. })
}

/// Gives a lock back once.
///
/// # Errors
///
/// What the backend says.
pub async fn release(
    backend: &impl LockBackend,
    name: &str,
    token: OwnerToken,
) -> Result<ReleaseReply> {
    let request = ReleaseRequest::new(key(name)?, token, Clock::SYSTEM);
    backend.release(request).await
}
