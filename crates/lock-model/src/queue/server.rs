//! The server: the lock, the queue and the counter.

use crate::message::{Answer, Number, Pushed, Token};
use crate::properties::Breach;
use crate::queue::counter::Counter;
use crate::queue::settings::{Scenario, SeededBug};
use crate::time::Tick;

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
    pub(super) const fn old_channel(self, scenario: &Scenario) -> u8 {
        if scenario.one_channel { self.channel } else { self.channel.wrapping_sub(1) }
    }
}

/// The state of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Who owns the lock, and until when.
    pub lease: Option<(Owner, Tick)>,
    /// The lock's value is marked: its release has more to do than to delete it.
    pub marked: bool,
    /// Since when it stands granted by a push that nobody has confirmed.
    pub unclaimed_since: Option<Tick>,
    /// The queue, by ticket.
    pub queue: Vec<Entry>,
    /// The counter of fencing numbers and tickets.
    pub counter: Counter,
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
    pub(super) const fn is_over(self, scenario: &Scenario, now: Tick) -> bool {
        scenario.gap > 0 && now >= self.began + scenario.turn
    }

    pub(super) const fn begin_gap(&mut self, scenario: &Scenario, now: Tick) {
        let gap_until = now + scenario.gap;
        *self = Self { began: gap_until, gap_until };
    }
}

/// What a request did.
#[derive(Debug, Default)]
pub struct Effects {
    /// The answer; `None` if it came too late, and nothing was done.
    pub answer: Option<Answer>,
    /// Instead of an answer: a second command is to run, and this is what the first one told.
    pub rest: Option<Number>,
    /// Which clients are told what.
    pub pushes: Vec<(usize, Pushed)>,
    /// Who got the lock and did not own it before, and its place if it was taken from the queue.
    pub granted: Option<(Token, Option<Number>)>,
    /// It was granted in a gap, which is for those who poll.
    pub in_gap: bool,
    /// The property that it broke.
    pub broken: Breach,
}

impl Server {
    /// A tick begins: forgets a lease that is over, and lifts the counter to the clock.
    pub fn tick(&mut self, scenario: &Scenario, now: Tick) {
        if let Some((owner, _)) = self.lease.take_if(|(_, expires)| *expires <= now) {
            (self.unclaimed_since, self.marked) = (None, false);
            // Whoever asks first begins the gap, in this tick.
            let ends_turn = owner != Owner::Foreign && self.turn.is_over(scenario, now);
            if ends_turn && scenario.bug != Some(SeededBug::NoGap) {
                self.turn.begin_gap(scenario, now);
            }
        }
        self.counter.tick(now);
    }

    /// Nobody owns the lock any more.
    pub const fn free(&mut self) {
        (self.lease, self.unclaimed_since, self.marked) = (None, None, false);
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

impl Entry {
    /// Whose it is.
    #[must_use]
    pub const fn token(&self) -> Token {
        Token { client: self.client, attempt: self.attempt }
    }
}
