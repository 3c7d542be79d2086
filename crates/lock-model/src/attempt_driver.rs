//! One token and the product's state machine for it, as all models drive it.

use std::time::Duration;

use crate::exchange::RESPONSE_TIMEOUT;
use crate::message::{Answer, Request};
use crate::network::Messages;
use crate::product::{
    Capabilities, Instant, NextRequest, ReleaseOutcome, ReleaseReply, StepAnswer, StoreAttempt,
    Verdict,
};
use crate::properties::Breach;
use crate::time::{Tick, instant, ticks};

/// What the product allows above the response timeout for a step to take effect.
const MARGIN: Duration = Duration::from_millis(50);

/// A token and what the product knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptDriver {
    /// The number of its token among those of its client.
    pub number: u8,
    /// The product's own code.
    pub machine: StoreAttempt,
    /// A release of it freed the lock; only the properties know it.
    pub freed: bool,
}

/// Tokens that nobody wants any more, until nothing is left of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Abandoned(Vec<AttemptDriver>);

impl AttemptDriver {
    /// A token that nothing was sent for yet, on a store with a queue or without.
    ///
    /// With `is_hasty`, a step is taken to have effect no later than its timeout, to the tick.
    #[must_use]
    pub fn new(number: u8, queueing: bool, is_hasty: bool) -> Self {
        let margin = if is_hasty { Duration::ZERO } else { MARGIN };
        let capabilities = Capabilities::none()
            .with_queueing(queueing)
            .with_late_after(ticks(RESPONSE_TIMEOUT) + margin);
        Self::of(number, StoreAttempt::new(&capabilities))
    }

    /// A token of which this much is known.
    #[must_use]
    pub const fn of(number: u8, machine: StoreAttempt) -> Self {
        Self { number, machine, freed: false }
    }

    /// Takes the answer to a step that asked for this lease.
    pub fn step_answered(&mut self, now: Instant, answer: Answer, ttl: Tick) -> Verdict {
        let answer = match answer {
            Answer::Granted(_) => StepAnswer::Granted { lease: ticks(ttl) },
            Answer::Queued { .. } => StepAnswer::Queued,
            _ => StepAnswer::Held,
        };
        self.machine.step_answered(now, answer)
    }

    /// Takes the answer to a release, and says what the caller is told by it.
    pub fn release_answered(&mut self, now: Instant, answer: Answer) -> Option<ReleaseOutcome> {
        let reply = match answer {
            Answer::Released => ReleaseReply::Released,
            Answer::NotHeld => ReleaseReply::NotHeld,
            Answer::HeldByOther => ReleaseReply::HeldByOther,
            _ => {
                self.machine.release_failed(now);
                return None;
            }
        };
        let before = self.machine.outcome();
        self.machine.release_answered(reply);
        self.machine.outcome().filter(|_| before.is_none())
    }

    /// Whether what the caller is told is not what happened.
    #[must_use]
    pub fn breach_of_outcome(&self, told: Option<ReleaseOutcome>) -> Breach {
        let told = told?;
        let is_true = match told {
            ReleaseOutcome::Released => self.freed,
            ReleaseOutcome::Unknown => true,
            _ => !self.freed,
        };
        (!is_true).then(|| format!("R8: the caller is told {told:?}, which is not what happened"))
    }
}

impl Abandoned {
    /// Nobody wants this token any more; it is kept only if something may be left of it.
    pub fn add(&mut self, mut attempt: AttemptDriver) {
        if !attempt.machine.owes_nothing() {
            attempt.machine.leave(instant(0));
            self.0.push(attempt);
        }
    }

    /// Forgets a token, although something may be left of it.
    pub fn forget(&mut self, number: u8) {
        self.0.retain(|attempt| attempt.number != number);
    }

    /// Forgets every token.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Does what the machines want at once, with a release of this kind. With `overtakes`, it does
    /// not wait for a step.
    pub fn settle(
        &mut self,
        messages: &mut Messages,
        release: Request,
        now: Tick,
        overtakes: bool,
    ) {
        self.0.retain_mut(|AttemptDriver { number, machine, .. }| {
            let next = machine.next(instant(now));
            if next == NextRequest::SendRelease || (overtakes && next == NextRequest::AwaitStep) {
                machine.release_sent(instant(now));
                messages.send(*number, release, now);
            }
            next != NextRequest::Done
        });
    }

    /// One of them, to be changed.
    pub fn find_mut(&mut self, number: u8) -> Option<&mut AttemptDriver> {
        self.0.iter_mut().find(|attempt| attempt.number == number)
    }

    /// Whether nothing is left of any.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
