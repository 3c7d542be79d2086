//! What an event does to the world.

use crate::attempt::server::Token;
use crate::exchange::replace;
use crate::queue::client::{Client, Exchange, Pushed, Stage};
use crate::queue::driver::Driver;
use crate::queue::server::{Answer, Effects, Number, Owner, Script};
use crate::queue::settings::Scenario;
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
                next.line_free_for += u8::from(next.is_free_with_a_line());
                next.now = now;
                next.server.tick(now);
            }
            Event::Wipe => {
                next.budget.wiped -= 1;
                next.server.line.clear();
                next.delete();
            }
            Event::Delete => {
                next.budget.deleted -= 1;
                next.delete();
            }
            Event::Foreign => {
                next.budget.foreign -= 1;
                next.server.lease = Some((Owner::Foreign, next.now + scenario.foreign));
            }
            Event::Of(index, step) => next.step(index, step, scenario),
        }
        next.settle(scenario);
        next
    }

    fn is_free_and_wanted(&self) -> bool {
        self.server.lease.is_none() && self.clients.iter().any(Client::waits_in_line)
    }

    /// Whoever in line is asking will find it.
    fn is_free_with_a_line(&self) -> bool {
        let stands = |index: usize| self.server.line.iter().any(|entry| entry.client == index);
        let asks = |client: &Client| client.wants() && !client.waits_in_line();
        let standing = || (0..).zip(&self.clients).filter(|(index, _)| stands(*index));
        self.is_free_and_wanted()
            && standing().any(|(_, client)| client.waits_in_line())
            && !standing().any(|(_, client)| asks(client) && client.frozen_until.is_none())
    }

    /// The counter starts again from the server's clock, which is ahead of every number.
    fn delete(&mut self) {
        let owner = self.server.lease.take();
        self.server.unclaimed_since = None;
        if matches!(owner, Some((Owner::Token(_), _))) {
            for client in &mut self.clients {
                client.excused |= client.stage != Stage::Idle;
            }
        }
    }

    fn settle(&mut self, scenario: &Scenario) {
        let now = self.now;
        for (index, client) in self.clients.iter_mut().enumerate() {
            Driver { scenario, now, index, client }.settle();
        }
        self.compare_numbers();
        if !self.is_free_and_wanted() {
            self.free_for = 0;
        }
        if !self.is_free_with_a_line() {
            self.line_free_for = 0;
        }
        if self.is_over() {
            // Nothing remembers the time, so that it need not be told apart.
            self.now = 0;
            if self.server.line.is_empty() {
                self.server.counter = 0;
            }
        }
    }

    /// Numbers rise with every guard; they need be known only while an older one may arrive.
    fn compare_numbers(&mut self) {
        for client in &mut self.clients {
            let Some(number) = client.handed_out.take() else { continue };
            // What was granted before a wipe is over, whatever its client believes.
            if number <= self.newest && !client.excused {
                self.broken = Some("S8: a fencing number does not rise".to_owned());
            }
            self.newest = self.newest.max(number);
        }
        let lowest = self.clients.iter().filter_map(Client::lowest_number).min();
        let is_stored = self.server.counter >= self.newest;
        if is_stored && lowest.is_none_or(|number| number > self.newest) {
            self.newest = 0;
        }
    }

    fn step(&mut self, index: usize, step: Step, scenario: &Scenario) {
        let now = self.now;
        match step {
            Step::Run(exchange) => self.run(index, exchange, scenario),
            Step::LoseMessage(exchange) => {
                self.budget.lost -= 1;
                self.answer(index, exchange, None);
            }
            Step::Slow(exchange) => {
                self.budget.slow -= 1;
                let slowed = Exchange { slow: true, delayed: true, ..exchange };
                self.replace(index, exchange, Some(slowed));
            }
            Step::Take(exchange, answer) => {
                self.replace(index, exchange, None);
                let client = &mut self.clients[index];
                let (held, before) = (client.holds(now), client.dealing.machine.valid_until());
                self.broken = Driver { scenario, now, index, client }.take(exchange, answer);
                let client = &self.clients[index];
                let lowered = client.dealing.machine.valid_until() < before;
                if held && client.stage == Stage::Holding && lowered {
                    self.broken = Some("R6: an answer shortened what a guard believes".to_owned());
                }
            }
            Step::TimeOut(exchange) => {
                self.replace(index, exchange, Some(Exchange { awaited: false, ..exchange }));
                let client = &mut self.clients[index];
                Driver { scenario, now, index, client }.time_out(exchange);
            }
            Step::Hear(pushed) => {
                self.replace_push(index, pushed, None);
                let client = &mut self.clients[index];
                self.broken = Driver { scenario, now, index, client }.hear(pushed);
            }
            Step::LosePush(pushed) => {
                self.budget.lost_push -= 1;
                self.replace_push(index, pushed, None);
            }
            Step::SlowPush(pushed) => {
                self.budget.slow -= 1;
                self.replace_push(index, pushed, Some(Pushed { slow: true, ..pushed }));
            }
            Step::Freeze | Step::Thaw | Step::Drop | Step::Notice => {
                self.step_of_environment(index, step, scenario);
            }
            _ => self.step_of_caller(index, step, scenario),
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
                client.ears.heard = false;
                client.deaf_until = Some(self.now + 1);
            }
            _ => client.ears.old_heard = false,
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
            _ => driver.leave(),
        }
    }

    fn run(&mut self, index: usize, exchange: Exchange, scenario: &Scenario) {
        let token = Token { client: index, attempt: exchange.attempt };
        let before = self.server.lease;
        let ears: Vec<_> = self.clients.iter().map(|client| client.ears).collect();
        let effects = Effects::default();
        let server = &mut self.server;
        let mut script = Script { scenario, now: self.now, server, ears: &ears, effects };
        let answer = script.run(token, exchange.request);
        let effects = script.effects;
        let of_another = before.is_some_and(|(owner, _)| owner != Owner::Token(token));
        if of_another && before != self.server.lease {
            self.broken = Some("S4: a request changed the lease of another token".to_owned());
        }
        for (entry, news) in effects.pushes {
            let pushed = Pushed {
                attempt: entry.attempt,
                channel: entry.channel,
                news,
                sent: self.now,
                slow: false,
            };
            self.clients[entry.client].pushes.push(pushed);
        }
        if let Some(Answer::Queued { ticket, .. }) = answer
            && self.clients[index].wants()
            && self.clients[index].dealing.attempt == exchange.attempt
        {
            self.clients[index].place.get_or_insert(ticket);
        }
        if let Some((token, ticket)) = effects.granted {
            self.count_overtaken(token, ticket);
        }
        if answer == Some(Answer::Released) {
            self.clients[index].freed(exchange.attempt);
        }
        self.answer(index, exchange, answer);
    }

    /// Everybody who waits and came before whoever was granted the lock has been overtaken.
    fn count_overtaken(&mut self, granted: Token, ticket: Option<Number>) {
        let taker = &self.clients[granted.client];
        let is_current = taker.dealing.attempt == granted.attempt;
        let place = taker.place.filter(|_| is_current).or(ticket).unwrap_or(Number::MAX);
        for (index, client) in self.clients.iter_mut().enumerate() {
            let waits = client.wants() && client.frozen_until.is_none();
            let came_before = client.place.is_some_and(|mine| mine < place);
            if index != granted.client && waits && came_before {
                client.overtaken += 1;
            }
        }
    }

    /// Sends an answer, or nothing.
    fn answer(&mut self, index: usize, exchange: Exchange, answer: Option<Answer>) {
        let answered = exchange.answered(answer, self.now);
        self.replace(index, exchange, Some(answered));
    }

    fn replace(&mut self, index: usize, old: Exchange, new: Option<Exchange>) {
        replace(&mut self.clients[index].exchanges, &old, new);
    }

    fn replace_push(&mut self, index: usize, old: Pushed, new: Option<Pushed>) {
        replace(&mut self.clients[index].pushes, &old, new);
    }
}
