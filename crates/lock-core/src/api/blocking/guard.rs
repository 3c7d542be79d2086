//! The guard, for threads that block.

use std::fmt;
use std::time::Duration;

use crate::api::blocking::lease::Lease;
use crate::api::guard;
use crate::api::lock_token::LockToken;
use crate::sync::blocking::block_on;
use crate::types::error::Result;
use crate::types::fencing::FencingToken;
use crate::types::loss::LossReason;
use crate::types::name::LockName;
use crate::types::status::ReleaseOutcome;

/// Holds a lock until it is dropped, or released with [`release`](Self::release).
///
/// It is a [`LockGuard`](crate::LockGuard) whose methods block their thread. A guard of the one kind
/// becomes one of the other by [`From`].
#[must_use = "dropping a `LockGuard` releases its lock: bind it to a variable for as long as the work runs"]
pub struct LockGuard(pub(crate) guard::LockGuard);

impl LockGuard {
    /// Releases the lock, waits for the answer, and returns what the store said; see
    /// [`LockGuard::release`](crate::LockGuard::release).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn release(self) -> ReleaseOutcome {
        block_on(self.0.release())
    }

    /// Turns the guard into a token; see [`LockGuard::into_token`](crate::LockGuard::into_token).
    ///
    /// # Errors
    ///
    /// As [`LockGuard::into_token`](crate::LockGuard::into_token).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn into_token(self) -> Result<LockToken> {
        block_on(self.0.into_token())
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &LockName {
        self.0.name()
    }

    /// A view of this lock that can be cloned and given to other threads, and that cannot release
    /// it.
    #[must_use]
    pub fn lease(&self) -> Lease {
        Lease(self.0.lease())
    }

    /// Whether the lock is still held; see [`Lease::is_held`].
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.is_held()
    }

    /// `Ok` if the lock is still held; see [`Lease::ensure_held`].
    ///
    /// # Errors
    ///
    /// As [`Lease::ensure_held`].
    pub fn ensure_held(&self) -> Result<()> {
        self.0.ensure_held()
    }

    /// How long the lease will last at least; see [`Lease::remaining`].
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.remaining()
    }

    /// The fencing token of this grant; see [`Lease::fencing_token`].
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.0.fencing_token()
    }

    /// Blocks until the lease is over; see [`Lease::lost`].
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn lost(&self) -> Option<LossReason> {
        block_on(self.0.lost())
    }

    /// Asks the store whether the lock is still held; see [`Lease::verify`].
    ///
    /// # Errors
    ///
    /// As [`Lease::verify`].
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn verify(&self) -> Result<()> {
        block_on(self.0.verify())
    }

    /// Sets the lease to `ttl` from now; see [`Lease::extend`].
    ///
    /// # Errors
    ///
    /// As [`Lease::extend`].
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn extend(&self, ttl: Duration) -> Result<()> {
        block_on(self.0.extend(ttl))
    }
}

impl From<guard::LockGuard> for LockGuard {
    fn from(guard: guard::LockGuard) -> Self {
        Self(guard)
    }
}

impl From<LockGuard> for guard::LockGuard {
    fn from(guard: LockGuard) -> Self {
        guard.0
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("blocking::LockGuard").field(&self.lease()).finish()
    }
}
