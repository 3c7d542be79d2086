//! The server: the lock, the line, the counter, and the scripts that change them.

use crate::attempt::server::Token;
use crate::queue::settings::{Scenario, SeededBug};
use crate::time::Tick;

/// What the counter issues: fencing numbers and tickets. Only their order matters.
pub type Number = u16;

/// Numbers that may be issued within a tick; the server's clock lifts the counter above them.
const NUMBERS_A_TICK: Number = 64;

/// Who owns the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// An attempt.
    Token(Token),
    /// A client of another library.
    Foreign,
}

/// A place in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The order of the line.
    pub ticket: Number,
    /// Which client waits.
    pub client: usize,
    /// Its token.
    pub attempt: u8,
    /// Which of its connections is told.
    pub channel: u8,
}

/// What is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum News {
    /// The lock is yours, for the window.
    Granted(Number),
    /// You are the next, and the holder's lease has this much left.
    Head(Tick),
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// For the lock.
    Acquire {
        /// The lease.
        ttl: Tick,
        /// A later run is refused.
        not_after: Tick,
        /// Whether to stand in line.
        wait: bool,
        /// The place in line; zero if there is none yet.
        ticket: Number,
        /// Where pushes go.
        channel: u8,
    },
    /// For the end of its lease and of its wait.
    Release {
        /// Where pushes went last.
        channel: u8,
    },
    /// For a longer lease.
    Renew {
        /// The lease from now on.
        ttl: Tick,
    },
}

/// What the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// To an acquire: the asked lease was set, under this number.
    Granted(Number),
    /// To an acquire: in line.
    Queued {
        /// The place.
        ticket: Number,
        /// How many stand in front.
        rank: u8,
        /// What is left of the holder's lease.
        left: Tick,
        /// The counter.
        counter: Number,
    },
    /// To an acquire that does not wait.
    Busy,
    /// To a release: it was the owner's.
    Released,
    /// To a renewal: the lease has at least the asked length.
    Renewed,
    /// Nobody owns the lock.
    NotHeld,
    /// Another token owns the lock.
    HeldByOther,
}

/// Which connections the server counts as subscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ears {
    /// The client's present connection.
    pub channel: u8,
    /// Whether the server counts it.
    pub heard: bool,
    /// Whether the server still counts the connection before it, which leads nowhere.
    pub old_heard: bool,
}

impl Ears {
    const fn old_channel(self, scenario: &Scenario) -> u8 {
        if scenario.one_channel { self.channel } else { self.channel.wrapping_sub(1) }
    }
}

/// The state of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Who owns the lock, and until when.
    pub lease: Option<(Owner, Tick)>,
    /// Since when it stands granted by a push that nobody has confirmed.
    pub unclaimed_since: Option<Tick>,
    /// The line, by ticket.
    pub line: Vec<Entry>,
    /// The counter of fencing numbers and tickets.
    pub counter: Number,
}

/// What a script did besides answering.
#[derive(Debug, Default)]
pub struct Effects {
    /// To whom, over which connection, and what.
    pub pushes: Vec<(Entry, News)>,
    /// Who got the lock and did not own it before, and its place if it was taken from the line.
    pub granted: Option<(Token, Option<Number>)>,
}

/// One run of a script.
#[derive(Debug)]
pub struct Script<'a> {
    /// What is explored.
    pub scenario: &'a Scenario,
    /// The present.
    pub now: Tick,
    /// The server.
    pub server: &'a mut Server,
    /// The connections of each client.
    pub ears: &'a [Ears],
    /// What it does besides answering.
    pub effects: Effects,
}

impl Server {
    /// A tick begins: forgets a lease that is over, and lifts the counter to the clock.
    pub fn tick(&mut self, now: Tick) {
        if self.lease.take_if(|(_, expires)| *expires <= now).is_some() {
            self.unclaimed_since = None;
        }
        self.counter = self.counter.max(Number::from(now) * NUMBERS_A_TICK);
    }
}

impl Script<'_> {
    /// Runs a request. `None` if it came too late, and nothing was done.
    pub fn run(&mut self, token: Token, request: Request) -> Option<Answer> {
        match request {
            Request::Acquire { not_after, .. }
                if self.now > not_after && !self.has(SeededBug::NoNotAfter) =>
            {
                None
            }
            Request::Acquire { ttl, wait, ticket, channel, .. } => {
                let entry = Entry { ticket, client: token.client, attempt: token.attempt, channel };
                Some(self.acquire(ttl, wait, entry))
            }
            Request::Release { channel } => Some(self.release(token, channel)),
            Request::Renew { ttl } => Some(self.renew(token, ttl)),
        }
    }

    fn has(&self, bug: SeededBug) -> bool {
        self.scenario.bug == Some(bug)
    }

    fn next(&mut self) -> Number {
        let number = self.server.counter + 1;
        if !self.has(SeededBug::FenceRepeats) {
            self.server.counter = number;
        }
        number
    }

    fn acquire(&mut self, ttl: Tick, wait: bool, entry: Entry) -> Answer {
        let token = entry.token();
        match &mut self.server.lease {
            Some((Owner::Token(owner), expires)) if *owner == token => {
                if self.scenario.bug != Some(SeededBug::RegrantKeepsExpiry) {
                    *expires = (*expires).max(self.now + ttl);
                }
                self.server.unclaimed_since = None;
                self.strike(token);
                return Answer::Granted(self.next());
            }
            None if self.server.line.is_empty()
                || (!wait && self.scenario.bug == Some(SeededBug::PollerOvertakes)) =>
            {
                return self.grant_to_self(token, None, ttl);
            }
            _ => {}
        }
        if wait {
            self.enqueue(entry);
        }
        if self.server.lease.is_none() {
            if let Some(ticket) = self.advance(Some(token)) {
                return self.grant_to_self(token, Some(ticket), ttl);
            }
            if self.server.lease.is_none() && self.server.line.is_empty() && !wait {
                return self.grant_to_self(token, None, ttl);
            }
        }
        let place = self.server.line.iter().position(|entry| entry.token() == token);
        let Some(rank) = place.filter(|_| wait) else { return Answer::Busy };
        Answer::Queued {
            ticket: self.server.line[rank].ticket,
            rank: u8::try_from(rank).unwrap_or(u8::MAX),
            left: self.left(),
            counter: self.server.counter,
        }
    }

    fn release(&mut self, token: Token, channel: u8) -> Answer {
        let was_head = self.server.line.first().is_some_and(|entry| entry.token() == token);
        if self.has(SeededBug::OldEntryStays) {
            self.server.line.retain(|e| e.token() != token || e.channel != channel);
        } else {
            self.strike(token);
        }
        match self.server.lease {
            Some((owner, _))
                if owner != Owner::Token(token) && !self.has(SeededBug::NoOwnerCheck) =>
            {
                if self.has(SeededBug::AdvanceOverHolder) {
                    self.advance(None);
                } else if was_head && !self.has(SeededBug::LeaveWithoutHint) {
                    self.hint(None);
                }
                Answer::HeldByOther
            }
            Some(_) => {
                self.server.lease = None;
                self.server.unclaimed_since = None;
                self.advance(None);
                Answer::Released
            }
            None => {
                self.advance(None);
                Answer::NotHeld
            }
        }
    }

    fn renew(&mut self, token: Token, ttl: Tick) -> Answer {
        let renewed = self.now + ttl;
        let shortens = self.has(SeededBug::RenewalShortens);
        match &mut self.server.lease {
            None => Answer::NotHeld,
            Some((Owner::Token(owner), expires)) if *owner == token => {
                *expires = if shortens { renewed } else { renewed.max(*expires) };
                self.server.unclaimed_since = None;
                Answer::Renewed
            }
            Some(_) => Answer::HeldByOther,
        }
    }

    /// The free lock goes to the first in line that lives. `Some`: to whoever asks, from this place.
    fn advance(&mut self, asking: Option<Token>) -> Option<Number> {
        for _ in 0..self.scenario.skips {
            if self.server.line.is_empty() {
                return None;
            }
            let head = self.server.line.remove(0);
            if asking == Some(head.token()) {
                return Some(head.ticket);
            }
            let lives = self.lives(&head);
            if !lives && self.has(SeededBug::PublishTells) {
                let number = self.next();
                self.effects.pushes.push((head, News::Granted(number)));
            }
            if lives {
                let full = self.has(SeededBug::FullLeaseAtHandOver);
                let window = if full {
                    self.scenario.ttls[head.client]
                } else {
                    self.scenario.window_of(head.client)
                };
                self.server.lease = Some((Owner::Token(head.token()), self.now + window));
                self.server.unclaimed_since = Some(self.now);
                self.effects.granted = Some((head.token(), Some(head.ticket)));
                let number = self.next();
                self.effects.pushes.push((head, News::Granted(number)));
                self.hint(asking);
                return None;
            }
        }
        None
    }

    /// Tells the first in line that lives whom it waits for; whoever asks is told by its answer.
    fn hint(&mut self, asking: Option<Token>) {
        if self.has(SeededBug::NoHint) {
            return;
        }
        while let Some(&head) = self.server.line.first() {
            if asking == Some(head.token()) {
                return;
            }
            if self.lives(&head) {
                let left = self.left();
                self.effects.pushes.push((head, News::Head(left)));
                return;
            }
            self.server.line.remove(0);
        }
    }

    fn grant_to_self(&mut self, token: Token, ticket: Option<Number>, ttl: Tick) -> Answer {
        self.server.lease = Some((Owner::Token(token), self.now + ttl));
        self.server.unclaimed_since = None;
        self.effects.granted = Some((token, ticket));
        Answer::Granted(self.next())
    }

    fn enqueue(&mut self, mut entry: Entry) {
        let token = entry.token();
        if let Some(old) = self.server.line.iter().find(|e| e.token() == token) {
            if self.has(SeededBug::OldEntryStays) && old.channel != entry.channel {
                self.server.line.push(Entry { ticket: old.ticket, ..entry });
                self.server.line.sort_unstable();
                return;
            }
            // The same place, told by the newest connection.
            entry.ticket = old.ticket;
            self.strike(token);
        }
        if entry.ticket == 0 {
            entry.ticket = self.next();
        }
        self.server.line.push(entry);
        self.server.line.sort_unstable();
    }

    fn strike(&mut self, token: Token) {
        self.server.line.retain(|entry| entry.token() != token);
    }

    fn lives(&self, entry: &Entry) -> bool {
        let ears = self.ears[entry.client];
        let counts =
            [(ears.channel, ears.heard), (ears.old_channel(self.scenario), ears.old_heard)];
        counts.contains(&(entry.channel, true))
    }

    fn left(&self) -> Tick {
        self.server.lease.map_or(0, |(_, expires)| expires - self.now)
    }
}

impl Entry {
    /// Whose it is.
    #[must_use]
    pub const fn token(&self) -> Token {
        Token { client: self.client, attempt: self.attempt }
    }
}
