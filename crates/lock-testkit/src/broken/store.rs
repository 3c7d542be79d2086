//! The store of a broken backend: a plain one, with a switch at each step that can go wrong.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use lock_core::backend::{
    AcquireReply, AcquireRequest, Clock, Grant, LockKey, OwnerToken, ReleaseReply, ReleaseRequest,
    RenewReply, RenewRequest, Ticket, Waiting, Wake, holder_of,
};
use lock_core::{FencingToken, Instant, LockStatus};
use tokio::sync::oneshot;

use super::defect::Defect;

#[derive(Debug)]
pub(super) struct Store {
    defect: Option<Defect>,
    locks: HashMap<LockKey, Entry>,
    /// The number of the newest grant.
    grants: u64,
    /// The number of the newest ticket.
    tickets: u64,
}

#[derive(Debug, Default)]
struct Entry {
    holder: Option<Holder>,
    waiters: BTreeMap<Ticket, Waiter>,
    last: Option<Last>,
    /// The first holder ever.
    first: Option<OwnerToken>,
}

#[derive(Clone, Debug)]
struct Holder {
    token: OwnerToken,
    expiry: Instant,
    clock: Clock,
    fencing: Option<FencingToken>,
    is_resting: bool,
}

/// What somebody wants to hold.
#[derive(Clone, Copy, Debug)]
struct Wish {
    token: OwnerToken,
    ttl: Duration,
}

#[derive(Debug)]
struct Waiter {
    wish: Wish,
    wake: oneshot::Sender<Wake>,
    /// Keeps the wake of somebody open who does not listen; for `RefusalStaysQueued`.
    _ear: Option<oneshot::Receiver<Wake>>,
}

/// The holder before, and how its time ended.
#[derive(Debug)]
struct Last {
    holder: Holder,
    was_released: bool,
}

impl Store {
    pub(super) fn new(defect: Option<Defect>) -> Self {
        Self { defect, locks: HashMap::new(), grants: 0, tickets: 0 }
    }

    pub(super) fn attempt(&mut self, request: AcquireRequest) -> AcquireReply {
        let AcquireRequest { key, token, ttl, queue, clock, ticket, .. } = request;
        let now = clock.now();
        let wish = Wish { token, ttl };
        self.expire(&key, now);
        let entry = self.locks.entry(key.clone()).or_default();
        let stood = entry.leave(token);
        let Some(holder) = &mut entry.holder else {
            if let Some(place) = stood.filter(|_| self.defect == Some(Defect::ForgetsTheQueue)) {
                return self.queue(&key, place, wish, Duration::from_secs(1));
            }
            return self.grant(&key, now, wish, clock);
        };
        let may_repeat = !holder.is_resting || self.defect == Some(Defect::RestIsNoEnd);
        if holder.token == token && may_repeat && self.defect != Some(Defect::HeldByItself) {
            return Self::repeat(holder, self.defect, now + ttl);
        }
        // A lease that never ends has no time left, and nobody should ask again in a busy loop.
        let left = holder.expiry.saturating_duration_since(now).max(Duration::from_millis(10));
        match self.defect {
            Some(Defect::GrantsTwice) => {
                return self.grant(&key, now, wish, clock);
            }
            Some(Defect::RefusalLowersFencing) => self.grants = self.grants.saturating_sub(2),
            _ => {}
        }
        let queue = queue && self.defect != Some(Defect::NeverQueues);
        if !queue && self.defect != Some(Defect::RefusalStaysQueued) {
            return AcquireReply::held_for(left);
        }
        let known =
            stood.or(ticket).filter(|_| self.defect != Some(Defect::AskingAgainLosesThePlace));
        let place = known.unwrap_or_else(|| {
            self.tickets += 1;
            Ticket::new(self.tickets)
        });
        let queued = self.queue(&key, place, wish, left);
        if queue { queued } else { self.leave_a_ghost(&key, place, queued, left) }
    }

    pub(super) fn release(&mut self, request: &ReleaseRequest) -> ReleaseReply {
        let now = request.clock.now();
        self.expire(&request.key, now);
        let entry = self.locks.entry(request.key.clone()).or_default();
        if self.defect != Some(Defect::ReleaseStaysQueued) {
            entry.leave(request.token);
        }
        let Some(holder) = &mut entry.holder else {
            let was_its = entry.last.as_ref().is_some_and(|l| l.holder.token == request.token);
            let lies = was_its && self.defect == Some(Defect::RepeatedReleaseLies);
            return if lies { ReleaseReply::Released } else { ReleaseReply::NotHeld };
        };
        if holder.token != request.token && self.defect != Some(Defect::NoOwnerCheck) {
            return ReleaseReply::HeldByOther;
        }
        if self.defect == Some(Defect::ForgetsReleases) {
            return ReleaseReply::Released;
        }
        if request.min_hold.is_zero() || self.defect == Some(Defect::IgnoresTheRest) {
            self.free(&request.key, now, true);
        } else if !holder.is_resting {
            holder.is_resting = true;
            holder.expiry = now + request.min_hold;
        }
        ReleaseReply::Released
    }

    pub(super) fn renew(&mut self, request: &RenewRequest) -> RenewReply {
        let now = request.clock.now();
        self.expire(&request.key, now);
        let entry = self.locks.entry(request.key.clone()).or_default();
        let expiry = now + request.ttl;
        let Some(holder) = &mut entry.holder else {
            let revived = entry.last.take_if(|last| {
                let revives = match self.defect {
                    Some(Defect::RenewalRevivesExpired) => !last.was_released,
                    Some(Defect::RenewalRevivesReleased) => last.was_released,
                    _ => false,
                };
                revives && last.holder.token == request.token
            });
            let Some(last) = revived else { return RenewReply::NotHeld };
            entry.holder = Some(Holder { expiry, ..last.holder });
            return RenewReply::Renewed;
        };
        if self.defect == Some(Defect::RenewalTakesAnothers) {
            holder.token = request.token;
        }
        if holder.token != request.token || holder.is_resting {
            return RenewReply::HeldByOther;
        }
        match self.defect {
            Some(Defect::RenewalDoesNothing) => {}
            Some(Defect::RenewalShortens) => holder.expiry = expiry,
            defect if request.exact && defect != Some(Defect::ExactRenewalOnlyRaises) => {
                holder.expiry = expiry;
            }
            _ => holder.expiry = holder.expiry.max(expiry),
        }
        RenewReply::Renewed
    }

    pub(super) fn status(&mut self, key: &LockKey) -> Option<LockStatus> {
        let entry = self.locks.entry(key.clone()).or_default();
        let clock = entry.holder.as_ref().map(|holder| holder.clock);
        if self.defect == Some(Defect::StatusShowsThePast) {
            // The one that expires now has not been noticed yet.
            let holder = entry.holder.as_ref().or(entry.last.as_ref().map(|last| &last.holder))?;
            return Some(LockStatus::new(Some(Duration::ZERO)).with_fencing_token(holder.fencing));
        }
        if let Some(clock) = clock {
            self.expire(key, clock.now());
        }
        let entry = self.locks.entry(key.clone()).or_default();
        let Some(holder) = &entry.holder else {
            let shows = self.defect == Some(Defect::StatusShowsFreeLocks);
            return shows.then(|| LockStatus::new(Some(Duration::ZERO)));
        };
        if self.defect == Some(Defect::StatusHidesHeldLocks) {
            return None;
        }
        let mut left = holder.expiry.saturating_duration_since(holder.clock.now());
        if self.defect == Some(Defect::StatusShowsTooMuchTime) {
            left *= 2;
        }
        let listening = entry.waiters.values().filter(|waiter| !waiter.wake.is_closed()).count();
        let counted = if self.defect == Some(Defect::StatusCountsNobody) { 0 } else { listening };
        let status = LockStatus::new(Some(left)).with_waiters(u64::try_from(counted).unwrap_or(0));
        let status = status.with_fencing_token(holder.fencing);
        let mut queue: Vec<OwnerToken> = entry.waiters.values().map(|w| w.wish.token).collect();
        if self.defect == Some(Defect::StatusSortsTheQueue) {
            queue.sort_unstable();
        }
        let status =
            status.with_queue(queue.into_iter().map(|token| holder_of(token, None).into()));
        let shows_rest = holder.is_resting && self.defect != Some(Defect::StatusHidesTheRest);
        let token = match self.defect {
            Some(Defect::StatusNamesNobody) => return Some(status),
            Some(Defect::StatusNamesTheFirst) => entry.first.unwrap_or(holder.token),
            _ => holder.token,
        };
        Some(status.with_holder(holder_of(token, None).with_released(shows_rest)))
    }

    pub(super) fn list(&mut self, prefix: &str) -> Vec<(LockKey, LockStatus)> {
        let literal = match self.defect {
            Some(Defect::ListTakesPatterns) => prefix.split('*').next().unwrap_or(prefix),
            _ => prefix,
        };
        let keys = self.locks.keys().filter(|key| key.as_str().starts_with(literal));
        let mut keys: Vec<LockKey> = keys.cloned().collect();
        keys.sort_unstable();
        let held = keys.into_iter().filter_map(|key| {
            let status = self.status(&key)?;
            Some((key, status))
        });
        let mut held: Vec<_> = held.collect();
        if self.defect == Some(Defect::ListLeavesOneOut) {
            held.pop();
        }
        held
    }

    pub(super) fn evict(&mut self, request: &ReleaseRequest) -> ReleaseReply {
        let Some(entry) = self.locks.get_mut(&request.key) else { return ReleaseReply::NotHeld };
        let holder = entry.holder.as_ref();
        let (is_resting, token) =
            holder.map_or((false, request.token), |holder| (holder.is_resting, holder.token));
        match self.defect {
            Some(Defect::EvictsNobody) => return ReleaseReply::Released,
            Some(Defect::EvictionLeavesTheRest) if is_resting => return ReleaseReply::Released,
            Some(Defect::EvictionLowersFencing) => self.grants = 0,
            Some(Defect::EvictsWhoeverHolds) => {
                return self.release(&ReleaseRequest::new(
                    request.key.clone(),
                    token,
                    request.clock,
                ));
            }
            _ => {}
        }
        self.release(request)
    }

    pub(super) fn is_free(&mut self, key: &LockKey, clock: Clock) -> bool {
        self.expire(key, clock.now());
        self.locks.get(key).is_none_or(|entry| entry.holder.is_none())
    }

    pub(super) fn forget_holder(&mut self, key: &LockKey) {
        if let Some(entry) = self.locks.get_mut(key) {
            entry.holder = None;
        }
    }

    fn expire(&mut self, key: &LockKey, now: Instant) {
        let is_over = self
            .locks
            .get(key)
            .and_then(|entry| entry.holder.as_ref())
            .is_some_and(|holder| holder.expiry <= now);
        if is_over && self.defect != Some(Defect::NeverExpires) {
            self.free(key, now, false);
            if self.defect == Some(Defect::FencingFalls) {
                self.grants = 0;
            }
        }
    }

    /// Ends the holder's time, and grants the lock to the next in the queue who listens.
    fn free(&mut self, key: &LockKey, now: Instant, was_released: bool) {
        let Some(entry) = self.locks.get_mut(key) else { return };
        let Some(holder) = entry.holder.take() else { return };
        let clock = holder.clock;
        entry.last = Some(Last { holder, was_released });
        if self.defect == Some(Defect::ForgetsTheQueue) {
            return;
        }
        while let Some(waiter) = self.next_in_queue(key) {
            if waiter.wake.is_closed() && self.defect != Some(Defect::ServesTheGone) {
                continue;
            }
            let attempt = self.grant(key, now, waiter.wish, clock);
            let AcquireReply::Granted(mut grant) = attempt else { return };
            if self.defect == Some(Defect::QueueIsNotFenced) {
                grant.fencing = None;
            }
            let is_told = waiter.wake.send(Wake::Granted(grant.with_since(now))).is_ok();
            if is_told || self.defect == Some(Defect::ServesTheGone) {
                return;
            }
            self.forget_holder(key);
        }
    }

    fn next_in_queue(&mut self, key: &LockKey) -> Option<Waiter> {
        let waiters = &mut self.locks.get_mut(key)?.waiters;
        let next = match self.defect {
            Some(Defect::ServesTheLastFirst) => waiters.pop_last(),
            _ => waiters.pop_first(),
        };
        next.map(|(_, waiter)| waiter)
    }

    fn grant(&mut self, key: &LockKey, now: Instant, wish: Wish, clock: Clock) -> AcquireReply {
        if self.defect != Some(Defect::FencingRepeats) {
            self.grants += 1;
        }
        let fencing = match self.defect {
            Some(Defect::FencingLeavesNoRoom) => FencingToken::new(self.grants),
            _ => FencingToken::from_grant_number(self.grants),
        };
        let Wish { token, ttl } = wish;
        let expiry = match self.defect {
            Some(Defect::ExpiresEarly) => now + ttl / 2,
            Some(Defect::LongLeasesOverflow) if ttl > Duration::from_secs(3 * 3_600) => now,
            _ => now + ttl,
        };
        let holder = Holder { token, expiry, clock, fencing, is_resting: false };
        let entry = self.locks.entry(key.clone()).or_default();
        entry.holder = Some(holder);
        entry.first.get_or_insert(token);
        let mut grant = grant_of(fencing);
        if self.defect == Some(Defect::PromisesTooMuch) {
            grant = grant.with_granted_ttl(ttl * 2);
        }
        AcquireReply::granted(grant)
    }

    /// The holder asked again.
    fn repeat(holder: &mut Holder, defect: Option<Defect>, expiry: Instant) -> AcquireReply {
        if defect != Some(Defect::RepeatDoesNotRaise) {
            holder.expiry = holder.expiry.max(expiry);
        }
        if defect == Some(Defect::RepeatLowersFencing) {
            holder.fencing = FencingToken::new(0);
        }
        AcquireReply::granted(grant_of(holder.fencing))
    }

    fn queue(
        &mut self,
        key: &LockKey,
        place: Ticket,
        wish: Wish,
        retry_after: Duration,
    ) -> AcquireReply {
        let (wake, woken) = oneshot::channel();
        let waiter = Waiter { wish, wake, _ear: None };
        self.locks.entry(key.clone()).or_default().waiters.insert(place, waiter);
        let news = async { woken.await.unwrap_or(Wake::AskAgain) };
        AcquireReply::queued(Waiting::new(news, place, retry_after))
    }

    /// Leaves somebody in the queue who was refused; only a release or its turn takes it out.
    fn leave_a_ghost(
        &mut self,
        key: &LockKey,
        place: Ticket,
        queued: AcquireReply,
        left: Duration,
    ) -> AcquireReply {
        drop(queued);
        if let Some(waiter) =
            self.locks.get_mut(key).and_then(|entry| entry.waiters.get_mut(&place))
        {
            let (wake, ear) = oneshot::channel();
            (waiter.wake, waiter._ear) = (wake, Some(ear));
        }
        AcquireReply::held_for(left)
    }
}

impl Entry {
    /// Takes a token out of the queue; returns the place that it had.
    fn leave(&mut self, token: OwnerToken) -> Option<Ticket> {
        let (&ticket, _) = self.waiters.iter().find(|(_, waiter)| waiter.wish.token == token)?;
        self.waiters.remove(&ticket);
        Some(ticket)
    }
}

fn grant_of(fencing: Option<FencingToken>) -> Grant {
    fencing.map_or_else(Grant::new, |fencing| Grant::new().with_fencing(fencing))
}
