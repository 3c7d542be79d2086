//! What can be seen of a lock from outside, and what a release reports.

use std::fmt;
use std::time::Duration;

use crate::types::fencing::FencingToken;

/// What the store says of a lock that somebody holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockStatus {
    /// How long the lease still runs; `None` if it has no end (a foreign holder's).
    pub remaining: Option<Duration>,
    /// How many wait, where the backend knows: all tasks of the service that asks, and of each
    /// other service at least the one that stands in the store's queue.
    pub waiters: Option<u64>,
    /// The holder's fencing token, where the backend keeps it.
    pub fencing_token: Option<FencingToken>,
}

impl LockStatus {
    /// A status of which only the remaining time is known.
    #[must_use]
    pub const fn new(remaining: Option<Duration>) -> Self {
        Self { remaining, waiters: None, fencing_token: None }
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
}

/// What came of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReleaseOutcome {
    /// The lock was ours, and is free now, or after the rest of `min_hold`; or it was handed over,
    /// before its deadline, to the next waiting task of the same service.
    Released,
    /// The lease had ended before, and nobody holds the lock.
    AlreadyExpired,
    /// The lease had ended before, and somebody else holds the lock.
    HeldByOther,
    /// The store did not answer, or not clearly; the background repeats the release until the lease
    /// is over. Also where the backend cannot keep the rest of `min_hold`: the background releases
    /// after it.
    Unknown,
}

impl ReleaseOutcome {
    /// Whether the lock was held until this release for certain.
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

/// How many locks were held when a service was shut down, and how they ended.
///
/// If several tasks shut the service down at once, each lock is counted by one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Released by their holders during the grace period.
    pub released: usize,
    /// Lost: still held at the end of the grace period, when the service released them and the
    /// store confirmed it; or lost before that, for another reason.
    pub lost: usize,
    /// Still held at the end of the grace period; the service released them, but the store did not
    /// confirm it, so they may stay locked until their leases expire.
    pub unknown: usize,
}
