//! The model as the search sees it.

use crate::attempt::client::Client;
use crate::attempt::server::Server;
use crate::attempt::settings::Scenario;
use crate::attempt::world::{Event, World};
use crate::case::Case;
use crate::search::{Model, Report, explore, fingerprint};

impl Model for Scenario {
    type State = World;
    type Event = Event;

    fn start(&self) -> World {
        World {
            now: 0,
            server: Server::default(),
            clients: vec![Client::new(self); self.clients],
            budget: self.budget,
            broken: None,
        }
    }

    fn successors(&self, world: &World) -> Vec<(Event, World)> {
        world.events(self).into_iter().map(|event| (event, world.after(event, self))).collect()
    }

    /// Clients are alike: a state in which two have changed places is the same state.
    fn fingerprint(&self, world: &World) -> u128 {
        let mut clients: Vec<u128> = (0..)
            .zip(&world.clients)
            .map(|(index, client)| {
                let lease = world.server.lease.filter(|(owner, _)| owner.client == index);
                fingerprint(&(client, lease.map(|(owner, expires)| (owner.attempt, expires))))
            })
            .collect();
        clients.sort_unstable();
        let server = (world.server.counter, world.server.highest);
        fingerprint(&(world.now, server, world.budget, clients, &world.broken))
    }

    fn breach(&self, world: &World) -> Option<String> {
        world.broken.clone().or_else(|| world.breach())
    }

    fn breach_at_the_end(&self, world: &World) -> Option<String> {
        (!world.is_over()).then(|| "S7: nothing can happen, and not everybody is done".to_owned())
    }
}

impl Case for Scenario {
    fn name(&self) -> &'static str {
        self.name
    }

    fn is_quick(&self) -> bool {
        self.quick
    }

    fn has_bug(&self) -> bool {
        self.bug.is_some()
    }

    fn explore(&self, cap: usize) -> Report {
        explore(self, cap)
    }
}
