//! The state of one client, and everything of it that is on its way.

use std::time::Duration;

use crate::exchange::{self, Place, RESPONSE_TIMEOUT};
use crate::product::{Capabilities, StoreAttempt, Waiter};
use crate::queue::server::{Answer, Ears, News, Number, Request};
use crate::queue::settings::{Scenario, SeededBug};
use crate::time::{Tick, instant, ticks};

/// A request to the server and its answer.
pub type Exchange = exchange::Exchange<Request, Answer>;

/// What a client is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Between two waits.
    Idle,
    /// A step is under way, and somebody waits for it.
    Asking,
    /// It stands in line.
    Waiting,
    /// A step failed; it asks again in this tick.
    Retrying,
    /// The lock is held, and it asks again at this tick.
    Polling(Tick),
    /// A guard is out.
    Holding,
    /// Vanished.
    Crashed,
}

/// One push on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pushed {
    /// Whose token it tells.
    pub attempt: u8,
    /// Over which of the client's connections it comes.
    pub channel: u8,
    /// What it tells.
    pub news: News,
    /// When it was sent.
    pub sent: Tick,
    /// Whether it is a slow one.
    pub slow: bool,
}

/// A token and what the product knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dealing {
    /// Which token.
    pub attempt: u8,
    /// The product's own code.
    pub machine: StoreAttempt,
    /// A release of it freed the lock; only the properties know it.
    pub freed: bool,
}

/// The state of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// What it is about.
    pub stage: Stage,
    /// How many waits it has begun.
    pub waits: u8,
    /// The number of its newest token.
    pub tokens: u8,
    /// The newest token.
    pub dealing: Dealing,
    /// The product's own code.
    pub waiter: Waiter,
    /// The place in line, as far as it was told.
    pub ticket: Number,
    /// A pushed grant that came while a step was under way.
    pub kept: Option<Number>,
    /// When the next claim of a window is due.
    pub claim_at: Option<Tick>,
    /// Tokens that nobody wants any more, until nothing is left of them.
    pub undos: Vec<Dealing>,
    /// Everything that is on its way.
    pub exchanges: Vec<Exchange>,
    /// Every push that is on its way.
    pub pushes: Vec<Pushed>,
    /// Its connections.
    pub ears: Ears,
    /// It learns by this tick that its connection is gone.
    pub deaf_until: Option<Tick>,
    /// It stands still, until this tick at most.
    pub frozen_until: Option<Tick>,
    /// The number of a guard that was just handed out; only the properties know it.
    pub handed_out: Option<Number>,
    /// The first place that it got in line; only the properties know it.
    pub place: Option<Number>,
    /// How many were granted the lock that came later; only the properties know it.
    pub overtaken: u8,
    /// The server lost its data during this wait; only the properties know it.
    pub excused: bool,
}

impl Client {
    /// A client that has done nothing.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            stage: Stage::Idle,
            waits: 0,
            tokens: 0,
            dealing: Dealing::new(scenario, 0),
            waiter: Waiter::new(instant(0)),
            ticket: 0,
            kept: None,
            claim_at: None,
            undos: Vec::new(),
            exchanges: Vec::new(),
            pushes: Vec::new(),
            ears: Ears { channel: 0, heard: true, old_heard: false },
            deaf_until: None,
            frozen_until: None,
            handed_out: None,
            place: None,
            overtaken: 0,
            excused: false,
        }
    }

    /// Whether it believes that it holds the lock.
    #[must_use]
    pub fn holds(&self, now: Tick) -> bool {
        self.stage == Stage::Holding && self.dealing.machine.valid_until() > instant(now)
    }

    /// Whether it wants the lock and does not have it.
    #[must_use]
    pub const fn wants(&self) -> bool {
        use Stage::{Asking, Polling, Retrying, Waiting};
        matches!(self.stage, Asking | Waiting | Retrying | Polling(_))
    }

    /// Whether it waits for nothing but news and its own timer.
    #[must_use]
    pub fn waits_in_line(&self) -> bool {
        self.stage == Stage::Waiting && self.frozen_until.is_none()
    }

    /// Whether it does nothing and nothing of it is on its way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        matches!(self.stage, Stage::Idle | Stage::Crashed)
            && self.undos.is_empty()
            && self.exchanges.is_empty()
            && self.pushes.is_empty()
    }

    /// Whether it can let this tick pass.
    #[must_use]
    pub fn can_wait(&self, now: Tick) -> bool {
        if let Some(until) = self.frozen_until {
            return now < until;
        }
        self.exchanges.iter().all(|exchange| exchange.is_in_time(now))
            && self.deaf_until.is_none_or(|until| now < until)
            && match self.stage {
                Stage::Retrying => false,
                Stage::Holding => self.holds(now),
                _ => true,
            }
    }

    /// The lowest number of a grant that is on its way to it.
    #[must_use]
    pub fn lowest_number(&self) -> Option<Number> {
        let answers = self.exchanges.iter().filter_map(|e| match e.place {
            Place::Answered(Answer::Granted(number)) => Some(number),
            _ => None,
        });
        let pushes = self.pushes.iter().filter_map(|p| match p.news {
            News::Granted(number) => Some(number),
            News::Head(_) => None,
        });
        answers.chain(pushes).chain(self.kept).min()
    }

    /// Vanishes; what was sent stays on its way, and the server may not notice for a while.
    pub fn crash(&mut self, scenario: &Scenario) {
        self.undos.clear();
        self.forget(scenario);
        self.stage = Stage::Crashed;
        self.change_channel(false, scenario);
        (self.frozen_until, self.deaf_until) = (None, None);
        for exchange in &mut self.exchanges {
            exchange.awaited = false;
        }
        self.tidy();
    }

    /// Its connection for pushes is replaced by a new one.
    pub(super) fn change_channel(&mut self, alive: bool, scenario: &Scenario) {
        let Ears { channel, heard, old_heard } = self.ears;
        let channel = if scenario.one_channel { channel } else { channel + 1 };
        self.ears = Ears { channel, heard: alive, old_heard: heard || old_heard };
        self.pushes.clear();
        self.deaf_until = None;
    }

    /// Ends a wait.
    pub(super) fn forget(&mut self, scenario: &Scenario) {
        self.stage = Stage::Idle;
        self.dealing = Dealing::new(scenario, self.tokens);
        self.waiter = Waiter::new(instant(0));
        (self.ticket, self.kept, self.claim_at) = (0, None, None);
        (self.place, self.overtaken, self.excused) = (None, 0, false);
    }

    /// Drops what nobody will notice, and brings the rest into one order.
    pub fn tidy(&mut self) {
        exchange::tidy(&mut self.exchanges);
        let (wants, channel, token) = (self.wants(), self.ears.channel, self.dealing.attempt);
        self.pushes.retain(|p| wants && p.channel == channel && p.attempt == token);
        self.pushes.sort_unstable();
    }

    pub(super) fn find(&mut self, attempt: u8) -> Option<&mut Dealing> {
        if self.dealing.attempt == attempt && !matches!(self.stage, Stage::Idle | Stage::Crashed) {
            return Some(&mut self.dealing);
        }
        self.undos.iter_mut().find(|dealing| dealing.attempt == attempt)
    }

    /// A release of a token freed the lock.
    pub fn freed(&mut self, attempt: u8) {
        if let Some(dealing) = self.find(attempt) {
            dealing.freed = true;
        }
    }
}

impl Dealing {
    pub(crate) fn new(scenario: &Scenario, attempt: u8) -> Self {
        // The product allows 50 ms above the response timeout.
        let margin = if scenario.bug == Some(SeededBug::LateAfterTooShort) { 0 } else { 50 };
        let late_after = ticks(RESPONSE_TIMEOUT) + Duration::from_millis(margin);
        let capabilities = Capabilities::none().with_queueing(true).with_late_after(late_after);
        Self { attempt, machine: StoreAttempt::new(&capabilities), freed: false }
    }
}
