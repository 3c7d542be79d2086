//! Clients, messages, one server and time: what can happen.

use crate::attempt::client::{Client, Stage};
use crate::attempt::server::Server;
use crate::attempt::settings::Scenario;
use crate::budget::Budget;
use crate::network::{MessageStep, Network};
use crate::properties::Breach;
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
    /// Something happens to a client or to a message of it.
    Of(usize, Step),
}

/// What can happen to one client or to one message of it.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// It begins an attempt.
    Start,
    /// It asks again with the same token.
    AskAgain,
    /// The caller gives up, or drops its future.
    GiveUp,
    /// The guard is released.
    Release,
    /// The guard's time is over.
    Lose,
    /// It renews to this lease.
    Renew(Tick),
    /// It vanishes.
    Crash,
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
            self.steps_of_caller(client, scenario, &mut add);
            for &exchange in &client.messages.exchanges {
                network.steps_of_exchange(exchange, true, &mut |step| add(Step::Message(step)));
            }
        }
        if self.budget.wiped > 0 && self.server.lease.is_some() {
            events.push(Event::Wipe);
        }
        if self.time_can_pass(&network) {
            events.push(Event::Tick(self.now + 1));
        }
        events
    }

    /// Whether nobody does or owns anything.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.server.lease.is_none() && self.clients.iter().all(Client::is_quiet)
    }

    /// The network at this tick; here even ordinary messages may come too late.
    #[must_use]
    pub const fn network(&self, scenario: &Scenario) -> Network {
        let Scenario { latency, slow, .. } = *scenario;
        Network { now: self.now, latency, slow, is_punctual: false, budget: self.budget }
    }

    fn steps_of_caller(&self, client: &Client, scenario: &Scenario, add: &mut impl FnMut(Step)) {
        match client.stage {
            Stage::Idle if client.attempt.number < scenario.attempts => add(Step::Start),
            Stage::Asking if self.budget.dropped > 0 => add(Step::GiveUp),
            Stage::Deciding { .. } => {
                add(Step::GiveUp);
                if self.budget.repeated > 0 {
                    add(Step::AskAgain);
                }
            }
            Stage::Holding if !client.holds(self.now) => add(Step::Lose),
            Stage::Holding => {
                add(Step::Release);
                for ttl in scenario.renewals {
                    if self.budget.renewed > 0 && !client.is_renewing(ttl) {
                        add(Step::Renew(ttl));
                    }
                }
            }
            _ => {}
        }
        if self.budget.crashed > 0 && !matches!(client.stage, Stage::Idle | Stage::Crashed) {
            add(Step::Crash);
        }
    }

    /// Whether there is anything to wait for, and nothing that has to happen first.
    fn time_can_pass(&self, network: &Network) -> bool {
        let lets_pass = |client: &Client| {
            client.can_wait(self.now)
                && client.messages.exchanges.iter().all(|e| network.lets_pass(e, true))
        };
        !self.is_over() && self.clients.iter().all(lets_pass)
    }
}
