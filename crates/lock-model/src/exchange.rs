//! A request and its answer on their way.

use std::fmt;

use crate::message::{Answer, Number, Request};
use crate::time::Tick;

/// How long a client waits for an answer.
pub const RESPONSE_TIMEOUT: Tick = 2;

/// Which message of an exchange is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Underway {
    /// The request.
    Request,
    /// What is left of a request of two commands, whose first one has run and told this.
    Rest(Number),
    /// The answer.
    Answer(Answer),
    /// None any more, which the client learns by its timeout.
    Nothing,
}

/// One request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exchange {
    /// Whose token it carries.
    pub attempt: u8,
    /// What is asked.
    pub request: Request,
    /// What is on its way.
    pub underway: Underway,
    /// When the request was sent.
    pub asked: Tick,
    /// When the message that is on its way was sent.
    pub sent: Tick,
    /// Whether that message is a slow one.
    pub slow: bool,
    /// Whether one of its messages was a slow one, where that is told apart.
    pub delayed: bool,
    /// Whether the client waits for the answer.
    pub awaited: bool,
    /// So many of its client's connections had been retired when it was sent: nothing of them runs
    /// after it has run.
    pub kills: u8,
    /// The how many-th retired connection is its own; zero if that is not retired.
    pub retired: u8,
}

impl Exchange {
    /// A request that is sent now, by a client that waits for its answer.
    #[must_use]
    pub const fn new(attempt: u8, request: Request, now: Tick) -> Self {
        Self {
            attempt,
            request,
            underway: Underway::Request,
            asked: now,
            sent: now,
            slow: false,
            delayed: false,
            awaited: true,
            kills: 0,
            retired: 0,
        }
    }

    /// Whether the server may still do something for it.
    #[must_use]
    pub const fn can_run(&self) -> bool {
        matches!(self.underway, Underway::Request | Underway::Rest(_))
    }

    /// The same with its answer on the way, or with nothing on the way.
    #[must_use]
    pub fn answered(self, answer: Option<Answer>, now: Tick) -> Self {
        let underway = answer.map_or(Underway::Nothing, Underway::Answer);
        Self { underway, sent: now, slow: false, kills: 0, ..self }
    }

    /// Whether it may grant the lock however late it runs: no script refuses it.
    #[must_use]
    pub const fn may_take_the_lock_late(&self) -> bool {
        let is_acquire = matches!(self.request, Request::Acquire { .. });
        is_acquire && self.request.may_be_plain() && self.can_run()
    }

    /// Whether its client still waits for the answer, or does not wait at all.
    #[must_use]
    pub const fn is_in_time(&self, now: Tick) -> bool {
        !self.awaited || now < self.asked + RESPONSE_TIMEOUT
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempt, request, asked, .. } = self;
        write!(f, "{request} of attempt {attempt}, sent at {asked}")
    }
}
