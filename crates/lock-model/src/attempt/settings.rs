//! What a scenario says, and the bugs that may be seeded in one.

use crate::budget::{Budget, NONE};
use crate::time::Tick;

/// One exploration.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// How many clients.
    pub clients: usize,
    /// How many attempts each makes, one after the other.
    pub attempts: u8,
    /// The lease of an attempt.
    pub ttl: Tick,
    /// The leases that renewals ask for; of each, one can be under way.
    pub renewals: [Tick; 2],
    /// How long an ordinary message takes at most.
    pub latency: Tick,
    /// How long a slow message takes at most.
    pub slow: Tick,
    /// The trouble.
    pub budget: Budget,
    /// The bug.
    pub bug: Option<SeededBug>,
    /// Whether it is small enough for every change: a million states at most.
    pub quick: bool,
}

/// What the scenarios have in common.
pub const COMMON: Scenario = Scenario {
    name: "",
    clients: 2,
    attempts: 1,
    ttl: 4,
    renewals: [4, 6],
    latency: 0,
    slow: 5,
    budget: NONE,
    bug: None,
    quick: true,
};

/// A bug that is put into the modelled server or driver, to see that the properties notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SeededBug {
    /// The server releases whoever owns the lock.
    NoOwnerCheck,
    /// The driver counts a lease from the arrival of the answer.
    DeadlineFromReply,
    /// The driver counts a renewed lease from the arrival of the answer.
    RenewalFromReply,
    /// The server runs an acquire however late it arrives.
    NoNotAfter,
    /// The driver believes that an acquire can take effect no later than its timeout, to the tick.
    LateAfterTooShort,
    /// The driver takes the first answer to a release for the final one.
    FirstAnswerIsFinal,
    /// The driver takes a step without an answer for one that did nothing.
    DoubtForgotten,
    /// The server sets the expiry to the renewal's, also if that is earlier.
    RenewalShortens,
    /// The server sets a lease that is not there any more.
    RenewalRevives,
    /// The server grants again without raising the expiry.
    RegrantKeepsExpiry,
    /// The driver sends a release while a step is under way, and takes its answer for final.
    ReleaseOvertakesStep,
    /// The driver reports what a repeated release was answered.
    RetryIsBelieved,
    /// The server forgets to store the counter.
    FenceRepeats,
    /// The driver forgets a grant that nobody waits for.
    AbandonedIsIgnored,
}
