//! Where a claim is proven: names of its own, handles onto the store, and time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use lock_core::backend::{
    AcquireReply, AcquireRequest, AnyBackend, Capabilities, Clock, Grant, LockBackend, LockKey,
    OwnerToken, ReleaseReply, ReleaseRequest, RenewReply, RenewRequest, Sleep, Ticket, Waiting,
    Wake,
};
use lock_core::machine::margins::drift;
use lock_core::{Handover, Instant, LockName, LockService, LockServiceBuilder, LockStatus};

use super::harness::Harness;
use super::pace::Pace;
use super::proof::{Failure, ensure, fail};
use crate::spy::Spy;

/// Where one claim is proven.
pub(super) struct Scene<'a> {
    harness: &'a dyn Harness,
    backend: AnyBackend,
    name: String,
}

impl<'a> Scene<'a> {
    pub(super) async fn new(harness: &'a dyn Harness, claim: &str) -> Result<Self, Failure> {
        let backend = harness.backend().await?;
        let unique = OwnerToken::random()?.to_string();
        let name = format!("{}{}:{claim}", harness.prefix(), &unique[..8]);
        Ok(Self { harness, backend, name })
    }

    pub(super) fn kind(&self) -> &'static str {
        self.backend.kind()
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    pub(super) fn pace(&self) -> Pace {
        self.harness.pace()
    }

    pub(super) fn clock(&self) -> Clock {
        self.pace().clock()
    }

    pub(super) fn now(&self) -> Instant {
        self.clock().now()
    }

    pub(super) fn pass(&self, duration: Duration) -> Sleep {
        self.clock().sleep(duration)
    }

    /// A lease whose end is waited for.
    pub(super) fn lease(&self) -> Duration {
        self.pace().lease()
    }

    /// A lease that is kept alive. A renewal comes after a third of it, so that a machine may stall
    /// for the rest.
    pub(super) fn renewed_lease(&self) -> Duration {
        self.lease() * 3
    }

    /// A lease that does not end before the proof does.
    pub(super) fn long(&self) -> Duration {
        self.pace().limit() * 2
    }

    /// How long to wait for what must happen.
    pub(super) fn wait_limit(&self) -> Duration {
        self.pace().wait_limit()
    }

    /// How late a lease may end on a machine that stalls; an order of magnitude to spare.
    pub(super) fn slack(&self) -> Duration {
        self.lease() * 4 + self.capabilities().ttl_granularity
    }

    /// How long a lease stands at least: a store's clock may run a little faster than ours.
    pub(super) fn at_least(&self, lease: Duration) -> Duration {
        let is_local = self.capabilities().local_clock;
        lease.saturating_sub(if is_local { Duration::ZERO } else { drift(lease) })
    }

    /// The name of the claim's own lock.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name of another lock of the claim's.
    pub(super) fn other_name(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.name)
    }

    /// A new handle onto the store.
    pub(super) async fn backend(&self) -> Result<AnyBackend, Failure> {
        Ok(self.harness.backend().await?)
    }

    /// Someone with a handle and a token of its own, interested in the claim's lock.
    pub(super) async fn contender(&self) -> Result<Contender, Failure> {
        self.contender_for(self.name()).await
    }

    pub(super) async fn contender_for(&self, name: &str) -> Result<Contender, Failure> {
        let key = LockKey::new("", &LockName::new(name)?)?;
        Contender::new(self.backend().await?, key, self.pace())
    }

    /// As many contenders as the pattern asks for.
    pub(super) async fn contenders<const N: usize>(&self) -> Result<[Contender; N], Failure> {
        let mut all = Vec::with_capacity(N);
        for _ in 0..N {
            all.push(self.contender().await?);
        }
        all.try_into().map_err(|_| Failure("as many contenders as were asked for".to_owned()))
    }

    /// A lock service with a handle of its own.
    pub(super) async fn service(&self) -> Result<LockService, Failure> {
        Ok(self.builder(self.backend().await?).build())
    }

    /// A lock service whose requests to the store can be watched and disturbed.
    pub(super) async fn spied_service(&self) -> Result<(Arc<Spy>, LockService), Failure> {
        let spy = Arc::new(Spy::new(self.backend().await?));
        let service = self.builder(AnyBackend::new(Arc::clone(&spy))).build();
        Ok((spy, service))
    }

    pub(super) fn builder(&self, backend: AnyBackend) -> LockServiceBuilder {
        // In strict order: what is passed on inside the service would not be the backend's doing.
        let builder = LockService::builder(backend).handover(Handover::OFF);
        if self.pace().is_paused() { builder.tokio_time() } else { builder }
    }

    /// The claim's lock becomes free long before its lease ends.
    pub(super) async fn becomes_free(&self) -> Result<(), Failure> {
        let rival = self.contender().await?;
        let deadline = self.now() + self.wait_limit();
        let taken = rival.take_by(self.long(), deadline).await?;
        ensure!(taken.is_some(), "the lock did not become free, though nobody holds it any more");
        rival.release().await?;
        Ok(())
    }

    /// Nobody but its holder gets the claim's lock.
    pub(super) async fn is_taken(&self) -> Result<(), Failure> {
        self.contender().await?.is_refused(self.long()).await
    }
}

/// Someone with a handle and a token of its own, interested in one lock.
pub(super) struct Contender {
    pub(super) backend: AnyBackend,
    pub(super) key: LockKey,
    pace: Pace,
    token: Mutex<OwnerToken>,
}

/// A grant, and when it was asked for and answered.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) sent: Instant,
    pub(super) answered: Instant,
    pub(super) grant: Grant,
}

impl Contender {
    fn new(backend: AnyBackend, key: LockKey, pace: Pace) -> Result<Self, Failure> {
        Ok(Self { backend, key, pace, token: Mutex::new(OwnerToken::fresh()?) })
    }

    /// Someone else with the same handle, interested in another lock.
    pub(super) fn beside(&self, name: &str) -> Result<Self, Failure> {
        let key = LockKey::new("", &LockName::new(name)?)?;
        Self::new(self.backend.clone(), key, self.pace)
    }

    /// The same contender, as one of a process of which nothing is known.
    pub(super) fn of_a_stranger(self) -> Self {
        // Behind those of every other process, in the order of tokens.
        self.with_token(OwnerToken::from_bytes([0xFF; 16]))
    }

    /// The same contender, whose attempt begins now.
    pub(super) fn fresh(self) -> Result<Self, Failure> {
        let token = OwnerToken::fresh()?;
        Ok(self.with_token(token))
    }

    pub(super) fn token(&self) -> OwnerToken {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the place of somebody else, as it is known from a spy.
    pub(super) fn with_token(self, token: OwnerToken) -> Self {
        Self { token: Mutex::new(token), ..self }
    }

    pub(super) fn request(&self, ttl: Duration) -> AcquireRequest {
        AcquireRequest::new(self.key.clone(), self.token(), ttl, self.pace.clock())
    }

    pub(super) async fn attempt(&self, ttl: Duration) -> Result<AcquireReply, Failure> {
        self.send(self.request(ttl)).await
    }

    pub(super) async fn send(&self, request: AcquireRequest) -> Result<AcquireReply, Failure> {
        let attempt = self.backend.acquire(request).await?;
        let is_granted = matches!(attempt, AcquireReply::Granted(_));
        if !is_granted && !self.backend.capabilities().repeatable {
            // Such a store knows each token for one attempt only.
            *self.token.lock().unwrap_or_else(PoisonError::into_inner) = OwnerToken::fresh()?;
        }
        Ok(attempt)
    }

    /// Is granted the lock at once.
    pub(super) async fn take(&self, ttl: Duration) -> Result<Taken, Failure> {
        let sent = self.pace.clock().now();
        match self.attempt(ttl).await? {
            AcquireReply::Granted(grant) => {
                let answered = self.pace.clock().now();
                Ok(Taken { sent, answered, grant })
            }
            other => fail!("an attempt that must be granted was answered {other:?}"),
        }
    }

    /// Is refused the lock.
    pub(super) async fn is_refused(&self, ttl: Duration) -> Result<(), Failure> {
        match self.attempt(ttl).await? {
            AcquireReply::Held { .. } => Ok(()),
            other => fail!("a lock that is held was answered with {other:?}"),
        }
    }

    /// Asks until it is granted the lock.
    pub(super) async fn take_when_free(&self, ttl: Duration) -> Result<Taken, Failure> {
        match self.take_by(ttl, Instant::FAR_FUTURE).await? {
            Some(taken) => Ok(taken),
            None => fail!("the lock was never granted"),
        }
    }

    /// Asks until it is granted the lock, or the deadline has passed.
    pub(super) async fn take_by(
        &self,
        ttl: Duration,
        deadline: Instant,
    ) -> Result<Option<Taken>, Failure> {
        let clock = self.pace.clock();
        loop {
            let sent = clock.now();
            let retry_after = match self.attempt(ttl).await? {
                AcquireReply::Granted(grant) => {
                    let answered = clock.now();
                    return Ok(Some(Taken { sent, answered, grant }));
                }
                AcquireReply::Held { retry_after } => retry_after,
                other => fail!("an attempt that does not queue was answered with {other:?}"),
            };
            if sent >= deadline {
                return Ok(None);
            }
            let pause = self.pace.lease() / 50;
            let least = self.pace.lease() / 1_000;
            clock.sleep(retry_after.map_or(pause, |left| left.clamp(least, pause))).await;
        }
    }

    /// Joins the queue.
    pub(super) async fn queue(&self, ttl: Duration) -> Result<Waiting, Failure> {
        self.queue_again(ttl, None).await
    }

    /// Asks again from this place in the queue.
    pub(super) async fn queue_again(
        &self,
        ttl: Duration,
        ticket: Option<Ticket>,
    ) -> Result<Waiting, Failure> {
        match self.send(self.request(ttl).with_queue(ticket)).await? {
            AcquireReply::Queued(waiting) => Ok(waiting),
            other => fail!("an attempt that queues was answered with {other:?}"),
        }
    }

    /// Waits in the queue, as the core does, until it is granted the lock.
    pub(super) async fn wait_in_queue(
        &self,
        ttl: Duration,
        waiting: Waiting,
    ) -> Result<Grant, Failure> {
        let (mut waiting, limit) = (waiting, self.pace.wait_limit());
        let deadline = self.pace.clock().now() + limit;
        while self.pace.clock().now() < deadline {
            let sleep = self.pace.clock().sleep(waiting.retry_after.min(limit));
            if let Either::Left((Wake::Granted(grant), _)) = select(waiting.wake, sleep).await {
                return Ok(grant);
            }
            let request = self.request(ttl).with_queue(Some(waiting.ticket));
            waiting = match self.send(request).await? {
                AcquireReply::Granted(grant) => return Ok(grant),
                AcquireReply::Queued(waiting) => waiting,
                other => fail!("asking again from the queue was answered with {other:?}"),
            };
        }
        fail!("whoever came next in the queue was not served within {limit:?}")
    }

    pub(super) async fn release(&self) -> Result<ReleaseReply, Failure> {
        self.release_with_min_hold(Duration::ZERO).await
    }

    pub(super) async fn release_with_min_hold(
        &self,
        min_hold: Duration,
    ) -> Result<ReleaseReply, Failure> {
        let request = ReleaseRequest::new(self.key.clone(), self.token(), self.pace.clock());
        Ok(self.backend.release(request.with_min_hold(min_hold)).await?)
    }

    /// Releases a lock that it holds.
    pub(super) async fn give_back(&self) -> Result<(), Failure> {
        let reply = self.release().await?;
        ensure!(reply == ReleaseReply::Released, "the holder's release was answered {reply:?}");
        Ok(())
    }

    pub(super) fn renewal(&self, ttl: Duration) -> RenewRequest {
        RenewRequest::new(self.key.clone(), self.token(), ttl, self.pace.clock())
    }

    pub(super) async fn renew(&self, ttl: Duration) -> Result<RenewReply, Failure> {
        self.send_renewal(self.renewal(ttl)).await
    }

    pub(super) async fn send_renewal(&self, request: RenewRequest) -> Result<RenewReply, Failure> {
        let mut replies = self.backend.renew(vec![request]).await?;
        ensure!(replies.len() == 1, "one renewal got {} answers", replies.len());
        match replies.pop() {
            Some(reply) => Ok(reply),
            None => fail!("a renewal got no answer"),
        }
    }

    pub(super) async fn status(&self) -> Result<Option<LockStatus>, Failure> {
        Ok(self.backend.status(self.key.clone()).await?)
    }
}
