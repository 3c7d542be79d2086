//! Clients, messages, one server and time: what can happen, and what must hold.

use std::fmt;

use crate::attempt::client::{Client, Exchange, Stage};
use crate::attempt::driver::Driver;
use crate::attempt::server::{Answer, Store, Token};
use crate::attempt::settings::Scenario;
use crate::budget::Budget;
use crate::exchange::{Place, RESPONSE_TIMEOUT, replace};
use crate::properties::{Belief, breach_of_exclusion};
use crate::time::Tick;

/// One state of everything.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) now: Tick,
    pub(super) store: Store,
    pub(super) clients: Vec<Client>,
    pub(super) budget: Budget,
    /// A property of an event that the last event broke.
    pub(super) broken: Option<String>,
}

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A tick passes; this one begins.
    Tick(Tick),
    /// The server forgets everything.
    Wipe,
    /// Something happens to a client or to a message of it.
    Of(usize, Step),
}

/// What can happen to one client or to one message of it.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// It begins an attempt.
    Start,
    /// It asks again with the same token.
    AskAgain,
    /// The caller gives up, or drops its future.
    GiveUp,
    /// The guard is released.
    Release,
    /// The guard's time is over.
    Lose,
    /// It renews to this lease.
    Renew(Tick),
    /// It vanishes.
    Crash,
    /// The server runs a request.
    Run(Exchange),
    /// The server refuses to work.
    Refuse(Exchange),
    /// An answer arrives.
    Take(Exchange, Answer),
    /// It waits no longer for an answer.
    TimeOut(Exchange),
    /// The message is lost.
    LoseMessage(Exchange),
    /// The message takes long.
    Slow(Exchange),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick(now) => write!(f, "-- tick {now}"),
            Self::Wipe => write!(f, "server: forgets everything"),
            Self::Of(client, step) => write!(f, "client {client}: {step}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => write!(f, "begins an attempt and sends its first step"),
            Self::AskAgain => write!(f, "asks again with the same token"),
            Self::GiveUp => write!(f, "the caller gives up"),
            Self::Release => write!(f, "the guard is released"),
            Self::Lose => write!(f, "the guard's time is over"),
            Self::Renew(ttl) => write!(f, "sends a renewal to {ttl} ticks"),
            Self::Crash => write!(f, "vanishes"),
            Self::Run(exchange) => write!(f, "the server runs {exchange}"),
            Self::Refuse(exchange) => write!(f, "the server refuses to run {exchange}"),
            Self::Take(exchange, answer) => write!(f, "is answered {answer:?} to {exchange}"),
            Self::TimeOut(exchange) => write!(f, "gets no answer in time to {exchange}"),
            Self::LoseMessage(exchange) => write!(f, "a message is lost, of {exchange}"),
            Self::Slow(exchange) => write!(f, "a message is slow, of {exchange}"),
        }
    }
}

impl World {
    /// Everything that can happen, always in the same order.
    #[must_use]
    pub fn events(&self, scenario: &Scenario) -> Vec<Event> {
        let mut events = Vec::new();
        for (index, client) in self.clients.iter().enumerate() {
            let mut add = |step| events.push(Event::Of(index, step));
            self.steps_of_caller(client, scenario, &mut add);
            for &exchange in &client.exchanges {
                self.steps_of_message(exchange, scenario, &mut add);
            }
        }
        if self.budget.wiped > 0 && self.store.lease.is_some() {
            events.push(Event::Wipe);
        }
        if self.time_can_pass(scenario) {
            events.push(Event::Tick(self.now + 1));
        }
        events
    }

    fn steps_of_caller(&self, client: &Client, scenario: &Scenario, add: &mut impl FnMut(Step)) {
        match client.stage {
            Stage::Idle if client.attempt < scenario.attempts => add(Step::Start),
            Stage::Asking if self.budget.dropped > 0 => add(Step::GiveUp),
            Stage::Deciding { .. } => {
                add(Step::GiveUp);
                if self.budget.repeated > 0 {
                    add(Step::AskAgain);
                }
            }
            Stage::Holding if !client.holds(self.now) => add(Step::Lose),
            Stage::Holding => {
                add(Step::Release);
                for ttl in scenario.renewals {
                    if self.budget.renewed > 0 && !client.is_renewing(ttl) {
                        add(Step::Renew(ttl));
                    }
                }
            }
            _ => {}
        }
        if self.budget.crashed > 0 && !matches!(client.stage, Stage::Idle | Stage::Crashed) {
            add(Step::Crash);
        }
    }

    fn steps_of_message(
        &self,
        exchange: Exchange,
        scenario: &Scenario,
        add: &mut impl FnMut(Step),
    ) {
        match exchange.place {
            Place::Asked => {
                add(Step::Run(exchange));
                if self.budget.refused > 0 {
                    add(Step::Refuse(exchange));
                }
            }
            Place::Answered(answer) => add(Step::Take(exchange, answer)),
            Place::Lost => {}
        }
        // Losing or delaying it any earlier would make no difference to anybody.
        if self.is_due(&exchange, scenario) && !exchange.slow {
            if self.budget.lost > 0 {
                add(Step::LoseMessage(exchange));
            }
            if self.budget.slow > 0 {
                add(Step::Slow(exchange));
            }
        }
        if exchange.awaited && self.now >= exchange.asked + RESPONSE_TIMEOUT {
            add(Step::TimeOut(exchange));
        }
    }

    /// Whether a message has been on its way for as long as it may.
    fn is_due(&self, exchange: &Exchange, scenario: &Scenario) -> bool {
        let takes = if exchange.slow { scenario.slow } else { scenario.latency };
        exchange.place != Place::Lost && self.now >= exchange.sent + takes
    }

    /// Whether there is anything to wait for, and nothing that has to happen first.
    fn time_can_pass(&self, scenario: &Scenario) -> bool {
        !self.is_over()
            && self.clients.iter().all(|client| {
                client.can_wait(self.now)
                    && !client.exchanges.iter().any(|exchange| self.is_due(exchange, scenario))
            })
    }

    pub(super) fn is_over(&self) -> bool {
        self.store.lease.is_none() && self.clients.iter().all(Client::is_quiet)
    }

    pub(super) fn after(&self, event: Event, scenario: &Scenario) -> Self {
        let mut next = self.clone();
        match event {
            Event::Tick(now) => {
                next.now = now;
                next.store.expire(now);
            }
            Event::Wipe => next.wipe(),
            Event::Of(index, step) => next.step(index, step, scenario),
        }
        next.settle(scenario);
        next
    }

    fn wipe(&mut self) {
        self.budget.wiped -= 1;
        // The counter starts again from the server's clock, which is ahead of every number.
        self.store.lease = None;
        for client in &mut self.clients {
            client.excused |= client.stage != Stage::Idle;
        }
    }

    fn settle(&mut self, scenario: &Scenario) {
        let now = self.now;
        for client in &mut self.clients {
            Driver { scenario, now, client }.settle();
        }
        if self.is_over() {
            // Nothing remembers the time, so that it need not be told apart.
            self.now = 0;
        }
    }

    fn step(&mut self, index: usize, step: Step, scenario: &Scenario) {
        let now = self.now;
        match step {
            Step::Run(exchange) => self.run(index, exchange, scenario),
            Step::Refuse(exchange) => {
                self.budget.refused -= 1;
                self.answer(index, exchange, Some(Answer::NotApplied));
            }
            Step::LoseMessage(exchange) => {
                self.budget.lost -= 1;
                self.answer(index, exchange, None);
            }
            Step::Slow(exchange) => {
                self.budget.slow -= 1;
                self.replace(index, exchange, Some(Exchange { slow: true, ..exchange }));
            }
            Step::Take(exchange, answer) => {
                self.replace(index, exchange, None);
                let client = &mut self.clients[index];
                let (held, before) = (client.holds(now), client.machine.valid_until());
                self.broken = Driver { scenario, now, client }.take(exchange, answer);
                if held && client.stage == Stage::Holding && client.machine.valid_until() < before {
                    self.broken = Some("R6: an answer shortened what a guard believes".to_owned());
                }
            }
            Step::TimeOut(exchange) => {
                self.replace(index, exchange, Some(Exchange { awaited: false, ..exchange }));
                let client = &mut self.clients[index];
                Driver { scenario, now, client }.time_out(exchange);
            }
            _ => self.step_of_caller(index, step, scenario),
        }
    }

    fn step_of_caller(&mut self, index: usize, step: Step, scenario: &Scenario) {
        let client = &mut self.clients[index];
        let mut driver = Driver { scenario, now: self.now, client };
        match step {
            Step::Start => driver.start(),
            Step::AskAgain => {
                self.budget.repeated -= 1;
                driver.ask();
            }
            Step::GiveUp => {
                self.budget.dropped -= u8::from(driver.client.stage == Stage::Asking);
                driver.leave();
            }
            Step::Renew(ttl) => {
                self.budget.renewed -= 1;
                driver.renew(ttl);
            }
            Step::Crash => {
                self.budget.crashed -= 1;
                driver.client.crash(scenario);
            }
            _ => driver.leave(),
        }
    }

    fn run(&mut self, index: usize, exchange: Exchange, scenario: &Scenario) {
        let token = Token { client: index, attempt: exchange.attempt };
        let before = self.store.lease;
        let answer = self.store.run(self.now, token, exchange.request, scenario.bug);
        let of_another = before.is_some_and(|(owner, _)| owner != token);
        if of_another && before != self.store.lease {
            self.broken = Some("S4: a request changed the lease of another token".to_owned());
        }
        if answer == Some(Answer::Granted) && !self.store.issue(scenario.bug) {
            self.broken = Some("S8: a fencing number does not rise".to_owned());
        }
        let client = &mut self.clients[index];
        let is_current = exchange.attempt == client.attempt && client.stage != Stage::Idle;
        client.freed |= is_current && answer == Some(Answer::Released);
        self.answer(index, exchange, answer);
    }

    /// Sends an answer, or nothing.
    fn answer(&mut self, index: usize, exchange: Exchange, answer: Option<Answer>) {
        let answered = exchange.answered(answer, self.now);
        self.replace(index, exchange, Some(answered));
    }

    fn replace(&mut self, index: usize, old: Exchange, new: Option<Exchange>) {
        replace(&mut self.clients[index].exchanges, &old, new);
    }

    pub(super) fn breach(&self) -> Option<String> {
        self.breach_of_exclusion().or_else(|| self.breach_of_cleanliness())
    }

    fn breach_of_exclusion(&self) -> Option<String> {
        let clients = self.clients.iter().enumerate();
        let holders = clients.filter(|(_, client)| client.holds(self.now) && !client.excused);
        breach_of_exclusion(holders.map(|(index, client)| {
            let token = Token { client: index, attempt: client.attempt };
            let stored = self.store.lease.filter(|(owner, _)| *owner == token);
            Belief {
                client: index,
                valid_until: client.machine.valid_until(),
                stored: stored.map(|(_, expires)| expires),
            }
        }))
    }

    fn breach_of_cleanliness(&self) -> Option<String> {
        let (owner, _) = self.store.lease?;
        let is_orphan = self.clients.iter().all(Client::is_quiet)
            && self.clients[owner.client].stage != Stage::Crashed;
        is_orphan.then(|| {
            format!(
                "S6: all is quiet, and attempt {} of client {} still owns the lock",
                owner.attempt, owner.client
            )
        })
    }
}
