//! A store in memory: for tests, first steps, and programs of one process. It needs no feature.

use std::collections::hash_map;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::backend::{
    AcquireReply, AcquireRequest, Capabilities, Clock, Grant, ListReply, ListRequest, LockBackend,
    LockKey, OwnerToken, ReleaseReply, ReleaseRequest, RenewReply, RenewRequest, Ticket, Waiting,
    Wake, holder_of,
};
use crate::sync::panics;
use crate::time::instant::Instant;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::fencing::FencingToken;
use crate::types::status::LockStatus;

/// A store of locks in the memory of this process.
///
/// It issues fencing tokens, renews leases, shows the status of a lock, and serves waiters in the
/// order in which they arrived. A lease has 1 ms to 100 years.
///
/// Each `MemoryBackend` is a separate store. Services that should exclude each other share one,
/// with an `Arc`:
///
/// ```
/// # use lock_core as distlock;
/// use std::sync::Arc;
/// use distlock::{LockService, memory::MemoryBackend};
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let store = Arc::new(MemoryBackend::new());
/// let (mine, yours) = (LockService::new(Arc::clone(&store)), LockService::new(store));
/// let _guard = mine.lock("x").try_acquire().await.unwrap().unwrap();
/// assert!(yours.lock("x").try_acquire().await.unwrap().is_none());
/// # });
/// ```
///
/// Services that share a store must use the same clock: either all of them with
/// [`tokio_time`](crate::LockServiceBuilder::tokio_time), or none. The first one that is used
/// decides, and operations of the others are refused with
/// [`InvalidConfig`](crate::LockErrorKind::InvalidConfig).
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
        .with_list(true)
        .with_min_hold(true)
        .with_repeatable(true)
        .with_local_clock(true)
        .with_ttl_granularity(Duration::from_nanos(1))
        .with_ttl_max(Duration::from_secs(100 * 365 * 24 * 60 * 60));

    /// A new, empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes a lock, whoever holds it, and leaves its queue as it is. For tests: it is what an
    /// operator who deletes a key, or a loss of data, does to a real store.
    pub fn forget(&self, key: &LockKey) {
        self.with(|store| {
            if let Some(entry) = store.locks.get_mut(key) {
                entry.holder = None;
            }
        });
    }

    /// Gives a lock to this token for so long, whoever holds it, and leaves its queue as it is.
    #[cfg(feature = "testing")]
    pub(crate) fn give(&self, key: &LockKey, owner: (OwnerToken, Duration), clock: Clock) {
        self.with(|store| {
            // The first request decides on the clock, and the test store has one clock.
            store.common.clock.get_or_insert(clock);
            let entry = store.locks.entry(key.clone()).or_default();
            entry.grant(clock.now(), owner, &mut store.common);
        });
    }

    /// Works in the store, and then tells those whom it concerns: a waker is somebody else's code,
    /// which may use this very store.
    fn with<T>(&self, work: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut store);
        let news = std::mem::take(&mut store.common.news);
        drop(store);
        for news in news {
            // One that panics must not cost the others their news.
            panics::contained(|| news.tell());
        }
        result
    }
}

impl LockBackend for MemoryBackend {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn address(&self) -> String {
        "locks of this process only".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    async fn acquire(&self, request: AcquireRequest) -> Result<AcquireReply> {
        self.with(|store| store.acquire(request))
    }

    async fn release(&self, request: ReleaseRequest) -> Result<ReleaseReply> {
        self.with(|store| store.release(request))
    }

    async fn renew(&self, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        self.with(|store| batch.iter().map(|request| store.renew(request)).collect())
    }

    async fn status(&self, key: LockKey) -> Result<Option<LockStatus>> {
        Ok(self.with(|store| store.status(&key)))
    }

    async fn list(&self, request: ListRequest) -> Result<ListReply> {
        Ok(ListReply::new(self.with(|store| store.list(&request.prefix))))
    }
}

#[derive(Debug, Default)]
struct Store {
    locks: HashMap<LockKey, Entry>,
    common: Common,
    /// Locks that expired unseen are thrown out when there are this many.
    sweep_at: usize,
}

/// What all locks have in common.
#[derive(Debug, Default)]
struct Common {
    /// That of the first request.
    clock: Option<Clock>,
    /// Rises with every grant of any lock, and with every ticket.
    number: u64,
    /// To be told when the store is unlocked.
    news: Vec<News>,
}

/// Who has left the queue, and why, if it is worth waking anybody.
#[derive(Debug)]
struct News {
    wake: oneshot::Sender<Wake>,
    news: Option<Wake>,
}

const SWEEP_MIN: usize = 64;

#[derive(Debug, Default)]
struct Entry {
    holder: Option<Holder>,
    queue: BTreeMap<Ticket, Waiter>,
}

#[derive(Debug)]
struct Holder {
    token: OwnerToken,
    expiry: Instant,
    fencing: Option<FencingToken>,
    /// Released, but standing for the rest of `min_hold`.
    is_resting: bool,
}

#[derive(Debug)]
struct Waiter {
    token: OwnerToken,
    ttl: Duration,
    wake: oneshot::Sender<Wake>,
}

impl Store {
    fn acquire(&mut self, request: AcquireRequest) -> Result<AcquireReply> {
        self.common.measure_by(request.clock)?;
        // Just read by whoever asks. If the request was held up since, a holder may have expired
        // that still counts: then it is asked again.
        let now = request.asked_at;
        self.sweep(now);
        let AcquireRequest { key, token, ttl, queue, ticket, .. } = request;
        let common = &mut self.common;
        let entry = self.locks.entry(key).or_default();
        // Whoever asks is awake: it must not be passed over if the holder's time is over just now.
        let place = entry.leave(token, common).or(ticket);
        let stood = place.map(|place| entry.stand(place, (token, ttl), common));
        entry.expire(now, common);
        if entry.holder.is_none() {
            entry.advance(now, common);
        }
        let Some(holder) = &mut entry.holder else {
            return Ok(AcquireReply::granted(entry.grant(now, (token, ttl), common)));
        };
        if holder.token == token && !holder.is_resting {
            holder.expiry = holder.expiry.max(now + ttl);
            let grant = grant_of(holder.fencing);
            entry.leave(token, common);
            return Ok(AcquireReply::granted(grant));
        }
        let left = holder.expiry.saturating_duration_since(now);
        if !queue {
            entry.leave(token, common);
            return Ok(AcquireReply::held_for(left));
        }
        let ticket = place.unwrap_or_else(|| Ticket::new(common.next()));
        let woken = stood.unwrap_or_else(|| entry.stand(ticket, (token, ttl), common));
        let news = async { woken.await.unwrap_or(Wake::AskAgain) };
        Ok(AcquireReply::queued(Waiting::new(news, ticket, left)))
    }

    fn release(&mut self, request: ReleaseRequest) -> Result<ReleaseReply> {
        let common = &mut self.common;
        common.measure_by(request.clock)?;
        let now = request.clock.now();
        let hash_map::Entry::Occupied(mut place) = self.locks.entry(request.key) else {
            return Ok(ReleaseReply::NotHeld);
        };
        let entry = place.get_mut();
        entry.leave(request.token, common);
        entry.expire(now, common);
        let reply = match &mut entry.holder {
            Some(holder) if holder.token == request.token => {
                if request.min_hold.is_zero() {
                    entry.holder = None;
                    entry.advance(now, common);
                } else if !holder.is_resting {
                    holder.is_resting = true;
                    holder.expiry = now + request.min_hold;
                    entry.ask_again(common);
                }
                ReleaseReply::Released
            }
            Some(_) => ReleaseReply::HeldByOther,
            None => ReleaseReply::NotHeld,
        };
        if entry.is_unused() {
            place.remove();
        }
        Ok(reply)
    }

    fn renew(&mut self, request: &RenewRequest) -> Result<RenewReply> {
        self.common.measure_by(request.clock)?;
        let now = request.clock.now();
        let Some(entry) = self.locks.get_mut(&request.key) else { return Ok(RenewReply::NotHeld) };
        entry.expire(now, &mut self.common);
        Ok(match &mut entry.holder {
            Some(holder) if holder.token == request.token && !holder.is_resting => {
                let (before, asked) = (holder.expiry, now + request.ttl);
                holder.expiry = if request.exact { asked } else { before.max(asked) };
                if holder.expiry < before {
                    entry.ask_again(&mut self.common);
                }
                RenewReply::Renewed
            }
            Some(_) => RenewReply::HeldByOther,
            None => RenewReply::NotHeld,
        })
    }

    fn status(&mut self, key: &LockKey) -> Option<LockStatus> {
        let entry = self.locks.get_mut(key)?;
        let now = self.common.clock?.now();
        entry.expire(now, &mut self.common);
        let holder = entry.holder.as_ref()?;
        let remaining = holder.expiry.saturating_duration_since(now);
        let waiters = || entry.queue.values().filter(|waiter| !waiter.wake.is_closed());
        Some(
            LockStatus::new(Some(remaining))
                .with_waiters(u64::try_from(waiters().count()).unwrap_or(u64::MAX))
                .with_fencing_token(holder.fencing)
                .with_holder(holder_of(holder.token, None).with_released(holder.is_resting))
                .with_queue(waiters().map(|waiter| holder_of(waiter.token, None).into())),
        )
    }

    fn list(&mut self, prefix: &str) -> Vec<(LockKey, LockStatus)> {
        let keys = self.locks.keys().filter(|key| key.as_str().starts_with(prefix));
        let keys: Vec<LockKey> = keys.cloned().collect();
        let held = keys.into_iter().filter_map(|key| {
            let status = self.status(&key)?;
            Some((key, status))
        });
        held.collect()
    }

    /// Throws out what expired unseen; amortised over the requests that came since.
    fn sweep(&mut self, now: Instant) {
        if self.locks.len() < self.sweep_at.max(SWEEP_MIN) {
            return;
        }
        self.locks.retain(|_, entry| {
            let is_held = entry.holder.as_ref().is_some_and(|holder| holder.expiry > now);
            is_held || !entry.queue.is_empty()
        });
        self.sweep_at = self.locks.len() * 2;
    }
}

impl Common {
    /// Instants of two clocks cannot be compared: one's holder would be over by the other's.
    fn measure_by(&mut self, clock: Clock) -> Result<()> {
        if *self.clock.get_or_insert(clock) == clock {
            return Ok(());
        }
        let message = "services with and without tokio_time share one memory store, whose leases \
                       can be measured by one clock only; set tokio_time for all of them or for none";
        Err(LockError::new(LockErrorKind::InvalidConfig, message).not_applied())
    }

    fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn note(&mut self, wake: oneshot::Sender<Wake>, news: Option<Wake>) {
        self.news.push(News { wake, news });
    }
}

impl News {
    fn tell(self) {
        if let Some(news) = self.news {
            // Whoever has stopped to listen since asks again and finds its grant, or releases it.
            self.wake.send(news).ok();
        }
    }
}

impl Entry {
    /// Ends a lease whose time is over, and serves the queue.
    fn expire(&mut self, now: Instant, common: &mut Common) {
        if self.holder.take_if(|holder| holder.expiry <= now).is_some() {
            self.advance(now, common);
        }
    }

    /// Grants a free lock to the first of the queue. Whoever does not listen any more is left out: if
    /// it only stopped to ask again, it comes back to its old place.
    fn advance(&mut self, now: Instant, common: &mut Common) {
        while let Some((_, waiter)) = self.queue.pop_first() {
            let Waiter { token, ttl, wake } = waiter;
            if wake.is_closed() {
                common.note(wake, None);
                continue;
            }
            let grant = self.grant(now, (token, ttl), common);
            return common.note(wake, Some(Wake::Granted(grant.with_since(now))));
        }
    }

    fn grant(
        &mut self,
        now: Instant,
        (token, ttl): (OwnerToken, Duration),
        common: &mut Common,
    ) -> Grant {
        let fencing = FencingToken::from_grant_number(common.next());
        let expiry = now + ttl;
        self.holder = Some(Holder { token, expiry, fencing, is_resting: false });
        grant_of(fencing)
    }

    /// Tells all who wait that the lease ends earlier than they know; they keep their tickets.
    fn ask_again(&mut self, common: &mut Common) {
        for (_, waiter) in std::mem::take(&mut self.queue) {
            common.note(waiter.wake, Some(Wake::AskAgain));
        }
    }

    /// Puts a token into the queue.
    fn stand(
        &mut self,
        place: Ticket,
        (token, ttl): (OwnerToken, Duration),
        common: &mut Common,
    ) -> oneshot::Receiver<Wake> {
        let (wake, woken) = oneshot::channel();
        if let Some(before) = self.queue.insert(place, Waiter { token, ttl, wake }) {
            common.note(before.wake, None);
        }
        woken
    }

    /// Takes a token out of the queue; returns the place that it had.
    fn leave(&mut self, token: OwnerToken, common: &mut Common) -> Option<Ticket> {
        let (&ticket, _) = self.queue.iter().find(|(_, waiter)| waiter.token == token)?;
        let left = self.queue.remove(&ticket)?;
        common.note(left.wake, None);
        Some(ticket)
    }

    fn is_unused(&self) -> bool {
        self.holder.is_none() && self.queue.is_empty()
    }
}

fn grant_of(fencing: Option<FencingToken>) -> Grant {
    Grant { fencing, ..Grant::new() }
}
