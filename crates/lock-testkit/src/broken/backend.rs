//! The backend in front of the broken store: what goes wrong on the way.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lock_core::backend::{
    AcquireReply, AcquireRequest, Capabilities, EvictRequest, ListReply, ListRequest, LockBackend,
    LockKey, ReleaseReply, ReleaseRequest, RenewReply, RenewRequest,
};
use lock_core::memory::MemoryBackend;
use lock_core::{LockError, LockErrorKind, LockName, LockStatus, Result};

use tokio::runtime::{Handle, Id};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::oneshot;

use super::defect::Defect;
use super::store::Store;

/// A store in memory with one defect, or none.
///
/// It can do everything that a backend can do, so that every claim applies to it.
/// It never forgets a name, so it is for tests only.
#[derive(Debug)]
pub struct BrokenBackend {
    defect: Option<Defect>,
    store: Mutex<Store>,
    connection: Mutex<Connection>,
}

/// What carries the calls of `TiedToARuntime`.
#[derive(Debug, Default)]
struct Connection {
    runtimes: HashSet<Id>,
    driver: Option<UnboundedSender<oneshot::Sender<()>>>,
}

/// A request that is older than this is refused.
const LATE_AFTER: Duration = Duration::from_secs(2);

impl BrokenBackend {
    /// A store with this defect.
    #[must_use]
    pub fn new(defect: Defect) -> Self {
        Self::with(Some(defect))
    }

    /// A store without a defect: the control that makes the others mean something.
    #[must_use]
    pub fn without_defect() -> Self {
        Self::with(None)
    }

    fn with(defect: Option<Defect>) -> Self {
        let (store, connection) = (Mutex::new(Store::new(defect)), Mutex::default());
        Self { defect, store, connection }
    }

    /// Passes through the runtime that drives the connection.
    async fn pass(&self) -> Result<()> {
        if !self.has(Defect::TiedToARuntime) {
            return Ok(());
        }
        let (passed, passing) = oneshot::channel();
        {
            let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
            if connection.runtimes.insert(Handle::current().id()) {
                let (driver, mut calls) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
                connection.driver = Some(driver);
                drop(tokio::spawn(async move {
                    while let Some(call) = calls.recv().await {
                        call.send(()).ok();
                    }
                }));
            }
            if let Some(driver) = &connection.driver {
                driver.send(passed).ok();
            }
        }
        passing.await.map_err(|_| {
            // The next call connects anew.
            *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Connection::default();
            failure("the connection's runtime has ended")
        })
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the store knows a lock by.
    fn key(&self, key: LockKey) -> LockKey {
        let text = key.as_str();
        let mangled = match self.defect {
            Some(Defect::OneLockForAll) => "lock".to_owned(),
            Some(Defect::ManglesNames) => text.trim().to_lowercase(),
            Some(Defect::CutsNames) => text.chars().take(200).collect(),
            Some(Defect::DropsTheNamespace) => text.rsplit(':').next().unwrap_or(text).to_owned(),
            _ => return key,
        };
        LockName::new(mangled).and_then(|name| LockKey::new("", &name)).unwrap_or(key)
    }
}

impl LockBackend for BrokenBackend {
    fn kind(&self) -> &'static str {
        "broken"
    }

    fn capabilities(&self) -> Capabilities {
        MemoryBackend::new().capabilities().with_late_after(LATE_AFTER)
    }

    async fn acquire(&self, mut request: AcquireRequest) -> Result<AcquireReply> {
        let (clock, ttl) = (request.clock, request.ttl);
        self.pass().await?;
        request.key = self.key(request.key);
        let is_late = clock.now() > request.asked_at + LATE_AFTER;
        if is_late && !self.has(Defect::ActsOnLateAttempts) {
            return Err(failure("the attempt came too late").not_applied());
        }
        match self.defect {
            Some(Defect::NeverAnswers) => std::future::pending().await,
            Some(Defect::Panics) => std::panic::resume_unwind(Box::new("meant")),
            Some(Defect::ChecksThenSets) => {
                let is_free = self.store().is_free(&request.key, clock);
                tokio::task::yield_now().await;
                if is_free {
                    self.store().forget_holder(&request.key);
                }
            }
            _ => {}
        }
        let attempt = self.store().attempt(request);
        match &attempt {
            AcquireReply::Held { retry_after: Some(left) } if self.has(Defect::WaitsForTheLock) => {
                clock.sleep(*left).await;
            }
            AcquireReply::Granted(_) if self.has(Defect::GrantsLate) => clock.sleep(ttl).await,
            _ => {}
        }
        Ok(attempt)
    }

    async fn release(&self, mut request: ReleaseRequest) -> Result<ReleaseReply> {
        request.key = self.key(request.key);
        let reply = self.store().release(&request);
        if reply == ReleaseReply::NotHeld && self.has(Defect::UnknownTokenIsAnError) {
            return Err(failure("the token is not known"));
        }
        Ok(reply)
    }

    async fn renew(&self, mut batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        if self.has(Defect::RenewsTooFew) {
            batch.truncate(500);
        }
        let mut replies = Vec::with_capacity(batch.len());
        for mut request in batch {
            request.key = self.key(request.key);
            replies.push(self.store().renew(&request));
        }
        if self.has(Defect::RenewalsOutOfOrder) {
            replies.reverse();
        }
        Ok(replies)
    }

    async fn status(&self, key: LockKey) -> Result<Option<LockStatus>> {
        let key = self.key(key);
        Ok(self.store().status(&key))
    }

    async fn list(&self, request: ListRequest) -> Result<ListReply> {
        Ok(ListReply::new(self.store().list(&request.prefix)))
    }

    async fn evict(&self, request: EvictRequest) -> Result<ReleaseReply> {
        let EvictRequest { key, holder, clock, .. } = request;
        let key = self.key(key);
        let Some(token) = holder.token() else { return Err(failure("it has no token")) };
        Ok(self.store().evict(&ReleaseRequest::new(key, token, clock)))
    }

    fn check_key(&self, key: &LockKey) -> Result<()> {
        if self.has(Defect::RefusesNamesUnclearly) && key.as_str().contains('|') {
            return Err(failure("the name is not supported").not_applied());
        }
        Ok(())
    }

    async fn ping(&self) -> Result<()> {
        if self.has(Defect::PingFails) { Err(failure("out of order")) } else { Ok(()) }
    }

    async fn close(&self) {}
}

fn failure(message: &'static str) -> LockError {
    LockError::new(LockErrorKind::Backend, message)
}
