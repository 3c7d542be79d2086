//! The guard: holds a lock until it is dropped or released.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::api::lease::{self, Lease};
use crate::engine::held::Held;
use crate::types::error::Result;
use crate::types::fencing::FencingToken;
use crate::types::loss::LossReason;
use crate::types::name::LockName;
use crate::types::status::ReleaseOutcome;

/// Holds a lock until it is dropped, or released with [`release`](Self::release).
///
/// Dropping it sends the release and never blocks; the background thread sees to the answer.
/// There is no `Deref` to [`Lease`] and no `Clone`: a copy of a guard would not hold anything.
///
/// **The guard must be bound to a variable.** Each of these releases at once:
///
/// ```
/// # use lock_core as distlock;
/// # use distlock::LockService;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let locks = LockService::memory();
/// let lock = locks.lock("x");
///
/// if lock.try_acquire().await.unwrap().is_some() {
///     // The guard is gone before this line: somebody else gets the lock.
///     assert!(lock.try_acquire().await.unwrap().is_some());
/// }
/// let _ = lock.try_acquire().await.unwrap(); // `_` binds nothing
/// assert!(lock.try_acquire().await.unwrap().is_some());
///
/// // This holds:
/// if let Some(_guard) = lock.try_acquire().await.unwrap() {
///     assert!(lock.try_acquire().await.unwrap().is_none());
/// }
/// # });
/// ```
///
/// ```compile_fail,E0599
/// # use lock_core as distlock;
/// # async fn f(guard: distlock::LockGuard) {
/// let copy = guard.clone();
/// # }
/// ```
#[must_use = "dropping a `LockGuard` releases its lock: bind it to a variable for as long as the work runs"]
pub struct LockGuard(Held);

impl LockGuard {
    pub(crate) const fn new(held: Held) -> Self {
        Self(held)
    }

    /// Releases the lock and says what the store said.
    ///
    /// It cannot fail: what is not known is [`Unknown`](ReleaseOutcome::Unknown), and the library
    /// goes on trying until the lease is over. With `min_hold` the name stays taken for the rest.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the release goes on; only its outcome is not reported.
    pub async fn release(self) -> ReleaseOutcome {
        self.0.release().await
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &LockName {
        self.0.lease().name()
    }

    /// The body's view of this lock; see [`Lease`].
    #[must_use]
    pub fn lease(&self) -> Lease {
        Lease(Arc::clone(self.0.lease()))
    }

    /// See [`Lease::is_held`].
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.lease().ended().is_none()
    }

    /// See [`Lease::ensure_held`].
    ///
    /// # Errors
    ///
    /// [`Lost`](crate::LockErrorKind::Lost) if the lease is over.
    pub fn ensure_held(&self) -> Result<()> {
        lease::ensure_held(self.0.lease())
    }

    /// See [`Lease::remaining`].
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.lease().remaining()
    }

    /// See [`Lease::fencing_token`].
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.0.lease().fencing()
    }

    /// See [`Lease::lost`].
    pub fn lost(&self) -> impl Future<Output = Option<LossReason>> + Send + 'static + use<> {
        lease::lost(self.0.lease())
    }

    /// See [`Lease::extend`].
    pub fn extend(
        &self,
        ttl: Duration,
    ) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
        lease::extend(self.0.lease(), ttl)
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockGuard").field(&self.lease()).finish()
    }
}
