//! What others can see of a lock, and what a release and a shutdown report.

use std::fmt;
use std::time::Duration;

use crate::types::fencing::FencingToken;
use crate::types::holder::{Holder, Waiter};
use crate::types::name::LockName;

/// What the store says about a lock that somebody holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockStatus {
    /// How long the lease still lasts; `None` if another program stored the lock without an expiry.
    pub remaining: Option<Duration>,
    /// How many tasks wait, if the backend keeps a queue: all tasks of the service that asks, and
    /// of each other service at least the one that is in the store's queue.
    pub waiters: Option<u64>,
    /// The fencing token of the store's grant, if the backend keeps it. If the lease was handed
    /// over inside a service, the holder's own token is larger, by less than 1,024.
    pub fencing_token: Option<FencingToken>,
    /// Who holds it, if the store knows.
    pub holder: Option<Holder>,
    /// Who waits in the store's queue: the first of them, in order, 16 at most. A service has one
    /// entry, however many of its tasks wait, so these are not [all waiting tasks](Self::waiters).
    pub queue: Vec<Waiter>,
}

impl LockStatus {
    /// How many of those who wait are named at most.
    pub const MAX_QUEUE: usize = 16;

    /// A status with only the remaining time. For backends.
    #[must_use]
    pub const fn new(remaining: Option<Duration>) -> Self {
        Self { remaining, waiters: None, fencing_token: None, holder: None, queue: Vec::new() }
    }

    /// Adds the number of waiters.
    #[must_use]
    pub const fn with_waiters(mut self, waiters: u64) -> Self {
        self.waiters = Some(waiters);
        self
    }

    /// Adds the holder's fencing token.
    #[must_use]
    pub const fn with_fencing_token(mut self, token: Option<FencingToken>) -> Self {
        self.fencing_token = token;
        self
    }

    /// Adds who holds the lock.
    #[must_use]
    pub fn with_holder(mut self, holder: Holder) -> Self {
        self.holder = Some(holder);
        self
    }

    /// Adds who waits in the store's queue, in order; the first [`MAX_QUEUE`](Self::MAX_QUEUE) count.
    #[must_use]
    pub fn with_queue(mut self, queue: impl IntoIterator<Item = Waiter>) -> Self {
        self.queue = queue.into_iter().take(Self::MAX_QUEUE).collect();
        self
    }
}

/// A lock that somebody holds, as [`LockService::list`](crate::LockService::list) finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldLock {
    /// Its name, without the service's namespace.
    pub name: LockName,
    /// What the store says about it.
    pub status: LockStatus,
}

impl HeldLock {
    pub(crate) const fn new(name: LockName, status: LockStatus) -> Self {
        Self { name, status }
    }
}

/// What a release found. The `Display` text is for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReleaseOutcome {
    /// The lock was held until now. It is free, or will be when its `min_hold` is over; or it was
    /// handed over, before its deadline, to the next waiting task of the same service.
    Released,
    /// The lease had ended before, and nobody holds the lock; or the background has released what was
    /// left of it since, and the store was not asked again who holds it now.
    AlreadyExpired,
    /// The lease had ended before, and somebody else holds the lock.
    HeldByOther,
    /// The store did not answer, or its answer cannot be relied on; the background repeats the
    /// release until the lease is over.
    ///
    /// Also if the backend cannot keep the name taken for the rest of `min_hold`: then the
    /// background releases the lock when that is over.
    Unknown,
}

impl ReleaseOutcome {
    /// Whether it is certain that the lock was held until this release.
    #[must_use]
    pub const fn is_released(self) -> bool {
        matches!(self, Self::Released)
    }
}

impl fmt::Display for ReleaseOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Released => "released",
            Self::AlreadyExpired => "already expired",
            Self::HeldByOther => "held by another",
            Self::Unknown => "unknown",
        })
    }
}

/// How the locks ended that were held when [`LockService::shutdown`](crate::LockService::shutdown)
/// was called.
///
/// Each of them is counted in one of the fields. If several tasks shut the service down at the same
/// time, each lock that the service has to release is counted by one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Locks that their holders released during the grace period, or turned into a token.
    pub released: usize,
    /// Locks that were lost: those that were lost for another reason during the grace period, and
    /// those that were still held at its end, and that the service released with the store's
    /// confirmation.
    pub lost: usize,
    /// Locks that were still held at the end of the grace period, and whose release the store did
    /// not confirm. They may stay taken until their leases expire.
    pub unknown: usize,
}
