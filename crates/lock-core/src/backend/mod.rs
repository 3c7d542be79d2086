//! What a backend author implements: [`LockBackend`], in short steps without waiting inside.
//!
//! An *effect* (attempt, release, renew) is one exchange with the store, and is always finished by
//! somebody: by the caller, or by the keeper if the caller is gone.
//! A *wait* ([`Waiting::wake`]) has no effect on the store and can be dropped at any time.
//! The core does everything else once for all backends: names, options, deadlines, polling,
//! leaving the line, loss, batching, and the retries of a release.
//!
//! A backend for a store that can only set a value if it is absent, and remove it:
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Arc, Mutex};
//!
//! use lock_core::backend::*;
//! use lock_core::{Instant, LockService, Result};
//!
//! #[derive(Default)]
//! struct Board(Mutex<HashMap<LockKey, (OwnerToken, Instant)>>);
//!
//! #[async_trait]                                  // this attribute …
//! impl LockBackend for Board {
//!     fn kind(&self) -> &'static str {
//!         "board"
//!     }
//!     fn capabilities(&self) -> Capabilities {
//!         Capabilities::none()
//!     }
//!     async fn attempt(self: Arc<Self>, request: AttemptRequest) -> Result<Attempt> {
//!         let now = request.clock.now();          // … and `self: Arc<Self>`, or rustc says E0195
//!         let mut board = self.0.lock().unwrap();
//!         if board.get(&request.key).is_some_and(|(_, expiry)| *expiry > now) {
//!             return Ok(Attempt::held());
//!         }
//!         board.insert(request.key, (request.token, now + request.ttl));
//!         Ok(Attempt::granted(Grant::new()))
//!     }
//!     async fn release(self: Arc<Self>, request: ReleaseRequest) -> Result<ReleaseReply> {
//!         let mut board = self.0.lock().unwrap();
//!         match board.get(&request.key) {
//!             None => Ok(ReleaseReply::NotHeld),
//!             Some((owner, _)) if *owner != request.token => Ok(ReleaseReply::HeldByOther),
//!             Some(_) => {
//!                 board.remove(&request.key);
//!                 Ok(ReleaseReply::Released)
//!             }
//!         }
//!     }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! let locks = LockService::new(Board::default());
//! assert_eq!(locks.lock("x").execute(async |_lease| 7).await.unwrap(), Some(7));
//! # });
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub(crate) mod capabilities;
pub(crate) mod token;

pub use async_trait::async_trait;

pub use self::capabilities::Capabilities;
pub use self::token::{OwnerToken, Ticket};
pub use crate::time::backoff::Backoff;
pub use crate::time::clock::{Clock, Sleep};
use crate::time::instant::Instant;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::fencing::FencingToken;
pub use crate::types::name::LockKey;
use crate::types::status::LockStatus;

/// A store of locks.
///
/// Write `#[async_trait]` above the implementation and `self: Arc<Self>` into each asynchronous
/// method; without either, rustc reports E0195 "lifetime parameters do not match".
///
/// # Behavior
///
/// Of all methods:
/// - each ends within the backend's own response timeout, without tokio's timers if it can
///   ([`Clock::sleep_until`] needs no runtime);
/// - each may be polled by any task of any thread;
/// - the core never drops a started `attempt` or `release`, so they need not be cancel-safe;
/// - errors carry no secret.
///
/// Every bullet here and below is a claim of the conformance suite in `lock-testkit`.
#[async_trait]
pub trait LockBackend: Send + Sync + 'static {
    /// A short, stable word for spans and metrics, such as `redis`.
    fn kind(&self) -> &'static str;

    /// What this backend can do. It is asked often, and may change when a connection is made.
    fn capabilities(&self) -> Capabilities;

    /// Asks for a lock once, without waiting for it.
    ///
    /// # Behavior
    ///
    /// - Grants when the lock is free.
    /// - Answers [`Attempt::Held`] when another token owns it, or [`Attempt::Queued`] if
    ///   [`queue`](AttemptRequest::queue) is set and the backend is `queueing`.
    /// - Where `repeatable`: the same token again finds the same grant, its ttl raised to at least
    ///   `ttl`, perhaps with a larger fencing token; it is never `Held` by itself.
    /// - Without `queue` it leaves nothing behind when not granted.
    /// - It registers for a push before it enqueues.
    /// - Fencing tokens rise with every grant of a key, and leave room for 1,023 local ones.
    /// - Grants at least the asked ttl, rounded up to the granularity, or says the shorter
    ///   [`granted_ttl`](Grant::granted_ttl).
    /// - A queued token is granted in order of arrival; dead ones are skipped.
    /// - An error that proves that nothing was sent is marked
    ///   [`not_applied`](LockError::not_applied); any other means "perhaps applied".
    async fn attempt(self: Arc<Self>, request: AttemptRequest) -> Result<Attempt>;

    /// Gives a lock back, leaves the line, or undoes an attempt: the same thing.
    ///
    /// # Behavior
    ///
    /// - Afterwards the token owns nothing and waits for nothing.
    /// - The owner is compared atomically; nobody else's lock is touched.
    /// - An unknown token is [`NotHeld`](ReleaseReply::NotHeld), or
    ///   [`HeldByOther`](ReleaseReply::HeldByOther) while another holds; never an error.
    /// - It can be repeated.
    /// - It works when the store is full.
    /// - It need not be ordered after an attempt that is still under way: the core sends it again
    ///   when that attempt has ended.
    async fn release(self: Arc<Self>, request: ReleaseRequest) -> Result<ReleaseReply>;

    /// Renews leases, many in one exchange.
    ///
    /// # Behavior
    ///
    /// - Raises the expiry to at least the ttl from now, and never shortens it.
    /// - Replies in order, one each; an error means that nothing is known of any of them.
    /// - Never takes a lock that has expired, and never revives a released one.
    /// - Not finding it is an answer, not an error.
    async fn renew(self: Arc<Self>, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        drop(batch);
        Err(unsupported(self.kind(), "renew leases"))
    }

    /// Looks at a lock without touching it; `None` if nobody holds it.
    async fn status(self: Arc<Self>, key: LockKey) -> Result<Option<LockStatus>> {
        drop(key);
        Err(unsupported(self.kind(), "show the status of a lock"))
    }

    /// Refuses keys that this store cannot keep. Called by [`Lock::check`](crate::Lock::check)
    /// and before every operation; does no I/O.
    fn check_key(&self, key: &LockKey) -> Result<()> {
        let _ = key;
        Ok(())
    }

    /// Asks the store whether it answers.
    async fn ping(self: Arc<Self>) -> Result<()> {
        Ok(())
    }

    /// Closes connections. Called once, when the last service that uses the backend was shut down
    /// and has settled.
    async fn close(self: Arc<Self>) {}
}

fn unsupported(kind: &str, what: &str) -> LockError {
    LockError::new(LockErrorKind::Unsupported, format!("the {kind} backend cannot {what}"))
        .not_applied()
}

/// One request for a lock. Made by the core.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttemptRequest {
    /// The lock.
    pub key: LockKey,
    /// Who asks; the same again when a `repeatable` backend is asked again.
    pub token: OwnerToken,
    /// The lease that is asked for.
    pub ttl: Duration,
    /// Whether to stand in line if the lock is held.
    pub queue: bool,
    /// The place in line, from an earlier [`Waiting`] of the same wait.
    pub ticket: Option<Ticket>,
    /// Something to show to those who look at the lock.
    pub metadata: Option<Arc<str>>,
    /// The time that the lease is measured by.
    pub clock: Clock,
    /// When the core began to ask: the response timeout counts from here, and the store must
    /// refuse to act on the request later than [`late_after`](Capabilities::late_after) from here.
    pub asked_at: Instant,
}

impl AttemptRequest {
    /// A request of this moment, without a line, a ticket or metadata.
    #[must_use]
    pub fn new(key: LockKey, token: OwnerToken, ttl: Duration, clock: Clock) -> Self {
        let asked_at = clock.now();
        Self { key, token, ttl, queue: false, ticket: None, metadata: None, clock, asked_at }
    }

    /// Asks to stand in line, at this place if one is known.
    #[must_use]
    pub const fn with_queue(mut self, ticket: Option<Ticket>) -> Self {
        self.queue = true;
        self.ticket = ticket;
        self
    }

    /// Adds metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Option<Arc<str>>) -> Self {
        self.metadata = metadata;
        self
    }
}

/// Who carries a request: it decides which of two connections is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lane {
    /// The user's task: the connection that its attempt used, so that they stay in order.
    Caller,
    /// The keeper, on a thread that user code cannot block.
    Keeper,
}

/// One release. Made by the core.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReleaseRequest {
    /// The lock.
    pub key: LockKey,
    /// Whose lock; nothing else is touched.
    pub token: OwnerToken,
    /// How long the lock must go on standing; zero frees it now. Only where `rest` is supported.
    pub rest: Duration,
    /// Who carries the request.
    pub lane: Lane,
    /// The time to measure by.
    pub clock: Clock,
}

impl ReleaseRequest {
    /// A release that frees the lock now, carried by the caller.
    #[must_use]
    pub const fn new(key: LockKey, token: OwnerToken, clock: Clock) -> Self {
        Self { key, token, rest: Duration::ZERO, lane: Lane::Caller, clock }
    }

    /// Lets the lock stand for a rest.
    #[must_use]
    pub const fn with_rest(mut self, rest: Duration) -> Self {
        self.rest = rest;
        self
    }

    /// Says who carries it.
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
    /// An answer later than this is of no use; a backend whose own timeout is shorter uses that.
    pub within: Duration,
    /// The time to measure by.
    pub clock: Clock,
}

impl RenewRequest {
    /// A renewal whose answer may take as long as the lease.
    #[must_use]
    pub const fn new(key: LockKey, token: OwnerToken, ttl: Duration, clock: Clock) -> Self {
        Self { key, token, ttl, within: ttl, clock }
    }

    /// Bounds the time to the answer.
    #[must_use]
    pub const fn with_within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }
}

/// The answer to an attempt. Made by backends.
#[derive(Debug)]
#[non_exhaustive]
pub enum Attempt {
    /// The token owns the lock.
    Granted(Grant),
    /// Another token owns it.
    Held {
        /// When it will be free at the latest, if the holder does not renew: ask again then.
        retry_after: Option<Duration>,
    },
    /// Another token owns it, and this one stands in line.
    Queued(Waiting),
}

impl Attempt {
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

    /// The token stands in line.
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

/// A place in line. Made by backends.
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
    /// The place in line, to be sent with the next attempt.
    pub ticket: Ticket,
    /// When to ask again if no news came.
    pub retry_after: Duration,
}

impl Waiting {
    /// A place in line.
    #[must_use]
    pub fn new(
        wake: impl Future<Output = Wake> + Send + 'static,
        ticket: Ticket,
        retry_after: Duration,
    ) -> Self {
        Self { wake: Box::pin(wake), ticket, retry_after }
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

/// Whatever [`LockService::new`](crate::LockService::new) takes: a backend, an `Arc` of one, or
/// an `Arc` or a `Box` of a `dyn LockBackend`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a lock backend",
    note = "pass a type that implements `LockBackend`, an `Arc` of one, or an `Arc<dyn LockBackend>`"
)]
pub trait IntoBackend {
    /// The backend as a shared trait object.
    fn into_backend(self) -> Arc<dyn LockBackend>;
}

impl<B: LockBackend> IntoBackend for B {
    fn into_backend(self) -> Arc<dyn LockBackend> {
        Arc::new(self)
    }
}

impl<B: LockBackend> IntoBackend for Arc<B> {
    fn into_backend(self) -> Arc<dyn LockBackend> {
        self
    }
}

impl IntoBackend for Arc<dyn LockBackend> {
    fn into_backend(self) -> Arc<dyn LockBackend> {
        self
    }
}

impl IntoBackend for Box<dyn LockBackend> {
    fn into_backend(self) -> Arc<dyn LockBackend> {
        self.into()
    }
}
