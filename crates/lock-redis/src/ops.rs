//! The operations of a backend: each is one exchange with the server, and one file.

mod acquire;
mod confirm;
mod evict;
mod list;
pub(crate) mod parts;
pub(crate) mod ping;
pub(crate) mod registry;
mod release;
mod renew;
pub(crate) mod servers;
mod status;
mod uncontended;

use std::sync::Arc;

use lock_core::backend::{
    AcquireReply, AcquireRequest, Capabilities, EvictRequest, ListReply, ListRequest, LockKey,
    ReleaseReply, ReleaseRequest, RenewReply, RenewRequest,
};
use lock_core::{LockStatus, Result};

use crate::ops::parts::Parts;
use crate::queue::Queue;
use crate::wire::failure::Failure;
use crate::wire::health::PushListener;

/// The operations, and the queue of those who wait if pushes can reach them.
pub(crate) struct Protocol {
    queue: Option<Arc<Queue>>,
}

impl Protocol {
    pub(crate) fn new(queue: Option<Arc<Queue>>) -> Self {
        Self { queue }
    }

    /// Who is told of what the server pushes.
    pub(crate) fn listener(&self) -> Option<Arc<dyn PushListener>> {
        let queue = self.queue.as_ref()?;
        Some(Arc::clone(queue) as _)
    }

    pub(crate) fn capabilities(&self, parts: &Parts) -> Capabilities {
        Capabilities::none()
            .with_renew(true)
            .with_inspect(true)
            .with_list(true)
            .with_fencing(true)
            .with_min_hold(true)
            .with_repeatable(true)
            .with_queueing(self.queue.is_some() && !parts.topology.is_push_forbidden())
    }

    pub(crate) async fn acquire(
        &self,
        parts: &Parts,
        request: &AcquireRequest,
    ) -> Result<AcquireReply> {
        let attempted = acquire::acquire(parts, self.queue.as_ref(), request).await;
        let attempted = match attempted {
            // In a place of its own: most have no replicas to ask.
            Ok(reply) if parts.asks_replicas => {
                Box::pin(confirm::granted(parts, self.queue.as_ref(), request, reply)).await
            }
            attempted => attempted,
        };
        attempted.map_err(Failure::into_error)
    }

    pub(crate) async fn release(
        &self,
        parts: &Parts,
        request: &ReleaseRequest,
    ) -> Result<ReleaseReply> {
        let released = release::release(parts, self.queue.as_deref(), request).await;
        released.map_err(Failure::into_error)
    }

    pub(crate) async fn renew(
        &self,
        parts: &Parts,
        batch: &[RenewRequest],
    ) -> Result<Vec<RenewReply>> {
        renew::renew(parts, batch).await.map_err(Failure::into_error)
    }

    pub(crate) async fn status(&self, parts: &Parts, key: &LockKey) -> Result<Option<LockStatus>> {
        status::status(parts, key).await.map_err(Failure::into_error)
    }
    pub(crate) async fn list(&self, parts: &Parts, request: &ListRequest) -> Result<ListReply> {
        list::list(parts, request).await.map_err(Failure::into_error)
    }

    pub(crate) async fn evict(&self, parts: &Parts, request: EvictRequest) -> Result<ReleaseReply> {
        let evicted = evict::evict(parts, self.queue.as_deref(), request).await;
        evicted.map_err(Failure::into_error)
    }
}
