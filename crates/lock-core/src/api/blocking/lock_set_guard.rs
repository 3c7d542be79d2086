//! The guard of several locks that are held together, for threads that block.

use std::fmt;
use std::time::Duration;

use crate::api::blocking::lease_set::LeaseSet;
use crate::api::lock_set_guard;
use crate::sync::blocking::block_on;
use crate::types::error::Result;
use crate::types::status::ReleaseOutcome;

/// Holds several locks until it is dropped, or released with [`release`](Self::release).
///
/// It is a [`LockSetGuard`](crate::LockSetGuard) whose methods block their thread; what else that one
/// answers is answered by [`leases`](Self::leases).
#[must_use = "dropping a `LockSetGuard` releases its locks: bind it to a variable for as long as the work runs"]
pub struct LockSetGuard(pub(crate) lock_set_guard::LockSetGuard);

impl LockSetGuard {
    /// Releases all locks, waits for the answers, and returns what the store said; see
    /// [`LockSetGuard::release`](crate::LockSetGuard::release).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn release(self) -> ReleaseOutcome {
        block_on(self.0.release())
    }

    /// A view of the locks that can be cloned and given to other threads, and that cannot release
    /// them.
    #[must_use]
    pub fn leases(&self) -> LeaseSet {
        LeaseSet(self.0.leases())
    }

    /// Whether all locks are still held.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.is_held()
    }

    /// `Ok` if all locks are still held.
    ///
    /// # Errors
    ///
    /// As [`LeaseSet::ensure_held`].
    pub fn ensure_held(&self) -> Result<()> {
        self.0.ensure_held()
    }

    /// How long the first lease to end will last at least; zero if one is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.remaining()
    }
}

impl fmt::Debug for LockSetGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("blocking::LockSetGuard").field(&self.leases()).finish()
    }
}
