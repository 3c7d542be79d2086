//! A store in memory behind a network that fails on command.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lock_core::backend::{
    AcquireReply, AcquireRequest, AnyBackend, Capabilities, Clock, ListReply, ListRequest,
    LockBackend, LockKey, ReleaseReply, ReleaseRequest, RenewReply, RenewRequest,
};
use lock_core::memory::MemoryBackend;
use lock_core::{LockError, LockErrorKind, LockStatus, Result};
use lock_quorum::QuorumBackend;
use tokio::sync::watch;

/// An answer is waited for this long.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);
/// A request for a lock that arrives later than this is refused.
const LATE_AFTER: Duration = Duration::from_millis(2_050);

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    Well,
    /// Nothing can be sent.
    Down,
    /// Requests arrive when that ends.
    Frozen,
    /// Requests never arrive.
    Lost,
    /// The connection ends when a request was sent, which arrives all the same, a moment later.
    Reset,
    /// Requests arrive, and their answers when that ends.
    Deaf,
    /// Requests arrive at once, and their answers later by this.
    Slow(Duration),
}

/// Cheap to clone; all clones are one store.
#[derive(Clone)]
pub(crate) struct Store {
    name: &'static str,
    memory: watch::Sender<Arc<MemoryBackend>>,
    way: watch::Sender<Way>,
    asked: Arc<AtomicUsize>,
}

impl Store {
    pub(crate) fn new(name: &'static str) -> Self {
        let memory = watch::Sender::new(Arc::default());
        Self { name, memory, way: watch::Sender::new(Way::Well), asked: Arc::default() }
    }

    pub(crate) fn all<const N: usize>() -> [Self; N] {
        let names = ["store-a", "store-b", "store-c", "store-d", "store-e"];
        std::array::from_fn(|number| Self::new(names[number]))
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// How often it was asked for a lock.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Loses all data.
    pub(crate) fn empty(&self) {
        self.memory.send_replace(Arc::default());
    }

    /// The store itself, without a network.
    pub(crate) fn memory(&self) -> Arc<MemoryBackend> {
        self.memory.borrow().clone()
    }

    /// Whether somebody has the lock here.
    pub(crate) async fn has(&self, key: &LockKey) -> bool {
        self.memory().status(key.clone()).await.unwrap().is_some()
    }

    /// Takes the lock here for a token that nobody else knows.
    pub(crate) async fn take(&self, key: &LockKey, ttl: Duration, clock: Clock) {
        let token = lock_core::backend::OwnerToken::random().unwrap();
        let reply =
            self.memory().acquire(AcquireRequest::new(key.clone(), token, ttl, clock)).await;
        assert!(matches!(reply, Ok(AcquireReply::Granted(_))), "{reply:?}");
    }

    /// Sends a request that arrives when the network lets it, and waits for its answer.
    async fn send<T, F>(&self, clock: Clock, act: impl FnOnce(Arc<MemoryBackend>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let way = *self.way.borrow();
        if way == Way::Down {
            let error = LockError::new(LockErrorKind::Unavailable, "the connection was refused");
            return Err(error.not_applied());
        }
        if way == Way::Well {
            return act(self.memory()).await;
        }
        if way == Way::Lost {
            clock.sleep(TIMEOUT).await;
            return Err(LockError::new(LockErrorKind::Unavailable, "no answer within 2s"));
        }
        let acted = act(self.memory());
        if way == Way::Reset {
            drop(tokio::spawn(async move {
                clock.sleep(Duration::from_millis(10)).await;
                acted.await
            }));
            return Err(LockError::new(LockErrorKind::Unavailable, "the connection has ended"));
        }
        let mut seen = self.way.subscribe();
        // What was sent is out of its sender's hands.
        let exchange = tokio::spawn(async move {
            if way == Way::Frozen {
                seen.wait_for(|way| *way != Way::Frozen).await.ok();
                // What is sent after that overtakes it.
                clock.sleep(Duration::from_millis(10)).await;
            }
            let answer = acted.await;
            match way {
                Way::Deaf => drop(seen.wait_for(|way| *way != Way::Deaf).await),
                Way::Slow(delay) => clock.sleep(delay).await,
                _ => {}
            }
            answer
        });
        tokio::select! {
            answer = exchange => answer.unwrap(),
            () = clock.sleep(TIMEOUT) => {
                Err(LockError::new(LockErrorKind::Unavailable, "no answer within 2s"))
            }
        }
    }
}

impl LockBackend for Store {
    fn kind(&self) -> &'static str {
        "store"
    }

    fn address(&self) -> String {
        self.name.to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        self.memory().capabilities().with_late_after(LATE_AFTER)
    }

    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.send(request.clock, |memory| async move {
            let mut request = request;
            if request.clock.now() > request.asked_at + LATE_AFTER {
                let error = LockError::new(LockErrorKind::Unavailable, "the request came late");
                return Err(error.not_applied());
            }
            // A lease counts from when its request arrives.
            request.asked_at = request.clock.now();
            memory.acquire(request).await
        })
        .await
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        self.send(request.clock, |memory| async move { memory.release(request).await }).await
    }

    async fn renew(&self, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        let clock = batch[0].clock;
        self.send(clock, |memory| async move { memory.renew(batch).await }).await
    }

    async fn status(&self, key: LockKey) -> Result<Option<LockStatus>> {
        self.send(Clock::SYSTEM, |memory| async move { memory.status(key).await }).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListReply> {
        self.send(Clock::SYSTEM, |memory| async move { memory.list(request).await }).await
    }

    async fn ping(&self) -> Result<()> {
        self.send(Clock::SYSTEM, |_| async { Ok(()) }).await
    }
}

/// A quorum of these stores.
pub(crate) fn quorum(stores: &[Store]) -> AnyBackend {
    let add =
        |builder: lock_quorum::QuorumBackendBuilder, store: &Store| builder.member(store.clone());
    AnyBackend::new(stores.iter().fold(QuorumBackend::builder(), add).build().unwrap())
}
