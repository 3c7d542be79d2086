//! What must hold in every state.

use crate::message::Token;
use crate::properties::{self, Belief, Breach};
use crate::queue::client::{Client, Stage};
use crate::queue::server::Owner;
use crate::queue::settings::Scenario;
use crate::queue::world::World;

impl World {
    /// The property that this state breaks.
    #[must_use]
    pub fn breach(&self, scenario: &Scenario) -> Breach {
        self.breach_of_exclusion()
            .or_else(|| self.breach_of_cleanliness())
            .or_else(|| self.breach_of_progress(scenario))
    }

    fn breach_of_exclusion(&self) -> Breach {
        let clients = self.clients.iter().enumerate();
        let holders = clients.filter(|(_, client)| client.holds(self.now) && !client.excused);
        properties::breach_of_exclusion(holders.map(|(index, client)| {
            let attempt = client.attempt.number;
            let token = Owner::Token(Token { client: index, attempt });
            let stored = self.server.lease.filter(|(owner, _)| *owner == token);
            Belief {
                client: index,
                valid_until: client.attempt.machine.valid_until(),
                stored: stored.map(|(_, expires)| expires),
            }
        }))
    }

    fn breach_of_cleanliness(&self) -> Breach {
        if !self.clients.iter().all(Client::is_quiet) {
            return None;
        }
        let lives = |token: &Token| self.clients[token.client].stage != Stage::Crashed;
        properties::breach_of_cleanliness(
            "client",
            self.server.owner().filter(lives),
            self.server.waiting().find(lives),
        )
    }

    fn breach_of_progress(&self, scenario: &Scenario) -> Breach {
        if self.clients.iter().any(|client| client.overtaken > scenario.overtaking) {
            return Some(format!(
                "S11: a client in the queue is overtaken more than {} times",
                scenario.overtaking
            ));
        }
        if self.clients.iter().any(|client| client.asked_in_vain > scenario.in_vain) {
            return Some(format!(
                "S11: a poller asks in vain for more than {} ticks",
                scenario.in_vain
            ));
        }
        if self.queue_free_for > scenario.queue_free {
            return Some(format!(
                "S7: the lock is free for more than {} ticks, and somebody stands in the queue",
                scenario.queue_free
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
