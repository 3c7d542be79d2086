//! A lease: the local view of a lock that is held, shared by its guard and its body.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::extend;
use crate::engine::held::SharedLease;
use crate::engine::verify;
use crate::types::error::{LockError, Result};
use crate::types::fencing::FencingToken;
use crate::types::loss::{LeaseEnd, LossReason};
use crate::types::name::LockName;

/// A view of a lock that is held: whether it still is, for how long, and its fencing token.
///
/// [`Lock::execute`](crate::Lock::execute) passes one to its body, and
/// [`LockGuard::lease`](crate::LockGuard::lease) returns one. It cannot release the lock.
///
/// It is cheap to clone, and clones can be given to other tasks and threads. A clone does not hold
/// the lock: when the guard is dropped or the body has ended, every clone reports that the lease is
/// over.
#[derive(Clone)]
pub struct Lease(pub(crate) Arc<SharedLease>);

impl Lease {
    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &LockName {
        self.0.name()
    }

    /// Whether the lock is still held, as far as this process knows.
    ///
    /// It is on the safe side: it returns `false` a little before the store's lease ends. If the
    /// process is paused after the call, the lease can end without notice; that is what the
    /// [fencing token](Self::fencing_token) is for.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.ended().is_none()
    }

    /// `Ok` if the lock is still held. Call it with `?` before a step that must not be done without
    /// the lock.
    ///
    /// # Errors
    ///
    /// [`Lost`](crate::LockErrorKind::Lost) if the lease is over.
    /// [`loss_reason`](LockError::loss_reason) says why, and is `None` if the lock was released.
    pub fn ensure_held(&self) -> Result<()> {
        ensure_held(&self.0)
    }

    /// How long the lease will last at least; zero if it is over.
    ///
    /// A renewal raises it, and it can be less than the ttl right after the lock was acquired.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.remaining()
    }

    /// The fencing token of this grant; `None` if the backend issues none.
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.0.fencing()
    }

    /// Waits until the lease is over, and returns why it was lost, or `None` if the lock was
    /// released.
    ///
    /// It completes when the lease's time is over at the latest, whatever the network does. The
    /// future borrows nothing.
    ///
    /// ```
    /// # use lock_core as distlock;
    /// # use distlock::LockService;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// # let locks = LockService::memory();
    /// # async fn work() {}
    /// let guard = locks.lock("import").keep_alive().acquire().await.unwrap();
    /// tokio::select! {
    ///     () = work() => {}
    ///     Some(reason) = guard.lost() => eprintln!("stopped: {reason}"),
    /// }
    /// # });
    /// ```
    ///
    /// # Cancel safety
    ///
    /// It has no effect on the lease, and can be dropped and called again.
    pub fn lost(&self) -> impl Future<Output = Option<LossReason>> + Send + 'static + use<> {
        lost(&self.0)
    }

    /// Asks the store whether the lock is still held. If the store no longer has the lock, the
    /// lease is lost from then on, with the reason, and [`lost`](Self::lost) resolves.
    ///
    /// Without it, a lock that was deleted in the store is noticed at the next renewal, or when
    /// other tasks of this service want it. It costs one exchange with the store and changes
    /// nothing there. The answer describes the moment in which the store was asked: to keep an
    /// earlier holder from writing, use the [fencing token](Self::fencing_token).
    ///
    /// ```
    /// # use lock_core as distlock;
    /// # use distlock::LockService;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// # let locks = LockService::memory();
    /// let guard = locks.lock("import").acquire().await.unwrap();
    /// guard.verify().await.unwrap();
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// - [`Lost`](crate::LockErrorKind::Lost) if the lease is over, or the store says that it is.
    ///   [`loss_reason`](LockError::loss_reason) says whether somebody else holds the lock
    ///   ([`HeldByOther`](LossReason::HeldByOther)) or nobody ([`Removed`](LossReason::Removed)).
    /// - [`Unknown`](crate::LockErrorKind::Unknown) if the store did not answer; the lease is what it
    ///   was. The call can be repeated.
    /// - [`Unsupported`](crate::LockErrorKind::Unsupported) if the backend cannot renew leases, such
    ///   as Dapr: then the store cannot be asked without releasing the lock.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub fn verify(&self) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
        verify(&self.0)
    }

    /// Sets the lease to `ttl` from now. It does not add to what is left of it.
    ///
    /// A lease that becomes shorter ends earlier for this process at once, and in the store as soon
    /// as the request has arrived; but the store keeps it until
    /// [`min_hold`](crate::Lock::min_hold) is over. If [`max_hold`](crate::Lock::max_hold) is set,
    /// the lease is not extended beyond it, and that is not an error.
    ///
    /// With [`keep_alive`](crate::Lock::keep_alive), the renewals follow the last call: after
    /// `extend` to 1 s the lease is one of 1 s, renewed every third of it.
    ///
    /// # Errors
    ///
    /// - [`Lost`](crate::LockErrorKind::Lost) if the lease is over, or the store says that it is.
    /// - [`Unknown`](crate::LockErrorKind::Unknown) if the store did not answer. The store may have
    ///   set the new lease; for this process the shorter of the two counts. The call can be
    ///   repeated. It is `Unknown`, too, if an earlier call to set a shorter lease got no answer a
    ///   moment ago, and might still take effect.
    /// - [`Unsupported`](crate::LockErrorKind::Unsupported) if the backend cannot renew leases.
    /// - [`InvalidConfig`](crate::LockErrorKind::InvalidConfig) if the backend does not accept the
    ///   `ttl`, or if it is below 300 ms and the lease is kept alive.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the store may have set the new lease; for this process the shorter
    /// of the two counts.
    pub fn extend(
        &self,
        ttl: Duration,
    ) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
        extend(&self.0, ttl)
    }
}

impl Lease {
    /// What a caller is told whose lock was lost for this reason.
    pub(super) fn lost_error(&self, reason: LossReason) -> LockError {
        self.0.ended_error(LeaseEnd::Lost(reason))
    }
}

/// The questions that a lease and a guard answer alike.
pub(super) fn ensure_held(lease: &SharedLease) -> Result<()> {
    lease.ended().map_or(Ok(()), |end| {
        Err(lease.ended_error(end).with_operation("ensure_held").with_name(lease.name()))
    })
}

pub(super) fn lost(
    lease: &Arc<SharedLease>,
) -> impl Future<Output = Option<LossReason>> + Send + 'static + use<> {
    let lease = Arc::clone(lease);
    async move { lease.wait_for_end().await.loss() }
}

pub(super) fn verify(
    lease: &Arc<SharedLease>,
) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
    let lease = Arc::clone(lease);
    async move {
        let verified = verify::verify(&lease).await;
        verified.map_err(|error| error.with_operation("verify").with_name(lease.name()))
    }
}

pub(super) fn extend(
    lease: &Arc<SharedLease>,
    ttl: Duration,
) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
    let lease = Arc::clone(lease);
    async move {
        let extended = extend::extend(&lease, ttl).await;
        extended.map_err(|error| error.with_operation("extend").with_name(lease.name()))
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", self.name())
            .field("fencing_token", &self.0.fencing())
            .field("remaining", &self.remaining())
            .field("ended", &self.0.ended())
            .finish()
    }
}
