//! One lease that a guard holds, as a pure state machine: until when it is valid, why it ended, when
//! it is renewed, and what is left to do when it ends. No clock, no network, no runtime.
//!
//! Three things set the deadline: the grant, renewals by the background (for a lease that is kept
//! alive, and to claim the rest of a lease that the store granted for a short window first), and
//! `extend` by the holder. The renewal policy is here: a lease is renewed when a third of it is over;
//! what fails is tried again after a quarter of what is left.
//!
//! A lease that is handed over inside the process is *offered* at first: the next task has to accept
//! it within a short time, so that a task that is not polled any more delays the others no longer
//! than that.
//!
//! The core drives it in production, and `lock-model` drives the same code.

use std::time::Duration;

use crate::machine::attempt::StoreAttempt;
use crate::time::instant::Instant;
use crate::types::loss::LossReason;

pub use crate::types::loss::LeaseEnd;

/// A lease is renewed when this part of it is over, so that two more tries are left.
const RENEW_AT: u32 = 3;

/// A renewal that failed is tried again after this part of what is left of the lease, and an answer
/// that takes longer is of no use.
const RETRY_AT: u32 = 4;

/// The bounds of the pause after a renewal that failed: a store that comes back must not be noticed
/// much later.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// A holder that was told of its loss gets this long to stop and release by itself, before the
/// background frees what may still stand in the store.
const GRACE: Duration = Duration::from_millis(100);

/// A task that is offered a lease accepts it within this time, or it goes back to the store.
pub const OFFER: Duration = Duration::from_secs(2);

/// Looks at an offer that is not accepted yet are at least this far apart.
const OFFER_LOOK: Duration = Duration::from_millis(10);

/// What was asked of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The lease.
    pub ttl: Duration,
    /// Whether it is renewed until its end.
    pub keep_alive: bool,
    /// How long it may be held with renewals and extensions.
    pub max_hold: Option<Duration>,
    /// How long the name stays taken, counted from the grant.
    pub min_hold: Duration,
}

/// One renewal that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Renewal {
    /// The lease that it asks for.
    pub ttl: Duration,
    /// What of it can be relied on.
    reliable: Duration,
    /// How often the lease had been extended when it was sent.
    extensions: u32,
}

/// One call of `extend` that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extension {
    /// The lease to ask the store for: longer than the holder's if `min_hold` is.
    pub asked: Duration,
    ttl: Duration,
    /// What of the store's lease can be relied on.
    reliable: Duration,
    number: u32,
    /// When the background has to look at the lease, if it would not otherwise.
    pub look_at: Option<Instant>,
}

/// What the background has to do for a lease that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Nothing, ever.
    Nothing,
    /// Nothing before this instant.
    LookAgain(Instant),
    /// Send a renewal, whose answer is of no use after `within`.
    Renew {
        /// What is asked for.
        renewal: Renewal,
        /// How long to wait for the answer.
        within: Duration,
    },
    /// Release what is left of a lost lease.
    Undo(StoreAttempt),
}

/// What a guard leaves to do that gives its lease up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Whose token is to be released, or handed over.
    pub attempt: StoreAttempt,
    /// The name is to stay taken until then.
    pub min_hold_end: Instant,
    /// What is left of the store's lease, if it may be handed over to another task.
    pub handover: Option<Duration>,
}

/// See the [module's documentation](self).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Taken by whoever releases.
    attempt: Option<StoreAttempt>,
    ttl: Duration,
    keep_alive: bool,
    /// When the lease ends that was asked for, counted from the grant.
    asked_end: Instant,
    max_hold_end: Instant,
    min_hold_end: Instant,
    /// Never later than the store's expiry.
    deadline: Instant,
    /// It never changes again.
    ended: Option<LeaseEnd>,
    /// Counts the calls of `extend`: only the latest one sets the deadline, and no renewal raises it
    /// that was sent before.
    extensions: u32,
    /// The store's lease is shorter than asked: the background claims the rest by a renewal, unless
    /// the work is over before.
    is_window: bool,
    /// A renewal was sent, and none has been confirmed since.
    is_unconfirmed: bool,
    /// The deadline from when on the task has accepted what was handed over to it.
    offered: Option<Instant>,
    /// The background frees what is left of a lost lease not before.
    undo_at: Option<Instant>,
}

impl Lease {
    /// A lease that the store granted, valid until `valid_until` at least. `is_window`: the store set
    /// less than was asked, until the grant is claimed.
    #[must_use]
    pub fn granted(
        terms: &Terms,
        now: Instant,
        valid_until: Instant,
        is_window: bool,
        attempt: StoreAttempt,
    ) -> Self {
        let max_hold_end = terms.max_hold.map_or(Instant::FAR_FUTURE, |max| now + max);
        Self {
            attempt: Some(attempt),
            ttl: terms.ttl,
            keep_alive: terms.keep_alive,
            asked_end: now + terms.ttl,
            max_hold_end,
            min_hold_end: now + terms.min_hold,
            deadline: valid_until.min(max_hold_end),
            ended: None,
            extensions: 0,
            is_window,
            is_unconfirmed: false,
            offered: None,
            undo_at: None,
        }
    }

    /// What is left of another task's lease, offered to the next one.
    #[must_use]
    pub fn handed_over(terms: &Terms, now: Instant, attempt: StoreAttempt) -> Self {
        let asked = attempt.bound(now, terms.ttl);
        let left = attempt.valid_until();
        // A fixed lease is never longer than what was asked for.
        let valid_until = if terms.keep_alive { left } else { left.min(asked) };
        let mut lease = Self::granted(terms, now, valid_until, left < asked, attempt);
        lease.offered = Some(lease.deadline);
        lease.deadline = lease.deadline.min(now + OFFER);
        lease
    }

    /// When the background has to look at a new lease for the first time.
    #[must_use]
    pub fn first_look(&self, now: Instant) -> Instant {
        if !self.wants_renewal() && self.offered.is_none() {
            // The store's lease may outlive the guard's: the background is to undo it.
            return self.deadline;
        }
        // Of what is left, which is less than the ttl after a slow answer, and in a window.
        let left = self.deadline.saturating_duration_since(now);
        now + left / RENEW_AT
    }

    /// Until when the lease is valid.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How the lease has ended, as far as is known.
    #[must_use]
    pub const fn ended(&self) -> Option<LeaseEnd> {
        self.ended
    }

    /// Whether it was handed over to a task that has not accepted it.
    #[must_use]
    pub const fn is_offered(&self) -> bool {
        self.offered.is_some()
    }

    /// The lease that was asked for.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Whether it is renewed until its end.
    #[must_use]
    pub const fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the store set less than was asked, and has not confirmed the rest.
    #[must_use]
    pub const fn is_window(&self) -> bool {
        self.is_window
    }

    /// Whether a renewal was sent, and none has been confirmed since.
    #[must_use]
    pub const fn is_unconfirmed(&self) -> bool {
        self.is_unconfirmed
    }

    /// Looks whether the lease is over by now.
    pub fn look(&mut self, now: Instant) -> Option<LeaseEnd> {
        if self.ended.is_none() && now >= self.deadline {
            let is_max = now >= self.max_hold_end;
            let reason = if is_max { LossReason::MaxHold } else { LossReason::Expired };
            self.ended = Some(LeaseEnd::Lost(reason));
        }
        self.ended
    }

    /// The lease is lost, unless it has ended already; returns how it ended.
    pub fn lose(&mut self, reason: LossReason) -> LeaseEnd {
        *self.ended.get_or_insert(LeaseEnd::Lost(reason))
    }

    /// The task to which this was handed over accepts it. `false`: too late.
    pub fn accept(&mut self, now: Instant) -> bool {
        if self.look(now).is_some() {
            return false;
        }
        if let Some(deadline) = self.offered.take() {
            self.deadline = deadline;
        }
        true
    }

    /// What the background has to do at `now`.
    pub fn duty(&mut self, now: Instant) -> Duty {
        if self.look(now).is_some() {
            return self.undo_when_due(now);
        }
        let left = self.deadline.saturating_duration_since(now);
        if !self.wants_renewal() || self.deadline >= self.max_hold_end {
            return Duty::LookAgain(self.deadline);
        }
        if self.offered.is_some() {
            // It may be accepted at any moment, and its claim must not be late then.
            let pause = (left / RENEW_AT).max(OFFER_LOOK);
            return Duty::LookAgain((now + pause).min(self.deadline));
        }
        let ttl = if self.keep_alive {
            self.ttl
        } else {
            // A claim brings a fixed lease to what was asked, counted from the grant.
            self.asked_end.saturating_duration_since(now)
        };
        let Some(attempt) = &mut self.attempt else { return Duty::Nothing };
        let reliable = attempt.reliable(now, ttl);
        attempt.renewal_sent(now, ttl);
        self.is_unconfirmed = true;
        let renewal = Renewal { ttl, reliable, extensions: self.extensions };
        Duty::Renew { renewal, within: left / RETRY_AT }
    }

    /// A renewal that was sent at `sent` was confirmed at `now`. Returns when the background looks
    /// again; an error says how the lease has ended meanwhile.
    pub fn renewed(
        &mut self,
        renewal: Renewal,
        sent: Instant,
        now: Instant,
    ) -> Result<Instant, LeaseEnd> {
        let Renewal { reliable, extensions, .. } = renewal;
        let Some(bound) = self.confirmed(sent, now, reliable, extensions)? else {
            return Ok(self.renewal_failed(now));
        };
        self.deadline = bound.min(self.max_hold_end).max(self.deadline);
        let lasts = self.ttl.min(reliable);
        Ok(if self.keep_alive { sent + lasts / RENEW_AT } else { self.deadline })
    }

    /// A renewal got no answer; returns when to look again.
    #[must_use]
    pub fn renewal_failed(&self, now: Instant) -> Instant {
        let left = self.deadline.saturating_duration_since(now);
        now + (left / RETRY_AT).clamp(RETRY_PAUSE.0, RETRY_PAUSE.1)
    }

    /// When the background undoes what is left of a lease that is known to be lost at `now`.
    pub fn undo_at(&mut self, now: Instant) -> Instant {
        *self.undo_at.get_or_insert(now + GRACE)
    }

    /// The store is about to be asked whether the lease still stands, by a renewal for `ttl` that is
    /// too short to change it.
    pub fn verifying(&mut self, now: Instant, ttl: Duration) -> Result<(), LeaseEnd> {
        if let Some(end) = self.look(now) {
            return Err(end);
        }
        let Some(attempt) = &mut self.attempt else { return Err(LeaseEnd::Released) };
        attempt.renewal_sent(now, ttl);
        Ok(())
    }

    /// The holder is about to set the store's lease to `ttl` from `now`.
    ///
    /// A shorter lease takes effect before that is sent: no answer is needed for it, and the store's
    /// lease ends that early as soon as the request arrives.
    pub fn extend(&mut self, now: Instant, ttl: Duration) -> Result<Extension, LeaseEnd> {
        if let Some(end) = self.look(now) {
            return Err(end);
        }
        let Some(attempt) = &mut self.attempt else { return Err(LeaseEnd::Released) };
        // The name stays taken until then, even if this process ends.
        let asked = ttl.max(self.min_hold_end.saturating_duration_since(now));
        let reliable = attempt.reliable(now, asked);
        attempt.set_sent(now, asked);
        let local_end = attempt.bound(now, asked).min(now + ttl);
        self.is_unconfirmed = true;
        self.extensions = self.extensions.wrapping_add(1);
        let is_lowered = local_end < self.deadline;
        if is_lowered {
            // What the store has is enough as it is.
            self.is_window = false;
            self.deadline = local_end;
        }
        // What is kept up is never more than was asked for last.
        self.ttl = self.ttl.min(ttl);
        let look_at = if !self.wants_renewal() {
            // The store's lease may outlive the guard's: the background is to undo it.
            Some(self.deadline)
        } else if is_lowered {
            // It is renewed in time for the shorter lease, too.
            Some(now + ttl / RENEW_AT)
        } else {
            None
        };
        Ok(Extension { asked, ttl, reliable, number: self.extensions, look_at })
    }

    /// The store set the lease that `extend` asked for at `sent`. `false`: an earlier `extend` that got
    /// no answer may still make it shorter.
    pub fn extended(
        &mut self,
        extension: Extension,
        sent: Instant,
        now: Instant,
    ) -> Result<bool, LeaseEnd> {
        let Extension { asked, ttl, reliable, number, .. } = extension;
        self.extension_answered();
        let is_reliable = reliable == asked;
        if let Some(bound) = self.confirmed(sent, now, reliable, number)? {
            // The store's bound may lie later, for `min_hold`; this one counts.
            self.deadline = bound.min(sent + ttl).min(self.max_hold_end);
            if is_reliable {
                // The last extension says what is kept up.
                self.ttl = ttl;
            }
        }
        Ok(is_reliable)
    }

    /// The store answered an `extend`, or it is certain that nothing came of it.
    pub fn extension_answered(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.set_answered();
        }
    }

    /// An `extend` ended at `now` without an answer.
    pub fn extension_failed(&mut self, now: Instant) {
        if let Some(attempt) = &mut self.attempt {
            attempt.set_failed(now);
        }
    }

    /// From now on, the lease is held on these terms: it was renewed until now, while its holder waited
    /// for what it needs besides. Returns when the background looks at it next, or how it has ended.
    pub fn begin(&mut self, terms: &Terms, now: Instant) -> Result<Instant, LeaseEnd> {
        if let Some(end) = self.look(now) {
            return Err(end);
        }
        self.ttl = terms.ttl;
        self.keep_alive = terms.keep_alive;
        self.asked_end = now + terms.ttl;
        self.max_hold_end = terms.max_hold.map_or(Instant::FAR_FUTURE, |max| now + max);
        self.min_hold_end = now + terms.min_hold;
        // A fixed lease is never longer than what was asked for.
        let asked = if self.keep_alive { self.max_hold_end } else { self.asked_end };
        self.deadline = self.deadline.min(self.max_hold_end).min(asked);
        let left = self.deadline.saturating_duration_since(now);
        Ok(if self.wants_renewal() { now + left / RENEW_AT } else { self.deadline })
    }

    /// The lease to ask for before it is passed on, and from when on it can be: not while a late request
    /// of its token could take the lock once more, or make its lease shorter, when others rely on it.
    pub fn before_passing_on(&mut self, now: Instant) -> (Duration, Instant) {
        let left = self.deadline.saturating_duration_since(now);
        let attempt = if self.look(now).is_some() { None } else { self.attempt };
        let settled_at = attempt.map_or(Instant::ORIGIN, |attempt| attempt.settled_at(now));
        (self.ttl.max(left), settled_at)
    }

    /// The guard leaves the lease to whoever gets its token. Returns how long the store may keep it, or
    /// `None` if it cannot be passed on yet.
    pub fn pass_on(&mut self, now: Instant) -> Result<Option<Duration>, LeaseEnd> {
        if let Some(end) = self.look(now) {
            return Err(end);
        }
        let may_leave = |attempt: &mut StoreAttempt| attempt.settled_at(now) <= now;
        let Some(attempt) = self.attempt.take_if(may_leave) else {
            return if self.attempt.is_some() { Ok(None) } else { Err(LeaseEnd::Released) };
        };
        self.ended = Some(LeaseEnd::Lost(LossReason::PassedOn));
        Ok(Some(attempt.forgotten_at().saturating_duration_since(now)))
    }

    /// The guard ends. `None`: somebody else has taken care of what is in the store.
    pub fn give_up(&mut self, now: Instant) -> Option<GivenUp> {
        self.look(now);
        let end = *self.ended.get_or_insert(LeaseEnd::Released);
        let attempt = self.attempt.take()?;
        let min_hold_end = match end {
            LeaseEnd::Released | LeaseEnd::Lost(LossReason::ShutDown) => self.min_hold_end,
            LeaseEnd::Lost(_) => Instant::ORIGIN,
        };
        // What the store has not confirmed or may still change, or what has to rest, is not handed over.
        let is_settled = !self.is_unconfirmed && !attempt.may_be_set(now);
        let may_hand_over = end == LeaseEnd::Released && is_settled && min_hold_end <= now;
        let left = attempt.valid_until().saturating_duration_since(now);
        Some(GivenUp { attempt, min_hold_end, handover: may_hand_over.then_some(left) })
    }

    const fn wants_renewal(&self) -> bool {
        self.keep_alive || self.is_window
    }

    fn undo_when_due(&mut self, now: Instant) -> Duty {
        let undo_at = self.undo_at(now);
        if now < undo_at {
            return Duty::LookAgain(undo_at);
        }
        self.attempt.take().map_or(Duty::Nothing, Duty::Undo)
    }

    /// Takes note that the store set a lease; returns the new bound of its expiry, or `None` if the
    /// lease was extended since that was asked for: then it is not known which of the two the store
    /// did last. A lease whose deadline has passed stays lost.
    fn confirmed(
        &mut self,
        sent: Instant,
        now: Instant,
        reliable: Duration,
        extensions: u32,
    ) -> Result<Option<Instant>, LeaseEnd> {
        self.look(now);
        let Some(attempt) = &mut self.attempt else {
            return Err(self.ended.unwrap_or(LeaseEnd::Released));
        };
        if let Some(end) = self.ended {
            return Err(end);
        }
        if self.extensions != extensions {
            return Ok(None);
        }
        self.is_window = false;
        self.is_unconfirmed = false;
        Ok(Some(attempt.renewed(sent, reliable)))
    }
}

#[cfg(test)]
mod tests;
