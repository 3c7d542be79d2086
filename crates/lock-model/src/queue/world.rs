//! Clients, messages, pushes, one server and time: what can happen.

use crate::budget::Budget;
use crate::message::Number;
use crate::network::{MessageStep, Network};
use crate::properties::Breach;
use crate::queue::client::{Client, Stage};
use crate::queue::server::{Owner, Server};
use crate::queue::settings::Scenario;
use crate::time::Tick;

/// One state of everything.
#[derive(Clone, Debug)]
pub struct World {
    /// The present.
    pub now: Tick,
    /// The server.
    pub server: Server,
    /// The clients.
    pub clients: Vec<Client>,
    /// The trouble that is left.
    pub budget: Budget,
    /// The number of the newest guard, while a lower one is on its way; only the properties know it.
    pub newest: Number,
    /// For how many ticks the lock has been free while a client waited.
    pub free_for: Tick,
    /// For how many ticks the lock has been free while a client waited that the server knew of.
    pub queue_free_for: Tick,
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
    /// The server loses its counter, and nothing else.
    Evict,
    /// A replica takes over, which got none of the newest numbers.
    FailOver,
    /// Somebody deletes the lock.
    Delete,
    /// A client of another library takes the lock.
    Foreign,
    /// That client gives it back.
    ForeignRelease,
    /// Something happens to a client or to a message of it.
    Of(usize, Step),
}

/// What can happen to one client or to one message of it.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// It begins a wait.
    Start,
    /// It asks again after a failure.
    AskAgain,
    /// The caller gives up, or drops its future.
    GiveUp,
    /// The guard is released.
    Release,
    /// The guard's time is over.
    Lose,
    /// It renews.
    Renew,
    /// It vanishes.
    Crash,
    /// It stands still.
    Freeze,
    /// It goes on.
    Thaw,
    /// The server counts its connection no more, which it does not know yet.
    Drop,
    /// It learns that its connection is gone, and makes a new one.
    Reconnect,
    /// It replaces its connection, which the server does not know yet.
    Replace,
    /// The server learns that the connection before is gone.
    Notice,
    /// Something happens to a message.
    Message(MessageStep),
}

impl World {
    /// Everything that can happen, always in the same order.
    #[must_use]
    pub fn events(&self, scenario: &Scenario) -> Vec<Event> {
        let mut events = Vec::new();
        let network = self.network(scenario);
        for (index, client) in self.clients.iter().enumerate() {
            let mut add = |step| events.push(Event::Of(index, step));
            if client.frozen_until.is_some() {
                add(Step::Thaw);
            } else {
                self.steps_of_caller(client, scenario, &mut add);
                self.steps_of_connection(client, &mut add);
            }
            if client.connections.is_old_counted {
                add(Step::Notice);
            }
            let is_attended = client.frozen_until.is_none();
            let mut add = |step| add(Step::Message(step));
            for &exchange in &client.messages.exchanges {
                network.steps_of_exchange(exchange, is_attended, &mut add);
            }
            for &pushed in &client.messages.pushes {
                network.steps_of_push(pushed, is_attended, &mut add);
            }
        }
        self.events_of_server(scenario, &mut events);
        if self.time_can_pass(&network) {
            events.push(Event::Tick(self.now + 1));
        }
        events
    }

    /// Whether a client waits for a lock that is free.
    #[must_use]
    pub fn is_free_and_wanted(&self) -> bool {
        self.server.lease.is_none() && self.clients.iter().any(Client::waits_in_queue)
    }

    /// The same of a client that the server knows of; whoever in the queue is asking will find it.
    #[must_use]
    pub fn is_free_with_a_queue(&self) -> bool {
        let stands = |index: usize| self.server.queue.iter().any(|entry| entry.client == index);
        let asks = |client: &Client| client.wants() && !client.waits_in_queue();
        let standing = || (0..).zip(&self.clients).filter(|(index, _)| stands(*index));
        self.is_free_and_wanted()
            && standing().any(|(_, client)| client.waits_in_queue())
            && !standing().any(|(_, client)| asks(client) && client.frozen_until.is_none())
    }

    /// Whether nobody does or owns anything.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.server.lease.is_none() && self.clients.iter().all(Client::is_quiet)
    }

    /// The network at this tick.
    #[must_use]
    pub const fn network(&self, scenario: &Scenario) -> Network {
        let Scenario { latency, slow, .. } = *scenario;
        Network { now: self.now, latency, slow, is_punctual: true, budget: self.budget }
    }

    fn events_of_server(&self, scenario: &Scenario, events: &mut Vec<Event>) {
        let is_used = self.server.lease.is_some() || !self.server.queue.is_empty();
        if self.budget.wiped > 0 && (is_used || scenario.plain) {
            events.push(Event::Wipe);
        }
        if self.budget.evicted > 0 {
            events.push(Event::Evict);
        }
        if self.budget.failed_over > 0 {
            events.push(Event::FailOver);
        }
        if self.budget.deleted > 0 && self.server.lease.is_some() {
            events.push(Event::Delete);
        }
        if scenario.foreign_releases && matches!(self.server.lease, Some((Owner::Foreign, _))) {
            events.push(Event::ForeignRelease);
        }
        if self.budget.foreign > 0 && self.server.lease.is_none() {
            events.push(Event::Foreign);
        }
    }

    fn steps_of_caller(&self, client: &Client, scenario: &Scenario, add: &mut impl FnMut(Step)) {
        match client.stage {
            Stage::Idle if client.waits < scenario.waits => add(Step::Start),
            Stage::Retrying => add(Step::AskAgain),
            Stage::Holding if !client.holds(self.now) => add(Step::Lose),
            Stage::Holding => {
                add(Step::Release);
                if self.budget.renewed > 0 {
                    add(Step::Renew);
                }
            }
            _ => {}
        }
        if client.wants() && self.budget.dropped > 0 {
            add(Step::GiveUp);
        }
        let is_busy = !client.abandoned.is_empty() || client.stage != Stage::Idle;
        if is_busy && client.stage != Stage::Crashed {
            if self.budget.crashed > 0 {
                add(Step::Crash);
            }
            if self.budget.frozen > 0 {
                add(Step::Freeze);
            }
        }
    }

    fn steps_of_connection(&self, client: &Client, add: &mut impl FnMut(Step)) {
        if client.loss_known_by.is_some() {
            add(Step::Reconnect);
        } else if self.budget.cut > 0 && client.wants() {
            add(Step::Drop);
            add(Step::Replace);
        }
    }

    /// Whether there is anything to wait for, and nothing that has to happen first.
    fn time_can_pass(&self, network: &Network) -> bool {
        let lets_pass = |client: &Client| {
            let is_attended = client.frozen_until.is_none();
            let (exchanges, pushes) = (&client.messages.exchanges, &client.messages.pushes);
            client.can_wait(self.now)
                && exchanges.iter().all(|e| network.lets_pass(e, is_attended))
                && (!is_attended || pushes.iter().all(|p| network.lets_push_pass(p)))
        };
        !self.is_over() && self.clients.iter().all(lets_pass)
    }
}
