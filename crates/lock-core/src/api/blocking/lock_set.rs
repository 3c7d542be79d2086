//! Several locks as a plan, for threads that block.

use std::fmt;
use std::time::Duration;

use crate::api::blocking::lease_set::LeaseSet;
use crate::api::blocking::lock_set_guard::LockSetGuard;
use crate::api::execute::Guarding;
use crate::api::lock_set;
use crate::sync::blocking::block_on;
use crate::types::error::{LockError, Result};
use crate::types::options::{LockOptions, option_setters};

/// The names and the options of several locks that are held together: **a plan, not locks that are
/// held**.
///
/// It is a [`LockSet`](crate::LockSet) whose methods block their thread, and is made by
/// [`LockService::lock_all`](crate::blocking::LockService::lock_all).
#[derive(Clone)]
#[must_use = "a `LockSet` holds nothing until `try_acquire`, `acquire` or `execute` is called"]
pub struct LockSet(pub(crate) lock_set::LockSet);

option_setters!(LockSet, |this| this.0.options_mut());

impl LockSet {
    /// Replaces all options at once.
    pub fn options(mut self, options: LockOptions) -> Self {
        *self.0.options_mut() = options;
        self
    }

    /// The names of the locks, each once, in the order in which they are acquired.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names()
    }

    /// Checks the names and the options; see [`LockSet::check`](crate::LockSet::check).
    ///
    /// # Errors
    ///
    /// As [`LockSet::check`](crate::LockSet::check).
    pub fn check(&self) -> Result<()> {
        self.0.check()
    }

    /// Acquires all locks if they are free, or become free within [`wait`](Self::wait) (default: no
    /// wait). Returns `None` if somebody else held one of them for the whole wait: then none is
    /// held.
    ///
    /// # Errors
    ///
    /// As [`LockSet::try_acquire`](crate::LockSet::try_acquire).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn try_acquire(&self) -> Result<Option<LockSetGuard>> {
        block_on(self.0.try_acquire()).map(|guard| guard.map(LockSetGuard))
    }

    /// Acquires all locks, and waits for them up to [`wait`](Self::wait) (default: 60 s).
    ///
    /// # Errors
    ///
    /// As [`LockSet::acquire`](crate::LockSet::acquire).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn acquire(&self) -> Result<LockSetGuard> {
        block_on(self.0.acquire()).map(LockSetGuard)
    }

    /// Runs `f`, the body, under all locks, on this thread, and returns its value. Returns `None` if
    /// somebody else held one of them for the whole [`wait`](Self::wait) (default: no wait): then
    /// the body was not run.
    ///
    /// If a lease is lost, the body runs on; see [`Lock::execute`](crate::blocking::Lock::execute).
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire). The value of a body that was run is always returned.
    ///
    /// # Panics
    ///
    /// If the body panics, or in [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn execute<T>(&self, f: impl FnOnce(LeaseSet) -> T) -> Result<Option<T>> {
        let acquired = block_on(self.0.try_acquire_for("execute"))?;
        let Some(guard) = acquired.map(LockSetGuard) else { return Ok(None) };
        let value = guard.0.span().in_scope(|| f(guard.leases()));
        guard.release();
        Ok(Some(value))
    }

    /// As [`execute`](Self::execute), for a body that returns a `Result`: errors of the locks are
    /// converted into the body's error type.
    ///
    /// # Errors
    ///
    /// The error of the body, or an error of [`execute`](Self::execute) converted into it.
    ///
    /// # Panics
    ///
    /// As [`execute`](Self::execute).
    #[track_caller]
    pub fn try_execute<T, E>(
        &self,
        f: impl FnOnce(LeaseSet) -> Result<T, E>,
    ) -> Result<Option<T>, E>
    where
        E: From<LockError>,
    {
        self.execute(f)?.transpose()
    }
}

impl fmt::Debug for LockSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("blocking::LockSet").field(&self.0).finish()
    }
}
