//! What must hold in every state.

use crate::attempt::server::Token;
use crate::properties::{Belief, breach_of_exclusion};
use crate::queue::client::{Client, Stage};
use crate::queue::server::Owner;
use crate::queue::settings::Scenario;
use crate::queue::world::World;

impl World {
    /// The property that this state breaks.
    #[must_use]
    pub fn breach(&self, scenario: &Scenario) -> Option<String> {
        self.breach_of_exclusion()
            .or_else(|| self.breach_of_cleanliness())
            .or_else(|| self.breach_of_progress(scenario))
    }

    fn breach_of_exclusion(&self) -> Option<String> {
        let clients = self.clients.iter().enumerate();
        let holders = clients.filter(|(_, client)| client.holds(self.now) && !client.excused);
        breach_of_exclusion(holders.map(|(index, client)| {
            let attempt = client.dealing.attempt;
            let token = Owner::Token(Token { client: index, attempt });
            let stored = self.server.lease.filter(|(owner, _)| *owner == token);
            Belief {
                client: index,
                valid_until: client.dealing.machine.valid_until(),
                stored: stored.map(|(_, expires)| expires),
            }
        }))
    }

    fn breach_of_cleanliness(&self) -> Option<String> {
        if !self.clients.iter().all(Client::is_quiet) {
            return None;
        }
        let lives = |client: usize| self.clients[client].stage != Stage::Crashed;
        let owner = self.server.lease.and_then(|(owner, _)| match owner {
            Owner::Token(token) if lives(token.client) => Some(token),
            _ => None,
        });
        let waiter = self.server.line.iter().find(|entry| lives(entry.client));
        let token = owner.or_else(|| waiter.map(|entry| entry.token()))?;
        let what = if owner.is_some() { "owns the lock" } else { "stands in line" };
        Some(format!(
            "S6: all is quiet, and attempt {} of client {} still {what}",
            token.attempt, token.client
        ))
    }

    fn breach_of_progress(&self, scenario: &Scenario) -> Option<String> {
        if self.clients.iter().any(|client| client.overtaken > scenario.overtaking) {
            return Some(format!(
                "S11: a client in line is overtaken more than {} times",
                scenario.overtaking
            ));
        }
        if self.line_free_for > scenario.line_free {
            return Some(format!(
                "S7: the lock is free for more than {} ticks, and somebody stands in line",
                scenario.line_free
            ));
        }
        if self.free_for > scenario.free {
            return Some(format!(
                "S7: the lock is free for more than {} ticks, and wanted",
                scenario.free
            ));
        }
        let unclaimed =
            self.server.unclaimed_since.filter(|since| self.now > since + scenario.window);
        unclaimed.map(|_| "S7: a grant that nobody took stands longer than its window".to_owned())
    }
}
