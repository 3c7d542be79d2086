//! The model as the search sees it.

use crate::fingerprint::fingerprint;
use crate::queue::client::Client;
use crate::queue::server::{Owner, Server};
use crate::queue::settings::Scenario;
use crate::queue::world::{Event, World};
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
            newest: 0,
            free_for: 0,
            queue_free_for: 0,
            broken: None,
        }
    }

    fn events(&self, world: &World) -> Vec<Event> {
        world.events(self)
    }

    fn after(&self, world: &World, event: Event) -> World {
        world.after(event, self)
    }

    /// Clients of one kind are alike: a state in which two have changed places is the same state.
    fn fingerprint(&self, world: &World) -> u128 {
        let mut clients: Vec<u128> = (0..)
            .zip(&world.clients)
            .map(|(index, client)| {
                let mine = |(owner, expires)| match owner {
                    Owner::Token(token) if token.client == index => Some((token.attempt, expires)),
                    _ => None,
                };
                let mut places = [None; 4];
                let entries = world.server.queue.iter().filter(|entry| entry.client == index);
                for (place, entry) in places.iter_mut().zip(entries) {
                    *place = Some((entry.ticket, entry.attempt, entry.channel));
                }
                let kind = (self.ttls[index], self.polls(index));
                fingerprint(&(client, world.server.lease.and_then(mine), places, kind))
            })
            .collect();
        clients.sort_unstable();
        let lease = world.server.lease.map(|(owner, expires)| (owner == Owner::Foreign, expires));
        let Server { marked, counter, unclaimed_since, turn, .. } = world.server;
        let server = (lease, marked, counter, unclaimed_since, turn);
        let measures = (world.budget, world.newest, world.free_for, world.queue_free_for);
        fingerprint(&(world.now, server, clients, measures, &world.broken))
    }

    fn breach(&self, world: &World) -> Option<String> {
        world.broken.clone().or_else(|| world.breach(self))
    }

    fn is_over(&self, world: &World) -> bool {
        world.is_over()
    }

    fn extent(&self, world: &World) -> [u8; 3] {
        let overtaken = world.clients.iter().map(|client| client.overtaken).max();
        [overtaken.unwrap_or(0), world.queue_free_for, world.free_for]
    }

    fn describe(&self, [overtaken, free_with_a_queue, free]: [u8; 3]) -> String {
        format!("overtaken by {overtaken}, free for {free_with_a_queue}, unasked for {free}")
    }
}
