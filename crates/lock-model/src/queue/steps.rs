//! What an event does to the world.

use crate::budget::Budget;
use crate::exchange::{Exchange, Underway};
use crate::message::{Answer, Number, Token};
use crate::network::MessageStep;
use crate::queue::client::{Client, Stage};
use crate::queue::counter::{Counter, LEAST_PLAUSIBLE};
use crate::queue::driver::Driver;
use crate::queue::server::{Owner, Turn};
use crate::queue::settings::{Scenario, SeededBug};
use crate::queue::world::{Event, Step, World};

impl World {
    /// The world after an event.
    #[must_use]
    pub fn after(&self, event: Event, scenario: &Scenario) -> Self {
        let mut next = self.clone();
        match event {
            Event::Tick(now) => {
                // Whatever could be done in the tick that ends has been done.
                next.free_for += u8::from(next.is_free_and_wanted());
                next.queue_free_for += u8::from(next.is_free_with_a_queue());
                next.now = now;
                next.server.tick(scenario, now);
                for (index, client) in next.clients.iter_mut().enumerate() {
                    let polls = scenario.polls(index) && client.wants();
                    client.asked_in_vain += u8::from(polls);
                }
            }
            Event::Wipe => {
                next.budget.wiped -= 1;
                next.server.queue.clear();
                next.delete();
                if scenario.plain {
                    next.server.counter.lose();
                }
            }
            Event::Evict => {
                next.budget.evicted -= 1;
                next.server.counter.lose();
            }
            Event::FailOver => next.fail_over(scenario),
            Event::Delete => {
                next.budget.deleted -= 1;
                next.delete();
            }
            Event::Foreign => {
                next.budget.foreign -= 1;
                next.server.lease = Some((Owner::Foreign, next.now + scenario.foreign));
            }
            Event::ForeignRelease => next.server.free(),
            Event::Of(index, Step::Message(step)) => next.message_step(index, step, scenario),
            Event::Of(index, step) => next.step_of_caller(index, step, scenario),
        }
        next.settle(scenario);
        next
    }

    /// The counter starts again from the server's clock, which is ahead of every number.
    fn delete(&mut self) {
        let owner = self.server.lease;
        self.server.free();
        if matches!(owner, Some((Owner::Token(_), _))) {
            for client in &mut self.clients {
                client.excused |= client.stage != Stage::Idle;
            }
        }
    }

    /// The replica has everything but numbers, and nobody is connected to it.
    fn fail_over(&mut self, scenario: &Scenario) {
        self.budget.failed_over -= 1;
        self.server.counter.take_back();
        for client in &mut self.clients {
            client.messages.cut_all();
            client.has_lifted &= scenario.bug == Some(SeededBug::NoLift);
            (client.connections.is_counted, client.connections.is_old_counted) = (false, false);
            if client.stage != Stage::Crashed {
                client.loss_known_by = Some(self.now + 1);
            }
        }
    }

    fn settle(&mut self, scenario: &Scenario) {
        let now = self.now;
        for (index, client) in self.clients.iter_mut().enumerate() {
            Driver { scenario, now, index, client }.settle();
        }
        self.compare_numbers(scenario);
        if !self.is_free_and_wanted() {
            self.free_for = 0;
        }
        if !self.is_free_with_a_queue() {
            self.queue_free_for = 0;
        }
        if self.is_over() {
            // Nothing remembers the time, so that it need not be told apart.
            self.now = 0;
            self.server.turn = Turn::default();
            if self.server.queue.is_empty() && !self.server.counter.is_behind() {
                self.server.counter = Counter::default();
                self.newest = self.newest.min(LEAST_PLAUSIBLE);
            }
        }
    }

    /// Numbers rise with every guard; they need be known only while an older one may arrive.
    fn compare_numbers(&mut self, scenario: &Scenario) {
        for client in &mut self.clients {
            let Some(number) = client.handed_out.take() else { continue };
            // What was granted before a wipe is over, whatever its client believes.
            if number <= self.newest && !client.excused {
                self.broken = Some("S8: a fencing number does not rise".to_owned());
            }
            self.newest = self.newest.max(number);
        }
        let numbered = self.clients.iter().take(scenario.clients - scenario.unnumbered);
        let lowest = numbered.filter_map(Client::lowest_number).min();
        let Budget { wiped, evicted, failed_over, .. } = self.budget;
        let may_be_lost = scenario.plain && wiped + evicted + failed_over > 0;
        let is_stored = self.server.counter.has_stored(self.newest) && !may_be_lost;
        if is_stored && lowest.is_none_or(|number| number > self.newest) {
            self.newest = 0;
        }
    }

    fn message_step(&mut self, index: usize, step: MessageStep, scenario: &Scenario) {
        let (now, network) = (self.now, self.network(scenario));
        let client = &mut self.clients[index];
        client.messages.change(step, &network, &mut self.budget);
        match step {
            MessageStep::Run(exchange) => self.run(index, exchange, false, scenario),
            MessageStep::RunPlain(exchange) => self.run(index, exchange, true, scenario),
            MessageStep::Take(exchange, answer) => {
                if scenario.bug == Some(SeededBug::KillElsewhere) {
                    client.messages.kill(exchange.kills);
                }
                let (held, before) = (client.holds(now), client.attempt.machine.valid_until());
                self.broken = Driver { scenario, now, index, client }.take(exchange, answer);
                let client = &self.clients[index];
                let is_lowered = client.attempt.machine.valid_until() < before;
                if held && client.stage == Stage::Holding && is_lowered {
                    self.broken = Some("R6: an answer shortened what a guard believes".to_owned());
                }
            }
            MessageStep::TimeOut(exchange) | MessageStep::CutOff(exchange) => {
                Driver { scenario, now, index, client }.time_out(exchange);
            }
            MessageStep::TakePush(pushed) => {
                self.broken = Driver { scenario, now, index, client }.take_push(pushed);
            }
            _ => {}
        }
    }

    fn step_of_caller(&mut self, index: usize, step: Step, scenario: &Scenario) {
        let is_untroubled = self.budget == scenario.budget;
        let client = &mut self.clients[index];
        let mut driver = Driver { scenario, now: self.now, index, client };
        match step {
            Step::Start => driver.start(),
            Step::AskAgain => driver.ask(),
            Step::GiveUp => {
                self.budget.dropped -= 1;
                driver.leave();
            }
            Step::Renew => {
                self.budget.renewed -= 1;
                driver.renew(scenario.renewal);
            }
            Step::Crash => {
                self.budget.crashed -= 1;
                driver.client.crash(scenario);
            }
            Step::Reconnect => driver.reconnect(),
            Step::Replace => {
                self.budget.cut -= 1;
                driver.reconnect();
            }
            Step::Lose => {
                let could_claim = scenario.latency == 0 && scenario.window_of(index) > 1;
                if is_untroubled && could_claim && driver.client.claim_at.is_some() {
                    self.broken = Some("S3: a window ended that nobody had claimed".to_owned());
                }
                driver.leave();
            }
            Step::Freeze | Step::Thaw | Step::Drop | Step::Notice => {
                self.step_of_environment(index, step, scenario);
            }
            _ => driver.leave(),
        }
    }

    fn step_of_environment(&mut self, index: usize, step: Step, scenario: &Scenario) {
        let client = &mut self.clients[index];
        match step {
            Step::Freeze => {
                self.budget.frozen -= 1;
                client.frozen_until = Some(self.now + scenario.freeze);
            }
            Step::Thaw => client.frozen_until = None,
            Step::Drop => {
                self.budget.cut -= 1;
                client.connections.is_counted = false;
                client.loss_known_by = Some(self.now + 1);
            }
            _ => client.connections.is_old_counted = false,
        }
    }

    fn run(&mut self, index: usize, exchange: Exchange, is_plain: bool, scenario: &Scenario) {
        let Exchange { attempt, request, underway, .. } = exchange;
        let token = Token { client: index, attempt };
        let rest = if let Underway::Rest(told) = underway { Some(told) } else { None };
        let effects = if is_plain || rest.is_some() {
            self.server.run_plain(scenario, self.now, token, request, rest)
        } else {
            let connections: Vec<_> =
                self.clients.iter().map(|client| client.connections).collect();
            self.server.run(scenario, self.now, &connections, token, request)
        };
        self.broken = effects.broken;
        if !matches!(scenario.bug, Some(SeededBug::NoKill | SeededBug::KillElsewhere)) {
            self.clients[index].messages.kill(exchange.kills);
        }
        for (client, pushed) in effects.pushes {
            self.clients[client].messages.pushes.push(pushed);
        }
        let client = &mut self.clients[index];
        match effects.answer {
            Some(Answer::Queued { ticket, .. })
                if client.wants() && client.attempt.number == attempt =>
            {
                client.place.get_or_insert(ticket);
            }
            Some(Answer::Released) => {
                if let Some(attempt) = client.find_mut(attempt) {
                    attempt.freed = true;
                }
            }
            _ => {}
        }
        match effects.rest {
            Some(told) => client.messages.leave_rest(exchange, told, self.now),
            None => client.messages.answer(exchange, effects.answer, self.now),
        }
        if let Some((token, ticket)) = effects.granted.filter(|_| !effects.in_gap) {
            self.count_overtaken(token, ticket);
        }
    }

    /// Everybody who waits and came before whoever was granted the lock has been overtaken.
    fn count_overtaken(&mut self, granted: Token, ticket: Option<Number>) {
        let taker = &self.clients[granted.client];
        let is_current = taker.attempt.number == granted.attempt;
        let place = taker.place.filter(|_| is_current).or(ticket).unwrap_or(Number::MAX);
        for (index, client) in self.clients.iter_mut().enumerate() {
            let waits = client.wants() && client.frozen_until.is_none();
            let came_before = client.place.is_some_and(|mine| mine < place);
            if index != granted.client && waits && came_before {
                client.overtaken += 1;
            }
        }
    }
}
