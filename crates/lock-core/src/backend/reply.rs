//! What a backend answers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::backend::request::ListCursor;
use crate::backend::token::Ticket;
use crate::time::instant::Instant;
use crate::types::error::LockError;
use crate::types::fencing::FencingToken;
use crate::types::name::LockKey;
use crate::types::status::LockStatus;

/// The answer to a request for a lock. Made by backends.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcquireReply {
    /// The token owns the lock.
    Granted(Grant),
    /// Another token owns it.
    Held {
        /// When it will be free at the latest, if the holder does not renew: ask again then.
        retry_after: Option<Duration>,
    },
    /// Another token owns it, and this one waits in the store's queue.
    Queued(Waiting),
}

impl AcquireReply {
    /// The token owns the lock.
    #[must_use]
    pub const fn granted(grant: Grant) -> Self {
        Self::Granted(grant)
    }

    /// Another token owns the lock, and nothing is known of its lease.
    #[must_use]
    pub const fn held() -> Self {
        Self::Held { retry_after: None }
    }

    /// Another token owns the lock, and its lease has this much left.
    #[must_use]
    pub const fn held_for(retry_after: Duration) -> Self {
        Self::Held { retry_after: Some(retry_after) }
    }

    /// The token waits in the store's queue.
    #[must_use]
    pub const fn queued(waiting: Waiting) -> Self {
        Self::Queued(waiting)
    }
}

/// What was granted. Made by backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {
    /// The first of 1,024 tokens in a row that belong to this grant.
    pub fencing: Option<FencingToken>,
    /// The lease, if it is shorter than asked.
    pub granted_ttl: Option<Duration>,
    /// For a grant that was pushed: an instant before which the store did not grant it.
    pub since: Option<Instant>,
}

impl Grant {
    /// A grant of the asked lease, without a fencing token.
    #[must_use]
    pub const fn new() -> Self {
        Self { fencing: None, granted_ttl: None, since: None }
    }

    /// Adds the fencing token.
    #[must_use]
    pub const fn with_fencing(mut self, fencing: FencingToken) -> Self {
        self.fencing = Some(fencing);
        self
    }

    /// Says that the lease is shorter than asked.
    #[must_use]
    pub const fn with_granted_ttl(mut self, granted_ttl: Duration) -> Self {
        self.granted_ttl = Some(granted_ttl);
        self
    }

    /// Says from when on a pushed grant counts.
    #[must_use]
    pub const fn with_since(mut self, since: Instant) -> Self {
        self.since = Some(since);
        self
    }
}

/// A place in the store's queue. Made by backends.
///
/// # Behavior
///
/// - Dropping [`wake`](Self::wake) forgets the local registration: no I/O, no loss of the place.
/// - It resolves to [`Wake::AskAgain`] when the push channel was lost.
/// - It is a hint: the core asks again after [`retry_after`](Self::retry_after) without it.
#[non_exhaustive]
pub struct Waiting {
    /// Resolves when there is news.
    pub wake: Pin<Box<dyn Future<Output = Wake> + Send>>,
    /// The place in the queue, to be sent with the next request.
    pub ticket: Ticket,
    /// When to ask again if no news came.
    pub retry_after: Duration,
}

impl Waiting {
    /// A place in the queue.
    #[must_use]
    pub fn new(
        wake: impl Future<Output = Wake> + Send + 'static,
        ticket: Ticket,
        retry_after: Duration,
    ) -> Self {
        Self { wake: Box::pin(wake), ticket, retry_after }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("ticket", &self.ticket)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

/// News for a waiter. Made by backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wake {
    /// The store granted the lock.
    Granted(Grant),
    /// Something changed: ask.
    AskAgain,
}

/// The answer to a release. Made by backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReleaseReply {
    /// The token owned the lock, and does not any more.
    Released,
    /// Nobody owns the lock.
    NotHeld,
    /// Another token owns the lock.
    HeldByOther,
}

/// A part of the locks that are held. Made by backends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListReply {
    /// Some of them, in no order; perhaps none.
    pub locks: Vec<(LockKey, LockStatus)>,
    /// Where the list goes on; `None` at its end.
    pub next: Option<ListCursor>,
}

impl ListReply {
    /// The last part of a list.
    #[must_use]
    pub const fn new(locks: Vec<(LockKey, LockStatus)>) -> Self {
        Self { locks, next: None }
    }

    /// Says that the list goes on.
    #[must_use]
    pub fn with_next(mut self, next: ListCursor) -> Self {
        self.next = Some(next);
        self
    }
}

/// The answer to one renewal. Made by backends.
#[derive(Debug)]
#[non_exhaustive]
pub enum RenewReply {
    /// The lease was set.
    Renewed,
    /// Nobody owns the lock.
    NotHeld,
    /// Another token owns the lock.
    HeldByOther,
    /// This one could not be renewed, or it is not known whether it was.
    Failed(LockError),
}
