//! The state of one client, and everything of it that is on its way.

use std::time::Duration;

use crate::attempt::server::{Answer, Request};
use crate::attempt::settings::{Scenario, SeededBug};
use crate::exchange::{self, RESPONSE_TIMEOUT};
use crate::product::{Capabilities, StoreAttempt};
use crate::time::{Tick, instant, ticks};

/// A request to the server and its answer.
pub type Exchange = exchange::Exchange<Request, Answer>;

/// What a client is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Between two attempts.
    Idle,
    /// A step is under way, and somebody waits for it.
    Asking,
    /// A step did not get the lock; by this tick the caller asks again or gives up.
    Deciding {
        /// The last tick.
        by: Tick,
    },
    /// A guard is out.
    Holding,
    /// The caller is gone, and what stands in the store is being undone.
    Leaving,
    /// Vanished.
    Crashed,
}

/// The state of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// What it is about.
    pub stage: Stage,
    /// The how many-th attempt it makes, or the number of those it made.
    pub attempt: u8,
    /// The product's own code.
    pub machine: StoreAttempt,
    /// Everything that is on its way.
    pub exchanges: Vec<Exchange>,
    /// A release of this attempt freed the lock; only the properties know it.
    pub freed: bool,
    /// The store lost its data during this attempt; only the properties know it.
    pub excused: bool,
}

/// What the caller was told or handed and should not have been, if anything.
pub type Told = Option<String>;

impl Client {
    /// A client that has made no attempt.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            stage: Stage::Idle,
            attempt: 0,
            machine: machine(scenario),
            exchanges: Vec::new(),
            freed: false,
            excused: false,
        }
    }

    /// Whether it believes that it holds the lock.
    #[must_use]
    pub fn holds(&self, now: Tick) -> bool {
        self.stage == Stage::Holding && self.machine.valid_until() > instant(now)
    }

    /// Whether it does nothing and nothing of it is on its way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        matches!(self.stage, Stage::Idle | Stage::Crashed) && self.exchanges.is_empty()
    }

    /// Whether it can let this tick pass.
    #[must_use]
    pub fn can_wait(&self, now: Tick) -> bool {
        self.exchanges.iter().all(|exchange| exchange.is_in_time(now))
            && match self.stage {
                Stage::Deciding { by } => now < by,
                Stage::Holding => self.holds(now),
                _ => true,
            }
    }

    /// Whether a renewal for this lease is under way.
    #[must_use]
    pub fn is_renewing(&self, ttl: Tick) -> bool {
        self.exchanges.iter().any(|e| e.awaited && e.request == Request::Renew { ttl })
    }

    /// Vanishes; what was sent stays on its way.
    pub fn crash(&mut self, scenario: &Scenario) {
        self.finish(scenario);
        self.stage = Stage::Crashed;
    }

    pub(super) fn finish(&mut self, scenario: &Scenario) {
        self.stage = Stage::Idle;
        self.machine = machine(scenario);
        (self.freed, self.excused) = (false, false);
        for exchange in &mut self.exchanges {
            exchange.awaited = false;
        }
        exchange::tidy(&mut self.exchanges);
    }
}

/// A fresh machine; the product allows 50 ms above the response timeout.
fn machine(scenario: &Scenario) -> StoreAttempt {
    let margin = if scenario.bug == Some(SeededBug::LateAfterTooShort) { 0 } else { 50 };
    let late_after = ticks(RESPONSE_TIMEOUT) + Duration::from_millis(margin);
    StoreAttempt::new(&Capabilities::none().with_late_after(late_after))
}
