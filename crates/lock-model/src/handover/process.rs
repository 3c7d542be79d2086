//! The state of one process: its tasks, its local queue, and everything of it that is on its way.

use crate::attempt_driver::Abandoned;
use crate::exchange::Exchange;
use crate::handover::held::Held;
use crate::handover::leader::{LeaderState, Leadership, LocalWaiter, Turn};
use crate::message::{Number, Request};
use crate::network::Messages;
use crate::product::Term;
use crate::product::{Instant, LocalQueue};
use crate::queue::server::Connections;
use crate::time::Tick;

/// What a task is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Nothing yet, or no more.
    Idle,
    /// It waits in the local queue.
    Waiting(LocalWaiter),
    /// It deals with the store.
    Asking {
        /// On whose behalf.
        term: Term,
        /// Whether it waits if the lock is not free.
        waits: bool,
        /// What it has there.
        leader: LeaderState,
    },
    /// It has a guard.
    Holding(Held),
}

/// One task of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// Whether it has wanted the lock already.
    pub begun: bool,
    /// What it is about.
    pub state: TaskState,
    /// It is not polled, until this tick at most.
    pub frozen_until: Option<Tick>,
}

/// The state of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its tasks.
    pub tasks: Vec<Task>,
    /// The product's own code.
    pub queue: Option<LocalQueue<u8>>,
    /// The number of the newest term.
    pub terms: u64,
    /// Of whoever leads or holds for the queue; only the properties know it.
    pub current: Term,
    /// The number of its newest token.
    pub tokens: u8,
    /// Tokens up to this one were hit by a wipe; only the properties know it.
    pub excused: u8,
    /// Tokens that nobody wants any more, until nothing is left of them.
    pub abandoned: Abandoned,
    /// Everything that is on its way.
    pub messages: Messages,
    /// Whether it has vanished.
    pub crashed: bool,
    /// Its connection.
    pub connections: Connections,
    /// Guards that were just made, with what they must rise above; only the properties know them.
    pub made: Vec<(u32, bool)>,
}

impl Process {
    /// A process whose tasks have done nothing.
    #[must_use]
    pub fn new(tasks: usize) -> Self {
        let task = Task { begun: false, state: TaskState::Idle, frozen_until: None };
        Self {
            tasks: vec![task; tasks],
            queue: None,
            terms: 0,
            current: Term::Outside,
            tokens: 0,
            excused: 0,
            abandoned: Abandoned::default(),
            messages: Messages::default(),
            crashed: false,
            connections: Connections::default(),
            made: Vec::new(),
        }
    }

    /// A fresh term, which is now that of the queue.
    pub const fn new_term(&mut self) -> Term {
        self.terms += 1;
        self.current = Term::Numbered(self.terms);
        self.current
    }

    /// The term that [`new_term`](Self::new_term) would give.
    #[must_use]
    pub const fn next_term(&self) -> Term {
        Term::Numbered(self.terms + 1)
    }

    /// Every guard that is out or on its way to a task, with the number of its task.
    pub fn guards(&self) -> impl Iterator<Item = (usize, &Held)> {
        self.tasks.iter().enumerate().filter_map(|(nth, task)| Some((nth, task.state.held()?)))
    }

    /// Everything that its tasks have in the store and do not hold.
    pub fn leaders(&self) -> impl Iterator<Item = &LeaderState> {
        self.tasks.iter().filter_map(|task| task.state.leader())
    }

    /// The same, to be changed.
    pub fn leaders_mut(&mut self) -> impl Iterator<Item = &mut LeaderState> {
        self.tasks.iter_mut().filter_map(|task| task.state.leader_mut())
    }

    /// Until when the queue counts on its holder: the past, if there is none.
    #[must_use]
    pub fn held_until(&self) -> Instant {
        let mut held = self.guards().filter(|(_, h)| h.term == self.current && !h.is_over());
        held.next().map_or(Instant::ORIGIN, |(_, held)| held.deadline())
    }

    /// Whether somebody takes the answer to this exchange.
    #[must_use]
    pub fn attends_to(&self, exchange: &Exchange) -> bool {
        let is_away = |task: &Task| {
            task.frozen_until.is_some() || matches!(task.state, TaskState::Waiting(_))
        };
        let is_its = |task: &&Task| {
            task.state.leader().is_some_and(|l| l.attempt.number == exchange.attempt)
        };
        !matches!(exchange.request, Request::Acquire { .. })
            || !self.tasks.iter().find(is_its).is_some_and(is_away)
    }

    /// The lowest number of a grant that is on its way to it, or may be passed on in it.
    #[must_use]
    pub fn lowest_number(&self) -> Option<Number> {
        let kept = self.leaders().filter_map(|leader| leader.kept);
        let held = self.guards().filter(|(_, held)| !held.is_over());
        self.messages.granted().chain(kept).chain(held.map(|(_, held)| held.number)).min()
    }

    /// Whether nothing of it is left but what the server knows.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.tasks.iter().all(|task| task.state == TaskState::Idle)
            && self.abandoned.is_empty()
            && self.messages.is_empty()
    }

    /// Vanishes; what was sent stays on its way, and the server does not notice at once.
    pub fn crash(&mut self) {
        let (tokens, excused) = (self.tokens, self.excused);
        let mut messages = std::mem::take(&mut self.messages);
        messages.pushes.clear();
        messages.forget_all();
        *self = Self { tokens, excused, messages, crashed: true, ..Self::new(self.tasks.len()) };
        for task in &mut self.tasks {
            task.begun = true;
        }
        self.tidy();
    }

    /// Drops what nobody will notice, and brings the rest into one order.
    pub fn tidy(&mut self) {
        let Self { tasks, messages, .. } = self;
        messages.tidy(|pushed| {
            let mut leaders = tasks.iter().filter_map(|task| task.state.leader());
            leaders.any(|leader| leader.attempt.number == pushed.attempt)
        });
        if self.is_quiet() && self.queue.is_none() {
            (self.terms, self.current) = (0, Term::Outside);
        }
    }
}

impl TaskState {
    /// The guard of a task, or one on its way to it.
    #[must_use]
    pub const fn held(&self) -> Option<&Held> {
        match self {
            Self::Holding(held)
            | Self::Waiting(LocalWaiter { told: Some(Turn::Hold(held)), .. }) => Some(held),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub const fn held_mut(&mut self) -> Option<&mut Held> {
        match self {
            Self::Holding(held)
            | Self::Waiting(LocalWaiter { told: Some(Turn::Hold(held)), .. }) => Some(held),
            _ => None,
        }
    }

    /// What a task has in the store, or what is on its way to it.
    #[must_use]
    pub const fn leader(&self) -> Option<&LeaderState> {
        match self {
            Self::Asking { leader, .. } => Some(leader),
            Self::Waiting(LocalWaiter { told: Some(Turn::Lead(leadership)), .. }) => {
                leadership.state.as_ref()
            }
            _ => None,
        }
    }

    /// The same, to be changed.
    pub const fn leader_mut(&mut self) -> Option<&mut LeaderState> {
        match self {
            Self::Asking { leader, .. } => Some(leader),
            Self::Waiting(LocalWaiter { told: Some(Turn::Lead(leadership)), .. }) => {
                leadership.state.as_mut()
            }
            _ => None,
        }
    }

    /// The term of whoever leads or holds, or is told so.
    #[must_use]
    pub const fn term(&self) -> Option<Term> {
        match self {
            Self::Asking { term, .. }
            | Self::Waiting(LocalWaiter {
                told: Some(Turn::Lead(Leadership { term, .. })), ..
            }) => Some(*term),
            _ => match self.held() {
                Some(held) if !held.is_over() => Some(held.term),
                _ => None,
            },
        }
    }
}
