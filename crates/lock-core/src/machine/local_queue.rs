//! The queue of the tasks of one process that want the same name, as a pure state machine: which task
//! asks the store for all of them, which wait, and where a lease goes that is released. No clock, no
//! network, no runtime.
//!
//! Only one task of the queue, its *leader*, asks the store; so a process stands in the store's own
//! queue once, however many of its tasks wait.
//! A guard that is released hands its lease over to the next task of the queue without a round trip,
//! as often and for as long as the [`Handover`] allows. Then the lease goes back to the store, so that
//! other processes get their turn, and the next task becomes the leader, with a fresh token.
//! This is lock cohorting (Dice, Marathe and Shavit, "Lock Cohorting", 2012) with leases in the
//! place of a global lock.
//!
//! Nobody depends on a task that is not polled any more: a leader says by when it will act again, a
//! lease ends at its deadline, and a waiting task that finds either overdue becomes the leader itself.
//!
//! Each leader and each holder has a [`Term`], which is never used again: what an earlier one does or
//! says late changes nothing.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::instant::Instant;
use crate::types::handover::Handover;

/// A lease is handed over if at least half of what the next task asks for is left of it, or half of
/// this: then there is time enough to claim the rest.
const ENOUGH_LEFT: Duration = Duration::from_secs(2);

/// Waiting tasks look one after the other whether the leader or the lease is overdue: each this much
/// later than the one before it, and the last not later than the second of these.
const LOOK_STEP: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(5));

/// A task that was told to lead begins within this time.
const BEGIN: Duration = Duration::from_secs(1);

/// Waiting tasks look again after this time at the latest, each a step later than the one before it:
/// what they wait for may change into something that ends earlier.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Under which number a task is the leader or the holder of its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Term {
    /// It is in no queue: it asks the store for itself alone, and nothing is handed over.
    Outside,
    /// It is in a queue, under a number that is never used again.
    Numbered(u64),
}

/// See the [module's documentation](self). `W` is how the driver knows a waiting task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocalQueue<W> {
    term: Term,
    stage: Stage,
    arrivals: u64,
    waiting: VecDeque<(u64, W)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// The leader asks the store, and will act again by `acts_by`.
    Asking { acts_by: Instant, is_refused: bool },
    /// A guard holds the lease that the store granted `since`; it was handed over `index` times.
    Held { since: Instant, index: u16 },
}

/// Which task comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<W> {
    /// None: the term was over already.
    Stale,
    /// None waits: the queue is over.
    Nobody,
    /// This task is the leader, under the new term.
    Lead(W),
    /// This task holds the lease, under the new term, as the local grant with this index.
    Hold(W, u16),
}

/// What a waiting task finds when it looks at the leader or the holder.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// Neither is overdue; look again then.
    Again(Instant),
    /// Its turn has come, and it will be told.
    Called,
    /// Overdue: it is the leader itself, under the new term.
    Lead,
}

impl<W> LocalQueue<W> {
    /// A queue whose first task is the leader, and will act again by `acts_by`.
    #[must_use]
    pub const fn new(term: Term, acts_by: Instant) -> Self {
        let stage = Stage::Asking { acts_by, is_refused: false };
        Self { term, stage, arrivals: 0, waiting: VecDeque::new() }
    }

    /// Whether the lock is surely not free for a task that does not wait, unless that
    /// [is overdue](Self::is_overdue).
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self.stage, Stage::Held { .. } | Stage::Asking { is_refused: true, .. })
    }

    /// Whether a guard of this queue holds the lock.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Held { .. })
    }

    /// Whether the leader or the holder should have acted before `now`: what is known from it counts
    /// no more. A lease that is held is over at `held_until`.
    #[must_use]
    pub fn is_overdue(&self, now: Instant, held_until: Instant) -> bool {
        now >= self.acts_by(held_until)
    }

    /// How many tasks wait behind the leader or the holder.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A task goes to the end of the queue; returns its number.
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

    /// The leader will act again by `by`; `refused`: the store said that another holds the lock.
    /// `false` if it is not the leader any more: then nothing that it says counts.
    pub fn will_act(&mut self, term: Term, by: Instant, refused: bool) -> bool {
        if term == self.term
            && let Stage::Asking { acts_by, is_refused } = &mut self.stage
        {
            (*acts_by, *is_refused) = (by, refused);
            return true;
        }
        false
    }

    /// The store granted the lock to the leader. `false` if it is not the leader any more: then the
    /// lease has nothing to do with this queue.
    pub fn granted(&mut self, term: Term, now: Instant) -> bool {
        let is_leading = term == self.term && !self.is_held();
        if is_leading {
            self.stage = Stage::Held { since: now, index: 0 };
        }
        is_leading
    }

    /// A guard was released while it was held, with `left` of the store's lease: the lease is handed
    /// over, or the next task becomes the leader.
    pub fn released(
        &mut self,
        term: Term,
        now: Instant,
        left: Duration,
        handover: Handover,
        next_term: Term,
        ttl: impl FnOnce(&W) -> Duration,
    ) -> Next<W> {
        if term == self.term
            && let Stage::Held { since, index } = self.stage
            && let Some((_, next)) = self.waiting.front()
            && index < handover.grants()
            && now < since + handover.time()
            && left >= ttl(next).min(ENOUGH_LEFT) / 2
            && let Some((_, next)) = self.waiting.pop_front()
        {
            self.term = next_term;
            self.stage = Stage::Held { since, index: index + 1 };
            return Next::Hold(next, index + 1);
        }
        self.ended(term, now, next_term)
    }

    /// The leader has given up, or a lease is over and does not come back: the next task becomes the
    /// leader.
    pub fn ended(&mut self, term: Term, now: Instant, next_term: Term) -> Next<W> {
        if term != self.term {
            return Next::Stale;
        }
        let Some((_, next)) = self.waiting.pop_front() else { return Next::Nobody };
        self.lead(now, next_term);
        Next::Lead(next)
    }

    /// A waiting task looks whether the leader or the lease is overdue; a lease that is held is over
    /// at `held_until`.
    pub fn look(
        &mut self,
        number: u64,
        now: Instant,
        held_until: Instant,
        next_term: Term,
    ) -> Look {
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
            Stage::Asking { acts_by, .. } => acts_by,
            Stage::Held { .. } => held_until,
        }
    }

    fn lead(&mut self, now: Instant, next_term: Term) {
        self.term = next_term;
        self.stage = Stage::Asking { acts_by: now + BEGIN, is_refused: false };
    }
}
