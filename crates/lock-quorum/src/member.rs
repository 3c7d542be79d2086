//! One member of a quorum: a backend, and what is known of it.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use lock_core::backend::{
    AcquireReply, AcquireRequest, AnyBackend, Capabilities, GivenUp, Instant, ListReply,
    ListRequest, LockBackend, LockKey, OwnerToken, ReleaseReply, ReleaseRequest, RenewReply,
    RenewRequest,
};
use lock_core::machine::attempt::Next;
use lock_core::{LockError, LockErrorKind, LockStatus, Result, ServerInfo};

use crate::health::Health;
use crate::jobs::{Jobs, Together};
use crate::round::Exchange;
use crate::unsettled::Unsettled;

/// A member that fails and owes so many answers is not asked for locks until it has given some: so
/// one that is frozen costs a bounded number of requests.
const MAX_UNANSWERED: usize = 1_000;
/// As many as even a member that is only slow may owe.
const MAX_UNANSWERED_AT_ALL: usize = 20_000;

/// A backend of a quorum.
pub(crate) struct Member {
    name: String,
    backend: AnyBackend,
    health: Health,
    /// What is unsettled: requests for a lock, and releases, that had no answer when their callers
    /// got theirs.
    pub(crate) unsettled: Mutex<HashMap<OwnerToken, Unsettled>>,
    pub(crate) jobs: Jobs,
    pub(crate) together: Together,
    is_closed: AtomicBool,
    /// Renewals that set a lease to an exact length and may still take effect, until then.
    late_sets: Mutex<HashMap<OwnerToken, Instant>>,
    /// The longest lease that was ever asked for, in nanoseconds.
    longest_lease: AtomicU64,
}

impl Member {
    pub(crate) fn new(name: String, backend: AnyBackend, together: Together) -> Self {
        Self {
            name,
            backend,
            health: Health::default(),
            unsettled: Mutex::default(),
            jobs: Jobs::new(),
            together,
            is_closed: AtomicBool::new(false),
            late_sets: Mutex::default(),
            longest_lease: AtomicU64::new(0),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn backend(&self) -> &AnyBackend {
        &self.backend
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    /// Why it is not asked for a lock, if it is not.
    pub(crate) fn may_be_asked(&self) -> Result<()> {
        let unanswered = self.jobs.count();
        let most = if unanswered >= MAX_UNANSWERED && self.health.is_failing() {
            MAX_UNANSWERED
        } else {
            MAX_UNANSWERED_AT_ALL
        };
        if unanswered < most {
            return Ok(());
        }
        let text = format!("it was not asked, because {unanswered} requests are unanswered");
        Err(LockError::new(LockErrorKind::Unavailable, text).not_applied())
    }

    pub(crate) fn acquire(self: &Arc<Self>, request: AcquireRequest) -> Exchange<AcquireReply> {
        self.lasts(request.ttl);
        let given_up = request.given_up.clone();
        self.exchange_unless(given_up, |backend| async move { backend.acquire(request).await })
    }

    pub(crate) fn release(self: &Arc<Self>, request: ReleaseRequest) -> Exchange<ReleaseReply> {
        self.exchange(|backend| async move { backend.release(request).await })
    }

    pub(crate) fn renew(self: &Arc<Self>, batch: Vec<RenewRequest>) -> Exchange<Vec<RenewReply>> {
        if let Some(longest) = batch.iter().map(|request| request.ttl).max() {
            self.lasts(longest);
        }
        self.exchange(|backend| async move {
            let asked = batch.len();
            let replies = backend.renew(batch).await?;
            if replies.len() == asked {
                return Ok(replies);
            }
            let text = format!("{asked} renewals got {} answers", replies.len());
            Err(LockError::new(LockErrorKind::Backend, text))
        })
    }

    pub(crate) fn status(self: &Arc<Self>, key: LockKey) -> Exchange<Option<LockStatus>> {
        self.exchange(|backend| async move { backend.status(key).await })
    }

    pub(crate) fn list(self: &Arc<Self>, request: ListRequest) -> Exchange<ListReply> {
        self.exchange(|backend| async move { backend.list(request).await })
    }

    pub(crate) fn servers(self: &Arc<Self>) -> Exchange<Vec<ServerInfo>> {
        self.exchange(|backend| async move { backend.servers().await })
    }

    pub(crate) fn ping(self: &Arc<Self>) -> Exchange<()> {
        self.exchange(|backend| async move { backend.ping().await })
    }

    /// Every lease that this member has, or will have because of what was sent, ends after at most
    /// this time, unless another process has set it.
    pub(crate) fn longest_lease(&self) -> Duration {
        Duration::from_nanos(self.longest_lease.load(Ordering::Relaxed))
    }

    /// An exact renewal of this token may take effect until then, after renewals that are sent
    /// later.
    pub(crate) fn set_in_doubt(&self, token: OwnerToken, until: Instant, now: Instant) {
        let mut late = locked(&self.late_sets);
        late.retain(|_, end| *end > now);
        late.insert(token, until);
    }

    /// Whether this member's part of a lease can be relied on: no earlier request may still end it
    /// or make it shorter.
    pub(crate) fn is_reliable(&self, token: OwnerToken, now: Instant) -> bool {
        let is_given_up = |one: &Unsettled| !matches!(one.attempt.next(now), Next::Caller);
        locked(&self.late_sets).get(&token).is_none_or(|end| *end <= now)
            && !locked(&self.unsettled).get(&token).is_some_and(is_given_up)
    }

    /// Nothing is sent any more.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    fn lasts(&self, lease: Duration) {
        let nanos = u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX);
        if self.longest_lease.load(Ordering::Relaxed) < nanos {
            self.longest_lease.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    fn exchange<T, F>(self: &Arc<Self>, begin: impl FnOnce(AnyBackend) -> F) -> Exchange<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.exchange_unless(None, begin)
    }

    /// An exchange that takes note of what came of it, unless it failed because it was given up. A
    /// backend that panics costs this exchange and none of the other members'.
    fn exchange_unless<T, F>(
        self: &Arc<Self>,
        given_up: impl Into<Option<GivenUp>>,
        begin: impl FnOnce(AnyBackend) -> F,
    ) -> Exchange<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let (member, exchange) = (Arc::clone(self), begin(self.backend.clone()));
        let given_up = given_up.into();
        Box::pin(async move {
            let answer = AssertUnwindSafe(exchange).catch_unwind().await;
            let answer = answer.unwrap_or_else(|_panic| {
                Err(LockError::new(LockErrorKind::Backend, "the backend panicked"))
            });
            if answer.is_ok() || !given_up.is_some_and(|given_up| given_up.is_set()) {
                member.health.heard(&member.name, &answer);
            }
            answer
        })
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
