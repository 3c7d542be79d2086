//! Stands before a backend and takes abilities away, to test what is done without them.

use lock_core::backend::{
    AcquireReply, AcquireRequest, AnyBackend, Capabilities, EvictRequest, ListReply, ListRequest,
    LockBackend, LockKey, ReleaseReply, ReleaseRequest, RenewReply, RenewRequest,
};
use lock_core::{LockError, LockErrorKind, LockStatus, Result, ServerInfo};

/// A backend that can do less than the one behind it.
///
/// ```
/// use lock_core::backend::Capabilities;
/// use lock_core::{LockErrorKind, LockService, memory::MemoryBackend};
/// use lock_testkit::limited::Limited;
///
/// let locks = LockService::new(Limited::new(MemoryBackend::new(), Capabilities::none()));
/// let error = locks.lock("x").keep_alive().check().unwrap_err();
/// assert_eq!(error.kind(), LockErrorKind::Unsupported);
/// ```
pub struct Limited {
    inner: AnyBackend,
    capabilities: Capabilities,
}

impl Limited {
    /// Only these capabilities are left; the backend must have them.
    pub fn new(inner: impl LockBackend, capabilities: Capabilities) -> Self {
        Self { inner: AnyBackend::new(inner), capabilities }
    }
}

impl LockBackend for Limited {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn address(&self) -> String {
        self.inner.address()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn acquire(&self, mut request: AcquireRequest) -> Result<AcquireReply> {
        let can = self.capabilities;
        request.queue &= can.queueing;
        let attempt = self.inner.acquire(request).await?;
        Ok(match attempt {
            AcquireReply::Granted(mut grant) => {
                grant.fencing = grant.fencing.filter(|_| can.fencing);
                AcquireReply::Granted(grant)
            }
            other => other,
        })
    }

    async fn release(&self, mut request: ReleaseRequest) -> Result<ReleaseReply> {
        if !self.capabilities.min_hold {
            request = request.with_min_hold(std::time::Duration::ZERO);
        }
        self.inner.release(request).await
    }

    async fn renew(&self, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        self.needs(self.capabilities.renew, "renew leases")?;
        self.inner.renew(batch).await
    }

    async fn status(&self, key: LockKey) -> Result<Option<LockStatus>> {
        self.needs(self.capabilities.inspect, "show the status of a lock")?;
        self.inner.status(key).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListReply> {
        self.needs(self.capabilities.list, "list locks")?;
        self.inner.list(request).await
    }

    async fn evict(&self, request: EvictRequest) -> Result<ReleaseReply> {
        self.inner.evict(request).await
    }

    fn check_key(&self, key: &LockKey) -> Result<()> {
        self.inner.check_key(key)
    }

    async fn ping(&self) -> Result<()> {
        self.inner.ping().await
    }

    async fn servers(&self) -> Result<Vec<ServerInfo>> {
        self.inner.servers().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

impl Limited {
    fn needs(&self, can: bool, what: &str) -> Result<()> {
        if can {
            return Ok(());
        }
        let message = format!("the limited {} backend cannot {what}", self.inner.kind());
        Err(LockError::new(LockErrorKind::Unsupported, message).not_applied())
    }
}
