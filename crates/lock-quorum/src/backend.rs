//! [`QuorumBackend`]: what the core asks of it, asked of the members.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use lock_core::backend::{
    AcquireReply, AcquireRequest, Backoff, Capabilities, Clock, ListReply, ListRequest,
    LockBackend, LockKey, ReleaseReply, ReleaseRequest, RenewReply, RenewRequest, in_time,
};
use lock_core::{LockStatus, Result, ServerInfo};

use crate::absent::Absent;
use crate::builder::QuorumBackendBuilder;
use crate::member::Member;
use crate::{ask, list, revote, tell};

/// How long closing waits for what members still owe.
const SETTLING: Duration = Duration::from_millis(250);

/// Locks on a majority of independent stores.
///
/// See the [crate's documentation](crate).
pub struct QuorumBackend {
    pub(crate) members: Vec<Arc<Member>>,
    pub(crate) absent: Absent,
}

impl QuorumBackend {
    /// Starts to set up a backend.
    ///
    /// ```
    /// # use lock_core as distlock;
    /// # mod quorum { pub use lock_quorum::*; }
    /// use distlock::LockService;
    /// use distlock::memory::MemoryBackend;
    /// use quorum::QuorumBackend;
    ///
    /// # fn main() -> distlock::Result<()> {
    /// // In a program: one `RedisBackend` for each server, added with `member`.
    /// let backend = QuorumBackend::builder()
    ///     .named_member("a", MemoryBackend::new())
    ///     .named_member("b", MemoryBackend::new())
    ///     .named_member("c", MemoryBackend::new())
    ///     .build()?;
    /// let locks = LockService::new(backend);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> QuorumBackendBuilder {
        QuorumBackendBuilder::default()
    }
}

impl LockBackend for QuorumBackend {
    fn kind(&self) -> &'static str {
        "quorum"
    }

    fn address(&self) -> String {
        self.members.iter().map(|member| member.name()).collect::<Vec<_>>().join(", ")
    }

    fn capabilities(&self) -> Capabilities {
        let mut members = self.members.iter().map(|member| member.capabilities());
        let first = members.next().unwrap_or_default();
        let all = members.fold(first, |all, one| {
            all.with_renew(all.renew && one.renew)
                .with_inspect(all.inspect && one.inspect)
                .with_list(all.list && one.list && all.inspect && one.inspect)
                .with_min_hold(all.min_hold && one.min_hold)
                .with_local_clock(all.local_clock && one.local_clock)
                .with_ttl_granularity(all.ttl_granularity.max(one.ttl_granularity))
                .with_ttl_min(all.ttl_min.max(one.ttl_min))
                .with_ttl_max(all.ttl_max.min(one.ttl_max))
                .with_late_after(all.late_after.max(one.late_after))
                .with_poll(Backoff::new(
                    all.poll.first().max(one.poll.first()),
                    all.poll.longest().max(one.poll.longest()),
                ))
        });
        // The last round may begin so much later.
        let revoting = if all.late_after.is_zero() { Duration::ZERO } else { revote::LONGEST };
        all.with_late_after(all.late_after + revoting)
            .with_fencing(false)
            .with_queueing(false)
            .with_repeatable(false)
            .with_limited_by(
                "each of its members has its own counter and its own queue; use a single Redis \
                 server, or a cluster",
            )
    }

    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
        ask::ask(&self.members, &self.absent, request).await
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        tell::release(&self.members, &self.absent, request).await
    }

    async fn renew(&self, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        tell::renew(&self.members, batch).await
    }

    async fn status(&self, key: LockKey) -> Result<Option<LockStatus>> {
        tell::status(&self.members, key).await
    }

    async fn list(&self, request: ListRequest) -> Result<ListReply> {
        list::list(&self.members, request).await
    }

    fn check_key(&self, key: &LockKey) -> Result<()> {
        self.members.iter().try_for_each(|member| member.backend().check_key(key))
    }

    async fn ping(&self) -> Result<()> {
        tell::ping(&self.members).await
    }

    async fn servers(&self) -> Result<Vec<ServerInfo>> {
        tell::servers(&self.members).await
    }

    async fn close(&self) {
        let settled = join_all(self.members.iter().map(|member| member.jobs.ended()));
        in_time(Clock::SYSTEM.now() + SETTLING, settled).await;
        join_all(self.members.iter().map(|member| {
            member.close();
            member.backend().close()
        }))
        .await;
    }
}

impl fmt::Debug for QuorumBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<_> = self.members.iter().map(|member| member.name()).collect();
        f.debug_struct("QuorumBackend").field("members", &members).finish_non_exhaustive()
    }
}
