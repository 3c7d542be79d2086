//! [`RedisBackend`]: what the core asks of it, given to the operations.

use std::fmt;
use std::time::Duration;

use lock_core::backend::{
    AcquireReply, AcquireRequest, Capabilities, EvictRequest, ListReply, ListRequest, LockBackend,
    LockKey, ReleaseReply, ReleaseRequest, RenewReply, RenewRequest,
};
use lock_core::{LockStatus, Result, ServerInfo};

use crate::builder::RedisBackendBuilder;
use crate::ops::Protocol;
use crate::ops::parts::Parts;
use crate::ops::ping;
use crate::ops::registry::Registry;
use crate::ops::servers;
use crate::wire::failure::Failure;

const TTL_MIN: Duration = Duration::from_millis(10);
const TTL_MAX: Duration = Duration::from_secs(24 * 24 * 60 * 60);

/// Locks on a Redis or Valkey server.
///
/// Connecting is lazy: the first operation makes the first of at most two connections, or three
/// with [`replicas`](RedisBackendBuilder::replicas).
/// See the [crate's documentation](crate).
pub struct RedisBackend {
    pub(crate) protocol: Protocol,
    pub(crate) parts: Parts,
    /// How long after it was sent an attempt can still run.
    pub(crate) late_after: Duration,
    /// Tells others who this process is.
    pub(crate) registry: Registry,
}

impl RedisBackend {
    /// Starts to set up a backend.
    ///
    /// ```
    /// # mod distlock { pub use lock_core::*; pub mod redis { pub use lock_redis::*; } }
    /// use distlock::redis::RedisBackend;
    ///
    /// # fn main() -> distlock::Result<()> {
    /// let backend = RedisBackend::builder().url("redis://127.0.0.1:6379").build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> RedisBackendBuilder {
        RedisBackendBuilder::new()
    }
}

impl LockBackend for RedisBackend {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn address(&self) -> String {
        self.parts.topology.address().to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        self.protocol
            .capabilities(&self.parts)
            .with_ttl_min(TTL_MIN)
            .with_ttl_max(TTL_MAX)
            .with_late_after(self.late_after)
    }

    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
        let answer = self.protocol.acquire(&self.parts, &request).await;
        // Whoever neither gets the lock nor waits for it need not be known.
        let is_in =
            matches!(answer, Ok(AcquireReply::Granted(_))) || request.queue && answer.is_ok();
        if is_in {
            self.registry.begin(&self.parts.topology);
        }
        answer
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        self.protocol.release(&self.parts, &request).await
    }

    async fn renew(&self, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        self.protocol.renew(&self.parts, &batch).await
    }

    async fn status(&self, key: LockKey) -> Result<Option<LockStatus>> {
        self.protocol.status(&self.parts, &key).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListReply> {
        self.protocol.list(&self.parts, &request).await
    }

    async fn evict(&self, request: EvictRequest) -> Result<ReleaseReply> {
        self.protocol.evict(&self.parts, request).await
    }

    fn check_key(&self, key: &LockKey) -> Result<()> {
        self.parts.lock_key(key).map(drop).map_err(Failure::into_error)
    }

    async fn ping(&self) -> Result<()> {
        let deadline = self.parts.deadline();
        let pinging = ping::ping(&self.parts, deadline);
        pinging.await.map_err(Failure::into_error)
    }

    async fn servers(&self) -> Result<Vec<ServerInfo>> {
        let deadline = self.parts.deadline();
        let asking = servers::servers(&self.parts, deadline);
        asking.await.map_err(Failure::into_error)
    }

    async fn close(&self) {
        self.registry.end();
        self.parts.topology.close();
    }
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackend")
            .field("server", &self.parts.topology.address())
            .field("key_prefix", &self.parts.key_prefix)
            .field("response_timeout", &self.parts.response_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_those_that_are_documented_unless_others_are_set() {
        const MS: fn(u64) -> Duration = Duration::from_millis;
        let builder = || RedisBackend::builder().url("redis://127.0.0.1:1");
        let all = builder().build().unwrap().capabilities();
        assert_eq!((all.ttl_min, all.ttl_max), (MS(10), Duration::from_secs(24 * 24 * 60 * 60)));
        // The response timeout of 2 s, and 50 ms.
        assert_eq!(all.late_after, MS(2_050));
        assert_eq!((all.poll.first(), all.poll.longest()), (MS(10), MS(250)));
        let longer = builder().response_timeout(MS(60_000)).build().unwrap().capabilities();
        assert_eq!(longer.late_after, MS(60_050));
    }
}
