//! The guard: holds a lock until it is dropped or released.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use crate::api::execute::Guarding;
use crate::api::lease::{self, Lease};
use crate::api::lock_token::LockToken;
use crate::engine::held::Held;
use crate::engine::pass_on;
use crate::engine::spans;
use crate::types::error::{LockError, Result};
use crate::types::fencing::FencingToken;
use crate::types::loss::LossReason;
use crate::types::name::LockName;
use crate::types::status::ReleaseOutcome;

/// Holds a lock until it is dropped, or released with [`release`](Self::release).
///
/// Dropping it sends the release; the library's background thread handles the answer. That does not
/// block, unless the guard is the last handle of its service: then the drop waits for the answer,
/// for 500 ms at most, because the program may end next (see
/// [`LockService`](crate::LockService)). [`release`](Self::release) does the same and says what the
/// answer was.
///
/// A guard is not `Clone`, since a lock has one holder. [`lease`](Self::lease) returns a view of
/// the lock that can be cloned.
///
/// **Bind the guard to a variable.** Otherwise it is dropped, and the lock released, at once:
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
///     // The guard was dropped before this line: somebody else can get the lock.
///     assert!(lock.try_acquire().await.unwrap().is_some());
/// }
/// let _ = lock.try_acquire().await.unwrap(); // `_` binds nothing
/// assert!(lock.try_acquire().await.unwrap().is_some());
///
/// // This holds the lock:
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

    /// Releases the lock, and returns what the store said.
    ///
    /// It cannot fail. If the store does not answer, the outcome is
    /// [`Unknown`](ReleaseOutcome::Unknown), and the library repeats the release in the background
    /// until the lease is over; a warning in the log says why. If [`min_hold`](crate::Lock::min_hold) is not over yet, the name
    /// stays taken for the rest of it.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the release goes on; only its outcome is not reported.
    pub async fn release(self) -> ReleaseOutcome {
        self.release_with_cause().await.0
    }

    /// As [`release`](Self::release), with the reason if the store did not confirm it.
    pub(crate) async fn release_with_cause(self) -> (ReleaseOutcome, Option<LockError>) {
        self.0.release().await
    }

    /// Turns the guard into a token with which another process can [adopt](crate::Lock::adopt) the
    /// lock: the lock stays taken, and this process no longer holds it.
    ///
    /// The store is asked to set the lease to its ttl once more, so that there is time to adopt it;
    /// if nobody does, the lock is free when the lease is over. Every [`Lease`] of the lock is lost
    /// with the reason [`LossReason::PassedOn`]. This process no longer renews or releases the
    /// lock; [`min_hold`](crate::Lock::min_hold) and [`max_hold`](crate::Lock::max_hold) no longer
    /// apply, and the process that adopts the lock sets its own. A
    /// [shutdown](crate::LockService::shutdown) does not touch it.
    ///
    /// It takes one exchange with the store. If the store left an earlier request for this lock or an
    /// [`extend`](Self::extend) without an answer, it first waits until that cannot take effect any
    /// more: on Redis, for about 2 s at most.
    ///
    /// # Errors
    ///
    /// If it fails, the guard is dropped as usual, which releases the lock.
    ///
    /// - [`Lost`](crate::LockErrorKind::Lost) if the lease is over, or the store says that it is.
    /// - [`Unknown`](crate::LockErrorKind::Unknown) if the store did not answer.
    /// - [`Unsupported`](crate::LockErrorKind::Unsupported) if the backend cannot renew leases, such
    ///   as Dapr: nobody could adopt the lock.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, so is the guard, which releases the lock.
    pub async fn into_token(self) -> Result<LockToken> {
        let name = self.name().clone();
        let passed_on = pass_on::pass_on(self.0).await;
        passed_on.map(LockToken).map_err(|error| error.with_operation("into_token").with_name(name))
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &LockName {
        self.0.lease().name()
    }

    /// A view of this lock that can be cloned and given to other tasks, and that cannot release it.
    #[must_use]
    pub fn lease(&self) -> Lease {
        Lease(Arc::clone(self.0.lease()))
    }

    /// Whether the lock is still held; see [`Lease::is_held`].
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.lease().ended().is_none()
    }

    /// `Ok` if the lock is still held; see [`Lease::ensure_held`].
    ///
    /// # Errors
    ///
    /// [`Lost`](crate::LockErrorKind::Lost) if the lease is over; the error contains the reason.
    pub fn ensure_held(&self) -> Result<()> {
        lease::ensure_held(self.0.lease())
    }

    /// How long the lease will last at least; see [`Lease::remaining`].
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.lease().remaining()
    }

    /// The fencing token of this grant; see [`Lease::fencing_token`].
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.0.lease().fencing()
    }

    /// Waits until the lease is over; see [`Lease::lost`].
    ///
    /// # Cancel safety
    ///
    /// As [`Lease::lost`].
    pub fn lost(&self) -> impl Future<Output = Option<LossReason>> + Send + 'static + use<> {
        lease::lost(self.0.lease())
    }

    /// Asks the store whether the lock is still held; see [`Lease::verify`].
    ///
    /// # Errors
    ///
    /// As [`Lease::verify`].
    ///
    /// # Cancel safety
    ///
    /// As [`Lease::verify`].
    pub fn verify(&self) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
        lease::verify(self.0.lease())
    }

    /// Sets the lease to `ttl` from now; see [`Lease::extend`].
    ///
    /// # Errors
    ///
    /// As [`Lease::extend`].
    ///
    /// # Cancel safety
    ///
    /// As [`Lease::extend`].
    pub fn extend(
        &self,
        ttl: Duration,
    ) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
        lease::extend(self.0.lease(), ttl)
    }
}

impl Guarding for LockGuard {
    type View = Lease;

    fn view(&self) -> Lease {
        self.lease()
    }

    fn span(&self) -> Span {
        let lease = self.0.lease();
        spans::hold_span(lease.name(), lease.store().kind(), lease.fencing())
    }

    fn loss(&self) -> impl Future<Output = LockError> + Send + 'static {
        let lease = self.lease();
        async move {
            // Nobody but the guard itself could have released it.
            let reason = lease.lost().await.unwrap_or(LossReason::Removed);
            lease.lost_error(reason).with_name(lease.name())
        }
    }

    fn release(self) -> impl Future<Output = ReleaseOutcome> + Send {
        Self::release(self)
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockGuard").field(&self.lease()).finish()
    }
}
