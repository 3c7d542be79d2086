//! What tasks and the background do with the store: the product's state machines, driven as the
//! product drives them.

use std::mem;

use crate::attempt_driver::AttemptDriver;
use crate::exchange::{Exchange, RESPONSE_TIMEOUT};
use crate::handover::held::Held;
use crate::handover::leader::{LeaderState, Leadership, Phase};
use crate::handover::process::{Process, TaskState};
use crate::handover::settings::{Scenario, SeededBug, TaskOptions};
use crate::message::{Answer, Form, News, Number, Pushed, Request};
use crate::product::{Duty, Instant, LossReason, Push, Term, Verdict};
use crate::properties::Breach;
use crate::time::{Tick, instant, tick_of, ticks};

/// The driver of one process at one tick.
#[derive(Debug)]
pub struct Driver<'a> {
    /// What is explored.
    pub scenario: &'a Scenario,
    /// The present.
    pub now: Tick,
    /// Which process.
    pub index: usize,
    /// Whom it drives.
    pub process: &'a mut Process,
    /// A property that was broken on the way.
    pub broken: Breach,
}

impl Driver<'_> {
    pub(super) fn has(&self, bug: SeededBug) -> bool {
        self.scenario.bug == Some(bug)
    }

    pub(super) fn at(&self) -> Instant {
        instant(self.now)
    }

    pub(super) fn options(&self, task: usize) -> TaskOptions {
        self.scenario.tasks[self.index][task]
    }

    fn send(&mut self, attempt: u8, request: Request) {
        self.process.messages.send(attempt, request, self.now);
    }

    fn fresh(&mut self, ttl: Tick) -> LeaderState {
        self.process.tokens += 1;
        LeaderState::new(AttemptDriver::new(self.process.tokens, true, false), ttl, self.now)
    }

    /// A task begins to deal with the store; what was handed off to it goes on, if that asks for
    /// the same.
    pub(super) fn begin(&mut self, task: usize, leadership: Leadership, waits: bool) {
        let ttl = self.options(task).ttl;
        let leader = match leadership.state {
            Some(leader) if leader.ttl == ttl => leader,
            Some(LeaderState { attempt, ticket, place, overtaken, passed, .. }) => {
                self.process.abandoned.add(attempt);
                // Only the place in the queue is kept.
                LeaderState { ticket, place, overtaken, passed, ..self.fresh(ttl) }
            }
            None => self.fresh(ttl),
        };
        let (term, is_asking) = (leadership.term, leader.phase == Phase::Asking);
        self.process.tasks[task].state = TaskState::Asking { term, waits, leader };
        let until = self.at() + ticks(self.scenario.patience);
        self.change_queue(term, |queue, term| queue.will_act(term, until, false));
        if !is_asking {
            self.ask(task);
        }
    }

    /// Sends a step, the first or one more.
    pub fn ask(&mut self, task: usize) {
        let (now, channel) = (self.now, self.process.connections.channel);
        let TaskState::Asking { waits, leader, .. } = &mut self.process.tasks[task].state else {
            return;
        };
        leader.waiter.asked();
        leader.phase = Phase::Asking;
        leader.attempt.machine.step_sent(instant(now), ticks(leader.ttl));
        let request = Request::Acquire {
            ttl: leader.ttl,
            not_after: now + RESPONSE_TIMEOUT,
            wait: *waits,
            ticket: leader.ticket,
            channel,
            form: Form::Script,
            counted: false,
        };
        let number = leader.attempt.number;
        self.send(number, request);
    }

    /// Gives up waiting for an answer.
    pub fn time_out(&mut self, exchange: Exchange) {
        let now = self.at();
        match (exchange.request, self.process.abandoned.find_mut(exchange.attempt)) {
            (Request::Acquire { .. }, Some(attempt)) => attempt.machine.step_failed(false),
            (Request::Acquire { .. }, None) => {
                let Some(task) = self.asking(exchange.attempt) else { return };
                let TaskState::Asking { leader, waits, .. } = &mut self.process.tasks[task].state
                else {
                    return;
                };
                leader.attempt.machine.step_failed(false);
                leader.phase = Phase::Retrying;
                if *waits { self.promise(task, self.now) } else { self.give_up(task) }
            }
            (Request::Release { .. }, Some(attempt)) => attempt.machine.release_failed(now),
            (Request::Release { .. }, None) => {}
            (Request::Renew { .. }, _) => self.renewal_ended(exchange, None),
        }
    }

    /// The task that waits for the answer to a step of this token.
    fn asking(&self, number: u8) -> Option<usize> {
        self.process.tasks.iter().position(|task| match &task.state {
            TaskState::Asking { leader, .. } => {
                leader.attempt.number == number && leader.phase == Phase::Asking
            }
            _ => false,
        })
    }

    /// Takes an answer that somebody waited for.
    pub fn take(&mut self, exchange: Exchange, answer: Answer) {
        let now = self.at();
        match (exchange.request, self.process.abandoned.find_mut(exchange.attempt)) {
            (Request::Acquire { ttl, .. }, Some(attempt)) => {
                attempt.step_answered(now, answer, ttl);
            }
            (Request::Acquire { .. }, None) => {
                if let Some(task) = self.asking(exchange.attempt) {
                    self.step_answered(task, exchange, answer);
                }
            }
            (Request::Release { .. }, Some(attempt)) => {
                attempt.release_answered(now, answer);
            }
            (Request::Release { .. }, None) => {}
            (Request::Renew { .. }, _) => self.renewal_ended(exchange, Some(answer)),
        }
    }

    fn step_answered(&mut self, task: usize, exchange: Exchange, answer: Answer) {
        let now = self.at();
        let TaskState::Asking { waits, leader, .. } = &mut self.process.tasks[task].state else {
            return;
        };
        let waits = *waits;
        match (leader.attempt.step_answered(now, answer, leader.ttl), answer) {
            (Verdict::Hold { valid_until }, Answer::Granted(number)) => {
                return self.hold(task, number, valid_until, false);
            }
            (Verdict::TooLate, _) => return self.start_afresh(task),
            (_, Answer::Queued { ticket, rank, left, counter, .. }) => {
                leader.phase = Phase::Waiting;
                leader.ticket = ticket;
                let (sent, left) = (instant(exchange.asked), left.map(ticks));
                leader.waiter.queued(sent, now, u64::from(counter), u64::from(rank), left, None);
            }
            _ => leader.phase = Phase::Polling(self.now + 1),
        }
        if waits { self.promise(task, self.now + 1) } else { self.give_up(task) }
    }

    /// The grant came too late: a fresh token, which keeps the place.
    fn start_afresh(&mut self, task: usize) {
        let state = mem::replace(&mut self.process.tasks[task].state, TaskState::Idle);
        let TaskState::Asking { term, waits, mut leader } = state else { return };
        let fresh = self.fresh(leader.ttl);
        self.process.abandoned.add(mem::replace(&mut leader.attempt, fresh.attempt));
        leader.phase = Phase::Retrying;
        (leader.waiter, leader.kept) = (fresh.waiter, None);
        self.process.tasks[task].state = TaskState::Asking { term, waits, leader };
        if waits { self.promise(task, self.now) } else { self.give_up(task) }
    }

    /// Takes a push, which lies there until whoever asks looks at it.
    pub fn take_push(&mut self, pushed: Pushed) {
        let now = self.at();
        let mut leaders = self.process.leaders_mut();
        let Some(leader) = leaders.find(|l| l.attempt.number == pushed.attempt) else { return };
        match pushed.news {
            News::Head(left) => leader.waiter.hinted(now, ticks(left)),
            News::Granted(number) => leader.kept = leader.kept.max(Some(number)),
        }
    }

    fn look_at_pushed(&mut self, task: usize) {
        let (now, window) = (self.at(), ticks(self.scenario.store.window_of(self.index)));
        let TaskState::Asking { leader, .. } = &mut self.process.tasks[task].state else { return };
        let Some(number) = leader.kept.take() else { return };
        let Push::Granted { since } = leader.waiter.pushed(now, u64::from(number), window) else {
            return;
        };
        let is_window = window < ticks(leader.ttl);
        match leader.attempt.machine.pushed(now, window, since) {
            Verdict::Hold { valid_until } => self.hold(task, number, valid_until, is_window),
            _ => self.start_afresh(task),
        }
    }

    fn hold(&mut self, task: usize, number: Number, deadline: Instant, is_window: bool) {
        let state = mem::replace(&mut self.process.tasks[task].state, TaskState::Idle);
        let TaskState::Asking { term, leader, .. } = state else { return };
        let forgets = self.has(SeededBug::TermIsForgotten) && term != Term::Outside;
        let term = if forgets { self.process.current } else { term };
        let (options, now) = (self.options(task), self.now);
        let held = Held::new(term, leader.attempt, number, deadline, is_window, options, now);
        self.granted(&held);
        self.made(&held);
        self.process.tasks[task].state = TaskState::Holding(held);
    }

    /// A guard was made: it must be valid, and its number above all before.
    pub(super) fn made(&mut self, held: &Held) {
        let is_excused = held.attempt <= self.process.excused;
        self.process.made.push((held.fence(), is_excused));
        if !held.holds(self.now) {
            self.broken = Some("S2: a guard is made past its deadline".to_owned());
        }
    }

    /// The background looks at a lease, and does what it has to.
    pub fn do_duty(&mut self, task: usize) {
        let (options, now) = (self.options(task), self.now);
        let Some(held) = self.process.tasks[task].state.held_mut() else { return };
        let attempt = held.attempt;
        let (duty, lost) = held.duty(options, now);
        match duty {
            Duty::Renew { renewal, .. } => {
                let ttl = tick_of(Instant::ORIGIN + renewal.ttl);
                self.send(attempt, Request::Renew { ttl });
            }
            Duty::Undo(machine) => {
                self.process.messages.forget_renewals(attempt);
                self.process.abandoned.add(AttemptDriver::of(attempt, machine));
            }
            Duty::LookAgain(_) | Duty::Nothing => {}
        }
        self.lease_lost(lost);
    }

    /// Nobody waits for this renewal any more: with its answer, or without.
    fn renewal_ended(&mut self, exchange: Exchange, answer: Option<Answer>) {
        let now = self.now;
        let its = self.process.guards().find(|(_, held)| held.attempt == exchange.attempt);
        let Some((task, _)) = its else { return };
        let options = self.options(task);
        let Some(held) = self.process.tasks[task].state.held_mut() else { return };
        let Some(renewal) = held.take_renewal(exchange.asked) else { return };
        let lost = match answer {
            Some(Answer::Renewed) => held.renewed(renewal, exchange.asked, options, now),
            Some(Answer::NotHeld) => held.lose(LossReason::Removed, options, now),
            Some(Answer::HeldByOther) => held.lose(LossReason::HeldByOther, options, now),
            _ => None,
        };
        self.lease_lost(lost);
    }

    /// Does what the machines want at once.
    pub fn settle(&mut self) {
        for task in 0..self.process.tasks.len() {
            self.settle_task(task);
            self.look_after(task);
        }
        let Process { abandoned, messages, connections, .. } = &mut *self.process;
        let (channel, form) = (connections.channel, Form::Script);
        let release = Request::Release { channel, form, counted: false };
        abandoned.settle(messages, release, self.now, false);
        self.process.tidy();
    }

    fn settle_task(&mut self, task: usize) {
        if self.process.tasks[task].frozen_until.is_some() {
            return;
        }
        match &self.process.tasks[task].state {
            TaskState::Asking { leader, .. } if leader.phase == Phase::Waiting => {
                self.look_at_pushed(task);
            }
            TaskState::Waiting(waiter)
                if waiter.told.is_some() && self.scenario.is_polled_at_once() =>
            {
                self.take_turn(task);
            }
            TaskState::Holding(held) if held.is_over() => self.release(task),
            _ => {}
        }
        let TaskState::Asking { leader, .. } = &self.process.tasks[task].state else { return };
        match leader.phase {
            // What is shorter than a tick rounds into the tick that it falls into.
            Phase::Waiting if leader.waiter.ask_at() < instant(self.now + 1) => self.ask(task),
            Phase::Polling(at) if at <= self.now => self.ask(task),
            _ => {}
        }
    }

    /// The background looks at a lease that is due; that one is over is an event of its own.
    fn look_after(&mut self, task: usize) {
        let now = self.now;
        let is_looked_at = |held: &Held| held.is_due(now) && (held.is_over() || held.holds(now));
        if self.process.tasks[task].state.held().is_some_and(is_looked_at) {
            self.do_duty(task);
        }
    }

    /// When whoever leads acts again.
    fn promise(&mut self, task: usize, soonest: Tick) {
        let TaskState::Asking { term, leader, .. } = &self.process.tasks[task].state else {
            return;
        };
        let at = match leader.phase {
            Phase::Waiting => leader.waiter.ask_at(),
            _ => instant(soonest),
        };
        let (term, is_refused) = (*term, leader.phase != Phase::Retrying);
        let until = at + ticks(self.scenario.patience);
        self.change_queue(term, |queue, term| queue.will_act(term, until, is_refused));
    }
}
