//! Clients, messages, pushes, one server and time: what can happen.

use crate::client::RESPONSE_TIMEOUT;
use crate::explore::{Model, fingerprint};
use crate::queue::client::{Client, Driver, Exchange, Place, Pushed, Stage};
use crate::queue::rows::{Budget, QueueRow};
use crate::queue::server::{Answer, Effects, Owner, Script, Server};
use crate::store::{Tick, Token};

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
        let measures = (world.budget, world.free_for, world.line_free_for);
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

    fn after(&self, event: Event, row: &QueueRow) -> Self {
        let mut next = self.clone();
        match event {
            Event::Tick(now) => {
                next.now = now;
                next.server.tick(now);
                next.free_for += u8::from(next.is_free_and_wanted());
                next.line_free_for += u8::from(next.is_free_with_a_line());
            }
            Event::Wipe => {
                next.budget.wiped -= 1;
                next.server.line.clear();
                next.delete();
            }
            Event::Delete => {
                next.budget.deleted -= 1;
                next.delete();
            }
            Event::Foreign => {
                next.budget.foreign -= 1;
                next.server.lease = Some((Owner::Foreign, next.now + row.foreign));
            }
            Event::Of(index, step) => next.step(index, step, row),
        }
        next.settle(row);
        next
    }

    fn is_free_and_wanted(&self) -> bool {
        self.server.lease.is_none() && self.clients.iter().any(Client::waits_in_line)
    }

    /// Whoever in line is asking will find it.
    fn is_free_with_a_line(&self) -> bool {
        let stands = |index: usize| self.server.line.iter().any(|entry| entry.client == index);
        let asks = |client: &Client| client.wants() && !client.waits_in_line();
        let standing = || (0..).zip(&self.clients).filter(|(index, _)| stands(*index));
        self.is_free_and_wanted()
            && standing().any(|(_, client)| client.waits_in_line())
            && !standing().any(|(_, client)| asks(client) && client.frozen_until.is_none())
    }

    /// The counter starts again from the server's clock, which is ahead of every number.
    fn delete(&mut self) {
        let owner = self.server.lease.take();
        self.server.unclaimed_since = None;
        if matches!(owner, Some((Owner::Token(_), _))) {
            for client in &mut self.clients {
                client.excused |= client.stage != Stage::Idle;
            }
        }
    }

    fn settle(&mut self, row: &QueueRow) {
        let now = self.now;
        for (index, client) in self.clients.iter_mut().enumerate() {
            Driver { row, now, index, client }.settle();
        }
        if !self.is_free_and_wanted() {
            self.free_for = 0;
        }
        if !self.is_free_with_a_line() {
            self.line_free_for = 0;
        }
        if self.is_over() {
            // Nothing remembers the time, so that it need not be told apart.
            self.now = 0;
            if self.server.line.is_empty() {
                self.server.counter = 0;
            }
        }
    }

    fn step(&mut self, index: usize, step: Step, row: &QueueRow) {
        let now = self.now;
        match step {
            Step::Run(exchange) => self.run(index, exchange, row),
            Step::LoseMessage(exchange) => {
                self.budget.lost -= 1;
                self.answer(index, exchange, None);
            }
            Step::Slow(exchange) => {
                self.budget.slow -= 1;
                self.replace(
                    index,
                    exchange,
                    Some(Exchange { slow: true, delayed: true, ..exchange }),
                );
            }
            Step::Take(exchange, answer) => {
                self.replace(index, exchange, None);
                let client = &mut self.clients[index];
                let (held, before) = (client.holds(now), client.dealing.machine.valid_until());
                self.broken = Driver { row, now, index, client }.take(exchange, answer);
                let client = &self.clients[index];
                let lowered = client.dealing.machine.valid_until() < before;
                if held && client.stage == Stage::Holding && lowered {
                    self.broken = Some("R6: an answer shortened what a guard believes".to_owned());
                }
            }
            Step::TimeOut(exchange) => {
                self.replace(index, exchange, Some(Exchange { awaited: false, ..exchange }));
                let client = &mut self.clients[index];
                Driver { row, now, index, client }.time_out(exchange);
            }
            Step::Hear(pushed) => {
                self.take_push(index, pushed);
                let client = &mut self.clients[index];
                self.broken = Driver { row, now, index, client }.hear(pushed);
            }
            Step::LosePush(pushed) => {
                self.budget.lost_push -= 1;
                self.take_push(index, pushed);
            }
            Step::SlowPush(pushed) => {
                self.budget.slow -= 1;
                self.take_push(index, pushed);
                self.clients[index].pushes.push(Pushed { slow: true, ..pushed });
            }
            Step::Freeze | Step::Thaw | Step::Drop | Step::Notice => {
                self.step_of_environment(index, step, row);
            }
            _ => self.step_of_caller(index, step, row),
        }
    }

    fn step_of_environment(&mut self, index: usize, step: Step, row: &QueueRow) {
        let client = &mut self.clients[index];
        match step {
            Step::Freeze => {
                self.budget.frozen -= 1;
                client.frozen_until = Some(self.now + row.freeze);
            }
            Step::Thaw => client.frozen_until = None,
            Step::Drop => {
                self.budget.cut -= 1;
                client.ears.heard = false;
                client.deaf_until = Some(self.now + 1);
            }
            _ => client.ears.old_heard = false,
        }
    }

    fn step_of_caller(&mut self, index: usize, step: Step, row: &QueueRow) {
        let is_untroubled = self.budget == row.budget;
        let client = &mut self.clients[index];
        let mut driver = Driver { row, now: self.now, index, client };
        match step {
            Step::Start => driver.start(),
            Step::AskAgain => driver.ask(),
            Step::GiveUp => {
                self.budget.dropped -= 1;
                driver.leave();
            }
            Step::Renew => {
                self.budget.renewed -= 1;
                driver.renew(row.renewal);
            }
            Step::Crash => {
                self.budget.crashed -= 1;
                driver.client.crash(row);
            }
            Step::Reconnect => driver.reconnect(),
            Step::Replace => {
                self.budget.cut -= 1;
                driver.reconnect();
            }
            Step::Lose => {
                let could_claim = row.latency == 0 && row.window_of(index) > 1;
                if is_untroubled && could_claim && driver.client.claim_at.is_some() {
                    self.broken = Some("S3: a window ended that nobody had claimed".to_owned());
                }
                driver.leave();
            }
            _ => driver.leave(),
        }
    }

    fn run(&mut self, index: usize, exchange: Exchange, row: &QueueRow) {
        let token = Token { client: index, attempt: exchange.attempt };
        let before = self.server.lease;
        let ears: Vec<_> = self.clients.iter().map(|client| client.ears).collect();
        let effects = Effects::default();
        let server = &mut self.server;
        let mut script = Script { row, now: self.now, server, ears: &ears, effects };
        let answer = script.run(token, exchange.request);
        let effects = script.effects;
        let of_another = before.is_some_and(|(owner, _)| owner != Owner::Token(token));
        if of_another && before != self.server.lease {
            self.broken = Some("S4: a request changed the lease of another token".to_owned());
        }
        for (entry, news) in effects.pushes {
            let pushed = Pushed {
                attempt: entry.attempt,
                channel: entry.channel,
                news,
                sent: self.now,
                slow: false,
            };
            self.clients[entry.client].pushes.push(pushed);
        }
        if let Some(Answer::Queued { ticket, .. }) = answer
            && self.clients[index].wants()
            && self.clients[index].dealing.attempt == exchange.attempt
        {
            self.clients[index].place.get_or_insert(ticket);
        }
        if let Some(token) = effects.granted {
            self.count_overtaken(token);
        }
        if answer == Some(Answer::Released) {
            self.clients[index].freed(exchange.attempt);
        }
        self.answer(index, exchange, answer);
    }

    /// Everybody who waits and came before whoever was granted the lock has been overtaken.
    fn count_overtaken(&mut self, granted: Token) {
        let taker = &self.clients[granted.client];
        let is_current = taker.dealing.attempt == granted.attempt;
        let place = taker.place.filter(|_| is_current).unwrap_or(u16::MAX);
        for (index, client) in self.clients.iter_mut().enumerate() {
            let waits = client.wants() && client.frozen_until.is_none();
            let came_before = client.place.is_some_and(|mine| mine < place);
            if index != granted.client && waits && came_before {
                client.overtaken += 1;
            }
        }
    }

    /// Sends an answer, or nothing.
    fn answer(&mut self, index: usize, exchange: Exchange, answer: Option<Answer>) {
        let place = answer.map_or(Place::Lost, Place::Answered);
        let answered = Exchange { place, sent: self.now, slow: false, ..exchange };
        self.replace(index, exchange, Some(answered));
    }

    fn replace(&mut self, index: usize, old: Exchange, new: Option<Exchange>) {
        let exchanges = &mut self.clients[index].exchanges;
        if let Some(at) = exchanges.iter().position(|e| *e == old) {
            exchanges.swap_remove(at);
        }
        exchanges.extend(new);
    }

    fn take_push(&mut self, index: usize, pushed: Pushed) {
        let pushes = &mut self.clients[index].pushes;
        if let Some(at) = pushes.iter().position(|p| *p == pushed) {
            pushes.swap_remove(at);
        }
    }
}
