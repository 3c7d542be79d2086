//! The leases of several locks that are held together.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, select_all};

use crate::api::lease::Lease;
use crate::types::error::Result;
use crate::types::fencing::FencingToken;
use crate::types::loss::LossReason;

/// A view of several locks that are held together: the [`Lease`] of each, and what is true of all.
///
/// [`LockSet::execute`](crate::LockSet::execute) passes one to its body, and
/// [`LockSetGuard::leases`](crate::LockSetGuard::leases) returns one. It is cheap to clone, and it
/// cannot release the locks.
#[derive(Clone)]
pub struct LeaseSet(Arc<[Lease]>);

impl LeaseSet {
    pub(crate) fn new(leases: impl Iterator<Item = Lease>) -> Self {
        Self(leases.collect())
    }

    /// The lease of each lock, in the order in which they were acquired.
    #[must_use]
    pub fn leases(&self) -> &[Lease] {
        &self.0
    }

    /// The lease of the lock with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Lease> {
        self.0.iter().find(|lease| lease.name().as_str() == name)
    }

    /// The fencing token of the lock with this name; `None` if the backend issues none, or if no
    /// lock of the set has this name. Tokens of different names cannot be compared.
    #[must_use]
    pub fn fencing_token(&self, name: &str) -> Option<FencingToken> {
        self.get(name).and_then(Lease::fencing_token)
    }

    /// Whether all locks are still held; see [`Lease::is_held`].
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.iter().all(Lease::is_held)
    }

    /// `Ok` if all locks are still held; see [`Lease::ensure_held`].
    ///
    /// # Errors
    ///
    /// [`Lost`](crate::LockErrorKind::Lost) if a lease is over; the error has its name and the
    /// reason.
    pub fn ensure_held(&self) -> Result<()> {
        self.0.iter().try_for_each(Lease::ensure_held)
    }

    /// How long the first lease to end will last at least; zero if one is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.iter().map(Lease::remaining).min().unwrap_or_default()
    }

    /// Waits until one of the leases is over, and returns why it was lost, or `None` if the locks
    /// were released; see [`Lease::lost`].
    ///
    /// # Cancel safety
    ///
    /// As [`Lease::lost`].
    pub fn lost(&self) -> impl Future<Output = Option<LossReason>> + Send + 'static + use<> {
        let ends: Vec<_> = self.0.iter().map(|lease| Box::pin(lease.lost())).collect();
        async move { if ends.is_empty() { None } else { select_all(ends).await.0 } }
    }

    /// Asks the store whether all locks are still held, for all of them at once; see
    /// [`Lease::verify`].
    ///
    /// # Errors
    ///
    /// As [`Lease::verify`], of the first lock in the set that has one.
    ///
    /// # Cancel safety
    ///
    /// As [`Lease::verify`].
    pub fn verify(&self) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
        let asked = join_all(self.0.iter().map(Lease::verify));
        async move { asked.await.into_iter().collect() }
    }

    /// Sets all leases to `ttl` from now; see [`Lease::extend`].
    ///
    /// # Errors
    ///
    /// As [`Lease::extend`], of the first lock in the set that has one. The others may have been
    /// set.
    ///
    /// # Cancel safety
    ///
    /// As [`Lease::extend`].
    pub fn extend(
        &self,
        ttl: Duration,
    ) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
        let set = join_all(self.0.iter().map(|lease| lease.extend(ttl)));
        async move { set.await.into_iter().collect() }
    }
}

impl fmt::Debug for LeaseSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.leases()).finish()
    }
}
