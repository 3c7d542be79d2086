//! A lock as a plan, for threads that block.

use std::fmt;
use std::time::Duration;

use crate::api::blocking::guard::LockGuard;
use crate::api::blocking::lease::Lease;
use crate::api::execute::Guarding;
use crate::api::lock;
use crate::api::lock_token::LockToken;
use crate::sync::blocking::block_on;
use crate::types::error::{LockError, Result};
use crate::types::options::{LockOptions, option_setters};
use crate::types::status::{LockStatus, ReleaseOutcome};

/// The name and the options of a lock: **a plan, not a lock that is held**.
///
/// It is a [`Lock`](crate::Lock) whose methods block their thread, and is made by
/// [`LockService::lock`](crate::blocking::LockService::lock). It holds nothing until
/// [`execute`](Self::execute), [`try_acquire`](Self::try_acquire) or [`acquire`](Self::acquire) is
/// called.
#[derive(Clone)]
#[must_use = "a `Lock` holds nothing until `try_acquire`, `acquire` or `execute` is called"]
pub struct Lock(pub(crate) lock::Lock);

option_setters!(Lock, |this| this.0.options_mut());

impl Lock {
    /// Replaces all options at once.
    pub fn options(mut self, options: LockOptions) -> Self {
        *self.0.options_mut() = options;
        self
    }

    /// The lock's name as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Checks the name and the options; see [`Lock::check`](crate::Lock::check).
    ///
    /// # Errors
    ///
    /// As [`Lock::check`](crate::Lock::check).
    pub fn check(&self) -> Result<()> {
        self.0.check()
    }

    /// Acquires the lock if it is free, or becomes free within [`wait`](Self::wait) (default: no
    /// wait). Returns `None` if somebody else held it for the whole wait.
    ///
    /// # Errors
    ///
    /// As [`Lock::try_acquire`](crate::Lock::try_acquire).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn try_acquire(&self) -> Result<Option<LockGuard>> {
        block_on(self.0.try_acquire()).map(|guard| guard.map(LockGuard))
    }

    /// Acquires the lock, and waits for it up to [`wait`](Self::wait) (default: 60 s).
    ///
    /// # Errors
    ///
    /// As [`Lock::acquire`](crate::Lock::acquire).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn acquire(&self) -> Result<LockGuard> {
        block_on(self.0.acquire()).map(LockGuard)
    }

    /// Holds the lock of a token; see [`Lock::adopt`](crate::Lock::adopt).
    ///
    /// # Errors
    ///
    /// As [`Lock::adopt`](crate::Lock::adopt).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn adopt(&self, token: &LockToken) -> Result<LockGuard> {
        block_on(self.0.adopt(token)).map(LockGuard)
    }

    /// Runs `f`, the body, under the lock, on this thread, and returns its value. Returns `None` if
    /// somebody else held the lock for the whole [`wait`](Self::wait) (default: no wait): then the
    /// body was not run.
    ///
    /// The lock is released when the body has ended, also by a panic.
    ///
    /// **If the lease is lost, the body runs on**, because a thread cannot be stopped; so
    /// [`on_lost`](Self::on_lost) has no effect. A body that may take longer than its lease uses
    /// [`keep_alive`](Self::keep_alive), asks [`Lease::is_held`] between its steps, and ends with
    /// [`Lease::ensure_held`]. A lease can also be watched by another thread, with [`Lease::lost`].
    ///
    /// ```
    /// # use lock_core as distlock;
    /// # use distlock::blocking::LockService;
    /// # let (locks, rows) = (LockService::memory(), [1, 2, 3]);
    /// let done = locks
    ///     .lock("import")
    ///     .keep_alive()
    ///     .try_execute(|lease| -> distlock::Result<u32> {
    ///         let mut sum = 0;
    ///         for row in rows {
    ///             lease.ensure_held()?; // stops the import if the lock was lost
    ///             sum += row;
    ///         }
    ///         Ok(sum)
    ///     })
    ///     .unwrap();
    /// assert_eq!(done, Some(6));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire). The value of a body that was run is always returned.
    ///
    /// # Panics
    ///
    /// If the body panics, or in [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn execute<T>(&self, f: impl FnOnce(Lease) -> T) -> Result<Option<T>> {
        let acquired = block_on(self.0.try_acquire_for("execute"))?;
        let Some(guard) = acquired.map(LockGuard) else { return Ok(None) };
        let value = guard.0.span().in_scope(|| f(guard.lease()));
        guard.release();
        Ok(Some(value))
    }

    /// As [`execute`](Self::execute), for a body that returns a `Result`: errors of the lock are
    /// converted into the body's error type, so one `?` is enough.
    ///
    /// # Errors
    ///
    /// The error of the body, or an error of [`execute`](Self::execute) converted into it.
    ///
    /// # Panics
    ///
    /// As [`execute`](Self::execute).
    #[track_caller]
    pub fn try_execute<T, E>(&self, f: impl FnOnce(Lease) -> Result<T, E>) -> Result<Option<T>, E>
    where
        E: From<LockError>,
    {
        self.execute(f)?.transpose()
    }

    /// Asks the store how long the lock is still held; see [`Lock::status`](crate::Lock::status).
    ///
    /// # Errors
    ///
    /// As [`Lock::status`](crate::Lock::status).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn status(&self) -> Result<Option<LockStatus>> {
        block_on(self.0.status())
    }

    /// Takes the lock from whoever holds it, as a tool for people; see
    /// [`LockService::force_release`](crate::LockService::force_release).
    ///
    /// # Errors
    ///
    /// As [`LockService::force_release`](crate::LockService::force_release).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](crate::blocking::LockService#panics).
    #[track_caller]
    pub fn force_release(&self, shown: &LockStatus) -> Result<ReleaseOutcome> {
        block_on(self.0.force_release(shown))
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("blocking::Lock").field(&self.0).finish()
    }
}
