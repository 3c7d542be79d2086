//! Stands before a backend and takes abilities away, to test what is done without them.

use std::sync::Arc;

use async_trait::async_trait;
use lock_core::backend::{
    Attempt, AttemptRequest, Capabilities, IntoBackend, LockBackend, LockKey, ReleaseReply,
    ReleaseRequest, RenewReply, RenewRequest,
};
use lock_core::{LockError, LockErrorKind, LockStatus, Result};

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
    inner: Arc<dyn LockBackend>,
    capabilities: Capabilities,
}

impl Limited {
    /// Only these capabilities are left; the backend must have them.
    pub fn new(inner: impl IntoBackend, capabilities: Capabilities) -> Self {
        Self { inner: inner.into_backend(), capabilities }
    }
}

#[async_trait]
impl LockBackend for Limited {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn attempt(self: Arc<Self>, mut request: AttemptRequest) -> Result<Attempt> {
        let can = self.capabilities;
        request.queue &= can.queueing;
        request.metadata = request.metadata.filter(|_| can.metadata);
        let attempt = Arc::clone(&self.inner).attempt(request).await?;
        Ok(match attempt {
            Attempt::Granted(mut grant) => {
                grant.fencing = grant.fencing.filter(|_| can.fencing);
                Attempt::Granted(grant)
            }
            other => other,
        })
    }

    async fn release(self: Arc<Self>, mut request: ReleaseRequest) -> Result<ReleaseReply> {
        if !self.capabilities.rest {
            request = request.with_rest(std::time::Duration::ZERO);
        }
        Arc::clone(&self.inner).release(request).await
    }

    async fn renew(self: Arc<Self>, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        self.needs(self.capabilities.renew, "renew leases")?;
        Arc::clone(&self.inner).renew(batch).await
    }

    async fn status(self: Arc<Self>, key: LockKey) -> Result<Option<LockStatus>> {
        self.needs(self.capabilities.inspect, "show the status of a lock")?;
        Arc::clone(&self.inner).status(key).await
    }

    fn check_key(&self, key: &LockKey) -> Result<()> {
        self.inner.check_key(key)
    }

    async fn ping(self: Arc<Self>) -> Result<()> {
        Arc::clone(&self.inner).ping().await
    }

    async fn close(self: Arc<Self>) {
        Arc::clone(&self.inner).close().await;
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
