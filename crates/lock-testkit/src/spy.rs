//! Stands before a backend: notes every call, and disturbs some of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lock_core::backend::{
    AcquireReply, AcquireRequest, AnyBackend, Capabilities, Clock, EvictRequest, ListReply,
    ListRequest, LockBackend, LockKey, OwnerToken, ReleaseReply, ReleaseRequest, RenewReply,
    RenewRequest, Waiting, Wake,
};
use lock_core::{LockError, LockErrorKind, LockName, LockStatus, Result, ServerInfo};
use tokio::sync::watch;

/// A method of [`LockBackend`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is named after its method")]
pub enum Method {
    Kind,
    Address,
    Capabilities,
    Acquire,
    Release,
    Renew,
    Status,
    List,
    Evict,
    CheckKey,
    Ping,
    Servers,
    Close,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Kind,
        Self::Address,
        Self::Capabilities,
        Self::Acquire,
        Self::Release,
        Self::Renew,
        Self::Status,
        Self::List,
        Self::Evict,
        Self::CheckKey,
        Self::Ping,
        Self::Servers,
        Self::Close,
    ];
}

/// A backend that passes everything on to another one, notes what was called, and disturbs it when
/// told to.
///
/// ```
/// use lock_core::{LockService, memory::MemoryBackend};
/// use lock_testkit::spy::{Method, Spy};
/// use std::sync::Arc;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let spy = Arc::new(Spy::new(MemoryBackend::new()));
/// let locks = LockService::new(Arc::clone(&spy));
/// locks.lock("x").execute(async |_lease| ()).await.unwrap();
/// assert!(spy.was_called(Method::Release));
///
/// spy.fail_releases(true);
/// let done = locks.lock("x").execute(async |_lease| 7).await.unwrap();
/// assert_eq!(done, Some(7)); // the body's value is not lost with the release
/// # });
/// ```
pub struct Spy {
    inner: AnyBackend,
    record: Arc<Record>,
    /// Attempts are answered only while this is open.
    attempts: watch::Sender<bool>,
    /// Renewals are passed on only while this is open.
    renewals: watch::Sender<bool>,
}

/// What the spy has seen, and what it was told to do.
struct Record {
    seen: Mutex<Seen>,
    /// Grants that have happened.
    grants: watch::Sender<u64>,
}

#[derive(Default)]
struct Seen {
    called: HashSet<Method>,
    granted: HashMap<LockKey, OwnerToken>,
    swallow_grants: bool,
    fail_releases: bool,
    refuse_releases: bool,
}

impl Spy {
    /// A spy before this backend.
    pub fn new(inner: impl LockBackend) -> Self {
        let (seen, grants) = (Mutex::default(), watch::Sender::new(0));
        Self {
            inner: AnyBackend::new(inner),
            record: Arc::new(Record { seen, grants }),
            attempts: watch::Sender::new(true),
            renewals: watch::Sender::new(true),
        }
    }

    /// Whether the method was called.
    #[must_use]
    pub fn was_called(&self, method: Method) -> bool {
        self.seen().called.contains(&method)
    }

    /// The methods that were never called.
    #[must_use]
    pub fn not_called(&self) -> Vec<Method> {
        Method::ALL.into_iter().filter(|method| !self.was_called(*method)).collect()
    }

    /// The token that was granted this lock last, by an attempt that was answered.
    #[must_use]
    pub fn granted_token(&self, key: &LockKey) -> Option<OwnerToken> {
        self.seen().granted.get(key).copied()
    }

    /// Ends when this many grants have happened, also those whose answer is held back.
    pub async fn granted(&self, count: u64) {
        // The sender is ours, so the channel stays open.
        self.record.grants.subscribe().wait_for(|grants| *grants >= count).await.ok();
    }

    /// Holds the answers of attempts back, after the store has acted, until they are let through.
    pub fn hold_attempts(&self, held: bool) {
        self.attempts.send_replace(!held);
    }

    /// Holds renewals back before the store sees them, until they are let through.
    pub fn hold_renewals(&self, held: bool) {
        self.renewals.send_replace(!held);
    }

    /// Turns every grant into an error that says "perhaps applied".
    pub fn swallow_grants(&self, swallowed: bool) {
        self.seen().swallow_grants = swallowed;
    }

    /// Lets the store act on releases, and then says that it did not answer.
    pub fn fail_releases(&self, failing: bool) {
        self.seen().fail_releases = failing;
    }

    /// Turns releases away before the store sees them.
    pub fn refuse_releases(&self, refusing: bool) {
        self.seen().refuse_releases = refusing;
    }

    /// Also notes a grant that is pushed.
    fn note_push(&self, waiting: Waiting, key: LockKey, token: OwnerToken) -> Waiting {
        let Waiting { wake, ticket, retry_after, .. } = waiting;
        let record = Arc::clone(&self.record);
        let noted = async move {
            let news = wake.await;
            if matches!(news, Wake::Granted(_)) {
                record.note_grant(key, token);
            }
            news
        };
        Waiting::new(noted, ticket, retry_after)
    }

    fn note(&self, method: Method) {
        self.seen().called.insert(method);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.record.seen()
    }
}

impl Record {
    fn note_grant(&self, key: LockKey, token: OwnerToken) {
        self.seen().granted.insert(key, token);
        self.grants.send_modify(|grants| *grants += 1);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls every method of `decorate(a spy)` once, and returns those that it did not pass on.
///
/// A decorator that does not override a method with a default hides that of its inner backend:
/// its capabilities say "can be renewed", its `renew` says "unsupported".
///
/// ```
/// use lock_testkit::spy::forgotten_methods;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// // A decorator that does nothing passes everything on.
/// assert!(forgotten_methods(|backend| backend).await.is_empty());
/// # });
/// ```
pub async fn forgotten_methods<D: LockBackend>(
    decorate: impl FnOnce(AnyBackend) -> D,
) -> Vec<Method> {
    let spy = Arc::new(Spy::new(lock_core::memory::MemoryBackend::new()));
    let backend = decorate(AnyBackend::new(Arc::clone(&spy)));
    // Making the decorator may have asked it already.
    spy.seen().called.clear();
    call_every_method(&backend).await;
    spy.not_called()
}

/// What comes of the calls does not matter here, so errors are dropped.
async fn call_every_method(backend: &impl LockBackend) {
    let ttl = std::time::Duration::from_secs(1);
    let clock = Clock::SYSTEM;
    let Ok(key) = LockName::new("every method").and_then(|name| LockKey::new("", &name)) else {
        return;
    };
    let token = OwnerToken::from_bytes([7; 16]);
    backend.kind();
    backend.address();
    backend.capabilities();
    backend.check_key(&key).ok();
    backend.ping().await.ok();
    backend.servers().await.ok();
    backend.acquire(AcquireRequest::new(key.clone(), token, ttl, clock)).await.ok();
    backend.renew(vec![RenewRequest::new(key.clone(), token, ttl, clock)]).await.ok();
    backend.status(key.clone()).await.ok();
    backend.list(ListRequest::new(key.as_str())).await.ok();
    backend.evict(EvictRequest::new(key.clone(), token.into(), clock)).await.ok();
    backend.release(ReleaseRequest::new(key, token, clock)).await.ok();
    backend.close().await;
}

impl LockBackend for Spy {
    fn kind(&self) -> &'static str {
        self.note(Method::Kind);
        self.inner.kind()
    }

    fn address(&self) -> String {
        self.note(Method::Address);
        self.inner.address()
    }

    fn capabilities(&self) -> Capabilities {
        self.note(Method::Capabilities);
        self.inner.capabilities()
    }

    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
        self.note(Method::Acquire);
        let (key, token) = (request.key.clone(), request.token);
        let attempt = self.inner.acquire(request).await?;
        if matches!(attempt, AcquireReply::Granted(_)) {
            self.record.note_grant(key.clone(), token);
            if self.seen().swallow_grants {
                return Err(no_answer());
            }
        }
        self.attempts.subscribe().wait_for(|open| *open).await.ok();
        Ok(match attempt {
            AcquireReply::Queued(waiting) => {
                AcquireReply::Queued(self.note_push(waiting, key, token))
            }
            answered => answered,
        })
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        self.note(Method::Release);
        if self.seen().refuse_releases {
            return Err(no_answer());
        }
        let reply = self.inner.release(request).await?;
        if self.seen().fail_releases { Err(no_answer()) } else { Ok(reply) }
    }

    async fn renew(&self, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        self.note(Method::Renew);
        self.renewals.subscribe().wait_for(|open| *open).await.ok();
        self.inner.renew(batch).await
    }

    async fn status(&self, key: LockKey) -> Result<Option<LockStatus>> {
        self.note(Method::Status);
        self.inner.status(key).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListReply> {
        self.note(Method::List);
        self.inner.list(request).await
    }

    async fn evict(&self, request: EvictRequest) -> Result<ReleaseReply> {
        self.note(Method::Evict);
        self.inner.evict(request).await
    }

    fn check_key(&self, key: &LockKey) -> Result<()> {
        self.note(Method::CheckKey);
        self.inner.check_key(key)
    }

    async fn ping(&self) -> Result<()> {
        self.note(Method::Ping);
        self.inner.ping().await
    }

    async fn servers(&self) -> Result<Vec<ServerInfo>> {
        self.note(Method::Servers);
        self.inner.servers().await
    }

    async fn close(&self) {
        self.note(Method::Close);
        self.inner.close().await;
    }
}

fn no_answer() -> LockError {
    LockError::new(LockErrorKind::Unavailable, "the spy kept the store's answer")
}
