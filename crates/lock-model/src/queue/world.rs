//! Clients, messages, pushes, one server and time: what can happen.

use crate::budget::Budget;
use crate::exchange::{Place, RESPONSE_TIMEOUT};
use crate::queue::client::{Client, Exchange, Pushed, Stage};
use crate::queue::server::{Answer, Number, Server};
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
    pub line_free_for: Tick,
    /// A property of an event that the last event broke.
    pub broken: Option<String>,
}

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// A tick passes; this one begins.
    Tick(Tick),
    /// The server forgets everything.
    Wipe,
    /// Somebody deletes the lock.
    Delete,
    /// A client of another library takes the lock.
    Foreign,
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
    /// The server runs a request.
    Run(Exchange),
    /// An answer arrives.
    Take(Exchange, Answer),
    /// It waits no longer for an answer.
    TimeOut(Exchange),
    /// The message is lost.
    LoseMessage(Exchange),
    /// The message takes long.
    Slow(Exchange),
    /// A push arrives.
    Hear(Pushed),
    /// A push is lost.
    LosePush(Pushed),
    /// A push takes long.
    SlowPush(Pushed),
}

impl World {
    /// Everything that can happen, always in the same order.
    #[must_use]
    pub fn events(&self, scenario: &Scenario) -> Vec<Event> {
        let mut events = Vec::new();
        for (index, client) in self.clients.iter().enumerate() {
            let mut add = |step| events.push(Event::Of(index, step));
            if client.frozen_until.is_some() {
                add(Step::Thaw);
            } else {
                self.steps_of_caller(client, scenario, &mut add);
                self.steps_of_connection(client, &mut add);
            }
            if client.ears.old_heard {
                add(Step::Notice);
            }
            for &exchange in &client.exchanges {
                self.steps_of_message(client, exchange, scenario, &mut add);
            }
            for &pushed in &client.pushes {
                self.steps_of_push(client, pushed, scenario, &mut add);
            }
        }
        self.events_of_server(&mut events);
        if self.time_can_pass(scenario) {
            events.push(Event::Tick(self.now + 1));
        }
        events
    }

    fn events_of_server(&self, events: &mut Vec<Event>) {
        if self.budget.wiped > 0 && (self.server.lease.is_some() || !self.server.line.is_empty()) {
            events.push(Event::Wipe);
        }
        if self.budget.deleted > 0 && self.server.lease.is_some() {
            events.push(Event::Delete);
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
        let is_busy = !client.undos.is_empty() || client.stage != Stage::Idle;
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
        if client.deaf_until.is_some() {
            add(Step::Reconnect);
        } else if self.budget.cut > 0 && client.wants() {
            add(Step::Drop);
            add(Step::Replace);
        }
    }

    fn steps_of_message(
        &self,
        client: &Client,
        exchange: Exchange,
        scenario: &Scenario,
        add: &mut impl FnMut(Step),
    ) {
        let stands_still = client.frozen_until.is_some();
        match exchange.place {
            Place::Asked => add(Step::Run(exchange)),
            Place::Answered(answer) if !stands_still => add(Step::Take(exchange, answer)),
            Place::Answered(_) | Place::Lost => {}
        }
        // Losing or delaying it any earlier would make no difference to anybody.
        let is_due =
            self.is_due(exchange.place != Place::Lost, exchange.sent, exchange.slow, scenario);
        if is_due && !exchange.slow {
            if self.budget.lost > 0 {
                add(Step::LoseMessage(exchange));
            }
            if self.budget.slow > 0 {
                add(Step::Slow(exchange));
            }
        }
        // Ordinary messages come and go within the timeout.
        let is_late = exchange.place == Place::Lost
            || exchange.delayed
            || self.now > exchange.asked + 2 * scenario.latency;
        let timeout = exchange.asked + RESPONSE_TIMEOUT;
        if is_late && exchange.awaited && !stands_still && self.now >= timeout {
            add(Step::TimeOut(exchange));
        }
    }

    fn steps_of_push(
        &self,
        client: &Client,
        pushed: Pushed,
        scenario: &Scenario,
        add: &mut impl FnMut(Step),
    ) {
        if client.frozen_until.is_none() {
            add(Step::Hear(pushed));
        }
        if self.is_due(true, pushed.sent, pushed.slow, scenario) && !pushed.slow {
            if self.budget.lost_push > 0 {
                add(Step::LosePush(pushed));
            }
            if self.budget.slow > 0 {
                add(Step::SlowPush(pushed));
            }
        }
    }

    /// Whether a message has been on its way for as long as it may.
    fn is_due(&self, exists: bool, sent: Tick, slow: bool, scenario: &Scenario) -> bool {
        exists && self.now >= sent + if slow { scenario.slow } else { scenario.latency }
    }

    /// Whether there is anything to wait for, and nothing that has to happen first.
    fn time_can_pass(&self, scenario: &Scenario) -> bool {
        !self.is_over()
            && self.clients.iter().all(|client| {
                // What has come to somebody who stands still lies there.
                let waits = client.frozen_until.is_some();
                let is_late = |e: &Exchange| {
                    let lies = waits && matches!(e.place, Place::Answered(_));
                    !lies && self.is_due(e.place != Place::Lost, e.sent, e.slow, scenario)
                };
                client.can_wait(self.now)
                    && !client.exchanges.iter().any(is_late)
                    && (waits
                        || !client
                            .pushes
                            .iter()
                            .any(|p| self.is_due(true, p.sent, p.slow, scenario)))
            })
    }

    /// Whether nobody does or owns anything.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.server.lease.is_none() && self.clients.iter().all(Client::is_quiet)
    }
}
