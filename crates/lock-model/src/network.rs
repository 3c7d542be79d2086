//! The messages of one client that are on their way, and what can happen to them.

use std::fmt;

use crate::budget::Budget;
use crate::exchange::{Exchange, RESPONSE_TIMEOUT, Underway};
use crate::message::{Answer, News, Number, Pushed, Request};
use crate::time::Tick;

/// What can happen to a message.
#[derive(Clone, Copy, Debug)]
pub enum MessageStep {
    /// The server runs a request, or what is left of it.
    Run(Exchange),
    /// The server runs a request by plain commands, the first one of them.
    RunPlain(Exchange),
    /// The server refuses to work.
    Refuse(Exchange),
    /// An answer arrives.
    Take(Exchange, Answer),
    /// Nobody waits any longer for an answer.
    TimeOut(Exchange),
    /// The connection ends for its client, and the server goes on reading from it.
    CutOff(Exchange),
    /// The message is lost.
    Lose(Exchange),
    /// The message takes long.
    Delay(Exchange),
    /// A push arrives.
    TakePush(Pushed),
    /// A push is lost.
    LosePush(Pushed),
    /// A push takes long.
    DelayPush(Pushed),
}

/// How long messages take, and how many of them may go wrong, at one tick.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// The present.
    pub now: Tick,
    /// How long an ordinary message takes at most.
    pub latency: Tick,
    /// How long a slow message takes at most.
    pub slow: Tick,
    /// Whether the answer to an ordinary request comes in time, however short the timeout is: then
    /// it is told apart which messages were delayed.
    pub is_punctual: bool,
    /// The trouble that is left.
    pub budget: Budget,
}

/// The messages of one client that are on their way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Messages {
    /// Requests and answers.
    pub exchanges: Vec<Exchange>,
    /// Pushes.
    pub pushes: Vec<Pushed>,
    /// How many connections were retired that may still carry a plain command.
    pub retired: u8,
}

impl Network {
    /// What can happen to an exchange whose answer somebody attends to, or nobody.
    pub fn steps_of_exchange(
        &self,
        exchange: Exchange,
        is_attended: bool,
        add: &mut impl FnMut(MessageStep),
    ) {
        match exchange.underway {
            Underway::Request => {
                add(MessageStep::Run(exchange));
                if exchange.request.may_be_plain() {
                    add(MessageStep::RunPlain(exchange));
                }
                if self.budget.refused > 0 {
                    add(MessageStep::Refuse(exchange));
                }
            }
            Underway::Rest(_) => add(MessageStep::Run(exchange)),
            Underway::Answer(answer) if is_attended => add(MessageStep::Take(exchange, answer)),
            Underway::Answer(_) | Underway::Nothing => {}
        }
        // Losing or delaying it any earlier would make no difference to anybody.
        let moves = exchange.underway != Underway::Nothing;
        if moves && !exchange.slow && self.is_due(exchange.sent, false) {
            if self.budget.lost > 0 {
                add(MessageStep::Lose(exchange));
            }
            if self.budget.slow > 0 {
                add(MessageStep::Delay(exchange));
            }
        }
        let is_awaited = exchange.awaited && is_attended;
        if is_awaited && exchange.may_take_the_lock_late() && self.budget.cut_off > 0 {
            add(MessageStep::CutOff(exchange));
        }
        let is_late = !self.is_punctual
            || exchange.underway == Underway::Nothing
            || exchange.delayed
            || self.now > exchange.asked + 2 * self.latency;
        let timeout = exchange.asked + RESPONSE_TIMEOUT;
        if is_late && is_awaited && self.now >= timeout {
            add(MessageStep::TimeOut(exchange));
        }
    }

    /// What can happen to a push to somebody who attends to it, or does not.
    pub fn steps_of_push(
        &self,
        pushed: Pushed,
        is_attended: bool,
        add: &mut impl FnMut(MessageStep),
    ) {
        if is_attended {
            add(MessageStep::TakePush(pushed));
        }
        if !pushed.slow && self.is_due(pushed.sent, false) {
            if self.budget.lost_push > 0 {
                add(MessageStep::LosePush(pushed));
            }
            if self.budget.slow > 0 {
                add(MessageStep::DelayPush(pushed));
            }
        }
    }

    /// Whether nothing has to happen to an exchange in this tick.
    ///
    /// What has come to somebody who does not attend to it lies there.
    #[must_use]
    pub fn lets_pass(&self, exchange: &Exchange, is_attended: bool) -> bool {
        let moves = match exchange.underway {
            Underway::Request | Underway::Rest(_) => true,
            Underway::Answer(_) => is_attended,
            Underway::Nothing => false,
        };
        !(moves && self.is_due(exchange.sent, exchange.slow))
            && (!is_attended || exchange.is_in_time(self.now))
    }

    /// The same of a push that somebody attends to.
    #[must_use]
    pub const fn lets_push_pass(&self, pushed: &Pushed) -> bool {
        !self.is_due(pushed.sent, pushed.slow)
    }

    /// Whether a message has been on its way for as long as it may.
    const fn is_due(&self, sent: Tick, slow: bool) -> bool {
        self.now >= sent + if slow { self.slow } else { self.latency }
    }
}

impl Messages {
    /// Sends a request, whose answer is waited for.
    pub fn send(&mut self, attempt: u8, request: Request, now: Tick) {
        let exchange = Exchange::new(attempt, request, now);
        self.exchanges.push(Exchange { kills: self.retired, ..exchange });
    }

    /// Sends another request of the same step as an exchange that was answered.
    pub fn go_on(&mut self, answered: Exchange, request: Request, now: Tick) {
        let Exchange { attempt, asked, delayed, .. } = answered;
        let exchange = Exchange { asked, delayed, ..Exchange::new(attempt, request, now) };
        self.exchanges.push(Exchange { kills: self.retired, ..exchange });
    }

    /// Only the first command of a request of two has run.
    pub fn leave_rest(&mut self, exchange: Exchange, told: Number, now: Tick) {
        let underway = Underway::Rest(told);
        let rest = Exchange { underway, sent: now, slow: false, ..exchange };
        replace(&mut self.exchanges, &exchange, Some(rest));
    }

    /// What the server has run kills the first so many retired connections.
    pub fn kill(&mut self, retired: u8) {
        for exchange in &mut self.exchanges {
            if (1..=retired).contains(&exchange.retired) {
                exchange.underway = Underway::Nothing;
            }
        }
    }

    /// Whatever is sent from now on kills no connection that something was sent to kill before.
    pub fn forget_kills_once_sent(&mut self) {
        if self.exchanges.iter().any(|e| e.kills > 0) {
            self.retired = 0;
        }
    }

    /// Every connection is gone, with whatever was on its way over it.
    pub fn cut_all(&mut self) {
        for exchange in &mut self.exchanges {
            exchange.underway = Underway::Nothing;
        }
    }

    /// Sends the answer to an exchange, or nothing.
    pub fn answer(&mut self, exchange: Exchange, answer: Option<Answer>, now: Tick) {
        replace(&mut self.exchanges, &exchange, Some(exchange.answered(answer, now)));
    }

    /// What a step changes of the messages, and of what is left of the trouble.
    pub fn change(&mut self, step: MessageStep, network: &Network, budget: &mut Budget) {
        let now = network.now;
        match step {
            // It is answered when it has run.
            MessageStep::Run(_) | MessageStep::RunPlain(_) => {}
            MessageStep::Refuse(exchange) => {
                budget.refused -= 1;
                self.answer(exchange, Some(Answer::NotApplied), now);
            }
            MessageStep::Lose(exchange) => {
                budget.lost -= 1;
                self.answer(exchange, None, now);
            }
            MessageStep::Delay(exchange) => {
                budget.slow -= 1;
                let delayed = Exchange { slow: true, delayed: network.is_punctual, ..exchange };
                replace(&mut self.exchanges, &exchange, Some(delayed));
            }
            MessageStep::Take(exchange, _) => replace(&mut self.exchanges, &exchange, None),
            MessageStep::TimeOut(exchange) | MessageStep::CutOff(exchange) => {
                budget.cut_off -= u8::from(matches!(step, MessageStep::CutOff(_)));
                let mut ended = Exchange { awaited: false, ..exchange };
                if exchange.may_take_the_lock_late() {
                    self.retired += 1;
                    ended.retired = self.retired;
                }
                replace(&mut self.exchanges, &exchange, Some(ended));
            }
            MessageStep::TakePush(pushed) => replace(&mut self.pushes, &pushed, None),
            MessageStep::LosePush(pushed) => {
                budget.lost_push -= 1;
                replace(&mut self.pushes, &pushed, None);
            }
            MessageStep::DelayPush(pushed) => {
                budget.slow -= 1;
                replace(&mut self.pushes, &pushed, Some(Pushed { slow: true, ..pushed }));
            }
        }
    }

    /// Nobody waits for any answer any more.
    pub fn forget_all(&mut self) {
        for exchange in &mut self.exchanges {
            exchange.awaited = false;
        }
    }

    /// Nobody renews for a guard that is gone.
    pub fn forget_renewals(&mut self, attempt: u8) {
        for exchange in &mut self.exchanges {
            exchange.awaited &=
                exchange.attempt != attempt || !matches!(exchange.request, Request::Renew { .. });
        }
    }

    /// Drops what nobody will notice, and brings the rest into one order.
    pub fn tidy(&mut self, is_push_noticed: impl Fn(&Pushed) -> bool) {
        self.exchanges.retain(|e| e.awaited || e.can_run());
        if self.exchanges.iter().all(|e| e.retired == 0) {
            self.retired = 0;
            self.exchanges.iter_mut().for_each(|e| e.kills = 0);
        }
        self.exchanges.sort_unstable();
        self.pushes.retain(is_push_noticed);
        self.pushes.sort_unstable();
    }

    /// Whether nothing is on its way.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.exchanges.is_empty() && self.pushes.is_empty()
    }

    /// The number of every grant that is on its way.
    pub fn granted(&self) -> impl Iterator<Item = Number> {
        let answers = self.exchanges.iter().filter_map(|exchange| match exchange.underway {
            Underway::Answer(Answer::Granted(number)) => Some(number),
            Underway::Rest(number) if number > 0 => Some(number),
            _ => None,
        });
        let pushes = self.pushes.iter().filter_map(|pushed| match pushed.news {
            News::Granted(number) => Some(number),
            News::Head(_) => None,
        });
        answers.chain(pushes)
    }
}

/// Puts something else into the place of a message, or takes it away.
fn replace<T: PartialEq>(messages: &mut Vec<T>, old: &T, new: Option<T>) {
    if let Some(at) = messages.iter().position(|message| message == old) {
        messages.swap_remove(at);
    }
    messages.extend(new);
}

impl fmt::Display for MessageStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(exchange) if matches!(exchange.underway, Underway::Rest(_)) => {
                write!(f, "the server runs the second command of {exchange}")
            }
            Self::Run(exchange) => write!(f, "the server runs {exchange}"),
            Self::RunPlain(exchange) => write!(f, "the server runs a plain command for {exchange}"),
            Self::Refuse(exchange) => write!(f, "the server refuses to run {exchange}"),
            Self::Take(exchange, answer) => write!(f, "is answered {answer:?} to {exchange}"),
            Self::TimeOut(exchange) => write!(f, "gets no answer in time to {exchange}"),
            Self::CutOff(exchange) => write!(f, "is cut off from {exchange}"),
            Self::Lose(exchange) => write!(f, "a message is lost, of {exchange}"),
            Self::Delay(exchange) => write!(f, "a message is slow, of {exchange}"),
            Self::TakePush(pushed) => write!(f, "is told {pushed}"),
            Self::LosePush(pushed) => write!(f, "a push is lost: {pushed}"),
            Self::DelayPush(pushed) => write!(f, "a push is slow: {pushed}"),
        }
    }
}
