//! One client: the product's state machine, driven as the product drives it.

use std::time::Duration;

use lock_core::Instant;
use lock_core::ReleaseOutcome;
use lock_core::attempt::{Next, StepAnswer, StoreAttempt, Verdict};
use lock_core::backend::{Capabilities, ReleaseReply};

use crate::exchange::{self, RESPONSE_TIMEOUT};
use crate::plants::Plant;
use crate::rows::Row;
use crate::store::{Answer, Request};
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

/// The driver of one client at one tick.
#[derive(Debug)]
pub struct Driver<'a> {
    /// What is explored.
    pub row: &'a Row,
    /// The present.
    pub now: Tick,
    /// Whom it drives.
    pub client: &'a mut Client,
}

impl Client {
    /// A client that has made no attempt.
    #[must_use]
    pub fn new(row: &Row) -> Self {
        Self {
            stage: Stage::Idle,
            attempt: 0,
            machine: machine(row),
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
    pub fn crash(&mut self, row: &Row) {
        self.finish(row);
        self.stage = Stage::Crashed;
    }

    fn finish(&mut self, row: &Row) {
        self.stage = Stage::Idle;
        self.machine = machine(row);
        (self.freed, self.excused) = (false, false);
        for exchange in &mut self.exchanges {
            exchange.awaited = false;
        }
        exchange::tidy(&mut self.exchanges);
    }
}

/// A fresh machine; the product allows 50 ms above the response timeout.
fn machine(row: &Row) -> StoreAttempt {
    let margin = if row.plant == Some(Plant::LateAfterTooShort) { 0 } else { 50 };
    let late_after = ticks(RESPONSE_TIMEOUT) + Duration::from_millis(margin);
    StoreAttempt::new(&Capabilities::none().with_late_after(late_after))
}

impl Driver<'_> {
    fn has(&self, plant: Plant) -> bool {
        self.row.plant == Some(plant)
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
        let ttl = self.row.ttl;
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
            Request::Acquire { .. } => self.step_failed(self.has(Plant::DoubtForgotten)),
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
                if self.row.plant == Some(Plant::DeadlineFromReply) {
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
            Verdict::Abandoned if self.has(Plant::AbandonedIsIgnored) => {
                self.client.finish(self.row);
            }
            Verdict::Abandoned => {}
        }
        None
    }

    fn renewal_answered(&mut self, asked: Tick, answer: Answer, ttl: Tick) {
        match answer {
            Answer::Renewed => {
                let since = if self.has(Plant::RenewalFromReply) { self.now } else { asked };
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
        if self.has(Plant::RetryIsBelieved) && before == Some(ReleaseOutcome::Unknown) {
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
        if self.has(Plant::FirstAnswerIsFinal) || self.has(Plant::ReleaseOvertakesStep) {
            self.client.finish(self.row);
        }
        let lie = |told| format!("R8: the caller is told {told:?}, which is not what happened");
        told.filter(|_| !truth).map(lie)
    }

    /// Does what the machine wants at once.
    pub fn settle(&mut self) {
        if self.client.stage == Stage::Leaving {
            match self.client.machine.next(self.at()) {
                Next::SendRelease => self.send_release(),
                Next::Done => self.client.finish(self.row),
                Next::AwaitStep if self.has(Plant::ReleaseOvertakesStep) => self.send_release(),
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
