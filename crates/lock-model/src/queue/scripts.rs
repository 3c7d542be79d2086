//! What scripts do: they look at the lock, the queue, the counter and the pollers' gap together.

use crate::message::{Answer, News, Number, Pushed, Request, Token};
use crate::properties::Breach;
use crate::queue::server::{Connections, Effects, Entry, Owner, Server};
use crate::queue::settings::{Scenario, SeededBug};
use crate::time::Tick;

impl Server {
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
        let only_counts = match request {
            // Whoever asks again lifts the counter.
            Request::Acquire { counted, wait, ticket, .. } => counted && wait && ticket == 0,
            Request::Release { counted, .. } => counted,
            Request::Renew { .. } => false,
        };
        let mut script = Script { scenario, now, server: self, connections, only_counts, effects };
        script.effects.answer = script.run(token, request);
        let mut effects = script.effects;
        effects.broken = self.breach_by(&effects, before, token);
        effects
    }

    /// The property that a script of this token broke.
    fn breach_by(&self, effects: &Effects, before: Option<(Owner, Tick)>, token: Token) -> Breach {
        let (owner, _) = before?;
        let is_owner = owner == Owner::Token(token);
        let is_touched = owner == Owner::Foreign && self.marked;
        if !is_owner && (before != self.lease || is_touched) {
            return Some("S4: a request changed the lease of another token".to_owned());
        }
        let denies = matches!(
            effects.answer?,
            Answer::Queued { .. } | Answer::Busy | Answer::NotHeld | Answer::HeldByOther
        );
        (is_owner && denies)
            .then(|| "S12: the owner of the lock is told that it does not have it".to_owned())
    }
}

/// Whoever joins others in the queue takes this for its rank, so that it asks slowly.
const BEHIND_OTHERS: u8 = 3;

/// One run of a script.
struct Script<'a> {
    scenario: &'a Scenario,
    now: Tick,
    server: &'a mut Server,
    connections: &'a [Connections],
    /// It takes the stored number for the newest, if that is plausible.
    only_counts: bool,
    effects: Effects,
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
            Request::Release { channel, .. } => Some(self.release(token, channel)),
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
        if self.has(SeededBug::FenceRepeats) {
            let mut counter = self.server.counter;
            return counter.lift();
        }
        if self.only_counts {
            return self.server.counter.count_or_lift();
        }
        self.server.counter.lift()
    }

    /// Whether the lock is this token's; its value may be marked or not.
    fn is_owner(&self, token: Token, bug: SeededBug) -> bool {
        let knows_value = !(self.server.marked && self.has(bug));
        knows_value && self.server.owner() == Some(token)
    }

    /// The lock goes to somebody while others may stay in the queue.
    fn grant(&mut self, token: Token, lease: Tick) {
        self.server.lease = Some((Owner::Token(token), self.now + lease));
        self.server.marked = self.scenario.plain
            && !self.has(SeededBug::GrantIsUnmarked)
            && (!self.server.queue.is_empty() || self.scenario.gap > 0);
    }

    /// Whoever releases the lock from now on has to look at the queue.
    fn mark(&mut self) {
        let Some((owner, expires)) = &mut self.server.lease else { return };
        let is_ours =
            *owner != Owner::Foreign || self.scenario.bug == Some(SeededBug::ForeignIsMarked);
        if !is_ours || !self.scenario.plain || self.scenario.bug == Some(SeededBug::NoMark) {
            return;
        }
        self.server.marked = true;
        if self.scenario.bug == Some(SeededBug::MarkLosesExpiry) {
            *expires = Tick::MAX;
        }
    }

    fn acquire(&mut self, ttl: Tick, wait: bool, entry: Entry) -> Answer {
        let token = entry.token();
        let (is_gap, barges) = (self.is_gap(), self.has(SeededBug::NewcomerTakesGap));
        let is_owner = self.is_owner(token, SeededBug::RepetitionMissesMark);
        match &mut self.server.lease {
            Some((_, expires)) if is_owner => {
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
            let is_behind_others = self.is_behind_others(token);
            self.enqueue(entry);
            if is_behind_others {
                let ticket = self.server.counter.at_least_the_clock();
                return Answer::Queued {
                    ticket,
                    rank: BEHIND_OTHERS,
                    left: None,
                    is_foreign: false,
                    counter: ticket,
                };
            }
            self.mark();
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
            left: Some(self.left()),
            is_foreign: self.is_foreign() && !self.has(SeededBug::ForeignIsNotTold),
            counter: self.told_counter(),
        }
    }

    /// Whether others wait already, who watch the holder: then whoever comes is told little.
    fn is_behind_others(&self, token: Token) -> bool {
        let stands = self.server.waiting().any(|other| other == token);
        self.only_counts && self.server.marked && self.scenario.gap == 0 && !stands
    }

    /// The counter that whoever is queued is told. Plain commands count on from the stored number,
    /// so that a lost one has to be lifted first.
    fn told_counter(&mut self) -> Number {
        if self.scenario.plain { self.next() } else { self.server.counter.at_least_the_clock() }
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
                // Whoever comes next is the first to wait.
                self.server.marked &= !self.server.queue.is_empty() || self.scenario.gap > 0;
                Answer::HeldByOther
            }
            Some(_) => {
                self.server.free();
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
        let is_owner = self.is_owner(token, SeededBug::RenewalMissesMark);
        match &mut self.server.lease {
            None => Answer::NotHeld,
            Some((_, expires)) if is_owner => {
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
                self.grant(head.token(), window);
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
        self.grant(token, ttl);
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
