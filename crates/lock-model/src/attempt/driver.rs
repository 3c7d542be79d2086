//! What a client does: the product's state machine, driven as the product drives it.

use crate::attempt::client::{Client, Exchange, Stage, Told};
use crate::attempt::server::{Answer, Request};
use crate::attempt::settings::{Scenario, SeededBug};
use crate::exchange::{self, RESPONSE_TIMEOUT};
use crate::product::{Instant, NextRequest, ReleaseOutcome, ReleaseReply, StepAnswer, Verdict};
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
        let attempt = self.client.attempt;
        self.client.exchanges.push(Exchange::new(attempt, request, self.now));
    }

    /// Begins an attempt with a fresh token.
    pub fn start(&mut self) {
        self.client.attempt += 1;
        self.ask();
    }

    /// Sends a step, the first or one more.
    pub fn ask(&mut self) {
        let ttl = self.scenario.ttl;
        self.client.stage = Stage::Asking;
        self.client.machine.step_sent(self.at(), ticks(ttl));
        self.send(Request::Acquire { ttl, not_after: self.now + RESPONSE_TIMEOUT });
    }

    /// The caller wants the lock no more, or has lost it.
    pub fn leave(&mut self) {
        self.client.stage = Stage::Leaving;
        // Nobody renews for a guard that is gone.
        for exchange in &mut self.client.exchanges {
            exchange.awaited &= !matches!(exchange.request, Request::Renew { .. });
        }
        self.client.machine.leave(Instant::from_nanos(0));
    }

    /// Sends a renewal.
    pub fn renew(&mut self, ttl: Tick) {
        self.client.machine.renewal_sent(self.at(), ticks(ttl));
        self.send(Request::Renew { ttl });
    }

    /// Gives up waiting for an answer.
    pub fn time_out(&mut self, exchange: Exchange) {
        match exchange.request {
            Request::Acquire { .. } => self.step_failed(self.has(SeededBug::DoubtForgotten)),
            Request::Release => self.client.machine.release_failed(self.at()),
            Request::Renew { .. } => {}
        }
    }

    /// Takes an answer that it waited for.
    pub fn take(&mut self, exchange: Exchange, answer: Answer) -> Told {
        match exchange.request {
            Request::Acquire { ttl, .. } => return self.step_answered(answer, ttl),
            Request::Release => return self.release_answered(answer),
            Request::Renew { ttl } => self.renewal_answered(exchange.asked, answer, ttl),
        }
        None
    }

    fn step_failed(&mut self, not_applied: bool) {
        self.client.machine.step_failed(not_applied);
        if self.client.stage == Stage::Asking {
            self.client.stage = Stage::Deciding { by: self.now };
        }
    }

    fn step_answered(&mut self, answer: Answer, ttl: Tick) -> Told {
        let now = self.at();
        let machine = &mut self.client.machine;
        let verdict = match answer {
            Answer::NotApplied => {
                self.step_failed(true);
                return None;
            }
            Answer::Granted => {
                machine.step_answered(now, StepAnswer::Granted { lease: ticks(ttl) })
            }
            _ => machine.step_answered(now, StepAnswer::Held),
        };
        match verdict {
            Verdict::Hold { .. } => {
                if self.scenario.bug == Some(SeededBug::DeadlineFromReply) {
                    machine.pushed(now, ticks(ttl), now);
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
                self.client.machine.renewed(instant(since), ticks(ttl));
            }
            Answer::NotApplied => {}
            _ => self.leave(),
        }
    }

    fn release_answered(&mut self, answer: Answer) -> Told {
        let reply = match answer {
            Answer::Released => ReleaseReply::Released,
            Answer::NotHeld => ReleaseReply::NotHeld,
            Answer::HeldByOther => ReleaseReply::HeldByOther,
            _ => {
                self.client.machine.release_failed(self.at());
                return None;
            }
        };
        let before = self.client.machine.outcome();
        self.client.machine.release_answered(reply);
        let mut told = self.client.machine.outcome().filter(|_| before.is_none());
        if self.has(SeededBug::RetryIsBelieved) && before == Some(ReleaseOutcome::Unknown) {
            told = Some(match reply {
                ReleaseReply::Released => ReleaseOutcome::Released,
                ReleaseReply::NotHeld => ReleaseOutcome::AlreadyExpired,
                _ => ReleaseOutcome::HeldByOther,
            });
        }
        let truth = match told {
            Some(ReleaseOutcome::Released) => self.client.freed,
            Some(ReleaseOutcome::AlreadyExpired | ReleaseOutcome::HeldByOther) => {
                !self.client.freed
            }
            _ => true,
        };
        if self.has(SeededBug::FirstAnswerIsFinal) || self.has(SeededBug::ReleaseOvertakesStep) {
            self.client.finish(self.scenario);
        }
        let lie = |told| format!("R8: the caller is told {told:?}, which is not what happened");
        told.filter(|_| !truth).map(lie)
    }

    /// Does what the machine wants at once.
    pub fn settle(&mut self) {
        if self.client.stage == Stage::Leaving {
            match self.client.machine.next(self.at()) {
                NextRequest::SendRelease => self.send_release(),
                NextRequest::Done => self.client.finish(self.scenario),
                NextRequest::AwaitStep if self.has(SeededBug::ReleaseOvertakesStep) => {
                    self.send_release();
                }
                _ => {}
            }
        }
        exchange::tidy(&mut self.client.exchanges);
    }

    fn send_release(&mut self) {
        self.client.machine.release_sent(self.at());
        self.send(Request::Release);
    }
}
