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
        self.settle(Owner::asking(request), attempt, Some((under_way, request.ttl)));
    }

    /// A request for a lock has ended without an answer, and may still take effect.
    pub(crate) fn doubt_request(self: &Arc<Self>, request: &AcquireRequest, is_wanted: bool) {
        let mut attempt = self.asked(request, is_wanted);
        attempt.step_failed(false);
        self.settle(Owner::asking(request), attempt, None);
    }

    /// Nobody wants the lock for this token any more: a request that is unsettled is undone.
    pub(crate) fn give_up(&self, token: OwnerToken, clock: Clock) {
        self.update(token, |attempt| {
            // Its lease may have been renewed meanwhile.
            attempt.renewal_sent(clock.now(), self.longest_lease());
            attempt.leave(Instant::ORIGIN);
        });
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
        match answer {
            // A token is granted a lock once, so that was all of it.
            Ok(ReleaseReply::Released) => {
                locked(&self.unsettled).remove(&owner.token);
            }
            // If a request is still unsettled, its job releases once more.
            Ok(_) => {}
            // Beyond the bound, what stands there ends by itself.
            Err(_) if self.may_be_asked().is_err() => {}
            Err(_) => {
                let now = owner.clock.now();
                let mut attempt = StoreAttempt::new(&self.capabilities());
                attempt.pushed(now, self.longest_lease(), now);
                attempt.leave(Instant::ORIGIN);
                attempt.release_sent(now);
                attempt.release_failed(now);
                self.settle(owner.clone(), attempt, None);
            }
        }
    }

    fn asked(&self, request: &AcquireRequest, is_wanted: bool) -> StoreAttempt {
        let mut attempt = StoreAttempt::new(&self.capabilities());
        attempt.step_sent(request.asked_at, request.ttl);
        if !is_wanted {
            attempt.leave(Instant::ORIGIN);
        }
        attempt
    }

    /// Looks after a token until nothing of it is left to do, unless somebody does so already.
    fn settle(
        self: &Arc<Self>,
        owner: Owner,
        attempt: StoreAttempt,
        under_way: Option<(Exchange<AcquireReply>, Duration)>,
    ) {
        match locked(&self.unsettled).entry(owner.token) {
            Entry::Occupied(_) => return,
            Entry::Vacant(place) => drop(place.insert(attempt)),
        }
        let (counted, member) = (self.jobs.begin(), Arc::clone(self));
        self.together.spawn(owner.clock, async move {
            member.settled(&owner, under_way).await;
            drop(counted);
        });
    }

    async fn settled(
        self: &Arc<Self>,
        owner: &Owner,
        under_way: Option<(Exchange<AcquireReply>, Duration)>,
    ) {
        if let Some((step, ttl)) = under_way {
            let answer = step.await;
            let now = owner.clock.now();
            self.update(owner.token, |attempt| step_ended(attempt, now, ttl, &answer));
        }
        loop {
            let now = owner.clock.now();
            match self.todo(owner.token, now) {
                Todo::Nothing => return,
                Todo::Wait(at) => owner.clock.sleep_until(at).await,
                Todo::Release => {
                    self.update(owner.token, |attempt| attempt.release_sent(now));
                    let answer = self.release(owner.release(now)).await;
                    let now = owner.clock.now();
                    self.update(owner.token, |attempt| match answer {
                        Ok(reply) => attempt.release_answered(reply),
                        Err(_) => attempt.release_failed(now),
                    });
                }
            }
        }
    }

    /// What is to be done for a token; if that is nothing, it is forgotten.
    fn todo(&self, token: OwnerToken, now: Instant) -> Todo {
        let mut unsettled = locked(&self.unsettled);
        // A release that its caller sent has settled it.
        let Some(attempt) = unsettled.get(&token) else { return Todo::Nothing };
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
        if let Some(attempt) = locked(&self.unsettled).get_mut(&token) {
            change(attempt);
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
