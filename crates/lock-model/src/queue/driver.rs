//! What a client does: the product's state machines, driven as the product drives them.

use crate::exchange::{Exchange, RESPONSE_TIMEOUT};
use crate::message::{Answer, Form, News, Number, Pushed, Request};
use crate::product::{Instant, Push, StepAnswer, Verdict, Waiter};
use crate::properties::Breach;
use crate::queue::client::{self, Client, Stage};
use crate::queue::counter::LEAST_PLAUSIBLE;
use crate::queue::settings::{Scenario, SeededBug};
use crate::time::{Tick, instant, tick_of, ticks};

/// The first in the queue looks this often at a holder that tells nobody of its release.
const LOOK_EVERY: Tick = 1;

/// The driver of one client at one tick.
#[derive(Debug)]
pub struct Driver<'a> {
    /// What is explored.
    pub scenario: &'a Scenario,
    /// The present.
    pub now: Tick,
    /// Which client.
    pub index: usize,
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

    fn ttl(&self) -> Tick {
        self.scenario.ttls[self.index]
    }

    fn send(&mut self, attempt: u8, request: Request) {
        self.client.messages.send(attempt, request, self.now);
    }

    /// Begins a wait with a fresh token.
    pub fn start(&mut self) {
        self.client.waits += 1;
        self.client.asked_in_vain = 0;
        self.begin();
    }

    /// A fresh token, and its first step; the place in the queue stays.
    fn begin(&mut self) {
        self.client.tokens += 1;
        self.client.attempt = client::attempt(self.client.tokens, self.scenario);
        self.client.waiter = Waiter::new(self.at());
        (self.client.kept, self.client.has_asked) = (None, false);
        self.ask();
    }

    /// Sends a step, the first or one more.
    pub fn ask(&mut self) {
        let ttl = self.ttl();
        self.client.stage = Stage::Asking;
        self.client.attempt.machine.step_sent(self.at(), ticks(ttl));
        self.client.waiter.asked();
        let Client { ticket, has_asked, has_lifted, .. } = *self.client;
        // Whoever was told that the lock is held knows it as contended.
        let may_count = has_lifted || !self.scenario.wants_number(self.index);
        let is_plain = self.scenario.plain && may_count && !has_asked && ticket == 0;
        self.client.has_asked = self.scenario.plain;
        let form = if is_plain { Form::Plain } else { Form::Script };
        let request = self.acquire(self.now + RESPONSE_TIMEOUT, form);
        self.send(self.client.attempt.number, request);
    }

    fn acquire(&self, not_after: Tick, form: Form) -> Request {
        let forgets = self.has(SeededBug::NoTicket);
        Request::Acquire {
            ttl: self.ttl(),
            not_after,
            wait: !self.scenario.polls(self.index),
            ticket: if forgets { 0 } else { self.client.ticket },
            channel: self.client.connections.channel,
            form,
            counted: self.client.counts(self.scenario),
        }
    }

    /// Sends the script after a plain command, in what time the step has left.
    fn go_on(&mut self, exchange: Exchange, form: Form) {
        let has_own_time = self.has(SeededBug::SecondRequestHasOwnTime);
        let since = if has_own_time { self.now } else { exchange.asked };
        let request = self.acquire(since + RESPONSE_TIMEOUT, form);
        let exchange = Exchange { asked: since, ..exchange };
        self.client.messages.go_on(exchange, request, self.now);
    }

    /// The caller wants the lock no more, or has lost it: the background does the rest.
    pub fn leave(&mut self) {
        self.abandon();
        self.client.forget(self.scenario);
    }

    fn abandon(&mut self) {
        self.client.messages.forget_renewals(self.client.attempt.number);
        self.client.abandoned.add(self.client.attempt);
    }

    fn start_afresh(&mut self) {
        self.abandon();
        self.begin();
    }

    /// Sends a renewal.
    pub fn renew(&mut self, ttl: Tick) {
        self.client.attempt.machine.renewal_sent(self.at(), ticks(ttl));
        self.send(self.client.attempt.number, Request::Renew { ttl });
    }

    /// Its connection for pushes is replaced, and the subscription confirmed.
    pub fn reconnect(&mut self) {
        self.client.change_channel(true, self.scenario);
        if self.client.wants() {
            self.client.waiter.push_lost(self.at());
        }
    }

    /// Gives up waiting for an answer.
    pub fn time_out(&mut self, exchange: Exchange) {
        let (now, forgotten) = (self.at(), self.has(SeededBug::DoubtForgotten));
        let is_current = exchange.attempt == self.client.attempt.number;
        // The connection is replaced.
        self.client.has_lifted &= !self.scenario.plain || self.has(SeededBug::NoLift);
        let Some(attempt) = self.client.find_mut(exchange.attempt) else { return };
        match exchange.request {
            Request::Acquire { .. } => attempt.machine.step_failed(forgotten),
            Request::Release { .. } => attempt.machine.release_failed(now),
            Request::Renew { .. } => {}
        }
        if is_current && self.client.stage == Stage::Asking {
            self.client.stage = Stage::Retrying;
        }
    }

    /// Takes an answer that it waited for.
    pub fn take(&mut self, exchange: Exchange, answer: Answer) -> Breach {
        let is_current = exchange.attempt == self.client.attempt.number;
        match exchange.request {
            Request::Acquire { .. } if is_current && self.client.stage == Stage::Asking => {
                return self.step_answered(exchange, answer);
            }
            Request::Acquire { .. } => self.abandoned_step_answered(exchange, answer),
            Request::Release { .. } => return self.release_answered(exchange, answer),
            Request::Renew { ttl } => self.renewal_answered(exchange, answer, ttl),
        }
        None
    }

    fn step_answered(&mut self, exchange: Exchange, answer: Answer) -> Breach {
        let (now, ttl) = (self.at(), self.ttl());
        match answer {
            Answer::NotSet => {
                self.go_on(exchange, Form::Script);
                return None;
            }
            Answer::Granted(number)
                if number < LEAST_PLAUSIBLE
                    && self.scenario.wants_number(self.index)
                    && !self.has(SeededBug::LostCounterIsBelieved) =>
            {
                self.go_on(exchange, Form::Confirm);
                return None;
            }
            Answer::NotApplied => {
                self.refused(exchange);
                self.client.stage = Stage::Retrying;
                return None;
            }
            _ => {}
        }
        let is_by_script = !exchange.request.may_be_plain();
        // Whoever is queued drew a number as well.
        let lifts = matches!(answer, Answer::Granted(_) | Answer::Queued { .. })
            || self.has(SeededBug::AnyAnswerLifts);
        self.client.has_lifted |= is_by_script && lifts;
        let client = &mut *self.client;
        let verdict = client.attempt.step_answered(now, answer, ttl);
        match (verdict, answer) {
            (Verdict::Hold { .. }, Answer::Granted(number)) => return self.hold(number, None),
            (Verdict::TooLate, _) => self.start_afresh(),
            (_, Answer::Queued { ticket, rank, left, is_foreign, counter }) => {
                client.stage = Stage::Waiting;
                client.ticket = ticket;
                let sent = instant(exchange.asked);
                let counter =
                    if self.scenario.bug == Some(SeededBug::NoCounterRule) { 0 } else { counter };
                if self.scenario.bug == Some(SeededBug::OldAnswerWins) {
                    client.waiter = Waiter::new(sent);
                }
                let left = left.map(ticks);
                let look_after = is_foreign.then(|| ticks(LOOK_EVERY));
                client.waiter.queued(
                    sent,
                    now,
                    u64::from(counter),
                    u64::from(rank),
                    left,
                    look_after,
                );
                if let Some(number) = client.kept.take() {
                    return self.granted_by_push(number);
                }
            }
            _ => client.stage = Stage::Polling(self.now + 1),
        }
        None
    }

    fn abandoned_step_answered(&mut self, exchange: Exchange, answer: Answer) {
        if answer == Answer::NotApplied {
            return self.refused(exchange);
        }
        let (now, ttl, number) = (self.at(), self.ttl(), exchange.attempt);
        let Some(attempt) = self.client.find_mut(number) else { return };
        attempt.step_answered(now, answer, ttl);
        if self.has(SeededBug::AbandonedIsIgnored) {
            self.client.abandoned.forget(number);
        }
    }

    /// The server refused a request; what came before it in the same step was done.
    fn refused(&mut self, exchange: Exchange) {
        let believes = self.has(SeededBug::RefusalAfterSet);
        let is_first = !matches!(exchange.request, Request::Acquire { form: Form::Confirm, .. });
        if let Some(attempt) = self.client.find_mut(exchange.attempt) {
            attempt.machine.step_failed(is_first || believes);
        }
    }

    /// Takes a push.
    pub fn take_push(&mut self, pushed: Pushed) -> Breach {
        match pushed.news {
            News::Head(left) => {
                let left = ticks(left);
                self.client.waiter.hinted(self.at(), left);
            }
            News::Granted(number) if self.client.stage == Stage::Waiting => {
                return self.granted_by_push(number);
            }
            News::Granted(number) if self.has(SeededBug::PushAnswersStep) => {
                let lease = ticks(self.scenario.window_of(self.index));
                self.client.attempt.machine.step_answered(self.at(), StepAnswer::Granted { lease });
                return self.hold(number, Some(self.now));
            }
            // The answer to the step that is under way tells whether it is news.
            News::Granted(number) => self.client.kept = self.client.kept.max(Some(number)),
        }
        None
    }

    fn granted_by_push(&mut self, number: Number) -> Breach {
        let (now, window) = (self.at(), ticks(self.scenario.window_of(self.index)));
        let since = match self.client.waiter.pushed(now, u64::from(number), window) {
            _ if self.has(SeededBug::DeadlineFromPush) => now,
            Push::Granted { since } => since,
            Push::AskAgain | Push::Ignored => return None,
        };
        match self.client.attempt.machine.pushed(now, window, since) {
            Verdict::Hold { .. } => self.hold(number, Some(tick_of(since))),
            _ => {
                self.start_afresh();
                None
            }
        }
    }

    /// Hands the guard out; a window is claimed after a third, and again until that is answered.
    fn hold(&mut self, number: Number, window_since: Option<Tick>) -> Breach {
        self.client.handed_out = self.scenario.wants_number(self.index).then_some(number);
        self.client.stage = Stage::Holding;
        self.client.claim_at = window_since.map(|since| since + 1);
        (self.client.ticket, self.client.kept) = (0, None);
        (self.client.place, self.client.overtaken) = (None, 0);
        self.client.asked_in_vain = 0;
        self.client.waiter = Waiter::new(instant(0));
        let is_valid = self.client.holds(self.now);
        (!is_valid).then(|| "S2: a guard is handed out past its deadline".to_owned())
    }

    fn renewal_answered(&mut self, exchange: Exchange, answer: Answer, ttl: Tick) {
        let lease = ticks(ttl);
        match answer {
            Answer::Renewed => {
                self.client.attempt.machine.renewed(instant(exchange.asked), lease);
                self.client.claim_at = None;
            }
            _ => self.leave(),
        }
    }

    fn release_answered(&mut self, exchange: Exchange, mut answer: Answer) -> Breach {
        let (now, number) = (self.at(), exchange.attempt);
        if answer == Answer::NotEqual {
            if !self.has(SeededBug::NotEqualIsNotHeld) {
                let channel = self.client.connections.channel;
                let counted = self.client.counts(self.scenario);
                let request = Request::Release { channel, form: Form::Script, counted };
                self.client.messages.go_on(exchange, request, self.now);
                return None;
            }
            answer = Answer::NotHeld;
        }
        let attempt = self.client.abandoned.find_mut(number)?;
        let told = attempt.release_answered(now, answer);
        let breach = attempt.breach_of_outcome(told);
        let is_final =
            self.has(SeededBug::FirstAnswerIsFinal) || self.has(SeededBug::ReleaseOvertakesStep);
        if is_final && told.is_some() {
            self.client.abandoned.forget(number);
        }
        breach
    }

    /// Does what the machines want at once.
    pub fn settle(&mut self) {
        if self.client.frozen_until.is_some() {
            return self.client.tidy();
        }
        match self.client.stage {
            // What is shorter than a tick rounds into the tick that it falls into.
            Stage::Waiting if self.client.waiter.ask_at() < instant(self.now + 1) => self.ask(),
            Stage::Polling(at) if at <= self.now => self.ask(),
            Stage::Holding if self.client.holds(self.now) => self.claim(),
            _ => {}
        }
        let overtakes = self.has(SeededBug::ReleaseOvertakesStep);
        let form = if self.scenario.plain { Form::Plain } else { Form::Script };
        let counted = self.client.counts(self.scenario);
        let Client { abandoned, messages, connections, .. } = &mut *self.client;
        let release = Request::Release { channel: connections.channel, form, counted };
        abandoned.settle(messages, release, self.now, overtakes);
        if self.has(SeededBug::KillOnce) {
            self.client.messages.forget_kills_once_sent();
        }
        self.client.tidy();
    }

    fn claim(&mut self) {
        if self.client.claim_at.is_some_and(|at| at <= self.now)
            && !self.has(SeededBug::ClaimMissing)
        {
            self.client.claim_at = Some(self.now + 1);
            self.renew(self.ttl());
        }
    }
}
