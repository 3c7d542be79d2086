//! Requests and answers on their way, the same in both models.

use std::fmt;

use crate::time::Tick;

/// How long a client waits for an answer.
pub const RESPONSE_TIMEOUT: Tick = 2;

/// Where the messages of an exchange are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place<A> {
    /// The request is on its way.
    Asked,
    /// The answer is on its way.
    Answered(A),
    /// Nothing is on its way any more, which the client learns by its timeout.
    Lost,
}

/// One request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exchange<R, A> {
    /// Whose token it carries.
    pub attempt: u8,
    /// What is asked.
    pub request: R,
    /// Where it is.
    pub place: Place<A>,
    /// When the request was sent.
    pub asked: Tick,
    /// When the message that is on its way was sent.
    pub sent: Tick,
    /// Whether that message is a slow one.
    pub slow: bool,
    /// Whether one of its messages was a slow one; only the model of the line tells these apart.
    pub delayed: bool,
    /// Whether the client waits for the answer.
    pub awaited: bool,
}

impl<R, A> Exchange<R, A> {
    /// A request that is sent now, by a client that waits for its answer.
    pub const fn new(attempt: u8, request: R, now: Tick) -> Self {
        Self {
            attempt,
            request,
            place: Place::Asked,
            asked: now,
            sent: now,
            slow: false,
            delayed: false,
            awaited: true,
        }
    }

    /// The same with its answer on the way, or with nothing on the way.
    #[must_use]
    pub fn answered(self, answer: Option<A>, now: Tick) -> Self {
        let place = answer.map_or(Place::Lost, Place::Answered);
        Self { place, sent: now, slow: false, ..self }
    }

    /// Whether its client still waits for the answer, or does not wait at all.
    pub const fn is_in_time(&self, now: Tick) -> bool {
        !self.awaited || now < self.asked + RESPONSE_TIMEOUT
    }
}

/// Drops what nobody will notice, and brings the rest into one order.
pub fn tidy<R: Ord, A: Ord>(exchanges: &mut Vec<Exchange<R, A>>) {
    exchanges.retain(|exchange| exchange.awaited || exchange.place == Place::Asked);
    exchanges.sort_unstable();
}

/// Puts something else into the place of a message, or takes it away.
pub fn replace<T: PartialEq>(messages: &mut Vec<T>, old: &T, new: Option<T>) {
    if let Some(at) = messages.iter().position(|message| message == old) {
        messages.swap_remove(at);
    }
    messages.extend(new);
}

impl<R: fmt::Display, A> fmt::Display for Exchange<R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempt, request, asked, .. } = self;
        write!(f, "{request} of attempt {attempt}, sent at {asked}")
    }
}
