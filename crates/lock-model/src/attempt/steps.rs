//! What an event does to the world.

use crate::attempt::client::{Client, Stage};
use crate::attempt::driver::Driver;
use crate::attempt::settings::Scenario;
use crate::attempt::world::{Event, Step, World};
use crate::exchange::Exchange;
use crate::message::{Answer, Token};
use crate::network::MessageStep;

impl World {
    /// The world after an event.
    #[must_use]
    pub fn after(&self, event: Event, scenario: &Scenario) -> Self {
        let mut next = self.clone();
        match event {
            Event::Tick(now) => {
                next.now = now;
                next.server.expire(now);
            }
            Event::Wipe => next.wipe(),
            Event::Of(index, Step::Message(step)) => next.message_step(index, step, scenario),
            Event::Of(index, step) => next.step_of_caller(index, step, scenario),
        }
        next.settle(scenario);
        next
    }

    fn wipe(&mut self) {
        self.budget.wiped -= 1;
        // The counter starts again from the server's clock, which is ahead of every number.
        self.server.lease = None;
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

    fn message_step(&mut self, index: usize, step: MessageStep, scenario: &Scenario) {
        let (now, network) = (self.now, self.network(scenario));
        let client = &mut self.clients[index];
        client.messages.change(step, &network, &mut self.budget);
        match step {
            MessageStep::Run(exchange) => self.run(index, exchange, scenario),
            MessageStep::Take(exchange, answer) => {
                let (held, before) = (client.holds(now), client.attempt.machine.valid_until());
                self.broken = Driver { scenario, now, client }.take(exchange, answer);
                let client = &self.clients[index];
                let is_lowered = client.attempt.machine.valid_until() < before;
                if held && client.stage == Stage::Holding && is_lowered {
                    self.broken = Some("R6: an answer shortened what a guard believes".to_owned());
                }
            }
            MessageStep::TimeOut(exchange) => Driver { scenario, now, client }.time_out(exchange),
            _ => {}
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
        let before = self.server.lease;
        let answer = self.server.run(self.now, token, exchange.request, scenario.bug);
        let of_another = before.is_some_and(|(owner, _)| owner != token);
        if of_another && before != self.server.lease {
            self.broken = Some("S4: a request changed the lease of another token".to_owned());
        }
        if matches!(answer, Some(Answer::Granted(_))) && !self.server.issue(scenario.bug) {
            self.broken = Some("S8: a fencing number does not rise".to_owned());
        }
        let Client { attempt, stage, messages, .. } = &mut self.clients[index];
        let is_current = exchange.attempt == attempt.number && *stage != Stage::Idle;
        attempt.freed |= is_current && answer == Some(Answer::Released);
        messages.answer(exchange, answer, self.now);
    }
}
