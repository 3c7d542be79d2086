//! What a leader has in the store, and what is told to those who wait in a process.

use crate::attempt_driver::AttemptDriver;
use crate::handover::held::Held;
use crate::message::Number;
use crate::product::Term;
use crate::product::{Instant, Waiter};
use crate::time::{Tick, instant};

/// What whoever asks waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The answer to a step.
    Asking,
    /// News: it stands in the store's queue.
    Waiting,
    /// Nothing: a step failed, and it asks again in this tick.
    Retrying,
    /// This tick, to ask again.
    Polling(Tick),
}

/// What a leader, or a task outside the local queue, has in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaderState {
    /// Its token, and the product's own code.
    pub attempt: AttemptDriver,
    /// The lease that it asks for.
    pub ttl: Tick,
    /// The product's own code.
    pub waiter: Waiter,
    /// The place in the store's queue, as far as it was told.
    pub ticket: Number,
    /// A pushed grant that nobody has looked at.
    pub kept: Option<Number>,
    /// What it waits for.
    pub phase: Phase,
    /// The first place that it got in the store's queue; only the properties know it.
    pub place: Option<Number>,
    /// How many grants of the store went to others that came later; only the properties know it.
    pub overtaken: u8,
    /// How many grants were made inside other processes meanwhile; only the properties know it.
    pub passed: u8,
}

/// The right to lead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Leadership {
    /// On whose behalf.
    pub term: Term,
    /// What the leader before has handed off.
    pub state: Option<LeaderState>,
}

/// What a waiting task is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// It leads.
    Lead(Leadership),
    /// It holds the lease.
    Hold(Held),
}

/// A place in the local queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LocalWaiter {
    /// The queue's number for it.
    pub number: u64,
    /// When it looks after those before it.
    pub look_at: Instant,
    /// What it was told and has not taken yet.
    pub told: Option<Turn>,
}

impl LeaderState {
    /// A token that nothing was sent for yet.
    #[must_use]
    pub fn new(attempt: AttemptDriver, ttl: Tick, now: Tick) -> Self {
        Self {
            attempt,
            ttl,
            waiter: Waiter::new(instant(now)),
            ticket: 0,
            kept: None,
            phase: Phase::Retrying,
            place: None,
            overtaken: 0,
            passed: 0,
        }
    }
}
