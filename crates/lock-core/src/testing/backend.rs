//! The memory store behind the troubles of a test store.

use std::sync::Arc;

use futures_util::future::join_all;

use super::trouble::{RESPONSE_TIMEOUT, Troubles};
use crate::backend::{
    AcquireReply, AcquireRequest, Capabilities, Clock, ListReply, ListRequest, LockBackend,
    LockKey, ReleaseReply, ReleaseRequest, RenewReply, RenewRequest,
};
use crate::memory::MemoryBackend;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::status::LockStatus;

pub(super) struct TestBackend {
    memory: Arc<MemoryBackend>,
    troubles: Arc<Troubles>,
}

impl TestBackend {
    pub(super) const fn new(memory: Arc<MemoryBackend>, troubles: Arc<Troubles>) -> Self {
        Self { memory, troubles }
    }

    async fn renew_one(&self, request: RenewRequest, is_alone: bool) -> RenewReply {
        let passed = if is_alone {
            self.troubles.pass(Some(&request.key)).await
        } else {
            self.troubles.pass_among_others(&request.key).await
        };
        if let Err(error) = passed {
            return RenewReply::Failed(error);
        }
        match self.memory.renew(vec![request]).await.map(|mut replies| replies.pop()) {
            Ok(reply) => reply.unwrap_or(RenewReply::NotHeld),
            Err(error) => RenewReply::Failed(error),
        }
    }
}

impl LockBackend for TestBackend {
    fn kind(&self) -> &'static str {
        "test"
    }

    fn address(&self) -> String {
        "a TestStore".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities().with_late_after(RESPONSE_TIMEOUT)
    }

    async fn acquire(&self, mut request: AcquireRequest) -> Result<AcquireReply> {
        if request.clock != Clock::TOKIO {
            let message = "a TestStore follows tokio's time; make the service with \
                           TestStore::service, or build it with tokio_time";
            return Err(LockError::new(LockErrorKind::InvalidConfig, message).not_applied());
        }
        self.troubles.pass(Some(&request.key)).await?;
        // That is when it reaches the store.
        request.asked_at = request.clock.now();
        self.memory.acquire(request).await
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        self.troubles.pass(Some(&request.key)).await?;
        self.memory.release(request).await
    }

    async fn renew(&self, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        let is_alone = batch.len() == 1;
        Ok(join_all(batch.into_iter().map(|request| self.renew_one(request, is_alone))).await)
    }

    async fn status(&self, key: LockKey) -> Result<Option<LockStatus>> {
        self.troubles.pass(Some(&key)).await?;
        self.memory.status(key).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListReply> {
        self.troubles.pass(None).await?;
        self.memory.list(request).await
    }

    async fn ping(&self) -> Result<()> {
        self.troubles.pass(None).await
    }
}
