//! A lease: the local view of a lock that is held, shared by its guard and its body.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::extend;
use crate::engine::held::SharedLease;
use crate::types::error::{LockError, Result};
use crate::types::fencing::FencingToken;
use crate::types::loss::LossReason;
use crate::types::name::LockName;

/// A body's view of its lock: whether it is still held, until when, and under which fencing
/// token. It cannot release.
///
/// It is cheap to clone, and a clone does not keep the lock: when the guard or the body ends, every
/// clone says that the lease is over.
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
    /// It errs on the safe side: it says "no" a little before the store's lease ends.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.ended().is_none()
    }

    /// `Ok` if the lock is still held: for `?` before a step that must not happen without it.
    ///
    /// # Errors
    ///
    /// [`Lost`](crate::LockErrorKind::Lost), with the reason, if the lease is over.
    pub fn ensure_held(&self) -> Result<()> {
        ensure_held(&self.0)
    }

    /// How long the lease runs at least; zero when it is over. A renewal raises it.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.remaining()
    }

    /// The grant's fencing token; `None` where the backend issues none.
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.0.fencing()
    }

    /// Waits until the lease is over, and says why it was lost; `None` if it was released.
    ///
    /// It ends at the lease's deadline at the latest, whatever the network does.
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
    /// It only watches; it can be dropped and asked again.
    pub fn lost(&self) -> impl Future<Output = Option<LossReason>> + Send + 'static + use<> {
        lost(&self.0)
    }

    /// Sets the lease to `ttl` from now; it does not add to what is left.
    ///
    /// A shorter lease takes effect at once, locally: the store's own follows with the release.
    /// [`max_hold`](crate::Lock::max_hold) bounds it silently.
    ///
    /// # Errors
    ///
    /// [`Lost`](crate::LockErrorKind::Lost) if the lease is over, or the store says that it is;
    /// [`Unknown`](crate::LockErrorKind::Unknown) if the store did not answer: a longer lease was perhaps
    /// set, but the old deadline stays; [`Unsupported`](crate::LockErrorKind::Unsupported) where the
    /// backend cannot renew; [`InvalidConfig`](crate::LockErrorKind::InvalidConfig) for a `ttl` that the
    /// backend does not accept.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the store's lease was perhaps raised; the local deadline was not.
    pub fn extend(
        &self,
        ttl: Duration,
    ) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
        extend(&self.0, ttl)
    }
}

/// The questions that a lease and a guard answer alike.
pub(super) fn ensure_held(lease: &SharedLease) -> Result<()> {
    lease.ended().map_or(Ok(()), |end| {
        Err(LockError::ended(end).with_operation("ensure_held").with_name(lease.name()))
    })
}

pub(super) fn lost(
    lease: &Arc<SharedLease>,
) -> impl Future<Output = Option<LossReason>> + Send + 'static + use<> {
    let lease = Arc::clone(lease);
    async move { lease.wait_for_end().await.loss() }
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
