//! What the core asks of a backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::backend::token::{OwnerToken, Ticket};
use crate::time::clock::Clock;
use crate::time::instant::Instant;
use crate::types::holder::HolderId;
use crate::types::name::LockKey;

/// One request for a lock. Made by the core.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AcquireRequest {
    /// The lock.
    pub key: LockKey,
    /// Who asks; the same again when a `repeatable` backend is asked again.
    pub token: OwnerToken,
    /// The lease that is asked for.
    pub ttl: Duration,
    /// Whether the caller waits if the lock is held: in the store's queue, if it keeps one, else by
    /// asking again and again.
    pub queue: bool,
    /// The place in the queue, from an earlier [`Waiting`](super::Waiting) of the same wait.
    pub ticket: Option<Ticket>,
    /// Whether the caller has use for a fencing token. If not, a backend may grant the lock without
    /// one, where that spares it something; the lock excludes others all the same.
    pub fencing: bool,
    /// The time that the lease is measured by.
    pub clock: Clock,
    /// When the core began to ask: the response timeout counts from here, and the store must
    /// refuse to act on the request later than
    /// [`late_after`](super::Capabilities::late_after) from here.
    pub asked_at: Instant,
    /// Set when nobody waits for the answer any more.
    pub given_up: GivenUp,
}

impl AcquireRequest {
    /// A request of this moment that does not queue, and has use for a fencing token.
    #[must_use]
    pub fn new(key: LockKey, token: OwnerToken, ttl: Duration, clock: Clock) -> Self {
        let asked_at = clock.now();
        let (fencing, given_up) = (true, GivenUp::default());
        Self { key, token, ttl, queue: false, ticket: None, fencing, clock, asked_at, given_up }
    }

    /// Says that a fencing token would be of no use.
    #[must_use]
    pub const fn without_fencing(mut self) -> Self {
        self.fencing = false;
        self
    }

    /// Asks to wait in the store's queue, at this place if one is known.
    #[must_use]
    pub const fn with_queue(mut self, ticket: Option<Ticket>) -> Self {
        self.queue = true;
        self.ticket = ticket;
        self
    }
}

/// Whether a request for a lock was given up by its caller. A clone is of the same request.
///
/// The core finishes each exchange that it has begun, and undoes what nobody wants any more.
/// A backend may spare it both: a request that is given up before it was sent can be answered with
/// an error that is marked [`not_applied`](crate::LockError::not_applied), instead of being sent.
#[derive(Clone, Debug, Default)]
pub struct GivenUp(Arc<AtomicBool>);

impl GivenUp {
    /// Nobody waits for the answer.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Says that nobody waits for the answer any more, which is final.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Who waits for the answer to a request: it decides which of two connections is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lane {
    /// A task of the user's: the connection that its attempt used, so that they stay in order.
    Caller,
    /// The background, on a thread that user code cannot block.
    Background,
}

/// One release. Made by the core.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReleaseRequest {
    /// The lock.
    pub key: LockKey,
    /// Whose lock; nothing else is touched.
    pub token: OwnerToken,
    /// How long the name must stay taken; zero frees it now. Only where `min_hold` is supported.
    pub min_hold: Duration,
    /// Who waits for the answer.
    pub lane: Lane,
    /// The time to measure by.
    pub clock: Clock,
}

impl ReleaseRequest {
    /// A release that frees the lock now, whose answer the caller waits for.
    #[must_use]
    pub const fn new(key: LockKey, token: OwnerToken, clock: Clock) -> Self {
        Self { key, token, min_hold: Duration::ZERO, lane: Lane::Caller, clock }
    }

    /// Keeps the name taken for this long.
    #[must_use]
    pub const fn with_min_hold(mut self, min_hold: Duration) -> Self {
        self.min_hold = min_hold;
        self
    }

    /// Says who waits for the answer.
    #[must_use]
    pub const fn with_lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }
}

/// One lease to renew. Made by the core.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RenewRequest {
    /// The lock.
    pub key: LockKey,
    /// Whose lease.
    pub token: OwnerToken,
    /// The lease from now on.
    pub ttl: Duration,
    /// Whether the lease is to be set to exactly that; else it is at least that, and never shorter
    /// than it was. The store must refuse to act on an exact request later than
    /// [`late_after`](super::Capabilities::late_after) after it was sent.
    pub exact: bool,
    /// An answer later than this is of no use; a backend whose own timeout is shorter uses that.
    pub within: Duration,
    /// The time to measure by.
    pub clock: Clock,
}

impl RenewRequest {
    /// A renewal whose answer may take as long as the lease.
    #[must_use]
    pub const fn new(key: LockKey, token: OwnerToken, ttl: Duration, clock: Clock) -> Self {
        Self { key, token, ttl, exact: false, within: ttl, clock }
    }

    /// Sets the lease, and makes it shorter if it was longer.
    #[must_use]
    pub const fn with_exact(mut self) -> Self {
        self.exact = true;
        self
    }

    /// Bounds the time to the answer.
    #[must_use]
    pub const fn with_within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }
}

/// A question for the locks that are held, of which one answer may hold a part only. Made by the
/// core.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListRequest {
    /// What the keys begin with: literally, and perhaps nothing.
    pub prefix: Arc<str>,
    /// Where the answer before this one ended; `None` to begin.
    pub cursor: Option<ListCursor>,
}

impl ListRequest {
    /// The first question.
    pub fn new(prefix: impl Into<Arc<str>>) -> Self {
        Self { prefix: prefix.into(), cursor: None }
    }

    /// Goes on where an answer ended.
    #[must_use]
    pub fn after(mut self, cursor: ListCursor) -> Self {
        self.cursor = Some(cursor);
        self
    }
}

/// Where a list goes on: text that only the backend that wrote it can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListCursor(Box<str>);

impl ListCursor {
    /// A place in a list.
    pub fn new(place: impl Into<Box<str>>) -> Self {
        Self(place.into())
    }

    /// The backend's own words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Takes a lock from a holder that a status has named. Made by the core.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EvictRequest {
    /// The lock.
    pub key: LockKey,
    /// Whose lock; nobody else is touched.
    pub holder: HolderId,
    /// The time to measure by.
    pub clock: Clock,
}

impl EvictRequest {
    /// Takes the lock from this holder.
    #[must_use]
    pub const fn new(key: LockKey, holder: HolderId, clock: Clock) -> Self {
        Self { key, holder, clock }
    }
}
