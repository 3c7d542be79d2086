//! A store in memory: for one process, for tests, and for first steps. Always there.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::backend::{
    Attempt, AttemptRequest, Capabilities, Clock, Grant, LockBackend, LockKey, OwnerToken,
    ReleaseReply, ReleaseRequest, RenewReply, RenewRequest, Ticket, Waiting, Wake, async_trait,
};
use crate::clock::Instant;
use crate::error::Result;
use crate::status::LockStatus;
use crate::token::FencingToken;

/// A store of locks in this process's memory, with fencing, renewal, inspection, and waiters that
/// are served in order of arrival.
///
/// Share one store between services with an `Arc`:
///
/// ```
/// use std::sync::Arc;
/// use lock_core::{LockService, memory::MemoryBackend};
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let store = Arc::new(MemoryBackend::new());
/// let (mine, yours) = (LockService::new(Arc::clone(&store)), LockService::new(store));
/// let _guard = mine.lock("x").try_acquire().await.unwrap().unwrap();
/// assert!(yours.lock("x").try_acquire().await.unwrap().is_none());
/// # });
/// ```
#[derive(Debug, Default)]
pub struct MemoryBackend {
    store: Mutex<Store>,
}

impl MemoryBackend {
    const CAPABILITIES: Capabilities = Capabilities::none()
        .with_renew(true)
        .with_fencing(true)
        .with_queueing(true)
        .with_inspect(true)
        .with_metadata(true)
        .with_rest(true)
        .with_repeatable(true)
        .with_local_clock(true)
        .with_ttl_granularity(Duration::from_nanos(1))
        .with_ttl_max(Duration::from_secs(100 * 365 * 24 * 60 * 60));

    /// A new, empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes a lock, whoever holds it, and leaves its line as it is: what an operator or a loss of
    /// data does to a real store. Meant for tests.
    pub fn forget(&self, key: &LockKey) {
        if let Some(entry) = self.store().locks.get_mut(key) {
            entry.holder = None;
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LockBackend for MemoryBackend {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    async fn attempt(self: Arc<Self>, request: AttemptRequest) -> Result<Attempt> {
        Ok(self.store().attempt(request))
    }

    async fn release(self: Arc<Self>, request: ReleaseRequest) -> Result<ReleaseReply> {
        Ok(self.store().release(&request))
    }

    async fn renew(self: Arc<Self>, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        let mut store = self.store();
        Ok(batch.iter().map(|request| store.renew(request)).collect())
    }

    async fn status(self: Arc<Self>, key: LockKey) -> Result<Option<LockStatus>> {
        Ok(self.store().status(&key))
    }
}

#[derive(Debug, Default)]
struct Store {
    locks: HashMap<LockKey, Entry>,
    /// Rises with every grant of any lock, and with every ticket.
    number: u64,
    /// Locks that expired unseen are thrown out when there are this many.
    sweep_at: usize,
}

const SWEEP_MIN: usize = 64;

#[derive(Debug, Default)]
struct Entry {
    holder: Option<Holder>,
    line: BTreeMap<Ticket, Waiter>,
}

#[derive(Debug)]
struct Holder {
    token: OwnerToken,
    expiry: Instant,
    clock: Clock,
    fencing: Option<FencingToken>,
    metadata: Option<Arc<str>>,
    /// Released, but standing for the rest of `min_hold`.
    is_resting: bool,
}

#[derive(Debug)]
struct Waiter {
    token: OwnerToken,
    ttl: Duration,
    metadata: Option<Arc<str>>,
    wake: oneshot::Sender<Wake>,
}

impl Store {
    fn attempt(&mut self, request: AttemptRequest) -> Attempt {
        // Just read by whoever asks. If the request was held up since, a holder may have expired
        // that still counts: then it is asked again.
        let now = request.asked_at;
        self.sweep(now);
        let AttemptRequest { key, token, ttl, queue, ticket, metadata, clock, .. } = request;
        let number = &mut self.number;
        let entry = self.locks.entry(key).or_default();
        // Whoever asks is awake: it must not be passed over if the holder's time is over just now.
        let place = entry.leave(token).or(ticket);
        let stood = place.map(|place| entry.stand(place, (token, ttl, metadata.clone())));
        entry.expire(now, number);
        if entry.holder.is_none() {
            entry.advance(now, number, clock);
        }
        let Some(holder) = &mut entry.holder else {
            return entry.grant(now, number, (token, ttl, metadata), clock);
        };
        if holder.token == token && !holder.is_resting {
            holder.expiry = holder.expiry.max(now + ttl);
            let grant = grant_of(holder.fencing);
            entry.leave(token);
            return Attempt::granted(grant);
        }
        let left = holder.expiry.saturating_duration_since(now);
        if !queue {
            entry.leave(token);
            return Attempt::held_for(left);
        }
        let ticket = place.unwrap_or_else(|| Ticket::new(next(number)));
        let woken = stood.unwrap_or_else(|| entry.stand(ticket, (token, ttl, metadata)));
        let news = async { woken.await.unwrap_or(Wake::AskAgain) };
        Attempt::queued(Waiting::new(news, ticket, left))
    }

    fn release(&mut self, request: &ReleaseRequest) -> ReleaseReply {
        let now = request.clock.now();
        let Some(entry) = self.locks.get_mut(&request.key) else { return ReleaseReply::NotHeld };
        entry.leave(request.token);
        entry.expire(now, &mut self.number);
        let reply = match &mut entry.holder {
            Some(holder) if holder.token == request.token => {
                if request.rest.is_zero() {
                    entry.holder = None;
                    entry.advance(now, &mut self.number, request.clock);
                } else if !holder.is_resting {
                    holder.is_resting = true;
                    holder.expiry = now + request.rest;
                    entry.ask_again();
                }
                ReleaseReply::Released
            }
            Some(_) => ReleaseReply::HeldByOther,
            None => ReleaseReply::NotHeld,
        };
        if entry.is_unused() {
            self.locks.remove(&request.key);
        }
        reply
    }

    fn renew(&mut self, request: &RenewRequest) -> RenewReply {
        let now = request.clock.now();
        let Some(entry) = self.locks.get_mut(&request.key) else { return RenewReply::NotHeld };
        entry.expire(now, &mut self.number);
        match &mut entry.holder {
            Some(holder) if holder.token == request.token && !holder.is_resting => {
                holder.expiry = holder.expiry.max(now + request.ttl);
                RenewReply::Renewed
            }
            Some(_) => RenewReply::HeldByOther,
            None => RenewReply::NotHeld,
        }
    }

    fn status(&mut self, key: &LockKey) -> Option<LockStatus> {
        let entry = self.locks.get_mut(key)?;
        let now = entry.holder.as_ref()?.clock.now();
        entry.expire(now, &mut self.number);
        let holder = entry.holder.as_ref()?;
        let remaining = holder.expiry.saturating_duration_since(now);
        let waiters = entry.line.values().filter(|waiter| !waiter.wake.is_closed()).count();
        Some(
            LockStatus::new(Some(remaining))
                .with_waiters(u64::try_from(waiters).unwrap_or(u64::MAX))
                .with_fencing_token(holder.fencing)
                .with_metadata(holder.metadata.clone()),
        )
    }

    /// Throws out what expired unseen; amortised over the attempts that came since.
    fn sweep(&mut self, now: Instant) {
        if self.locks.len() < self.sweep_at.max(SWEEP_MIN) {
            return;
        }
        self.locks.retain(|_, entry| {
            let is_held = entry.holder.as_ref().is_some_and(|holder| holder.expiry > now);
            is_held || !entry.line.is_empty()
        });
        self.sweep_at = self.locks.len() * 2;
    }
}

impl Entry {
    /// Ends a lease whose time is over, and serves the line.
    fn expire(&mut self, now: Instant, number: &mut u64) {
        if let Some(holder) = self.holder.take_if(|holder| holder.expiry <= now) {
            self.advance(now, number, holder.clock);
        }
    }

    /// Grants a free lock to the first in line. Whoever does not listen any more is left out: if
    /// it only stopped to ask again, it comes back to its old place.
    fn advance(&mut self, now: Instant, number: &mut u64, clock: Clock) {
        while let Some((_, waiter)) = self.line.pop_first() {
            let Waiter { token, ttl, metadata, wake } = waiter;
            if wake.is_closed() {
                continue;
            }
            if let Attempt::Granted(grant) = self.grant(now, number, (token, ttl, metadata), clock)
            {
                let news = Wake::Granted(grant.with_since(now));
                if wake.send(news).is_ok() {
                    return;
                }
                self.holder = None;
            }
        }
    }

    fn grant(
        &mut self,
        now: Instant,
        number: &mut u64,
        (token, ttl, metadata): (OwnerToken, Duration, Option<Arc<str>>),
        clock: Clock,
    ) -> Attempt {
        let fencing = FencingToken::from_grant_number(next(number));
        let expiry = now + ttl;
        self.holder = Some(Holder { token, expiry, clock, fencing, metadata, is_resting: false });
        Attempt::granted(grant_of(fencing))
    }

    /// Tells all who wait that the lease ends earlier than they know; they keep their tickets.
    fn ask_again(&mut self) {
        for (_, waiter) in std::mem::take(&mut self.line) {
            waiter.wake.send(Wake::AskAgain).ok();
        }
    }

    /// Puts a token in line.
    fn stand(
        &mut self,
        place: Ticket,
        (token, ttl, metadata): (OwnerToken, Duration, Option<Arc<str>>),
    ) -> oneshot::Receiver<Wake> {
        let (wake, woken) = oneshot::channel();
        self.line.insert(place, Waiter { token, ttl, metadata, wake });
        woken
    }

    /// Takes a token out of the line; returns the place that it had.
    fn leave(&mut self, token: OwnerToken) -> Option<Ticket> {
        let (&ticket, _) = self.line.iter().find(|(_, waiter)| waiter.token == token)?;
        self.line.remove(&ticket);
        Some(ticket)
    }

    fn is_unused(&self) -> bool {
        self.holder.is_none() && self.line.is_empty()
    }
}

fn next(number: &mut u64) -> u64 {
    *number += 1;
    *number
}

fn grant_of(fencing: Option<FencingToken>) -> Grant {
    Grant { fencing, ..Grant::new() }
}
