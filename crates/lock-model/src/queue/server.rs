//! The server: the lock, the queue, the counter, and the scripts that change them.

use crate::message::{Answer, News, Number, Pushed, Request, Token};
use crate::properties::Breach;
use crate::queue::settings::{Scenario, SeededBug};
use crate::time::Tick;

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

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The order of the queue.
    pub ticket: Number,
    /// Which client waits.
    pub client: usize,
    /// Its token.
    pub attempt: u8,
    /// Which of its connections is told.
    pub channel: u8,
}

/// The connections of one client for pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Connections {
    /// The present one.
    pub channel: u8,
    /// Whether the server counts it as subscribed.
    pub is_counted: bool,
    /// Whether the server still counts the one before it, which leads nowhere.
    pub is_old_counted: bool,
}

impl Default for Connections {
    fn default() -> Self {
        Self { channel: 0, is_counted: true, is_old_counted: false }
    }
}

impl Connections {
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
    /// The queue, by ticket.
    pub queue: Vec<Entry>,
    /// The counter of fencing numbers and tickets.
    pub counter: Number,
    /// What the queue does for those who poll.
    pub turn: Turn,
}

/// The queue's turn beside those who poll, and the gap behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Turn {
    /// When it began: in a gap, when the gap ends.
    pub began: Tick,
    /// Until when the lock is not for those who wait in the queue.
    pub gap_until: Tick,
}

impl Turn {
    /// Whether the queue has to leave the lock to those who poll.
    const fn is_over(self, scenario: &Scenario, now: Tick) -> bool {
        scenario.gap > 0 && now >= self.began + scenario.turn
    }

    const fn begin_gap(&mut self, scenario: &Scenario, now: Tick) {
        let gap_until = now + scenario.gap;
        *self = Self { began: gap_until, gap_until };
    }
}

/// What a request did.
#[derive(Debug, Default)]
pub struct Effects {
    /// The answer; `None` if it came too late, and nothing was done.
    pub answer: Option<Answer>,
    /// Which clients are told what.
    pub pushes: Vec<(usize, Pushed)>,
    /// Who got the lock and did not own it before, and its place if it was taken from the queue.
    pub granted: Option<(Token, Option<Number>)>,
    /// It was granted in a gap, which is for those who poll.
    pub in_gap: bool,
    /// The property that it broke.
    pub broken: Breach,
}

/// One run of a script.
struct Script<'a> {
    scenario: &'a Scenario,
    now: Tick,
    server: &'a mut Server,
    connections: &'a [Connections],
    effects: Effects,
}

impl Server {
    /// A tick begins: forgets a lease that is over, and lifts the counter to the clock.
    pub fn tick(&mut self, scenario: &Scenario, now: Tick) {
        if let Some((owner, _)) = self.lease.take_if(|(_, expires)| *expires <= now) {
            self.unclaimed_since = None;
            // Whoever asks first begins the gap, in this tick.
            let ends_turn = owner != Owner::Foreign && self.turn.is_over(scenario, now);
            if ends_turn && scenario.bug != Some(SeededBug::NoGap) {
                self.turn.begin_gap(scenario, now);
            }
        }
        self.counter = self.counter.max(Number::from(now) * NUMBERS_A_TICK);
    }

    /// Runs a request of a token, with the connections of each client.
    pub fn run(
        &mut self,
        scenario: &Scenario,
        now: Tick,
        connections: &[Connections],
        token: Token,
        request: Request,
    ) -> Effects {
        let before = self.lease;
        let effects = Effects::default();
        let mut script = Script { scenario, now, server: self, connections, effects };
        script.effects.answer = script.run(token, request);
        let mut effects = script.effects;
        let of_another = before.is_some_and(|(owner, _)| owner != Owner::Token(token));
        if of_another && before != self.lease {
            effects.broken = Some("S4: a request changed the lease of another token".to_owned());
        }
        effects
    }

    /// The token that owns the lock.
    #[must_use]
    pub fn owner(&self) -> Option<Token> {
        match self.lease?.0 {
            Owner::Token(token) => Some(token),
            Owner::Foreign => None,
        }
    }

    /// The tokens in the queue.
    pub fn waiting(&self) -> impl Iterator<Item = Token> {
        self.queue.iter().map(Entry::token)
    }
}

impl Script<'_> {
    fn run(&mut self, token: Token, request: Request) -> Option<Answer> {
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

    fn push(&mut self, to: Entry, news: News) {
        let Entry { client, attempt, channel, .. } = to;
        let pushed = Pushed { attempt, channel, news, sent: self.now, slow: false };
        self.effects.pushes.push((client, pushed));
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
        let (is_gap, barges) = (self.is_gap(), self.has(SeededBug::NewcomerTakesGap));
        match &mut self.server.lease {
            Some((Owner::Token(owner), expires)) if *owner == token => {
                if self.scenario.bug != Some(SeededBug::RegrantKeepsExpiry) {
                    *expires = (*expires).max(self.now + ttl);
                }
                self.server.unclaimed_since = None;
                self.remove(token);
                return Answer::Granted(self.next());
            }
            None if !wait && is_gap => {
                self.effects.in_gap = true;
                return self.grant_to_self(token, None, ttl);
            }
            None if self.server.queue.is_empty() && !is_gap
                || (!wait && self.scenario.bug == Some(SeededBug::PollerOvertakes)) =>
            {
                return self.grant_to_self(token, None, ttl);
            }
            None if is_gap && barges => {
                return self.grant_to_self(token, None, ttl);
            }
            None if is_gap && self.scenario.bug == Some(SeededBug::GapNeverEnds) => {
                self.server.turn.gap_until = self.now + self.scenario.gap;
            }
            _ => {}
        }
        if wait {
            self.enqueue(entry);
        }
        if self.server.lease.is_none() && !self.is_gap() {
            if let Some(ticket) = self.advance(Some(token)) {
                return self.grant_to_self(token, Some(ticket), ttl);
            }
            if self.server.lease.is_none() && self.server.queue.is_empty() && !wait {
                return self.grant_to_self(token, None, ttl);
            }
        }
        let place = self.server.queue.iter().position(|entry| entry.token() == token);
        let Some(rank) = place.filter(|_| wait) else { return Answer::Busy };
        Answer::Queued {
            ticket: self.server.queue[rank].ticket,
            rank: u8::try_from(rank).unwrap_or(u8::MAX),
            left: self.left(),
            is_foreign: self.is_foreign() && !self.has(SeededBug::ForeignIsNotTold),
            counter: self.server.counter,
        }
    }

    fn release(&mut self, token: Token, channel: u8) -> Answer {
        let was_head = self.server.queue.first().is_some_and(|entry| entry.token() == token);
        if self.has(SeededBug::OldEntryStays) {
            self.server.queue.retain(|e| e.token() != token || e.channel != channel);
        } else {
            self.remove(token);
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
                if self.is_gap() {
                    if !self.has(SeededBug::PollerTellsNobody) {
                        self.hint(None);
                    }
                } else if !self.begin_gap() {
                    self.advance(None);
                }
                Answer::Released
            }
            None => {
                if !self.is_gap() {
                    self.advance(None);
                } else if was_head {
                    self.hint(None);
                }
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

    /// The free lock goes to the first in the queue that lives. `Some`: to whoever asks, which had
    /// this place.
    fn advance(&mut self, asking: Option<Token>) -> Option<Number> {
        for _ in 0..self.scenario.skips {
            if self.server.queue.is_empty() {
                return None;
            }
            let head = self.server.queue.remove(0);
            if asking == Some(head.token()) {
                return Some(head.ticket);
            }
            let lives = self.lives(&head);
            if !lives && self.has(SeededBug::PublishTells) {
                let number = self.next();
                self.push(head, News::Granted(number));
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
                self.push(head, News::Granted(number));
                self.hint(asking);
                return None;
            }
        }
        None
    }

    /// Tells the first in the queue that lives how long the holder's lease is; whoever asks is told
    /// by its answer.
    fn hint(&mut self, asking: Option<Token>) {
        if self.has(SeededBug::NoHint) {
            return;
        }
        while let Some(&head) = self.server.queue.first() {
            if asking == Some(head.token()) {
                return;
            }
            if self.lives(&head) {
                let left = self.left();
                self.push(head, News::Head(left));
                return;
            }
            self.server.queue.remove(0);
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
        if let Some(old) = self.server.queue.iter().find(|e| e.token() == token) {
            if self.has(SeededBug::OldEntryStays) && old.channel != entry.channel {
                self.server.queue.push(Entry { ticket: old.ticket, ..entry });
                self.server.queue.sort_unstable();
                return;
            }
            // The same place, told by the newest connection.
            entry.ticket = old.ticket;
            self.remove(token);
        }
        if entry.ticket == 0 {
            entry.ticket = self.next();
        }
        self.server.queue.push(entry);
        self.server.queue.sort_unstable();
    }

    fn remove(&mut self, token: Token) {
        self.server.queue.retain(|entry| entry.token() != token);
    }

    fn lives(&self, entry: &Entry) -> bool {
        let connections = self.connections[entry.client];
        let Connections { channel, is_counted, is_old_counted } = connections;
        let old_channel = connections.old_channel(self.scenario);
        [(channel, is_counted), (old_channel, is_old_counted)].contains(&(entry.channel, true))
    }

    fn left(&self) -> Tick {
        let gap = self.server.turn.gap_until.saturating_sub(self.now);
        self.server.lease.map_or(gap, |(_, expires)| expires - self.now)
    }

    fn is_foreign(&self) -> bool {
        matches!(self.server.lease, Some((Owner::Foreign, _)))
    }

    fn is_gap(&self) -> bool {
        self.now < self.server.turn.gap_until
    }

    /// The queue has had its turn: whoever polls may take the lock, which was just given back.
    fn begin_gap(&mut self) -> bool {
        if !self.server.turn.is_over(self.scenario, self.now) || self.has(SeededBug::NoGap) {
            return false;
        }
        self.server.turn.begin_gap(self.scenario, self.now);
        if self.has(SeededBug::GapGrantsToo)
            && let Some(&head) = self.server.queue.first()
        {
            let number = self.next();
            self.push(head, News::Granted(number));
        }
        self.hint(None);
        if let Some(&second) = self.server.queue.get(1)
            && self.lives(&second)
        {
            self.push(second, News::Head(self.scenario.gap + 1));
        }
        true
    }
}

impl Entry {
    /// Whose it is.
    #[must_use]
    pub const fn token(&self) -> Token {
        Token { client: self.client, attempt: self.attempt }
    }
}
