//! The contract between the core and a store.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::backend::capabilities::Capabilities;
use crate::backend::reply::{AcquireReply, ListReply, ReleaseReply, RenewReply};
use crate::backend::request::{
    AcquireRequest, EvictRequest, ListRequest, ReleaseRequest, RenewRequest,
};
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::name::LockKey;
use crate::types::server_info::ServerInfo;
use crate::types::status::LockStatus;

/// A store of locks.
///
/// Implement the asynchronous methods with `async fn`; their futures must be `Send`.
/// An `Arc` of a backend is a backend, and so is [`AnyBackend`].
///
/// # Behavior
///
/// Of all methods:
/// - each ends within the backend's own response timeout, without tokio's timers if it can
///   ([`Clock::sleep_until`](super::Clock::sleep_until) needs no runtime), and never blocks its
///   thread: all services of the process share the one that renews their leases;
/// - each may be polled by any task of any thread;
/// - none depends on an async runtime that its caller does not run in, which may stand still or
///   have ended: what must be driven is driven by the runtime of whoever waits for it, or by the
///   library's own ([`background_runtime`](super::background_runtime));
/// - the core never drops a started `acquire` or `release`, so they need not be cancel-safe;
/// - errors carry no secret.
///
/// Every bullet here and below is a claim of the conformance suite in `lock-testkit`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a lock backend",
    note = "pass a type that implements `LockBackend`, an `Arc` of one, or an `AnyBackend`"
)]
pub trait LockBackend: Send + Sync + 'static {
    /// A short, stable word for spans and metrics, such as `redis`.
    fn kind(&self) -> &'static str;

    /// Where the store is, for logs, such as `localhost:6379`; without secrets. Empty if there is
    /// nothing to say.
    fn address(&self) -> String {
        String::new()
    }

    /// What this backend can do. It is asked often, and may change when a connection is made.
    fn capabilities(&self) -> Capabilities;

    /// Asks for a lock once, without waiting for it.
    ///
    /// # Behavior
    ///
    /// - Grants when the lock is free.
    /// - Answers [`AcquireReply::Held`] when another token owns it, or [`AcquireReply::Queued`] if
    ///   [`queue`](AcquireRequest::queue) is set and the backend is `queueing`.
    /// - Where `repeatable`: the same token again finds the same grant, its ttl raised to at least
    ///   `ttl`, perhaps with a larger fencing token; it is never `Held` by itself.
    /// - Without `queue` it leaves nothing behind when not granted.
    /// - It registers for a push before it enqueues.
    /// - Fencing tokens rise with every grant of a key, and leave room for 1,023 local ones.
    /// - Grants at least the asked ttl, rounded up to the granularity, or says the shorter
    ///   [`granted_ttl`](super::Grant::granted_ttl).
    /// - A queued token is granted in order of arrival; dead ones are skipped.
    /// - An error that proves that nothing was sent is marked
    ///   [`not_applied`](LockError::not_applied); any other means "perhaps applied".
    fn acquire(&self, request: AcquireRequest)
    -> impl Future<Output = Result<AcquireReply>> + Send;

    /// Gives a lock back, leaves the queue, or undoes an earlier request: the same thing.
    ///
    /// # Behavior
    ///
    /// - Afterwards the token owns nothing and waits for nothing.
    /// - The owner is compared atomically; nobody else's lock is touched.
    /// - An unknown token is [`NotHeld`](ReleaseReply::NotHeld), or
    ///   [`HeldByOther`](ReleaseReply::HeldByOther) while another holds; never an error.
    /// - It can be repeated.
    /// - It works when the store is full.
    /// - It need not be ordered after an `acquire` that is still under way: the core sends it again
    ///   when that has ended.
    fn release(&self, request: ReleaseRequest)
    -> impl Future<Output = Result<ReleaseReply>> + Send;

    /// Renews leases, many in one exchange.
    ///
    /// # Behavior
    ///
    /// - Raises the expiry to at least the ttl from now, and never shortens it.
    /// - Where [`exact`](RenewRequest::exact) is set, sets the expiry to the ttl from now.
    /// - Replies in order, one each; an error means that nothing is known of any of them.
    /// - Never takes a lock that has expired, and never revives a released one.
    /// - Not finding it is an answer, not an error.
    fn renew(
        &self,
        batch: Vec<RenewRequest>,
    ) -> impl Future<Output = Result<Vec<RenewReply>>> + Send {
        drop(batch);
        let error = unsupported(self.kind(), "renew leases");
        async { Err(error) }
    }

    /// Looks at a lock without touching it; `None` if nobody holds it.
    fn status(&self, key: LockKey) -> impl Future<Output = Result<Option<LockStatus>>> + Send {
        drop(key);
        let error = unsupported(self.kind(), "show the status of a lock");
        async { Err(error) }
    }

    /// Lists a part of the locks that are held, with what [`status`](Self::status) says of each.
    ///
    /// # Behavior
    ///
    /// - Names every lock whose key begins with the prefix, byte for byte, and that is held from
    ///   the first question to the last answer; what begins or ends meanwhile it may name or not.
    /// - Names no key that begins otherwise, and none that is free when it is looked at.
    /// - May name a lock twice.
    /// - Each answer costs the store a bounded amount of work, however many keys there are:
    ///   [`next`](ListReply::next) says where the next one goes on.
    fn list(&self, request: ListRequest) -> impl Future<Output = Result<ListReply>> + Send {
        drop(request);
        let error = unsupported(self.kind(), "list locks");
        async { Err(error) }
    }

    /// Takes a lock from the holder that a status has named. For people; the core never does it by
    /// itself.
    ///
    /// By default it is the [`release`](Self::release) of that holder's token, and what another
    /// program has stored is left alone.
    ///
    /// # Behavior
    ///
    /// - As a release by the holder itself: the next in the queue gets the lock, fencing tokens
    ///   rise, it can be repeated. It also ends a `min_hold`.
    /// - The holder is compared atomically; nobody else's lock is touched.
    fn evict(&self, request: EvictRequest) -> impl Future<Output = Result<ReleaseReply>> + Send {
        async move {
            let EvictRequest { key, holder, clock } = request;
            match holder.token() {
                Some(token) => self.release(ReleaseRequest::new(key, token, clock)).await,
                None => Err(unsupported(self.kind(), "remove what another program has stored")),
            }
        }
    }

    /// Refuses keys that this store cannot keep. Called by [`Lock::check`](crate::Lock::check)
    /// and before every operation; does no I/O.
    fn check_key(&self, key: &LockKey) -> Result<()> {
        let _ = key;
        Ok(())
    }

    /// Asks the store whether it answers.
    fn ping(&self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// What the servers of the store say of themselves, for people who look after it; by default
    /// nothing. A server that does not answer is among them, with the reason under `error`, as long
    /// as another one does.
    fn servers(&self) -> impl Future<Output = Result<Vec<ServerInfo>>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Closes connections. Called once, when the last service that uses the backend was shut down
    /// and has settled.
    fn close(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Forgets the type. Only those override it that hold a backend of which the type is forgotten
    /// already, or an `Arc` of one: so that it stays the same backend.
    #[doc(hidden)]
    fn erase(self: Arc<Self>) -> AnyBackend
    where
        Self: Sized,
    {
        AnyBackend(self)
    }
}

fn unsupported(kind: &str, what: &str) -> LockError {
    LockError::new(LockErrorKind::Unsupported, format!("the {kind} backend cannot {what}"))
        .not_applied()
}

/// One exchange that is under way.
pub(crate) type Exchange<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Any backend, chosen at run time. Cheap to clone; all clones are the same backend.
///
/// ```
/// # use lock_core as distlock;
/// use distlock::LockService;
/// use distlock::backend::AnyBackend;
/// use distlock::memory::MemoryBackend;
///
/// let backend = AnyBackend::new(MemoryBackend::new());
/// let (mine, yours) = (LockService::new(backend.clone()), LockService::new(backend));
/// # drop((mine, yours));
/// ```
#[derive(Clone)]
pub struct AnyBackend(Arc<dyn ErasedBackend>);

impl AnyBackend {
    /// Forgets the type of a backend.
    pub fn new(backend: impl LockBackend) -> Self {
        Arc::new(backend).erase()
    }

    /// As [`LockBackend::acquire`], owned by the future.
    pub(crate) fn begin_acquire(&self, request: AcquireRequest) -> Exchange<AcquireReply> {
        Arc::clone(&self.0).acquire(request)
    }

    /// As [`LockBackend::release`], owned by the future.
    pub(crate) fn begin_release(&self, request: ReleaseRequest) -> Exchange<ReleaseReply> {
        Arc::clone(&self.0).release(request)
    }

    /// A number that no other backend has for as long as somebody holds this one.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

/// The methods of a backend that passes everything on to another one, through a trait.
macro_rules! forward {
    ($through:ident, |$this:ident| $borrowed:expr, $owned:expr) => {
        fn kind(&self) -> &'static str {
            let $this = self;
            $through::kind($borrowed)
        }

        fn address(&self) -> String {
            let $this = self;
            $through::address($borrowed)
        }

        fn capabilities(&self) -> Capabilities {
            let $this = self;
            $through::capabilities($borrowed)
        }

        async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
            let $this = self;
            $through::acquire($owned, request).await
        }

        async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
            let $this = self;
            $through::release($owned, request).await
        }

        async fn renew(&self, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
            let $this = self;
            $through::renew($owned, batch).await
        }

        async fn status(&self, key: LockKey) -> Result<Option<LockStatus>> {
            let $this = self;
            $through::status($owned, key).await
        }

        async fn list(&self, request: ListRequest) -> Result<ListReply> {
            let $this = self;
            $through::list($owned, request).await
        }

        async fn evict(&self, request: EvictRequest) -> Result<ReleaseReply> {
            let $this = self;
            $through::evict($owned, request).await
        }

        fn check_key(&self, key: &LockKey) -> Result<()> {
            let $this = self;
            $through::check_key($borrowed, key)
        }

        async fn ping(&self) -> Result<()> {
            let $this = self;
            $through::ping($owned).await
        }

        async fn servers(&self) -> Result<Vec<ServerInfo>> {
            let $this = self;
            $through::servers($owned).await
        }

        async fn close(&self) {
            let $this = self;
            $through::close($owned).await;
        }
    };
}

impl LockBackend for AnyBackend {
    forward!(ErasedBackend, |this| &*this.0, Arc::clone(&this.0));

    fn erase(self: Arc<Self>) -> AnyBackend {
        (*self).clone()
    }
}

impl<B: LockBackend> LockBackend for Arc<B> {
    forward!(LockBackend, |this| &**this, &**this);

    fn erase(self: Arc<Self>) -> AnyBackend {
        Arc::clone(&*self).erase()
    }
}

impl fmt::Debug for AnyBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnyBackend").field(&self.0.kind()).finish()
    }
}

/// The same contract for trait objects: each future owns what it needs, in one box.
#[async_trait]
trait ErasedBackend: Send + Sync {
    fn kind(&self) -> &'static str;
    fn address(&self) -> String;
    fn capabilities(&self) -> Capabilities;
    async fn acquire(self: Arc<Self>, request: AcquireRequest) -> Result<AcquireReply>;
    async fn release(self: Arc<Self>, request: ReleaseRequest) -> Result<ReleaseReply>;
    async fn renew(self: Arc<Self>, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>>;
    async fn status(self: Arc<Self>, key: LockKey) -> Result<Option<LockStatus>>;
    async fn list(self: Arc<Self>, request: ListRequest) -> Result<ListReply>;
    async fn evict(self: Arc<Self>, request: EvictRequest) -> Result<ReleaseReply>;
    fn check_key(&self, key: &LockKey) -> Result<()>;
    async fn ping(self: Arc<Self>) -> Result<()>;
    async fn servers(self: Arc<Self>) -> Result<Vec<ServerInfo>>;
    async fn close(self: Arc<Self>);
}

#[async_trait]
impl<B: LockBackend> ErasedBackend for B {
    fn kind(&self) -> &'static str {
        LockBackend::kind(self)
    }

    fn address(&self) -> String {
        LockBackend::address(self)
    }

    fn capabilities(&self) -> Capabilities {
        LockBackend::capabilities(self)
    }

    async fn acquire(self: Arc<Self>, request: AcquireRequest) -> Result<AcquireReply> {
        LockBackend::acquire(&*self, request).await
    }

    async fn release(self: Arc<Self>, request: ReleaseRequest) -> Result<ReleaseReply> {
        LockBackend::release(&*self, request).await
    }

    async fn renew(self: Arc<Self>, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        LockBackend::renew(&*self, batch).await
    }

    async fn status(self: Arc<Self>, key: LockKey) -> Result<Option<LockStatus>> {
        LockBackend::status(&*self, key).await
    }

    async fn list(self: Arc<Self>, request: ListRequest) -> Result<ListReply> {
        LockBackend::list(&*self, request).await
    }

    async fn evict(self: Arc<Self>, request: EvictRequest) -> Result<ReleaseReply> {
        LockBackend::evict(&*self, request).await
    }

    fn check_key(&self, key: &LockKey) -> Result<()> {
        LockBackend::check_key(self, key)
    }

    async fn ping(self: Arc<Self>) -> Result<()> {
        LockBackend::ping(&*self).await
    }

    async fn servers(self: Arc<Self>) -> Result<Vec<ServerInfo>> {
        LockBackend::servers(&*self).await
    }

    async fn close(self: Arc<Self>) {
        LockBackend::close(&*self).await;
    }
}
