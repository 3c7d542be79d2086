//! Processes, messages, pushes, one server and time: what can happen.

use crate::budget::Budget;
use crate::exchange::{Place as At, RESPONSE_TIMEOUT};
use crate::handover::process::{Does, Phase, Place, Process, Task, Turn};
use crate::handover::settings::Scenario;
use crate::queue::client::{Exchange, Pushed};
use crate::queue::server::{Answer, Server};
use crate::time::{Tick, instant};

/// One state of everything.
#[derive(Clone, Debug)]
pub struct World {
    /// The present.
    pub now: Tick,
    /// The server.
    pub server: Server,
    /// The processes.
    pub processes: Vec<Process>,
    /// The trouble that is left.
    pub budget: Budget,
    /// The fence of the newest guard, while a lower one may be made; only the properties know it.
    pub newest: u32,
    /// For how many ticks the lock has been free while a task waited.
    pub free_for: Tick,
    /// A property of an event that the last event broke.
    pub broken: Option<String>,
}

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A tick passes; this one begins.
    Tick(Tick),
    /// The server forgets everything.
    Wipe,
    /// Something happens to a process or to a message of it.
    Of(usize, Step),
}

/// What can happen to one process or to one message of it.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// One of its tasks does something.
    Task(usize, Act),
    /// It vanishes.
    Crash,
    /// The server learns that it has vanished.
    Notice,
    /// The server runs a request.
    Run(Exchange),
    /// An answer arrives.
    Take(Exchange, Answer),
    /// Nobody waits any longer for an answer.
    TimeOut(Exchange),
    /// The message is lost.
    LoseMessage(Exchange),
    /// The message takes long.
    Slow(Exchange),
    /// A push arrives.
    Hear(Pushed),
    /// A push is lost.
    LosePush(Pushed),
    /// A push takes long.
    SlowPush(Pushed),
}

/// What a task does, or what happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It wants the lock.
    Enter,
    /// It asks again after a failure.
    AskAgain,
    /// It gives up: its future is dropped.
    GiveUp,
    /// Its time is up just when it is told to lead.
    TimeUp,
    /// It takes what it was told.
    TakeTurn,
    /// It looks after those before it.
    Look,
    /// Its guard is dropped.
    Release,
    /// The time of its guard is over.
    Lose,
    /// Its lease is renewed.
    Renew,
    /// It is not polled any more.
    Freeze,
    /// It is polled again.
    Thaw,
}

impl World {
    /// Everything that can happen, always in the same order.
    #[must_use]
    pub fn events(&self, scenario: &Scenario) -> Vec<Event> {
        let mut events = Vec::new();
        for (index, process) in self.processes.iter().enumerate() {
            let mut add = |step| events.push(Event::Of(index, step));
            for nth in 0..process.tasks.len() {
                self.acts(index, nth, scenario, &mut |act| add(Step::Task(nth, act)));
            }
            if self.budget.crashed > 0 && !(process.is_quiet() || process.crashed) {
                add(Step::Crash);
            }
            if process.crashed && process.ears.heard {
                add(Step::Notice);
            }
            for &exchange in &process.exchanges {
                self.steps_of_message(process, exchange, scenario, &mut add);
            }
            for &pushed in &process.pushes {
                add(Step::Hear(pushed));
                if self.is_due(pushed.sent, pushed.slow, scenario) && !pushed.slow {
                    if self.budget.lost_push > 0 {
                        add(Step::LosePush(pushed));
                    }
                    if self.budget.slow > 0 {
                        add(Step::SlowPush(pushed));
                    }
                }
            }
        }
        if self.budget.wiped > 0 && (self.server.lease.is_some() || !self.server.line.is_empty()) {
            events.push(Event::Wipe);
        }
        if self.time_can_pass(scenario) {
            events.push(Event::Tick(self.now + 1));
        }
        events
    }

    fn acts(&self, index: usize, nth: usize, scenario: &Scenario, add: &mut impl FnMut(Act)) {
        let process = &self.processes[index];
        let task = &process.tasks[nth];
        if self.has_to(process, nth, Act::Lose) {
            add(Act::Lose);
        }
        if task.does != Does::Nothing && self.budget.dropped > 0 {
            if !matches!(task.does, Does::Holds(_)) {
                add(Act::GiveUp);
            }
            if matches!(task.does, Does::Waits(Place { told: Some(Turn::Lead(_)), .. })) {
                add(Act::TimeUp);
            }
        }
        if task.frozen_until.is_some() {
            return add(Act::Thaw);
        }
        match &task.does {
            // Those who want the same come in one order.
            Does::Nothing if !task.begun => {
                let wishes = scenario.tasks[index];
                let is_next =
                    |before: usize| process.tasks[before].begun || wishes[before] != wishes[nth];
                if (0..nth).all(is_next) {
                    add(Act::Enter);
                }
            }
            // Past the deadline, it finds that the lease was lost.
            Does::Holds(holding) if !holding.is_over() => {
                add(Act::Release);
                if holding.holds(self.now)
                    && self.budget.renewed > 0
                    && scenario.tasks[index][nth].keeps
                {
                    add(Act::Renew);
                }
            }
            _ => {}
        }
        for act in [Act::AskAgain, Act::TakeTurn, Act::Look] {
            if self.has_to(process, nth, act) {
                add(act);
            }
        }
        if self.budget.frozen > 0 && task.does != Does::Nothing {
            add(Act::Freeze);
        }
    }

    /// Whether a task, or the keeper for it, has to do this before time goes on.
    fn has_to(&self, process: &Process, nth: usize, act: Act) -> bool {
        let task = &process.tasks[nth];
        let is_polled = task.frozen_until.is_none();
        match (act, &task.does) {
            (Act::Thaw, _) => task.frozen_until.is_some_and(|until| until <= self.now),
            (Act::Lose, does) => does.holding().is_some_and(|holding| {
                let is_seen = is_polled || holding.due.is_some();
                is_seen && !holding.is_over() && !holding.holds(self.now)
            }),
            (Act::AskAgain, Does::Asks { standing, .. }) => {
                is_polled && standing.phase == Phase::Retrying
            }
            (Act::TakeTurn, Does::Waits(place)) => is_polled && place.told.is_some(),
            (Act::Look, Does::Waits(place)) => {
                is_polled && place.told.is_none() && place.look_at <= instant(self.now)
            }
            _ => false,
        }
    }

    fn steps_of_message(
        &self,
        process: &Process,
        exchange: Exchange,
        scenario: &Scenario,
        add: &mut impl FnMut(Step),
    ) {
        let is_attended = process.awaits(&exchange);
        match exchange.place {
            At::Asked => add(Step::Run(exchange)),
            At::Answered(answer) if is_attended => add(Step::Take(exchange, answer)),
            At::Answered(_) | At::Lost => {}
        }
        // Losing or delaying it any earlier would make no difference to anybody.
        let is_due =
            exchange.place != At::Lost && self.is_due(exchange.sent, exchange.slow, scenario);
        if is_due && !exchange.slow {
            if self.budget.lost > 0 {
                add(Step::LoseMessage(exchange));
            }
            if self.budget.slow > 0 {
                add(Step::Slow(exchange));
            }
        }
        // Ordinary messages come and go within the timeout.
        let is_late = exchange.place == At::Lost
            || exchange.delayed
            || self.now > exchange.asked + 2 * scenario.store.latency;
        let timeout = exchange.asked + RESPONSE_TIMEOUT;
        if is_late && exchange.awaited && is_attended && self.now >= timeout {
            add(Step::TimeOut(exchange));
        }
    }

    /// Whether a message has been on its way for as long as it may.
    fn is_due(&self, sent: Tick, slow: bool, scenario: &Scenario) -> bool {
        self.now >= sent + if slow { scenario.store.slow } else { scenario.store.latency }
    }

    /// Whether there is anything to wait for, and nothing that has to happen first.
    fn time_can_pass(&self, scenario: &Scenario) -> bool {
        let must = [Act::Thaw, Act::Lose, Act::AskAgain, Act::TakeTurn, Act::Look];
        !self.is_over()
            && self.processes.iter().all(|process| {
                let has_to = |nth| must.iter().any(|&act| self.has_to(process, nth, act));
                let is_late = |exchange: &Exchange| {
                    // What has come to somebody who is not polled lies there.
                    let is_attended = process.awaits(exchange);
                    let moves = match exchange.place {
                        At::Asked => true,
                        At::Answered(_) => is_attended,
                        At::Lost => false,
                    };
                    (moves && self.is_due(exchange.sent, exchange.slow, scenario))
                        || (is_attended && !exchange.is_in_time(self.now))
                };
                !(0..process.tasks.len()).any(has_to)
                    && !process.exchanges.iter().any(is_late)
                    && !process.pushes.iter().any(|p| self.is_due(p.sent, p.slow, scenario))
            })
    }

    /// Whether a task could find the lock free if anybody asked for it.
    #[must_use]
    pub fn is_free_and_wanted(&self) -> bool {
        let waits = |task: &Task| {
            task.frozen_until.is_none()
                && match &task.does {
                    Does::Waits(place) => place.told.is_none(),
                    Does::Asks { standing, .. } => standing.phase == Phase::Waiting,
                    _ => false,
                }
        };
        // Whoever asks will find it.
        let asks = |task: &Task| {
            task.frozen_until.is_none()
                && matches!(&task.does, Does::Asks { standing, .. } if standing.phase != Phase::Waiting)
        };
        let mut processes = self.processes.iter();
        self.server.lease.is_none()
            && processes.any(|p| p.tasks.iter().any(waits) && !p.tasks.iter().any(asks))
    }

    /// Whether nobody does or owns anything.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.server.lease.is_none() && self.processes.iter().all(Process::is_quiet)
    }
}
