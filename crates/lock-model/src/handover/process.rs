//! The state of one process: its tasks, its line, and everything of it that is on its way.

use crate::exchange;
use crate::handover::settings::Scenario;
use crate::product::{Instant, LocalQueue, Waiter};
use crate::queue::client::{Dealing, Exchange, Pushed};
use crate::queue::server::{Ears, Number};
use crate::time::{Tick, instant};

/// The number of a leader or a holder in its line.
pub type Term = u64;

/// Of a task that deals with the store for itself alone.
pub const OUTSIDE: Term = 0;

/// What whoever asks waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The answer to a step.
    Asking,
    /// News: it stands in the store's line.
    Waiting,
    /// Nothing: a step failed, and it asks again in this tick.
    Retrying,
    /// This tick, to ask again.
    Polling(Tick),
}

/// What a line or an outsider has in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Its token, and the product's own code.
    pub dealing: Dealing,
    /// The lease that it asks for.
    pub ttl: Tick,
    /// The product's own code.
    pub waiter: Waiter,
    /// The place in the store's line, as far as it was told.
    pub ticket: Number,
    /// A pushed grant that nobody has looked at.
    pub kept: Option<Number>,
    /// What it waits for.
    pub phase: Phase,
    /// The first place that it got in the store's line; only the properties know it.
    pub place: Option<Number>,
    /// How many grants of the store went to others that came later; only the properties know it.
    pub overtaken: u8,
    /// How many grants were made inside other processes meanwhile; only the properties know it.
    pub passed: u8,
}

/// A guard, and what its process knows of its lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holding {
    /// Its number in the line.
    pub term: Term,
    /// Which token.
    pub attempt: u8,
    /// The right to release; gone with the end of the lease.
    pub dealing: Option<Dealing>,
    /// The number of the store's grant.
    pub number: Number,
    /// How often the lease was passed on before.
    pub index: u16,
    /// When the store granted it.
    pub since: Tick,
    /// When this guard was made.
    pub granted: Tick,
    /// The end of the guard.
    pub deadline: Instant,
    /// The end of the guard from when on its task has taken it.
    pub offered: Option<Instant>,
    /// The store's lease is shorter than what was asked for.
    pub is_window: bool,
    /// A renewal was sent, and none has been confirmed since.
    pub is_unconfirmed: bool,
    /// When the keeper looks at it; `None` if it never does.
    pub due: Option<Tick>,
}

/// The right to lead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seat {
    /// Its number in the line.
    pub term: Term,
    /// What the one before left.
    pub inheritance: Option<Standing>,
}

/// What a waiting task is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// It leads.
    Lead(Seat),
    /// It holds the lease.
    Hold(Holding),
}

/// A place in the line of the process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The line's number for it.
    pub number: u64,
    /// When it looks after those before it.
    pub look_at: Instant,
    /// What it was told and has not taken yet.
    pub told: Option<Turn>,
}

/// What a task is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Does {
    /// Nothing yet, or no more.
    Nothing,
    /// It waits in the line of its process.
    Waits(Place),
    /// It deals with the store.
    Asks {
        /// For its line, or for itself.
        term: Term,
        /// Whether it waits if the lock is not free.
        waits: bool,
        /// What it has there.
        standing: Standing,
    },
    /// It has a guard.
    Holds(Holding),
}

/// One task of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// Whether it has wanted the lock already.
    pub begun: bool,
    /// What it is about.
    pub does: Does,
    /// It is not polled, until this tick at most.
    pub frozen_until: Option<Tick>,
}

/// The state of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its tasks.
    pub tasks: Vec<Task>,
    /// The product's own code.
    pub line: Option<LocalQueue<u8>>,
    /// The newest term.
    pub terms: Term,
    /// Of whoever leads or holds for the line; only the properties know it.
    pub current: Term,
    /// The number of its newest token.
    pub tokens: u8,
    /// Tokens up to this one were hit by a wipe; only the properties know it.
    pub excused: u8,
    /// Tokens that nobody wants any more, until nothing is left of them.
    pub undos: Vec<Dealing>,
    /// Everything that is on its way.
    pub exchanges: Vec<Exchange>,
    /// Every push that is on its way.
    pub pushes: Vec<Pushed>,
    /// Whether it has vanished.
    pub crashed: bool,
    /// Its connection.
    pub ears: Ears,
    /// Guards that were just made, with what they must rise above; only the properties know them.
    pub made: Vec<(u32, bool)>,
}

impl Process {
    /// A process whose tasks have done nothing.
    #[must_use]
    pub fn new(tasks: usize) -> Self {
        let task = Task { begun: false, does: Does::Nothing, frozen_until: None };
        Self {
            tasks: vec![task; tasks],
            line: None,
            terms: OUTSIDE,
            current: OUTSIDE,
            tokens: 0,
            excused: 0,
            undos: Vec::new(),
            exchanges: Vec::new(),
            pushes: Vec::new(),
            crashed: false,
            ears: Ears { channel: 0, heard: true, old_heard: false },
            made: Vec::new(),
        }
    }

    /// Every guard that is out or on its way to a task, with the number of its task.
    pub fn holdings(&self) -> impl Iterator<Item = (usize, &Holding)> {
        self.tasks.iter().enumerate().filter_map(|(nth, task)| Some((nth, task.does.holding()?)))
    }

    /// Everything that its tasks have in the store and do not hold.
    pub fn standings(&self) -> impl Iterator<Item = &Standing> {
        self.tasks.iter().filter_map(|task| task.does.standing())
    }

    /// The same, to be changed.
    pub fn standings_mut(&mut self) -> impl Iterator<Item = &mut Standing> {
        self.tasks.iter_mut().filter_map(|task| task.does.standing_mut())
    }

    /// Until when the line counts on its holder: the past, if there is none.
    #[must_use]
    pub fn held_until(&self) -> Instant {
        let mut held = self.holdings().filter(|(_, h)| h.term == self.current && !h.is_over());
        held.next().map_or(Instant::default(), |(_, holding)| holding.deadline)
    }

    /// Whether somebody takes the answer to this exchange.
    #[must_use]
    pub fn awaits(&self, exchange: &Exchange) -> bool {
        use crate::queue::server::Request;
        let is_frozen =
            |task: &Task| task.frozen_until.is_some() || matches!(task.does, Does::Waits(_));
        let is_mine = |task: &&Task| {
            task.does.standing().is_some_and(|s| s.dealing.attempt == exchange.attempt)
        };
        !matches!(exchange.request, Request::Acquire { .. })
            || !self.tasks.iter().find(is_mine).is_some_and(is_frozen)
    }

    /// Whether nothing of it is left but what the server knows.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.tasks.iter().all(|task| task.does == Does::Nothing)
            && self.undos.is_empty()
            && self.exchanges.is_empty()
            && self.pushes.is_empty()
    }

    /// Vanishes; what was sent stays on its way, and the server does not notice at once.
    pub fn crash(&mut self) {
        let (tokens, excused) = (self.tokens, self.excused);
        let mut exchanges = std::mem::take(&mut self.exchanges);
        for exchange in &mut exchanges {
            exchange.awaited = false;
        }
        *self = Self { tokens, excused, exchanges, crashed: true, ..Self::new(self.tasks.len()) };
        for task in &mut self.tasks {
            task.begun = true;
        }
        self.tidy();
    }

    /// Drops what nobody will notice, and brings the rest into one order.
    pub fn tidy(&mut self) {
        exchange::tidy(&mut self.exchanges);
        let tokens: Vec<_> = self.standings().map(|standing| standing.dealing.attempt).collect();
        self.pushes.retain(|pushed| tokens.contains(&pushed.attempt));
        self.pushes.sort_unstable();
        if self.is_quiet() && self.line.is_none() {
            (self.terms, self.current) = (OUTSIDE, OUTSIDE);
        }
    }
}

impl Does {
    /// The guard of a task, or one on its way to it.
    #[must_use]
    pub const fn holding(&self) -> Option<&Holding> {
        match self {
            Self::Holds(holding) | Self::Waits(Place { told: Some(Turn::Hold(holding)), .. }) => {
                Some(holding)
            }
            _ => None,
        }
    }

    /// The same, to be changed.
    pub const fn holding_mut(&mut self) -> Option<&mut Holding> {
        match self {
            Self::Holds(holding) | Self::Waits(Place { told: Some(Turn::Hold(holding)), .. }) => {
                Some(holding)
            }
            _ => None,
        }
    }

    /// What a task has in the store, or what is on its way to it.
    #[must_use]
    pub const fn standing(&self) -> Option<&Standing> {
        match self {
            Self::Asks { standing, .. } => Some(standing),
            Self::Waits(Place { told: Some(Turn::Lead(seat)), .. }) => seat.inheritance.as_ref(),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub const fn standing_mut(&mut self) -> Option<&mut Standing> {
        match self {
            Self::Asks { standing, .. } => Some(standing),
            Self::Waits(Place { told: Some(Turn::Lead(seat)), .. }) => seat.inheritance.as_mut(),
            _ => None,
        }
    }

    /// The term of whoever leads or holds, or is told so.
    #[must_use]
    pub const fn term(&self) -> Option<Term> {
        match self {
            Self::Asks { term, .. }
            | Self::Waits(Place { told: Some(Turn::Lead(Seat { term, .. })), .. }) => Some(*term),
            _ => match self.holding() {
                Some(holding) if !holding.is_over() => Some(holding.term),
                _ => None,
            },
        }
    }
}

impl Standing {
    /// A token that nothing was sent for yet.
    #[must_use]
    pub fn new(scenario: &Scenario, attempt: u8, ttl: Tick, now: Tick) -> Self {
        Self {
            dealing: Dealing::new(&scenario.store, attempt),
            ttl,
            waiter: Waiter::new(instant(now)),
            ticket: 0,
            kept: None,
            phase: Phase::Retrying,
            place: None,
            overtaken: 0,
            passed: 0,
        }
    }
}

impl Holding {
    /// Whether its lease is known to be over.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.dealing.is_none()
    }

    /// Whether its task has it, and nobody has asked for more than the window.
    #[must_use]
    pub const fn is_unclaimed(&self) -> bool {
        self.is_window && !self.is_unconfirmed && self.offered.is_none()
    }

    /// Whether its task may believe that it holds the lock.
    #[must_use]
    pub fn holds(&self, now: Tick) -> bool {
        !self.is_over() && self.deadline > instant(now)
    }

    /// What its task may show to others.
    #[must_use]
    pub fn fence(&self) -> u32 {
        (u32::from(self.number) << 10) + u32::from(self.index)
    }
}
