//! The lock service, for threads that block.

use std::fmt;
use std::time::Duration;

use crate::api::blocking::lock::Lock;
use crate::api::blocking::lock_set::LockSet;
use crate::api::service;
use crate::backend::{Capabilities, LockBackend};
use crate::sync::blocking::block_on;
use crate::types::error::{LockError, Result};
use crate::types::name::LockName;
use crate::types::server_info::ServerInfo;
use crate::types::status::{HeldLock, LockStatus, ReleaseOutcome, ShutdownReport};

/// Distributed locks on one store, for programs without an asynchronous main.
///
/// It is a [`LockService`](crate::LockService) whose calls block their thread; everything else is the
/// same, and [`as_async`](Self::as_async) returns that service. It needs no runtime of the program's:
/// connections that are made by a blocking call belong to the library's own background thread.
///
/// A service is made by [`from`](From::from) from a [`LockService`](crate::LockService), which has a
/// builder.
///
/// ```
/// # use lock_core as distlock;
/// use std::time::Duration;
/// use distlock::blocking::LockService;
///
/// let locks = LockService::memory();
/// let receipt = locks.lock("order:42").execute(|_lease| "charged").unwrap();
/// assert_eq!(receipt, Some("charged"));
///
/// let guard = locks.lock("report").wait(Duration::from_secs(5)).keep_alive().acquire().unwrap();
/// assert!(guard.is_held());
/// guard.release();
/// locks.shutdown(Duration::from_secs(5));
/// ```
///
/// # Panics
///
/// Every method that blocks panics in asynchronous code on a tokio runtime, before it sends anything,
/// with a text that says what to do instead:
/// it would keep the runtime from its other tasks. Use a [`LockService`](crate::LockService) there.
/// Threads that may block, such as those of `tokio::task::spawn_blocking`, may use it.
#[derive(Clone)]
pub struct LockService(service::LockService);

impl LockService {
    /// As [`LockService::new`](crate::LockService::new).
    pub fn new(backend: impl LockBackend) -> Self {
        Self(service::LockService::new(backend))
    }

    /// As [`LockService::memory`](crate::LockService::memory).
    #[must_use]
    pub fn memory() -> Self {
        Self(service::LockService::memory())
    }

    /// The same service for asynchronous code.
    #[must_use]
    pub const fn as_async(&self) -> &service::LockService {
        &self.0
    }

    /// Names a lock, and returns **a plan, not a lock that is held**; see [`Lock`] and
    /// [`LockService::lock`](crate::LockService::lock).
    pub fn lock<N>(&self, name: N) -> Lock
    where
        N: TryInto<LockName, Error: Into<LockError>>,
    {
        Lock(self.0.lock(name))
    }

    /// Names several locks that are to be held together; see [`LockSet`] and
    /// [`LockService::lock_all`](crate::LockService::lock_all).
    pub fn lock_all<N>(&self, names: impl IntoIterator<Item = N>) -> LockSet
    where
        N: TryInto<LockName, Error: Into<LockError>>,
    {
        LockSet(self.0.lock_all(names))
    }

    /// Asks the store for the state of a lock; see [`Lock::status`].
    ///
    /// # Errors
    ///
    /// As [`Lock::status`].
    ///
    /// # Panics
    ///
    /// In [asynchronous code](Self#panics).
    #[track_caller]
    pub fn status<N>(&self, name: N) -> Result<Option<LockStatus>>
    where
        N: TryInto<LockName, Error: Into<LockError>>,
    {
        self.lock(name).status()
    }

    /// Lists the locks that are held; see [`LockService::list`](crate::LockService::list).
    ///
    /// # Errors
    ///
    /// As [`LockService::list`](crate::LockService::list).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](Self#panics).
    #[track_caller]
    pub fn list(&self, prefix: &str) -> Result<Vec<HeldLock>> {
        block_on(self.0.list(prefix))
    }

    /// What the servers of the store say of themselves; see
    /// [`LockService::servers`](crate::LockService::servers).
    ///
    /// # Errors
    ///
    /// As [`LockService::servers`](crate::LockService::servers).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](Self#panics).
    #[track_caller]
    pub fn servers(&self) -> Result<Vec<ServerInfo>> {
        block_on(self.0.servers())
    }

    /// Takes a lock from its holder, as a tool for people; see
    /// [`LockService::force_release`](crate::LockService::force_release).
    ///
    /// # Errors
    ///
    /// As [`LockService::force_release`](crate::LockService::force_release).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](Self#panics).
    #[track_caller]
    pub fn force_release<N>(&self, name: N, shown: &LockStatus) -> Result<ReleaseOutcome>
    where
        N: TryInto<LockName, Error: Into<LockError>>,
    {
        self.lock(name).force_release(shown)
    }

    /// What the backend can do; see [`LockService::capabilities`](crate::LockService::capabilities).
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    /// Checks the service's default options; see [`LockService::check`](crate::LockService::check).
    ///
    /// # Errors
    ///
    /// As [`LockService::check`](crate::LockService::check).
    pub fn check(&self) -> Result<()> {
        self.0.check()
    }

    /// Asks the store whether it answers; see [`LockService::ping`](crate::LockService::ping).
    ///
    /// # Errors
    ///
    /// As [`LockService::ping`](crate::LockService::ping).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](Self#panics).
    #[track_caller]
    pub fn ping(&self) -> Result<()> {
        block_on(self.0.ping())
    }

    /// Shuts the service down, and returns how its locks ended. It blocks until they have ended, for
    /// `grace` and the time that the last answers take; see
    /// [`LockService::shutdown`](crate::LockService::shutdown).
    ///
    /// # Panics
    ///
    /// In [asynchronous code](Self#panics).
    #[track_caller]
    pub fn shutdown(&self, grace: Duration) -> ShutdownReport {
        block_on(self.0.shutdown(grace))
    }
}

impl From<service::LockService> for LockService {
    fn from(service: service::LockService) -> Self {
        Self(service)
    }
}

impl From<LockService> for service::LockService {
    fn from(service: LockService) -> Self {
        service.0
    }
}

impl fmt::Debug for LockService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("blocking::LockService").field(&self.0).finish()
    }
}
