//! One store attempt as a pure state machine: no clock, no network, no runtime.
//!
//! A store attempt is everything that one [`OwnerToken`](crate::backend::OwnerToken) does with
//! the store: the steps that ask for the lock, the lease, and the releases that end it.
//! Events go in (what was sent, what was answered, what failed), and [`StoreAttempt::next`] says
//! what to do.
//! The core drives it in production, and `lock-model` drives the same code through every order of
//! slow, lost and late messages.
//!
//! What it guarantees, if its driver does what it says:
//!
//! - a grant that arrives past its own deadline is not handed out;
//! - whatever a token may own in the store is released, and the release is repeated until an
//!   answer is *final*: one that no late request of the same token can follow;
//! - a release that got no answer is never taken for one that did something, nor for one that
//!   found nothing.

use std::time::Duration;

use crate::backend::ReleaseReply;
use crate::backend::capabilities::Capabilities;
use crate::machine::margins::drift;
use crate::time::backoff::Backoff;
use crate::time::instant::Instant;
use crate::types::status::ReleaseOutcome;

/// The pauses between releases that failed.
const RELEASE_PAUSE: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));

/// How long a store keeps a queue after the last request, if nobody else comes. Others may keep it
/// alive for longer; then the turn of a token that is gone costs them a window, which is better
/// than releases without an end.
const QUEUE_LIFE: Duration = Duration::from_secs(60);

/// Whoever waits until nothing is under way any more looks again after this time.
const SETTLE_LOOK: Duration = Duration::from_millis(10);

/// How much later than a step a renewal can take effect, in multiples of `late_after`. No store
/// refuses one for being late; but a connection that gives no answer in time is replaced, and what
/// it still carries arrives a few timeouts later or never.
const RENEWAL_LATENESS: u32 = 2;

/// What the store answered to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepAnswer {
    /// The token owns the lock for this long.
    Granted {
        /// The lease that was set.
        lease: Duration,
    },
    /// Another token owns the lock.
    Held,
    /// Another token owns the lock, and this one waits in the store's queue.
    Queued,
}

/// What an answer means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The lock is held, at least until this instant.
    Hold {
        /// A lower bound of the store's expiry.
        valid_until: Instant,
    },
    /// It was granted, but the grant is over already; it is to be undone.
    TooLate,
    /// It is held by another, and nothing was left behind.
    Refused,
    /// It is held by another, and the token waits in the store's queue.
    Queued,
    /// Nobody waits for this answer any more; what it granted is to be undone.
    Abandoned,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// Nothing by itself: the caller asks, holds or leaves.
    Caller,
    /// Poll the step that is under way.
    AwaitStep,
    /// Send a release.
    SendRelease,
    /// Poll the release that is under way.
    AwaitRelease,
    /// Ask again at this instant.
    WaitUntil(Instant),
    /// Nothing of this token is left in the store.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Asking,
    Held,
    Leaving,
    Done,
}

/// See the [module's documentation](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoreAttempt {
    late_after: Duration,
    local_clock: bool,
    queueing: bool,
    phase: Phase,
    /// A step was sent and has neither been answered nor failed.
    step_in_flight: bool,
    /// When the newest step was sent, and the lease that it asked for.
    last_step: Instant,
    asked_ttl: Duration,
    /// That step asked for a place in the store's queue, if the lock was not free.
    asks_to_queue: bool,
    /// A step ended without an answer, so it may take effect until `late_after` has passed.
    in_doubt: bool,
    /// The store may know the token.
    stands: bool,
    /// The token waits in the store's queue, where no lease ends, and no release was sent yet.
    queued: bool,
    /// By then the store has forgotten the token by itself.
    forgotten_at: Instant,
    /// A lower bound of the store's expiry.
    valid_until: Instant,
    /// Requests that set the lease to an exact length, and are under way.
    sets_in_flight: u16,
    /// Those that ended without an answer may take effect until then.
    sets_end: Instant,
    /// The shortest lease among both.
    shortest_set: Duration,
    /// A release was sent; `Some(true)` if its answer will be final.
    release_in_flight: Option<bool>,
    release_failures: u8,
    /// No release is sent before.
    not_before: Instant,
    outcome: Option<ReleaseOutcome>,
}

impl StoreAttempt {
    /// A token that nothing was sent for yet, on a backend with these capabilities.
    #[must_use]
    pub const fn new(capabilities: &Capabilities) -> Self {
        let origin = Instant::ORIGIN;
        Self {
            late_after: capabilities.late_after,
            local_clock: capabilities.local_clock,
            queueing: capabilities.queueing,
            phase: Phase::Asking,
            step_in_flight: false,
            last_step: origin,
            asked_ttl: Duration::ZERO,
            asks_to_queue: true,
            in_doubt: false,
            stands: false,
            queued: false,
            forgotten_at: origin,
            valid_until: origin,
            sets_in_flight: 0,
            sets_end: origin,
            shortest_set: Duration::MAX,
            release_in_flight: None,
            release_failures: 0,
            not_before: origin,
            outcome: None,
        }
    }

    /// A step asking for `ttl` is about to be sent; `now` was read before.
    pub fn step_sent(&mut self, now: Instant, ttl: Duration) {
        self.step_in_flight = true;
        self.last_step = now;
        self.asked_ttl = ttl;
        self.asks_to_queue = true;
        self.outlives(now, ttl);
    }

    /// The step that is about to be sent asks for no place in the store's queue.
    pub const fn step_does_not_queue(&mut self) {
        self.asks_to_queue = false;
    }

    /// The step was answered; `now` was read after.
    pub fn step_answered(&mut self, now: Instant, answer: StepAnswer) -> Verdict {
        self.step_in_flight = false;
        match answer {
            StepAnswer::Granted { lease } => self.granted(now, lease, self.last_step),
            StepAnswer::Queued => {
                self.stands = true;
                self.queued = true;
                if self.phase == Phase::Asking { Verdict::Queued } else { self.abandoned() }
            }
            StepAnswer::Held => match self.phase {
                Phase::Asking => Verdict::Refused,
                _ => Verdict::Abandoned,
            },
        }
    }

    /// A grant was pushed to a token that waits in the store's queue; the store did not make it before
    /// `since`.
    pub fn pushed(&mut self, now: Instant, lease: Duration, since: Instant) -> Verdict {
        self.granted(now, lease, since)
    }

    /// The step ended without an answer. It is `not_applied` if it is proven that it had no
    /// effect and will have none.
    pub fn step_failed(&mut self, not_applied: bool) {
        self.step_in_flight = false;
        if !not_applied {
            self.in_doubt = true;
            self.stands = true;
            if self.queueing && self.asks_to_queue {
                // It perhaps waits in the queue.
                self.outlives_queue(self.last_step);
            }
        }
    }

    /// A renewal asking for `ttl` is about to be sent.
    pub fn renewal_sent(&mut self, now: Instant, ttl: Duration) {
        self.outlives(now + self.late_after * RENEWAL_LATENESS, ttl);
    }

    /// A request that sets the lease to exactly `ttl` is about to be sent: from now on the store's
    /// lease may end that early.
    pub fn set_sent(&mut self, now: Instant, ttl: Duration) {
        self.renewal_sent(now, ttl);
        self.valid_until = self.valid_until.min(self.bound(now, ttl));
        let others = if self.may_be_set(now) { self.shortest_set } else { Duration::MAX };
        self.shortest_set = others.min(ttl);
        self.sets_in_flight = self.sets_in_flight.saturating_add(1);
    }

    /// A request that sets the lease was answered, or will have no effect.
    pub fn set_answered(&mut self) {
        self.sets_in_flight = self.sets_in_flight.saturating_sub(1);
    }

    /// A request that sets the lease has ended at `now` without an answer. The store refuses it when
    /// it is late.
    pub fn set_failed(&mut self, now: Instant) {
        self.set_answered();
        self.sets_end = self.sets_end.max(now + self.late_after);
    }

    /// Whether a request may still set the lease, or may have done so unnoticed.
    #[must_use]
    pub fn may_be_set(&self, now: Instant) -> bool {
        self.sets_in_flight > 0 || now < self.sets_end
    }

    /// What can be relied on of a lease of `ttl` that is asked for at `now`: a request that sets it to
    /// less may take effect after this one.
    #[must_use]
    pub fn reliable(&self, now: Instant, ttl: Duration) -> Duration {
        if self.may_be_set(now) { ttl.min(self.shortest_set) } else { ttl }
    }

    /// A renewal that was sent at `sent` set the lease to `ttl`. Returns the lower bound of the
    /// store's expiry, which only [`set_sent`](Self::set_sent) lowers.
    pub fn renewed(&mut self, sent: Instant, ttl: Duration) -> Instant {
        self.valid_until = self.valid_until.max(self.bound(sent, ttl));
        self.valid_until
    }

    /// Nobody wants the lock any more: give back what stands in the store, not before
    /// `not_before`.
    pub fn leave(&mut self, not_before: Instant) {
        if matches!(self.phase, Phase::Asking | Phase::Held) {
            self.phase = Phase::Leaving;
            self.not_before = not_before;
        }
    }

    /// A release is about to be sent.
    pub fn release_sent(&mut self, now: Instant) {
        let all_answered = !self.step_in_flight && !self.in_doubt;
        let too_late_for_all = !self.step_in_flight && now >= self.last_step + self.late_after;
        self.release_in_flight = Some(all_answered || too_late_for_all);
        if std::mem::take(&mut self.queued) {
            // Nobody asks for its place any more, so the queue lasts for so long at most.
            self.outlives_queue(now);
        }
    }

    /// The release was answered.
    pub fn release_answered(&mut self, reply: ReleaseReply) {
        // A release that failed before has settled the outcome: what is there now may have come
        // after that one took effect.
        self.outcome.get_or_insert(match reply {
            ReleaseReply::Released => ReleaseOutcome::Released,
            ReleaseReply::NotHeld => ReleaseOutcome::AlreadyExpired,
            ReleaseReply::HeldByOther => ReleaseOutcome::HeldByOther,
        });
        self.release_failures = 0;
        if self.release_in_flight.take() == Some(true) {
            self.phase = Phase::Done;
        } else {
            self.not_before = self.last_step + self.late_after;
        }
    }

    /// The release ended without an answer.
    pub fn release_failed(&mut self, now: Instant) {
        self.release_in_flight = None;
        self.outcome.get_or_insert(ReleaseOutcome::Unknown);
        self.not_before = now + RELEASE_PAUSE.pause(self.release_failures.into());
        self.release_failures = self.release_failures.saturating_add(1);
    }

    /// What to do at `now`.
    #[must_use]
    pub fn next(&self, now: Instant) -> Next {
        match self.phase {
            Phase::Asking | Phase::Held => Next::Caller,
            Phase::Done => Next::Done,
            Phase::Leaving if self.release_in_flight.is_some() => Next::AwaitRelease,
            // A release that overtakes its own attempt would have to be sent again.
            Phase::Leaving if self.step_in_flight => Next::AwaitStep,
            Phase::Leaving if !self.stands || self.is_forgotten(now) => Next::Done,
            Phase::Leaving if now < self.not_before => Next::WaitUntil(self.not_before),
            Phase::Leaving => Next::SendRelease,
        }
    }

    /// What the guard may report of its release, as soon as it is known.
    #[must_use]
    pub const fn outcome(&self) -> Option<ReleaseOutcome> {
        self.outcome
    }

    /// A lower bound of the store's expiry.
    #[must_use]
    pub const fn valid_until(&self) -> Instant {
        self.valid_until
    }

    /// From when on nothing that this token has sent can still take the lock or make its lease
    /// shorter; a later look may find a later instant.
    #[must_use]
    pub fn settled_at(&self, now: Instant) -> Instant {
        let steps = if self.in_doubt { self.last_step + self.late_after } else { Instant::ORIGIN };
        let sets = if self.sets_in_flight > 0 {
            now + self.late_after.max(SETTLE_LOOK)
        } else {
            self.sets_end
        };
        steps.max(sets)
    }

    /// By then the store has forgotten the token by itself.
    #[must_use]
    pub const fn forgotten_at(&self) -> Instant {
        self.forgotten_at
    }

    /// Whether every lease of the token is over by the local clock, the one included that a step in
    /// doubt may have been granted. The store may keep it for a little longer.
    #[must_use]
    pub fn is_lease_over(&self, now: Instant) -> bool {
        let is_open = self.in_doubt || self.step_in_flight;
        let asked = self.last_step + self.late_after + self.asked_ttl;
        !self.queued && now >= self.valid_until && (!is_open || now >= asked)
    }

    /// Whether the token stands in the store, as far as is known.
    #[must_use]
    pub const fn stands(&self) -> bool {
        self.stands
    }

    /// Whether nothing of the token can be in the store, now or later.
    #[must_use]
    pub fn owes_nothing(&self) -> bool {
        let is_quiet = !self.step_in_flight && self.release_in_flight.is_none();
        self.phase == Phase::Done || (is_quiet && !self.stands)
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        !self.queued && now >= self.forgotten_at
    }

    fn granted(&mut self, now: Instant, lease: Duration, since: Instant) -> Verdict {
        self.stands = true;
        // Whoever is granted the lock is taken out of the queue.
        self.queued = false;
        // The store may have granted it just before it answered.
        self.outlives(now, lease);
        match self.phase {
            Phase::Asking => {
                self.valid_until = self.valid_until.max(self.bound(since, lease));
                if now >= self.valid_until {
                    self.phase = Phase::Leaving;
                    return Verdict::TooLate;
                }
                self.phase = Phase::Held;
                Verdict::Hold { valid_until: self.valid_until }
            }
            Phase::Held => {
                self.valid_until = self.valid_until.max(self.bound(since, lease));
                Verdict::Hold { valid_until: self.valid_until }
            }
            Phase::Leaving | Phase::Done => self.abandoned(),
        }
    }

    /// Whatever an earlier release found, this stands in the store now.
    fn abandoned(&mut self) -> Verdict {
        self.phase = Phase::Leaving;
        Verdict::Abandoned
    }

    /// Until when a lease of `lease` that was set not before `since` lasts at least.
    #[must_use]
    pub fn bound(&self, since: Instant, lease: Duration) -> Instant {
        let margin = if self.local_clock { Duration::ZERO } else { drift(lease) };
        since + lease.saturating_sub(margin)
    }

    /// A place in the queue lasts for as long as the queue, and its turn may come at the very end.
    fn outlives_queue(&mut self, now: Instant) {
        self.outlives(now, QUEUE_LIFE + self.asked_ttl);
    }

    fn outlives(&mut self, now: Instant, lease: Duration) {
        // Twice: what bounds the request's lateness also covers the way of its answer.
        let latest = now + lease + drift(lease) + self.late_after * 2;
        self.forgotten_at = self.forgotten_at.max(latest);
    }
}

#[cfg(test)]
mod tests;
