//! What a client does: the product's state machine, driven as the product drives it.

use crate::attempt::client::{Client, Stage};
use crate::attempt::settings::{Scenario, SeededBug};
use crate::exchange::{Exchange, RESPONSE_TIMEOUT};
use crate::message::{Answer, Form, Request};
use crate::product::{Instant, NextRequest, ReleaseOutcome, Verdict};
use crate::properties::Breach;
use crate::time::{Tick, instant, ticks};

/// The driver of one client at one tick.
#[derive(Debug)]
pub struct Driver<'a> {
    /// What is explored.
    pub scenario: &'a Scenario,
    /// The present.
    pub now: Tick,
    /// Whom it drives.
    pub client: &'a mut Client,
}

impl Driver<'_> {
    fn has(&self, bug: SeededBug) -> bool {
        self.scenario.bug == Some(bug)
    }

    fn at(&self) -> Instant {
        instant(self.now)
    }

    fn send(&mut self, request: Request) {
        self.client.messages.send(self.client.attempt.number, request, self.now);
    }

    /// Begins an attempt with a fresh token.
    pub fn start(&mut self) {
        self.client.attempt.number += 1;
        self.ask();
    }

    /// Sends a step, the first or one more.
    pub fn ask(&mut self) {
        let ttl = self.scenario.ttl;
        self.client.stage = Stage::Asking;
        self.client.attempt.machine.step_sent(self.at(), ticks(ttl));
        let not_after = self.now + RESPONSE_TIMEOUT;
        self.send(Request::Acquire {
            ttl,
            not_after,
            wait: false,
            ticket: 0,
            channel: 0,
            form: Form::Script,
            counted: false,
        });
    }

    /// The caller wants the lock no more, or has lost it.
    pub fn leave(&mut self) {
        self.client.stage = Stage::Leaving;
        self.client.messages.forget_renewals(self.client.attempt.number);
        self.client.attempt.machine.leave(instant(0));
    }

    /// Sends a renewal.
    pub fn renew(&mut self, ttl: Tick) {
        self.client.attempt.machine.renewal_sent(self.at(), ticks(ttl));
        self.send(Request::Renew { ttl });
    }

    /// Gives up waiting for an answer.
    pub fn time_out(&mut self, exchange: Exchange) {
        match exchange.request {
            Request::Acquire { .. } => self.step_failed(self.has(SeededBug::DoubtForgotten)),
            Request::Release { .. } => self.client.attempt.machine.release_failed(self.at()),
            Request::Renew { .. } => {}
        }
    }

    /// Takes an answer that it waited for.
    pub fn take(&mut self, exchange: Exchange, answer: Answer) -> Breach {
        match exchange.request {
            Request::Acquire { ttl, .. } => return self.step_answered(answer, ttl),
            Request::Release { .. } => return self.release_answered(answer),
            Request::Renew { ttl } => self.renewal_answered(exchange.asked, answer, ttl),
        }
        None
    }

    fn step_failed(&mut self, not_applied: bool) {
        self.client.attempt.machine.step_failed(not_applied);
        if self.client.stage == Stage::Asking {
            self.client.stage = Stage::Deciding { by: self.now };
        }
    }

    fn step_answered(&mut self, answer: Answer, ttl: Tick) -> Breach {
        if answer == Answer::NotApplied {
            self.step_failed(true);
            return None;
        }
        let now = self.at();
        match self.client.attempt.step_answered(now, answer, ttl) {
            Verdict::Hold { .. } => {
                if self.has(SeededBug::DeadlineFromReply) {
                    self.client.attempt.machine.pushed(now, ticks(ttl), now);
                }
                self.client.stage = Stage::Holding;
                if !self.client.holds(self.now) {
                    return Some("S2: a guard is handed out past its deadline".to_owned());
                }
            }
            Verdict::TooLate => self.client.stage = Stage::Leaving,
            // A caller who polls lets some time pass first.
            Verdict::Refused | Verdict::Queued => {
                self.client.stage = Stage::Deciding { by: self.now + 1 };
            }
            Verdict::Abandoned if self.has(SeededBug::AbandonedIsIgnored) => {
                self.client.finish(self.scenario);
            }
            Verdict::Abandoned => {}
        }
        None
    }

    fn renewal_answered(&mut self, asked: Tick, answer: Answer, ttl: Tick) {
        match answer {
            Answer::Renewed => {
                let since = if self.has(SeededBug::RenewalFromReply) { self.now } else { asked };
                self.client.attempt.machine.renewed(instant(since), ticks(ttl));
            }
            Answer::NotApplied => {}
            _ => self.leave(),
        }
    }

    fn release_answered(&mut self, answer: Answer) -> Breach {
        let before = self.client.attempt.machine.outcome();
        let mut told = self.client.attempt.release_answered(self.at(), answer);
        if answer == Answer::NotApplied {
            return None;
        }
        if self.has(SeededBug::RetryIsBelieved) && before == Some(ReleaseOutcome::Unknown) {
            told = Some(match answer {
                Answer::Released => ReleaseOutcome::Released,
                Answer::NotHeld => ReleaseOutcome::AlreadyExpired,
                _ => ReleaseOutcome::HeldByOther,
            });
        }
        let breach = self.client.attempt.breach_of_outcome(told);
        if self.has(SeededBug::FirstAnswerIsFinal) || self.has(SeededBug::ReleaseOvertakesStep) {
            self.client.finish(self.scenario);
        }
        breach
    }

    /// Does what the machine wants at once.
    pub fn settle(&mut self) {
        if self.client.stage == Stage::Leaving {
            match self.client.attempt.machine.next(self.at()) {
                NextRequest::SendRelease => self.send_release(),
                NextRequest::Done => self.client.finish(self.scenario),
                NextRequest::AwaitStep if self.has(SeededBug::ReleaseOvertakesStep) => {
                    self.send_release();
                }
                _ => {}
            }
        }
        self.client.tidy();
    }

    fn send_release(&mut self) {
        self.client.attempt.machine.release_sent(self.at());
        self.send(Request::Release { channel: 0, form: Form::Script, counted: false });
    }
}
