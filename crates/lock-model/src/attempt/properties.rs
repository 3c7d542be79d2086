//! What must hold in every state.

use crate::attempt::client::{Client, Stage};
use crate::attempt::world::World;
use crate::message::Token;
use crate::properties::{self, Belief, Breach};

impl World {
    /// The property that this state breaks.
    #[must_use]
    pub fn breach(&self) -> Breach {
        self.breach_of_exclusion().or_else(|| self.breach_of_cleanliness())
    }

    fn breach_of_exclusion(&self) -> Breach {
        let clients = self.clients.iter().enumerate();
        let holders = clients.filter(|(_, client)| client.holds(self.now) && !client.excused);
        properties::breach_of_exclusion(holders.map(|(index, client)| {
            let token = Token { client: index, attempt: client.attempt.number };
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
        let owner = self.server.lease.map(|(owner, _)| owner).filter(lives);
        properties::breach_of_cleanliness("client", owner, None)
    }
}
