//! The leases of several locks that are held together, for threads that block.

use std::fmt;
use std::time::Duration;

use crate::api::blocking::lease::Lease;
use crate::api::lease_set;
use crate::sync::blocking::block_on;
use crate::types::error::Result;
use crate::types::fencing::FencingToken;
use crate::types::loss::LossReason;

/// A view of several locks that are held together: the [`Lease`] of each, and what is true of all.
///
/// It is a [`LeaseSet`](crate::LeaseSet) whose methods block their thread where they ask or wait.
#[derive(Clone)]
pub struct LeaseSet(pub(crate) lease_set::LeaseSet);

impl LeaseSet {
    /// The lease of each lock, in the order in which they were acquired.
    pub fn leases(&self) -> impl Iterator<Item = Lease> {
        self.0.leases().iter().cloned().map(Lease)
    }

    /// The lease of the lock with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Lease> {
        self.0.get(name).cloned().map(Lease)
    }

    /// The fencing token of the lock with this name; see
    /// [`LeaseSet::fencing_token`](crate::LeaseSet::fencing_token).
    #[must_use]
    pub fn fencing_token(&self, name: &str) -> Option<FencingToken> {
        self.0.fencing_token(name)
    }

    /// Whether all locks are still held, as far as this process knows. It does not block.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.is_held()
    }

    /// `Ok` if all locks are still held. It does not block.
    ///
    /// # Errors
    ///
    /// As [`LeaseSet::ensure_held`](crate::LeaseSet::ensure_held).
    pub fn ensure_held(&self) -> Result<()> {
        self.0.ensure_held()
    }

    /// How long the first lease to end will last at least; zero if one is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.remaining()
    }

    /// Blocks until one of the leases is over, and returns why it was lost, or `None` if the locks
    /// were released.
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn lost(&self) -> Option<LossReason> {
        block_on(self.0.lost())
    }

    /// Asks the store whether all locks are still held; see
    /// [`LeaseSet::verify`](crate::LeaseSet::verify).
    ///
    /// # Errors
    ///
    /// As [`LeaseSet::verify`](crate::LeaseSet::verify).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn verify(&self) -> Result<()> {
        block_on(self.0.verify())
    }

    /// Sets all leases to `ttl` from now; see [`LeaseSet::extend`](crate::LeaseSet::extend).
    ///
    /// # Errors
    ///
    /// As [`LeaseSet::extend`](crate::LeaseSet::extend).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn extend(&self, ttl: Duration) -> Result<()> {
        block_on(self.0.extend(ttl))
    }
}

impl fmt::Debug for LeaseSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
