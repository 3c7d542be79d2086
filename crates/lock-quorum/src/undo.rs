//! What is left to do at a member when the callers have their answers.
//!
//! A majority decides, so an answer may come while a member still owes its own.
//! Its request goes on here, and whatever a token may own at that member when nobody wants it any
//! more is released, by the same state machine by which the core does so for a whole store: until
//! an answer to a release is final, or the lease has ended by itself.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use lock_core::Result;
use lock_core::backend::{
    AcquireReply, AcquireRequest, Clock, Instant, Lane, LockKey, OwnerToken, ReleaseReply,
    ReleaseRequest,
};
use lock_core::machine::attempt::{Next, StepAnswer, StoreAttempt};

use crate::member::{Member, locked};
use crate::round::Exchange;
use crate::unsettled::Unsettled;

/// A token at a member, and how long its name must stay taken.
#[derive(Clone)]
pub(crate) struct Owner {
    key: LockKey,
    token: OwnerToken,
    clock: Clock,
    min_hold_end: Instant,
}

impl Owner {
    pub(crate) fn asking(request: &AcquireRequest) -> Self {
        let (key, token, clock) = (request.key.clone(), request.token, request.clock);
        Self { key, token, clock, min_hold_end: Instant::ORIGIN }
    }

    pub(crate) fn releasing(request: &ReleaseRequest) -> Self {
        let (key, token, clock) = (request.key.clone(), request.token, request.clock);
        let is_held = !request.min_hold.is_zero();
        let min_hold_end = if is_held { clock.now() + request.min_hold } else { Instant::ORIGIN };
        Self { key, token, clock, min_hold_end }
    }

    fn release(&self, now: Instant) -> ReleaseRequest {
        ReleaseRequest::new(self.key.clone(), self.token, self.clock)
            .with_min_hold(self.min_hold_end.saturating_duration_since(now))
            .with_lane(Lane::Background)
    }
}

/// What was sent for a token before its job begins, and is not answered yet.
enum UnderWay {
    Nothing,
    /// A request for a lock, for this lease.
    Request(Exchange<AcquireReply>, Duration),
    Release(Exchange<ReleaseReply>),
}

/// What a job does next.
enum Todo {
    Wait(Instant),
    Release,
    Nothing,
}

impl Member {
    /// A request for a lock goes on, though its caller has the answer. `is_wanted`: the token has
    /// the lock.
    pub(crate) fn follow_request(
        self: &Arc<Self>,
        request: &AcquireRequest,
        under_way: Exchange<AcquireReply>,
        is_wanted: bool,
    ) {
        let attempt = self.asked(request, is_wanted);
        let under_way = UnderWay::Request(under_way, request.ttl);
        self.settle(Owner::asking(request), attempt, under_way);
    }

    /// A request for a lock has ended without an answer, and may still take effect.
    pub(crate) fn doubt_request(self: &Arc<Self>, request: &AcquireRequest, is_wanted: bool) {
        let mut attempt = self.asked(request, is_wanted);
        attempt.step_failed(false);
        self.settle(Owner::asking(request), attempt, UnderWay::Nothing);
    }

    /// Nobody wants the lock for this token any more: a request that is unsettled is undone.
    /// It is released now, and no other release is sent before that one has ended.
    pub(crate) fn give_up(&self, token: OwnerToken, clock: Clock) {
        if let Some(one) = locked(&self.unsettled).get_mut(&token) {
            // Its lease may have been renewed meanwhile.
            one.attempt.renewal_sent(clock.now(), self.longest_lease());
            one.attempt.leave(Instant::ORIGIN);
            one.is_released = true;
        }
    }

    /// A vote is being given back, and its release goes on. Until that is answered, the vote does
    /// not count, though the token may be granted the lock by others meanwhile.
    pub(crate) fn follow_return(self: &Arc<Self>, owner: Owner, under_way: Exchange<ReleaseReply>) {
        let attempt = self.leaving(owner.clock.now());
        self.settle(owner, attempt, UnderWay::Release(under_way));
    }

    /// A release goes on, though its caller has the answer.
    pub(crate) fn follow_release(
        self: &Arc<Self>,
        owner: Owner,
        under_way: Exchange<ReleaseReply>,
    ) {
        let (counted, member) = (self.jobs.begin(), Arc::clone(self));
        self.together.spawn(owner.clock, async move {
            let answer = under_way.await;
            member.released(&owner, &answer);
            drop(counted);
        });
    }

    /// A release was answered, or was not: then it is repeated.
    pub(crate) fn released(self: &Arc<Self>, owner: &Owner, answer: &Result<ReleaseReply>) {
        let mut unsettled = locked(&self.unsettled);
        // A token is granted a lock once, so that was all of it.
        if matches!(answer, Ok(ReleaseReply::Released)) {
            unsettled.remove(&owner.token);
            return;
        }
        if let Some(one) = unsettled.get_mut(&owner.token) {
            // The request was not answered before, so it is released once more.
            one.is_released = false;
            if !std::mem::replace(&mut one.is_attended, true) {
                drop(unsettled);
                self.attend(owner.clone(), UnderWay::Nothing);
            }
            return;
        }
        drop(unsettled);
        match answer {
            Ok(_) => {}
            // Beyond the bound, what stands there ends by itself.
            Err(_) if self.may_be_asked().is_err() => {}
            Err(_) => {
                let now = owner.clock.now();
                let mut attempt = self.leaving(now);
                attempt.release_failed(now);
                self.settle(owner.clone(), attempt, UnderWay::Nothing);
            }
        }
    }

    fn attempt(&self) -> StoreAttempt {
        // It was never asked to wait, so no queue of its own knows the token.
        StoreAttempt::new(&self.capabilities().with_queueing(false))
    }

    /// A token that had a vote, and for which a release was sent.
    fn leaving(&self, now: Instant) -> StoreAttempt {
        let mut attempt = self.attempt();
        attempt.pushed(now, self.longest_lease(), now);
        attempt.leave(Instant::ORIGIN);
        attempt.release_sent(now);
        attempt
    }

    fn asked(&self, request: &AcquireRequest, is_wanted: bool) -> StoreAttempt {
        let mut attempt = self.attempt();
        attempt.step_sent(request.asked_at, request.ttl);
        if !is_wanted {
            attempt.leave(Instant::ORIGIN);
        }
        attempt
    }

    /// Looks after a token until nothing of it is left to do, unless somebody does so already.
    fn settle(self: &Arc<Self>, owner: Owner, attempt: StoreAttempt, under_way: UnderWay) {
        match locked(&self.unsettled).entry(owner.token) {
            Entry::Occupied(_) => return,
            Entry::Vacant(place) => {
                place.insert(Unsettled { attempt, is_released: false, is_attended: true });
            }
        }
        self.attend(owner, under_way);
    }

    fn attend(self: &Arc<Self>, owner: Owner, under_way: UnderWay) {
        let (counted, member) = (self.jobs.begin(), Arc::clone(self));
        self.together.spawn(owner.clock, async move {
            member.settled(&owner, under_way).await;
            drop(counted);
        });
    }

    async fn settled(self: &Arc<Self>, owner: &Owner, under_way: UnderWay) {
        match under_way {
            UnderWay::Nothing => {}
            UnderWay::Request(step, ttl) => {
                let answer = step.await;
                let now = owner.clock.now();
                self.update(owner.token, |attempt| step_ended(attempt, now, ttl, &answer));
            }
            UnderWay::Release(release) => self.release_ended(owner, release.await),
        }
        loop {
            let now = owner.clock.now();
            match self.todo(owner.token, now) {
                Todo::Nothing => return,
                Todo::Wait(at) => owner.clock.sleep_until(at).await,
                Todo::Release => {
                    self.update(owner.token, |attempt| attempt.release_sent(now));
                    let answer = self.release(owner.release(now)).await;
                    self.release_ended(owner, answer);
                }
            }
        }
    }

    fn release_ended(&self, owner: &Owner, answer: Result<ReleaseReply>) {
        let now = owner.clock.now();
        self.update(owner.token, |attempt| match answer {
            Ok(reply) => attempt.release_answered(reply),
            Err(_) => attempt.release_failed(now),
        });
    }

    /// What is to be done for a token; if that is nothing, it is forgotten.
    fn todo(&self, token: OwnerToken, now: Instant) -> Todo {
        let mut unsettled = locked(&self.unsettled);
        // A release that its caller sent has settled it.
        let Some(one) = unsettled.get_mut(&token) else { return Todo::Nothing };
        if one.is_released && !self.is_closed() {
            // Whoever hears of that release goes on.
            one.is_attended = false;
            return Todo::Nothing;
        }
        let attempt = &one.attempt;
        let todo = match attempt.next(now) {
            _ if self.is_closed() => Todo::Nothing,
            // The lock is held. What can no longer take effect late needs nobody to look after it.
            Next::Caller => match attempt.settled_at(now) {
                at if at > now => Todo::Wait(at),
                _ => Todo::Nothing,
            },
            Next::WaitUntil(at) => Todo::Wait(at),
            Next::SendRelease => Todo::Release,
            Next::Done | Next::AwaitStep | Next::AwaitRelease => Todo::Nothing,
        };
        if matches!(todo, Todo::Nothing) {
            unsettled.remove(&token);
        }
        todo
    }

    fn update(&self, token: OwnerToken, change: impl FnOnce(&mut StoreAttempt)) {
        if let Some(one) = locked(&self.unsettled).get_mut(&token) {
            change(&mut one.attempt);
        }
    }
}

fn step_ended(
    attempt: &mut StoreAttempt,
    now: Instant,
    ttl: Duration,
    answer: &Result<AcquireReply>,
) {
    match answer {
        Ok(AcquireReply::Granted(grant)) => {
            let lease = grant.granted_ttl.unwrap_or(ttl);
            attempt.step_answered(now, StepAnswer::Granted { lease });
        }
        Ok(_) => {
            attempt.step_answered(now, StepAnswer::Held);
        }
        Err(error) => attempt.step_failed(error.is_not_applied()),
    }
}
