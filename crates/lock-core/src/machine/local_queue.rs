//! The line of one name inside one process, as a pure state machine: who deals with the store for
//! all, who waits, and what a guard that is released passes on. No clock, no network, no runtime.
//!
//! The tasks of a service that want one name form a line, and only the line stands in the store:
//! the first of them, who *leads*, asks on behalf of all.
//! A guard that is released passes its lease on to the next task without a round trip, as often and
//! for as long as the [`Handover`] allows; then the lease goes back to the store, so that other
//! processes get their turn, and the next task leads with a fresh token (lock cohorting: Dice,
//! Marathe and Shavit, "Lock Cohorting", 2012, brought to leases).
//!
//! Nobody depends on a task that is not polled any more: whoever leads promises when it will act
//! next, a lease ends at its deadline, and a waiting task that finds either overdue takes over.
//!
//! Each leader and each holder has a *term*, a number that is never used again: what an earlier one
//! does or says late changes nothing.

use std::collections::VecDeque;
use std::time::Duration;

use crate::backend::token::FencingToken;
use crate::time::clock::Instant;

/// How far a lease may be passed on inside a process before it goes back to the store.
///
/// Each grant of the store may be passed on so many times, and until so long after it, whichever
/// ends first; so another process waits for one such batch at most, which is the time and one
/// section more.
///
/// ```
/// use std::time::Duration;
/// use lock_core::{Handover, LockService, memory::MemoryBackend};
///
/// // First come, first served over all processes, at the price of a round trip for each.
/// let strict = LockService::builder(MemoryBackend::new()).handover(Handover::OFF).build();
/// // Longer batches than the default of 64 grants and 5 ms.
/// let long = Handover::new(500, Duration::from_millis(20));
/// let fast = LockService::builder(MemoryBackend::new()).handover(long).build();
/// # drop((strict, fast));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handover {
    grants: u16,
    time: Duration,
}

impl Handover {
    /// Nothing is passed on: each task stands in the store's line by itself, in strict order.
    pub const OFF: Self = Self { grants: 0, time: Duration::ZERO };

    /// The most that can be passed on of one grant: the fencing tokens of a grant have room for
    /// no more.
    pub const MAX_GRANTS: u16 = (1 << FencingToken::LOCAL_BITS) - 1;

    /// At most so many times, [`MAX_GRANTS`](Self::MAX_GRANTS) at the most, and until so long after
    /// the store's grant. Either of them zero is [`OFF`](Self::OFF).
    #[must_use]
    pub const fn new(grants: u16, time: Duration) -> Self {
        if grants == 0 || time.is_zero() {
            return Self::OFF;
        }
        Self { grants: if grants > Self::MAX_GRANTS { Self::MAX_GRANTS } else { grants }, time }
    }

    /// Whether nothing is passed on.
    #[must_use]
    pub const fn is_off(self) -> bool {
        self.grants == 0
    }
}

/// 64 times, and until 5 ms after the store's grant.
impl Default for Handover {
    fn default() -> Self {
        Self::new(64, Duration::from_millis(5))
    }
}

/// A lease is passed on if at least half of what the next one asks for is left of it, or half of
/// this; a keeper has time enough to claim the rest.
const ENOUGH_LEFT: Duration = Duration::from_secs(2);

/// Those who wait look one after the other after what is overdue, the first at once, the last not
/// later than the second of these.
const LOOK_STEP: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(5));

/// Whoever was told to lead begins within this time.
const BEGIN: Duration = Duration::from_secs(1);

/// Those who wait look again after this time at the latest, each a step later than the one before:
/// what they wait for may change into something that ends earlier.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// See the [module's documentation](self). `W` is how the driver knows a waiting task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line<W> {
    term: u64,
    stage: Stage,
    arrivals: u64,
    waiting: VecDeque<(u64, W)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// One task deals with the store, and promised to act again by then.
    Asking { promised: Instant, is_refused: bool },
    /// A guard holds the lease that the store granted `since`; it was passed on `index` times.
    Held { since: Instant, index: u16 },
}

/// Who comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<W> {
    /// Nothing: the term was over already.
    Stale,
    /// Nobody waits: the line is over.
    Nobody,
    /// This task leads, under the new term.
    Lead(W),
    /// This task holds the lease, under the new term, as the grant with this index.
    Hold(W, u16),
}

/// What a waiting task finds when it looks after those before it.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing is overdue, as far as is known, before then.
    Again(Instant),
    /// Its turn has come, and it will be told.
    Called,
    /// It leads, under the new term.
    Lead,
}

impl<W> Line<W> {
    /// A line whose first task leads, and promises to act again by then.
    #[must_use]
    pub const fn new(term: u64, promised: Instant) -> Self {
        let stage = Stage::Asking { promised, is_refused: false };
        Self { term, stage, arrivals: 0, waiting: VecDeque::new() }
    }

    /// Whether the lock is surely not free for one who does not wait, unless that
    /// [is overdue](Self::is_overdue).
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self.stage, Stage::Held { .. } | Stage::Asking { is_refused: true, .. })
    }

    /// Whether a guard of this line holds the lock.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Held { .. })
    }

    /// Whether whoever leads or holds was to act before `now`: what is known from it counts no more.
    /// A lease that is held is over at `held_until`.
    #[must_use]
    pub fn is_overdue(&self, now: Instant, held_until: Instant) -> bool {
        now >= self.acts_by(held_until)
    }

    /// A task goes to the end of the line; returns its number.
    pub fn join(&mut self, who: W) -> u64 {
        self.arrivals += 1;
        self.waiting.push_back((self.arrivals, who));
        self.arrivals
    }

    /// A waiting task gives up.
    pub fn leave(&mut self, number: u64) -> Option<W> {
        let at = self.waiting.binary_search_by_key(&number, |&(number, _)| number).ok()?;
        self.waiting.remove(at).map(|(_, who)| who)
    }

    /// Whoever leads promises to act again by then; `is_refused`: the store said that another
    /// holds the lock. `false` if it does not lead any more: then nothing that it says counts.
    pub fn promise(&mut self, term: u64, until: Instant, refused: bool) -> bool {
        if term == self.term
            && let Stage::Asking { promised, is_refused } = &mut self.stage
        {
            (*promised, *is_refused) = (until, refused);
            return true;
        }
        false
    }

    /// The store granted the lock to whoever leads. `false` if it does not lead any more: then the
    /// lease has nothing to do with this line.
    pub fn granted(&mut self, term: u64, now: Instant) -> bool {
        let is_leading = term == self.term && !self.is_held();
        if is_leading {
            self.stage = Stage::Held { since: now, index: 0 };
        }
        is_leading
    }

    /// A guard was released while it was held, with `left` of the store's lease: the lease is
    /// passed on, or somebody leads anew.
    pub fn released(
        &mut self,
        term: u64,
        now: Instant,
        left: Duration,
        handover: Handover,
        next_term: u64,
        ttl: impl FnOnce(&W) -> Duration,
    ) -> Next<W> {
        if term == self.term
            && let Stage::Held { since, index } = self.stage
            && let Some((_, next)) = self.waiting.front()
            && index < handover.grants
            && now < since + handover.time
            && left >= ttl(next).min(ENOUGH_LEFT) / 2
            && let Some((_, next)) = self.waiting.pop_front()
        {
            self.term = next_term;
            self.stage = Stage::Held { since, index: index + 1 };
            return Next::Hold(next, index + 1);
        }
        self.ended(term, now, next_term)
    }

    /// Whoever led has given up, or a lease is over and does not come back: the next task leads.
    pub fn ended(&mut self, term: u64, now: Instant, next_term: u64) -> Next<W> {
        if term != self.term {
            return Next::Stale;
        }
        let Some((_, next)) = self.waiting.pop_front() else { return Next::Nobody };
        self.lead(now, next_term);
        Next::Lead(next)
    }

    /// A waiting task looks whether those before it are overdue; a lease that is held is over at
    /// `held_until`.
    pub fn look(&mut self, number: u64, now: Instant, held_until: Instant, next_term: u64) -> Look {
        let Ok(at) = self.waiting.binary_search_by_key(&number, |&(number, _)| number) else {
            return Look::Called;
        };
        let overdue = self.acts_by(held_until);
        let behind = LOOK_STEP.0.saturating_mul(u32::try_from(at).unwrap_or(u32::MAX));
        let behind = behind.min(LOOK_STEP.1);
        if now < overdue + behind {
            return Look::Again(overdue.min(now + LOOK_AGAIN) + behind);
        }
        self.waiting.remove(at);
        self.lead(now, next_term);
        Look::Lead
    }

    const fn acts_by(&self, held_until: Instant) -> Instant {
        match self.stage {
            Stage::Asking { promised, .. } => promised,
            Stage::Held { .. } => held_until,
        }
    }

    fn lead(&mut self, now: Instant, next_term: u64) {
        self.term = next_term;
        self.stage = Stage::Asking { promised: now + BEGIN, is_refused: false };
    }
}
