//! Clients, messages, pushes, one server and time: what can happen.

use crate::exchange::{Place, RESPONSE_TIMEOUT};
use crate::queue::client::{Client, Exchange, Pushed, Stage};
use crate::queue::scenarios::{Budget, QueueRow};
use crate::queue::server::{Answer, Number, Owner, Server};
use crate::search::{Model, fingerprint};
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

impl Model for QueueRow {
    type State = World;
    type Event = Event;

    fn start(&self) -> World {
        World {
            now: 0,
            server: Server::default(),
            clients: vec![Client::new(self); self.clients],
            budget: self.budget,
            newest: 0,
            free_for: 0,
            line_free_for: 0,
            broken: None,
        }
    }

    fn successors(&self, world: &World) -> Vec<(Event, World)> {
        world.events(self).into_iter().map(|event| (event, world.after(event, self))).collect()
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
                let line = world.server.line.iter().filter(|entry| entry.client == index);
                for (place, entry) in places.iter_mut().zip(line) {
                    *place = Some((entry.ticket, entry.attempt, entry.channel));
                }
                let kind = (self.ttls[index], self.polls(index));
                fingerprint(&(client, world.server.lease.and_then(mine), places, kind))
            })
            .collect();
        clients.sort_unstable();
        let lease = world.server.lease.map(|(owner, expires)| (owner == Owner::Foreign, expires));
        let server = (lease, world.server.counter, world.server.unclaimed_since);
        let measures = (world.budget, world.newest, world.free_for, world.line_free_for);
        fingerprint(&(world.now, server, clients, measures, &world.broken))
    }

    fn breach(&self, world: &World) -> Option<String> {
        world.broken.clone().or_else(|| world.breach(self))
    }

    fn breach_at_the_end(&self, world: &World) -> Option<String> {
        (!world.is_over()).then(|| "S7: nothing can happen, and not everybody is done".to_owned())
    }

    fn extent(&self, world: &World) -> [u8; 3] {
        let overtaken = world.clients.iter().map(|client| client.overtaken).max();
        [overtaken.unwrap_or(0), world.line_free_for, world.free_for]
    }
}

impl World {
    fn events(&self, row: &QueueRow) -> Vec<Event> {
        let mut events = Vec::new();
        for (index, client) in self.clients.iter().enumerate() {
            let mut add = |step| events.push(Event::Of(index, step));
            if client.frozen_until.is_some() {
                add(Step::Thaw);
            } else {
                self.steps_of_caller(client, row, &mut add);
                self.steps_of_connection(client, &mut add);
            }
            if client.ears.old_heard {
                add(Step::Notice);
            }
            for &exchange in &client.exchanges {
                self.steps_of_message(client, exchange, row, &mut add);
            }
            for &pushed in &client.pushes {
                self.steps_of_push(client, pushed, row, &mut add);
            }
        }
        self.events_of_server(&mut events);
        if self.time_can_pass(row) {
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

    fn steps_of_caller(&self, client: &Client, row: &QueueRow, add: &mut impl FnMut(Step)) {
        match client.stage {
            Stage::Idle if client.waits < row.waits => add(Step::Start),
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
        row: &QueueRow,
        add: &mut impl FnMut(Step),
    ) {
        let stands_still = client.frozen_until.is_some();
        match exchange.place {
            Place::Asked => add(Step::Run(exchange)),
            Place::Answered(answer) if !stands_still => add(Step::Take(exchange, answer)),
            Place::Answered(_) | Place::Lost => {}
        }
        // Losing or delaying it any earlier would make no difference to anybody.
        let is_due = self.is_due(exchange.place != Place::Lost, exchange.sent, exchange.slow, row);
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
            || self.now > exchange.asked + 2 * row.latency;
        let timeout = exchange.asked + RESPONSE_TIMEOUT;
        if is_late && exchange.awaited && !stands_still && self.now >= timeout {
            add(Step::TimeOut(exchange));
        }
    }

    fn steps_of_push(
        &self,
        client: &Client,
        pushed: Pushed,
        row: &QueueRow,
        add: &mut impl FnMut(Step),
    ) {
        if client.frozen_until.is_none() {
            add(Step::Hear(pushed));
        }
        if self.is_due(true, pushed.sent, pushed.slow, row) && !pushed.slow {
            if self.budget.lost_push > 0 {
                add(Step::LosePush(pushed));
            }
            if self.budget.slow > 0 {
                add(Step::SlowPush(pushed));
            }
        }
    }

    /// Whether a message has been on its way for as long as it may.
    fn is_due(&self, exists: bool, sent: Tick, slow: bool, row: &QueueRow) -> bool {
        exists && self.now >= sent + if slow { row.slow } else { row.latency }
    }

    /// Whether there is anything to wait for, and nothing that has to happen first.
    fn time_can_pass(&self, row: &QueueRow) -> bool {
        !self.is_over()
            && self.clients.iter().all(|client| {
                // What has come to somebody who stands still lies there.
                let waits = client.frozen_until.is_some();
                let is_late = |e: &Exchange| {
                    let lies = waits && matches!(e.place, Place::Answered(_));
                    !lies && self.is_due(e.place != Place::Lost, e.sent, e.slow, row)
                };
                client.can_wait(self.now)
                    && !client.exchanges.iter().any(is_late)
                    && (waits
                        || !client.pushes.iter().any(|p| self.is_due(true, p.sent, p.slow, row)))
            })
    }

    /// Whether nobody does or owns anything.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.server.lease.is_none() && self.clients.iter().all(Client::is_quiet)
    }
}
