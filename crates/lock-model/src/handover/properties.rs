//! What must hold in every state.

use crate::attempt::server::Token;
use crate::handover::lines::OFFER;
use crate::handover::process::{Does, Holding, Place, Process, Task};
use crate::handover::settings::Scenario;
use crate::handover::world::World;
use crate::properties::{Belief, breach_of_exclusion};
use crate::queue::server::Owner;
use crate::time::{instant, ticks};

impl World {
    /// The property that this state breaks.
    #[must_use]
    pub fn breach(&self, scenario: &Scenario) -> Option<String> {
        self.breach_of_exclusion()
            .or_else(|| self.breach_of_bounds(scenario))
            .or_else(|| self.breach_of_cleanliness())
            .or_else(|| self.processes.iter().find_map(breach_of_care))
            .or_else(|| self.breach_of_order(scenario))
    }

    /// Guards that are on their way to a task count like any other.
    fn breach_of_exclusion(&self) -> Option<String> {
        let mut beliefs = Vec::new();
        for (index, process) in self.processes.iter().enumerate() {
            for (nth, holding) in process.holdings() {
                let Holding { attempt, deadline: valid_until, .. } = *holding;
                if !holding.holds(self.now) || attempt <= process.excused {
                    continue;
                }
                let token = Owner::Token(Token { client: index, attempt });
                let stored = self.server.lease.filter(|(owner, _)| *owner == token);
                let stored = stored.map(|(_, expires)| expires);
                beliefs.push(Belief { client: index * 10 + nth, valid_until, stored });
            }
        }
        breach_of_exclusion(beliefs)
    }

    /// A guard lasts no longer than its task asked for, and an offer no longer than an offer.
    fn breach_of_bounds(&self, scenario: &Scenario) -> Option<String> {
        for (index, process) in self.processes.iter().enumerate() {
            for (nth, holding) in process.holdings().filter(|(_, h)| h.holds(self.now)) {
                let wish = scenario.tasks[index][nth];
                let granted = instant(holding.granted);
                if !wish.keeps && holding.deadline > granted + ticks(wish.ttl) {
                    return Some("R13: a guard lasts longer than its task asked for".to_owned());
                }
                if holding.offered.is_some() && instant(self.now) >= granted + OFFER {
                    return Some("S7: an offer that nobody takes stands for too long".to_owned());
                }
            }
        }
        None
    }

    fn breach_of_cleanliness(&self) -> Option<String> {
        if !self.processes.iter().all(Process::is_quiet) {
            return None;
        }
        let lives = |client: usize| !self.processes[client].crashed;
        let owner = self.server.lease.and_then(|(owner, _)| match owner {
            Owner::Token(token) if lives(token.client) => Some(token),
            _ => None,
        });
        let waiter = self.server.line.iter().find(|entry| lives(entry.client));
        let token = owner.or_else(|| waiter.map(|entry| entry.token()))?;
        let what = if owner.is_some() { "owns the lock" } else { "stands in line" };
        Some(format!(
            "S6: all is quiet, and attempt {} of process {} still {what}",
            token.attempt, token.client
        ))
    }

    fn breach_of_order(&self, scenario: &Scenario) -> Option<String> {
        let batches = u16::from(scenario.store.overtaking) + 1;
        for standing in self.processes.iter().flat_map(Process::standings) {
            if standing.overtaken > scenario.store.overtaking {
                let most = scenario.store.overtaking;
                return Some(format!("S11: a process is overtaken more than {most} times"));
            }
            if u16::from(standing.passed) > scenario.grants * batches {
                return Some("S11: a process waits for more than a batch".to_owned());
            }
        }
        (self.free_for > scenario.store.free).then(|| {
            format!("S7: the lock is free for more than {} ticks, and wanted", scenario.store.free)
        })
    }
}

/// Whoever waits in a line waits for somebody: one who leads, holds, or is told so.
fn breach_of_care(process: &Process) -> Option<String> {
    let waits = |task: &Task| matches!(task.does, Does::Waits(Place { told: None, .. }));
    let is_idle = |task: &Task| task.does == Does::Nothing;
    if process.line.is_some() && process.tasks.iter().all(is_idle) {
        return Some("S7: a line is left that nobody leads".to_owned());
    }
    let cares = |task: &&Task| task.does.term() == Some(process.current);
    match process.tasks.iter().filter(cares).count() {
        0 if process.tasks.iter().any(waits) => {
            Some("S7: a task waits in a line that nobody leads".to_owned())
        }
        0 | 1 => None,
        _ => Some("R13: two tasks have the same term".to_owned()),
    }
}
