//! A lease, for threads that block.

use std::fmt;
use std::time::Duration;

use crate::api::lease;
use crate::sync::blocking::block_on;
use crate::types::error::Result;
use crate::types::fencing::FencingToken;
use crate::types::loss::LossReason;
use crate::types::name::LockName;

/// A view of a lock that is held: whether it still is, for how long, and its fencing token.
///
/// It is a [`Lease`](crate::Lease) whose methods block their thread where they ask or wait. It is
/// cheap to clone, and clones can be given to other threads.
#[derive(Clone)]
pub struct Lease(pub(crate) lease::Lease);

impl Lease {
    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &LockName {
        self.0.name()
    }

    /// Whether the lock is still held, as far as this process knows. It asks nobody and does not
    /// block; see [`Lease::is_held`](crate::Lease::is_held).
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.is_held()
    }

    /// `Ok` if the lock is still held. Call it with `?` before a step that must not be done without
    /// the lock. It does not block.
    ///
    /// # Errors
    ///
    /// As [`Lease::ensure_held`](crate::Lease::ensure_held).
    pub fn ensure_held(&self) -> Result<()> {
        self.0.ensure_held()
    }

    /// Whether the lease is renewed for as long as its guard lives; see
    /// [`Lease::is_kept_alive`](crate::Lease::is_kept_alive).
    #[must_use]
    pub fn is_kept_alive(&self) -> bool {
        self.0.is_kept_alive()
    }

    /// How long the lease will last at least; zero if it is over.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.remaining()
    }

    /// The fencing token of this grant; `None` if the backend issues none.
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.0.fencing_token()
    }

    /// Blocks until the lease is over, and returns why it was lost, or `None` if the lock was
    /// released: for a thread that watches it. It returns when the lease's time is over at the
    /// latest; see [`Lease::lost`](crate::Lease::lost).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn lost(&self) -> Option<LossReason> {
        block_on(self.0.lost())
    }

    /// Asks the store whether the lock is still held; see [`Lease::verify`](crate::Lease::verify).
    ///
    /// # Errors
    ///
    /// As [`Lease::verify`](crate::Lease::verify).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn verify(&self) -> Result<()> {
        block_on(self.0.verify())
    }

    /// Sets the lease to `ttl` from now; see [`Lease::extend`](crate::Lease::extend).
    ///
    /// # Errors
    ///
    /// As [`Lease::extend`](crate::Lease::extend).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn extend(&self, ttl: Duration) -> Result<()> {
        block_on(self.0.extend(ttl))
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
