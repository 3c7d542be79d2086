//! The guard of several locks that are held together.

use std::fmt;
use std::future::Future;
use std::mem;
use std::time::Duration;

use futures_util::future::join_all;
use tracing::Span;

use crate::api::execute::Guarding;
use crate::api::guard::LockGuard;
use crate::api::lease::Lease;
use crate::api::lease_set::LeaseSet;
use crate::engine::acquire_all::HeldSet;
use crate::engine::spans;
use crate::types::error::{LockError, Result};
use crate::types::fencing::FencingToken;
use crate::types::loss::LossReason;
use crate::types::status::ReleaseOutcome;

/// Holds several locks until it is dropped, or released with [`release`](Self::release).
///
/// It is lost when any of its leases is lost; the other locks stay taken until it is dropped. The
/// locks are released in the reverse order of their acquisition.
///
/// Otherwise it is like a [`LockGuard`]: bind it to a variable.
#[must_use = "dropping a `LockSetGuard` releases its locks: bind it to a variable for as long as the work runs"]
pub struct LockSetGuard {
    /// In the order in which they were acquired.
    guards: Vec<LockGuard>,
    leases: LeaseSet,
}

impl LockSetGuard {
    pub(crate) fn new(held: HeldSet) -> Self {
        let guards: Vec<_> = held.into_vec().into_iter().map(LockGuard::new).collect();
        let leases = LeaseSet::new(guards.iter().map(LockGuard::lease));
        Self { guards, leases }
    }

    /// Releases all locks, and returns what the store said: [`Released`](ReleaseOutcome::Released)
    /// if it confirmed each of them, else what was worst. That one of them had expired is worse than
    /// that one is [`Unknown`](ReleaseOutcome::Unknown), and that somebody else holds one is worst.
    ///
    /// The releases are sent one after the other, and their answers are awaited together. It cannot
    /// fail; see [`LockGuard::release`].
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the releases go on; only their outcome is not reported.
    pub async fn release(mut self) -> ReleaseOutcome {
        let guards = mem::take(&mut self.guards);
        let outcomes = join_all(guards.into_iter().rev().map(LockGuard::release)).await;
        let badness = |outcome: &ReleaseOutcome| match outcome {
            ReleaseOutcome::Released => 0,
            ReleaseOutcome::Unknown => 1,
            ReleaseOutcome::AlreadyExpired => 2,
            ReleaseOutcome::HeldByOther => 3,
        };
        outcomes.into_iter().max_by_key(badness).unwrap_or(ReleaseOutcome::Released)
    }

    /// A view of the locks that can be cloned and given to other tasks, and that cannot release
    /// them. It has the lease of each.
    #[must_use]
    pub fn leases(&self) -> LeaseSet {
        self.leases.clone()
    }

    /// Whether all locks are still held; see [`Lease::is_held`](crate::Lease::is_held).
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.leases.is_held()
    }

    /// `Ok` if all locks are still held; see [`LeaseSet::ensure_held`].
    ///
    /// # Errors
    ///
    /// As [`LeaseSet::ensure_held`].
    pub fn ensure_held(&self) -> Result<()> {
        self.leases.ensure_held()
    }

    /// How long the first lease to end will last at least; see [`LeaseSet::remaining`].
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.leases.remaining()
    }

    /// The fencing token of the lock with this name; see [`LeaseSet::fencing_token`].
    #[must_use]
    pub fn fencing_token(&self, name: &str) -> Option<FencingToken> {
        self.leases.fencing_token(name)
    }

    /// Waits until one of the leases is over; see [`LeaseSet::lost`].
    ///
    /// # Cancel safety
    ///
    /// As [`LeaseSet::lost`].
    pub fn lost(&self) -> impl Future<Output = Option<LossReason>> + Send + 'static + use<> {
        self.leases.lost()
    }

    /// Asks the store whether all locks are still held; see [`LeaseSet::verify`].
    ///
    /// # Errors
    ///
    /// As [`LeaseSet::verify`].
    ///
    /// # Cancel safety
    ///
    /// As [`LeaseSet::verify`].
    pub fn verify(&self) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
        self.leases.verify()
    }

    /// Sets all leases to `ttl` from now; see [`LeaseSet::extend`].
    ///
    /// # Errors
    ///
    /// As [`LeaseSet::extend`].
    ///
    /// # Cancel safety
    ///
    /// As [`LeaseSet::extend`].
    pub fn extend(
        &self,
        ttl: Duration,
    ) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
        self.leases.extend(ttl)
    }
}

impl Drop for LockSetGuard {
    fn drop(&mut self) {
        while let Some(last) = self.guards.pop() {
            drop(last);
        }
    }
}

impl Guarding for LockSetGuard {
    type View = LeaseSet;

    fn view(&self) -> LeaseSet {
        self.leases()
    }

    fn span(&self) -> Span {
        let leases = self.leases.leases();
        let kind = leases.first().map_or("", |lease| lease.0.store().kind());
        spans::hold_all_span(leases.iter().map(Lease::name), kind)
    }

    fn loss(&self) -> impl Future<Output = LockError> + Send + 'static {
        let leases = self.leases();
        async move {
            // Nobody but the guard itself could have released them.
            let reason = leases.lost().await.unwrap_or(LossReason::Removed);
            match leases.leases().iter().find(|lease| !lease.is_held()) {
                Some(lost) => lost.lost_error(reason).with_name(lost.name()),
                None => LockError::released(),
            }
        }
    }

    fn release(self) -> impl Future<Output = ReleaseOutcome> + Send {
        Self::release(self)
    }
}

impl fmt::Debug for LockSetGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockSetGuard").field(&self.leases).finish()
    }
}
