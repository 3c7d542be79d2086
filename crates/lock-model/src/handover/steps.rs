//! What an event does to the world.

use crate::exchange::Exchange;
use crate::handover::driver::Driver;
use crate::handover::leader::LeaderState;
use crate::handover::process::Process;
use crate::handover::settings::Scenario;
use crate::handover::world::{Act, Event, Step, World};
use crate::message::{Answer, Number, Token};
use crate::network::MessageStep;
use crate::queue::counter::Counter;

impl World {
    /// The world after an event.
    #[must_use]
    pub fn after(&self, event: Event, scenario: &Scenario) -> Self {
        let mut next = self.clone();
        match event {
            Event::Tick(now) => {
                // Whatever could be done in the tick that ends has been done.
                next.free_for += u8::from(next.is_free_and_wanted());
                next.now = now;
                next.server.tick(&scenario.store, now);
            }
            Event::Wipe => next.wipe(),
            Event::Of(index, step) => next.step(index, step, scenario),
        }
        next.settle(scenario);
        next
    }

    /// The counter starts again from the server's clock, which is ahead of every number.
    fn wipe(&mut self) {
        self.budget.wiped -= 1;
        self.server.queue.clear();
        if self.server.lease.take().is_some() {
            for process in &mut self.processes {
                process.excused = process.tokens;
            }
        }
        self.server.unclaimed_since = None;
    }

    fn settle(&mut self, scenario: &Scenario) {
        for index in 0..self.processes.len() {
            self.drive(index, scenario, |driver| driver.settle());
        }
        for index in 0..self.processes.len() {
            self.compare_fences(index);
        }
        self.forget_newest();
        if !self.is_free_and_wanted() {
            self.free_for = 0;
        }
        if self.is_over() {
            // Nothing remembers the time, so that it need not be told apart.
            self.now = 0;
            if self.server.queue.is_empty() {
                self.server.counter = Counter::default();
                for process in &mut self.processes {
                    (process.tokens, process.excused) = (0, 0);
                }
            }
        }
    }

    fn drive<T>(
        &mut self,
        index: usize,
        scenario: &Scenario,
        act: impl FnOnce(&mut Driver<'_>) -> T,
    ) -> T {
        let process = &mut self.processes[index];
        let mut driver = Driver { scenario, now: self.now, index, process, broken: None };
        let result = act(&mut driver);
        self.broken = self.broken.take().or(driver.broken);
        result
    }

    /// Fences rise with every guard; a guard that was passed on delays the other processes.
    fn compare_fences(&mut self, index: usize) {
        for (fence, is_excused) in std::mem::take(&mut self.processes[index].made) {
            if fence <= self.newest && !is_excused {
                self.broken = Some("S8: a fencing token does not rise".to_owned());
            }
            self.newest = self.newest.max(fence);
            if fence & 0x3ff == 0 {
                continue;
            }
            let others = (0..).zip(&mut self.processes).filter(|(other, _)| *other != index);
            let leaders = others.flat_map(|(_, process)| process.leaders_mut());
            for leader in leaders.filter(|leader| leader.place.is_some()) {
                leader.passed += 1;
            }
        }
    }

    /// They need be known only while an older one may arrive, or a lease be passed on.
    fn forget_newest(&mut self) {
        let lowest = self.processes.iter().filter_map(Process::lowest_number).min();
        let newest = Number::try_from(self.newest >> 10).unwrap_or(Number::MAX);
        if self.server.counter.has_stored(newest) && lowest.is_none_or(|number| number > newest) {
            self.newest = 0;
        }
    }

    fn step(&mut self, index: usize, step: Step, scenario: &Scenario) {
        match step {
            Step::Task(nth, act) => self.act(index, nth, act, scenario),
            Step::Crash => {
                self.budget.crashed -= 1;
                self.processes[index].crash();
            }
            Step::Notice => self.processes[index].connections.is_counted = false,
            Step::Message(step) => self.message_step(index, step, scenario),
        }
    }

    fn message_step(&mut self, index: usize, step: MessageStep, scenario: &Scenario) {
        let network = self.network(scenario);
        self.processes[index].messages.change(step, &network, &mut self.budget);
        match step {
            MessageStep::Run(exchange) => self.run(index, exchange, scenario),
            MessageStep::Take(exchange, answer) => {
                self.drive(index, scenario, |driver| driver.take(exchange, answer));
            }
            MessageStep::TimeOut(exchange) => {
                self.drive(index, scenario, |driver| driver.time_out(exchange));
            }
            MessageStep::TakePush(pushed) => {
                self.drive(index, scenario, |driver| driver.take_push(pushed));
            }
            _ => {}
        }
    }

    fn act(&mut self, index: usize, nth: usize, act: Act, scenario: &Scenario) {
        let now = self.now;
        let budget = &mut self.budget;
        let task = &mut self.processes[index].tasks[nth];
        match act {
            Act::GiveUp | Act::TimeUp => {
                budget.dropped -= 1;
                task.frozen_until = None;
            }
            Act::Renew => budget.renewed -= 1,
            Act::Freeze => {
                budget.frozen -= 1;
                task.frozen_until = Some(now + scenario.store.freeze);
            }
            Act::Thaw => task.frozen_until = None,
            _ => {}
        }
        self.drive(index, scenario, |driver| match act {
            Act::Enter => driver.enter(nth),
            Act::AskAgain => driver.ask(nth),
            Act::GiveUp => driver.give_up(nth),
            Act::TimeUp => driver.time_up(nth),
            Act::TakeTurn => driver.take_turn(nth),
            Act::Look => driver.look(nth),
            Act::Release => driver.release(nth),
            Act::Lose => driver.lose(nth),
            Act::Renew => driver.do_duty(nth),
            Act::Freeze | Act::Thaw => {}
        });
    }

    fn run(&mut self, index: usize, exchange: Exchange, scenario: &Scenario) {
        let Exchange { attempt, request, .. } = exchange;
        let token = Token { client: index, attempt };
        let connections: Vec<_> = self.processes.iter().map(|p| p.connections).collect();
        let effects = self.server.run(&scenario.store, self.now, &connections, token, request);
        self.broken = effects.broken;
        for (process, pushed) in effects.pushes {
            self.processes[process].messages.pushes.push(pushed);
        }
        let process = &mut self.processes[index];
        if let Some(Answer::Queued { ticket, .. }) = effects.answer
            && let Some(leader) = process.leaders_mut().find(|l| l.attempt.number == attempt)
        {
            leader.place.get_or_insert(ticket);
        }
        process.messages.answer(exchange, effects.answer, self.now);
        if let Some((token, ticket)) = effects.granted {
            self.count_overtaken(token, ticket);
        }
    }

    /// Every process that waits and came before whoever was granted the lock has been overtaken.
    fn count_overtaken(&mut self, granted: Token, ticket: Option<Number>) {
        let is_taker = |leader: &&LeaderState| leader.attempt.number == granted.attempt;
        let taker = self.processes[granted.client].leaders().find(is_taker);
        let place = taker.and_then(|leader| leader.place).or(ticket).unwrap_or(Number::MAX);
        for (index, process) in self.processes.iter_mut().enumerate() {
            if index == granted.client {
                continue;
            }
            let waiting = process.tasks.iter_mut().filter(|task| task.frozen_until.is_none());
            for leader in waiting.filter_map(|task| task.state.leader_mut()) {
                leader.overtaken += u8::from(leader.place.is_some_and(|mine| mine < place));
            }
        }
    }
}
