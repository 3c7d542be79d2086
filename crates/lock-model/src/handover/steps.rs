//! What an event does to the world.

use crate::attempt::server::Token;
use crate::exchange::replace;
use crate::handover::driver::Driver;
use crate::handover::process::{Process, Standing};
use crate::handover::settings::Scenario;
use crate::handover::world::{Act, Event, Step, World};
use crate::queue::client::{Exchange, Pushed};
use crate::queue::server::{Answer, Effects, News, Number, Owner, Script};

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
                next.server.tick(now);
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
        self.server.line.clear();
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
            if self.server.line.is_empty() {
                self.server.counter = 0;
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
            let standings = others.flat_map(|(_, process)| process.standings_mut());
            for standing in standings.filter(|standing| standing.place.is_some()) {
                standing.passed += 1;
            }
        }
    }

    /// They need be known only while an older one may arrive, or a lease be passed on.
    fn forget_newest(&mut self) {
        let lowest = self.processes.iter().filter_map(lowest_number).min();
        let newest = Number::try_from(self.newest >> 10).unwrap_or(Number::MAX);
        if self.server.counter >= newest && lowest.is_none_or(|number| number > newest) {
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
            Step::Notice => self.processes[index].ears.heard = false,
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
                self.drive(index, scenario, |driver| driver.take(exchange, answer));
            }
            Step::TimeOut(exchange) => {
                self.replace(index, exchange, Some(Exchange { awaited: false, ..exchange }));
                self.drive(index, scenario, |driver| driver.time_out(exchange));
            }
            Step::Hear(pushed) => {
                replace(&mut self.processes[index].pushes, &pushed, None);
                self.drive(index, scenario, |driver| driver.hear(pushed));
            }
            Step::LosePush(pushed) => {
                self.budget.lost_push -= 1;
                replace(&mut self.processes[index].pushes, &pushed, None);
            }
            Step::SlowPush(pushed) => {
                self.budget.slow -= 1;
                let slowed = Pushed { slow: true, ..pushed };
                replace(&mut self.processes[index].pushes, &pushed, Some(slowed));
            }
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
            Act::Renew => driver.renew(nth, scenario.tasks[index][nth].ttl),
            // A guard whose lease was lost meanwhile is dropped.
            Act::Thaw => driver.drop_what_is_over(nth),
            Act::Freeze => {}
        });
    }

    fn run(&mut self, index: usize, exchange: Exchange, scenario: &Scenario) {
        let token = Token { client: index, attempt: exchange.attempt };
        let before = self.server.lease;
        let ears: Vec<_> = self.processes.iter().map(|process| process.ears).collect();
        let (server, scenario) = (&mut self.server, &scenario.store);
        let effects = Effects::default();
        let mut script = Script { scenario, now: self.now, server, ears: &ears, effects };
        let answer = script.run(token, exchange.request);
        let effects = script.effects;
        let of_another = before.is_some_and(|(owner, _)| owner != Owner::Token(token));
        if of_another && before != self.server.lease {
            self.broken = Some("S4: a request changed the lease of another token".to_owned());
        }
        for (entry, news) in effects.pushes {
            let (attempt, channel, sent) = (entry.attempt, entry.channel, self.now);
            let pushed = Pushed { attempt, channel, news, sent, slow: false };
            self.processes[entry.client].pushes.push(pushed);
        }
        if let Some(Answer::Queued { ticket, .. }) = answer {
            let mut standings = self.processes[index].standings_mut();
            if let Some(standing) = standings.find(|s| s.dealing.attempt == exchange.attempt) {
                standing.place.get_or_insert(ticket);
            }
        }
        if let Some((token, ticket)) = effects.granted {
            self.count_overtaken(token, ticket);
        }
        self.answer(index, exchange, answer);
    }

    /// Every process that waits and came before whoever was granted the lock has been overtaken.
    fn count_overtaken(&mut self, granted: Token, ticket: Option<Number>) {
        let is_takers = |standing: &&Standing| standing.dealing.attempt == granted.attempt;
        let taker = self.processes[granted.client].standings().find(is_takers);
        let place = taker.and_then(|s| s.place).or(ticket).unwrap_or(Number::MAX);
        for (index, process) in self.processes.iter_mut().enumerate() {
            if index == granted.client {
                continue;
            }
            let waiting = process.tasks.iter_mut().filter(|task| task.frozen_until.is_none());
            for standing in waiting.filter_map(|task| task.does.standing_mut()) {
                standing.overtaken += u8::from(standing.place.is_some_and(|mine| mine < place));
            }
        }
    }

    /// Sends an answer, or nothing.
    fn answer(&mut self, index: usize, exchange: Exchange, answer: Option<Answer>) {
        let answered = exchange.answered(answer, self.now);
        self.replace(index, exchange, Some(answered));
    }

    fn replace(&mut self, index: usize, old: Exchange, new: Option<Exchange>) {
        replace(&mut self.processes[index].exchanges, &old, new);
    }
}

/// The lowest number of a grant that is on its way to a process, or may be passed on in it.
fn lowest_number(process: &Process) -> Option<Number> {
    let answers = process.exchanges.iter().filter_map(|exchange| match exchange.place {
        crate::exchange::Place::Answered(Answer::Granted(number)) => Some(number),
        _ => None,
    });
    let pushes = process.pushes.iter().filter_map(|pushed| match pushed.news {
        News::Granted(number) => Some(number),
        News::Head(_) => None,
    });
    let kept = process.standings().filter_map(|standing| standing.kept);
    let held = process.holdings().filter(|(_, holding)| !holding.is_over());
    answers.chain(pushes).chain(kept).chain(held.map(|(_, holding)| holding.number)).min()
}
