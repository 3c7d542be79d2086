//! The model as the search sees it.

use crate::fingerprint::fingerprint;
use crate::handover::process::Process;
use crate::handover::settings::Scenario;
use crate::handover::world::{Event, World};
use crate::queue::server::{Owner, Server};
use crate::search::{Model, Outline};

impl Model for Scenario {
    type State = World;
    type Event = Event;

    fn outline(&self) -> Outline {
        Outline { name: self.store.name, quick: self.store.quick, has_bug: self.bug.is_some() }
    }

    fn start(&self) -> World {
        World {
            now: 0,
            server: Server::default(),
            processes: self.tasks.iter().map(|tasks| Process::new(tasks.len())).collect(),
            budget: self.store.budget,
            newest: 0,
            free_for: 0,
            broken: None,
        }
    }

    fn events(&self, world: &World) -> Vec<Event> {
        world.events(self)
    }

    fn after(&self, world: &World, event: Event) -> World {
        world.after(event, self)
    }

    /// Processes with the same wishes are alike: a state in which two have changed places is the
    /// same state.
    fn fingerprint(&self, world: &World) -> u128 {
        let mut processes: Vec<u128> = (0..)
            .zip(&world.processes)
            .map(|(index, process)| {
                let mine = |(owner, expires)| match owner {
                    Owner::Token(token) if token.client == index => Some((token.attempt, expires)),
                    _ => None,
                };
                let entries = world.server.queue.iter().filter(|entry| entry.client == index);
                let places: Vec<_> = entries.map(|entry| (entry.ticket, entry.attempt)).collect();
                let lease = world.server.lease.and_then(mine);
                fingerprint(&(process, lease, places, self.tasks[index]))
            })
            .collect();
        processes.sort_unstable();
        let server = (world.server.lease.is_some(), world.server.counter);
        let measures = (world.budget, world.newest, world.free_for);
        fingerprint(&(world.now, server, processes, measures, &world.broken))
    }

    fn breach(&self, world: &World) -> Option<String> {
        world.broken.clone().or_else(|| world.breach(self))
    }

    fn is_over(&self, world: &World) -> bool {
        world.is_over()
    }

    fn extent(&self, world: &World) -> [u8; 3] {
        let leaders = || world.processes.iter().flat_map(Process::leaders);
        let overtaken = leaders().map(|leader| leader.overtaken).max();
        let passed = leaders().map(|leader| leader.passed).max();
        [overtaken.unwrap_or(0), passed.unwrap_or(0), world.free_for]
    }

    fn describe(&self, [overtaken, passed, free]: [u8; 3]) -> String {
        format!("overtaken by {overtaken} and {passed} inside, free for {free}")
    }
}
