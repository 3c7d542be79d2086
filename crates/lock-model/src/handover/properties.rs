//! What must hold in every state.

use crate::handover::leader::LocalWaiter;
use crate::handover::process::{Process, Task, TaskState};
use crate::handover::settings::Scenario;
use crate::handover::world::World;
use crate::message::Token;
use crate::properties::{self, Belief, Breach};
use crate::queue::server::Owner;

impl World {
    /// The property that this state breaks.
    #[must_use]
    pub fn breach(&self, scenario: &Scenario) -> Breach {
        self.breach_of_exclusion()
            .or_else(|| self.breach_of_bounds(scenario))
            .or_else(|| self.breach_of_cleanliness())
            .or_else(|| self.processes.iter().find_map(breach_of_care))
            .or_else(|| self.breach_of_order(scenario))
    }

    /// Guards that are on their way to a task count like any other.
    fn breach_of_exclusion(&self) -> Breach {
        let mut beliefs = Vec::new();
        for (index, process) in self.processes.iter().enumerate() {
            for (nth, held) in process.guards() {
                if !held.holds(self.now) || held.attempt <= process.excused {
                    continue;
                }
                let token = Owner::Token(Token { client: index, attempt: held.attempt });
                let stored = self.server.lease.filter(|(owner, _)| *owner == token);
                let stored = stored.map(|(_, expires)| expires);
                let valid_until = held.deadline();
                beliefs.push(Belief { client: index * 10 + nth, valid_until, stored });
            }
        }
        properties::breach_of_exclusion(beliefs)
    }

    fn breach_of_bounds(&self, scenario: &Scenario) -> Breach {
        self.processes.iter().zip(scenario.tasks).find_map(|(process, options)| {
            let mut guards = process.guards().filter(|(_, held)| held.holds(self.now));
            guards.find_map(|(nth, held)| {
                let is_offer = !matches!(process.tasks[nth].state, TaskState::Holding(_));
                held.breach_of_bounds(is_offer, options[nth], self.now)
            })
        })
    }

    fn breach_of_cleanliness(&self) -> Breach {
        if !self.processes.iter().all(Process::is_quiet) {
            return None;
        }
        let lives = |token: &Token| !self.processes[token.client].crashed;
        properties::breach_of_cleanliness(
            "process",
            self.server.owner().filter(lives),
            self.server.waiting().find(lives),
        )
    }

    fn breach_of_order(&self, scenario: &Scenario) -> Breach {
        let batches = u16::from(scenario.store.overtaking) + 1;
        for leader in self.processes.iter().flat_map(Process::leaders) {
            if leader.overtaken > scenario.store.overtaking {
                let most = scenario.store.overtaking;
                return Some(format!("S11: a process is overtaken more than {most} times"));
            }
            if u16::from(leader.passed) > scenario.grants * batches {
                return Some("S11: a process waits for more than a batch".to_owned());
            }
        }
        (self.free_for > scenario.store.free).then(|| {
            format!("S7: the lock is free for more than {} ticks, and wanted", scenario.store.free)
        })
    }
}

/// Whoever waits in a local queue waits for somebody: one who leads, holds, or is told so.
fn breach_of_care(process: &Process) -> Breach {
    let waits =
        |task: &Task| matches!(task.state, TaskState::Waiting(LocalWaiter { told: None, .. }));
    let is_idle = |task: &Task| task.state == TaskState::Idle;
    if process.queue.is_some() && process.tasks.iter().all(is_idle) {
        return Some("S7: a local queue is left that nobody leads".to_owned());
    }
    let cares = |task: &&Task| task.state.term() == Some(process.current);
    match process.tasks.iter().filter(cares).count() {
        0 if process.tasks.iter().any(waits) => {
            Some("S7: a task waits in a local queue that nobody leads".to_owned())
        }
        0 | 1 => None,
        _ => Some("R13: two tasks have the same term".to_owned()),
    }
}
