//! The model as the search sees it.

use crate::attempt::client::Client;
use crate::attempt::server::Server;
use crate::attempt::settings::Scenario;
use crate::attempt::world::{Event, World};
use crate::fingerprint::fingerprint;
use crate::search::{Model, Outline};

impl Model for Scenario {
    type State = World;
    type Event = Event;

    fn outline(&self) -> Outline {
        Outline { name: self.name, quick: self.quick, has_bug: self.bug.is_some() }
    }

    fn start(&self) -> World {
        World {
            now: 0,
            server: Server::default(),
            clients: vec![Client::new(self); self.clients],
            budget: self.budget,
            broken: None,
        }
    }

    fn events(&self, world: &World) -> Vec<Event> {
        world.events(self)
    }

    fn after(&self, world: &World, event: Event) -> World {
        world.after(event, self)
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

    fn is_over(&self, world: &World) -> bool {
        world.is_over()
    }
}
