//! Processes, messages, pushes, one server and time: what can happen.

use crate::budget::Budget;
use crate::handover::leader::{LocalWaiter, Phase, Turn};
use crate::handover::process::{Process, Task, TaskState};
use crate::handover::settings::Scenario;
use crate::network::{MessageStep, Network};
use crate::properties::Breach;
use crate::queue::server::Server;
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
    pub broken: Breach,
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
    /// Something happens to a message.
    Message(MessageStep),
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
    /// The background looks at its lease, and renews it.
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
        let network = self.network(scenario);
        for (index, process) in self.processes.iter().enumerate() {
            let mut add = |step| events.push(Event::Of(index, step));
            for nth in 0..process.tasks.len() {
                self.acts(index, nth, scenario, &mut |act| add(Step::Task(nth, act)));
            }
            if self.budget.crashed > 0 && !(process.is_quiet() || process.crashed) {
                add(Step::Crash);
            }
            if process.crashed && process.connections.is_counted {
                add(Step::Notice);
            }
            let mut add = |step| add(Step::Message(step));
            for &exchange in &process.messages.exchanges {
                network.steps_of_exchange(exchange, process.attends_to(&exchange), &mut add);
            }
            for &pushed in &process.messages.pushes {
                network.steps_of_push(pushed, true, &mut add);
            }
        }
        if self.budget.wiped > 0 && (self.server.lease.is_some() || !self.server.queue.is_empty()) {
            events.push(Event::Wipe);
        }
        if self.time_can_pass(&network) {
            events.push(Event::Tick(self.now + 1));
        }
        events
    }

    /// Whether a task could find the lock free if anybody asked for it.
    #[must_use]
    pub fn is_free_and_wanted(&self) -> bool {
        let waits = |task: &Task| match &task.state {
            TaskState::Waiting(waiter) => waiter.told.is_none(),
            TaskState::Asking { leader, .. } => leader.phase == Phase::Waiting,
            _ => false,
        };
        // Whoever asks will find it.
        let asks = |task: &Task| match &task.state {
            TaskState::Asking { leader, .. } => leader.phase != Phase::Waiting,
            _ => false,
        };
        let wants = |process: &Process| {
            let mut polled = process.tasks.iter().filter(|task| task.frozen_until.is_none());
            polled.clone().any(waits) && !polled.any(asks)
        };
        self.server.lease.is_none() && self.processes.iter().any(wants)
    }

    /// Whether nobody does or owns anything.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.server.lease.is_none() && self.processes.iter().all(Process::is_quiet)
    }

    /// The network at this tick.
    #[must_use]
    pub const fn network(&self, scenario: &Scenario) -> Network {
        let (latency, slow) = (scenario.store.latency, scenario.store.slow);
        Network { now: self.now, latency, slow, is_punctual: true, budget: self.budget }
    }

    fn acts(&self, index: usize, nth: usize, scenario: &Scenario, add: &mut impl FnMut(Act)) {
        let process = &self.processes[index];
        let task = &process.tasks[nth];
        if self.has_to(process, nth, Act::Lose) {
            add(Act::Lose);
        }
        if task.state != TaskState::Idle && self.budget.dropped > 0 {
            if !matches!(task.state, TaskState::Holding(_)) {
                add(Act::GiveUp);
            }
            if matches!(
                task.state,
                TaskState::Waiting(LocalWaiter { told: Some(Turn::Lead(_)), .. })
            ) {
                add(Act::TimeUp);
            }
        }
        if task.frozen_until.is_some() {
            return add(Act::Thaw);
        }
        match &task.state {
            // Those who want the same come in one order.
            TaskState::Idle if !task.begun => {
                let options = scenario.tasks[index];
                let is_next =
                    |before: usize| process.tasks[before].begun || options[before] != options[nth];
                if (0..nth).all(is_next) {
                    add(Act::Enter);
                }
            }
            // Past the deadline, it finds that the lease was lost.
            TaskState::Holding(held) if !held.is_over() => {
                add(Act::Release);
                let is_kept_alive = scenario.tasks[index][nth].keeps_alive;
                if held.holds(self.now) && self.budget.renewed > 0 && is_kept_alive {
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
        if self.budget.frozen > 0 && task.state != TaskState::Idle {
            add(Act::Freeze);
        }
    }

    /// Whether a task, or the background for it, has to do this before time goes on.
    fn has_to(&self, process: &Process, nth: usize, act: Act) -> bool {
        let task = &process.tasks[nth];
        let is_polled = task.frozen_until.is_none();
        match (act, &task.state) {
            (Act::Thaw, _) => task.frozen_until.is_some_and(|until| until <= self.now),
            (Act::Lose, state) => {
                state.held().is_some_and(|held| held.is_found_over(is_polled, self.now))
            }
            (Act::AskAgain, TaskState::Asking { leader, .. }) => {
                is_polled && leader.phase == Phase::Retrying
            }
            (Act::TakeTurn, TaskState::Waiting(waiter)) => is_polled && waiter.told.is_some(),
            (Act::Look, TaskState::Waiting(waiter)) => {
                is_polled && waiter.told.is_none() && waiter.look_at <= instant(self.now)
            }
            _ => false,
        }
    }

    /// Whether there is anything to wait for, and nothing that has to happen first.
    fn time_can_pass(&self, network: &Network) -> bool {
        let must = [Act::Thaw, Act::Lose, Act::AskAgain, Act::TakeTurn, Act::Look];
        let lets_pass = |process: &Process| {
            let has_to = |nth| must.iter().any(|&act| self.has_to(process, nth, act));
            let (exchanges, pushes) = (&process.messages.exchanges, &process.messages.pushes);
            !(0..process.tasks.len()).any(has_to)
                && exchanges.iter().all(|e| network.lets_pass(e, process.attends_to(e)))
                && pushes.iter().all(|p| network.lets_push_pass(p))
        };
        !self.is_over() && self.processes.iter().all(lets_pass)
    }
}
