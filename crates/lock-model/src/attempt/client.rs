//! The state of one client, and everything of it that is on its way.

use crate::attempt::settings::{Scenario, SeededBug};
use crate::attempt_driver::AttemptDriver;
use crate::message::Request;
use crate::network::Messages;
use crate::time::{Tick, instant};

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
    /// The attempt that it makes, or the last one that it made.
    pub attempt: AttemptDriver,
    /// Everything that is on its way.
    pub messages: Messages,
    /// The store lost its data during this attempt; only the properties know it.
    pub excused: bool,
}

impl Client {
    /// A client that has made no attempt.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            stage: Stage::Idle,
            attempt: attempt(0, scenario),
            messages: Messages::default(),
            excused: false,
        }
    }

    /// Vanishes; what was sent stays on its way.
    pub fn crash(&mut self, scenario: &Scenario) {
        self.finish(scenario);
        self.stage = Stage::Crashed;
    }

    /// Ends an attempt.
    pub fn finish(&mut self, scenario: &Scenario) {
        self.stage = Stage::Idle;
        self.attempt = attempt(self.attempt.number, scenario);
        self.excused = false;
        self.messages.forget_all();
        self.tidy();
    }

    /// Drops what nobody will notice, and brings the rest into one order.
    pub fn tidy(&mut self) {
        self.messages.tidy(|_| false);
    }

    /// Whether it believes that it holds the lock.
    #[must_use]
    pub fn holds(&self, now: Tick) -> bool {
        self.stage == Stage::Holding && self.attempt.machine.valid_until() > instant(now)
    }

    /// Whether it does nothing and nothing of it is on its way.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        matches!(self.stage, Stage::Idle | Stage::Crashed) && self.messages.is_empty()
    }

    /// Whether it can let this tick pass.
    #[must_use]
    pub fn can_wait(&self, now: Tick) -> bool {
        match self.stage {
            Stage::Deciding { by } => now < by,
            Stage::Holding => self.holds(now),
            _ => true,
        }
    }

    /// Whether a renewal for this lease is under way.
    #[must_use]
    pub fn is_renewing(&self, ttl: Tick) -> bool {
        self.messages.exchanges.iter().any(|e| e.awaited && e.request == Request::Renew { ttl })
    }
}

fn attempt(number: u8, scenario: &Scenario) -> AttemptDriver {
    AttemptDriver::new(number, false, scenario.bug == Some(SeededBug::LateAfterTooShort))
}
