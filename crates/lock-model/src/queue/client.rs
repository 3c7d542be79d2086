//! The state of one client, and everything of it that is on its way.

use crate::attempt_driver::{Abandoned, AttemptDriver};
use crate::message::Number;
use crate::network::Messages;
use crate::product::Waiter;
use crate::queue::server::Connections;
use crate::queue::settings::{Scenario, SeededBug};
use crate::time::{Tick, instant};

/// What a client is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Between two waits.
    Idle,
    /// A step is under way, and somebody waits for it.
    Asking,
    /// It stands in the queue.
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
    pub attempt: AttemptDriver,
    /// The product's own code.
    pub waiter: Waiter,
    /// The place in the queue, as far as it was told.
    pub ticket: Number,
    /// Its newest token has asked before.
    pub has_asked: bool,
    /// Its connection for commands has lifted the server's counter.
    pub has_lifted: bool,
    /// A pushed grant that came while a step was under way.
    pub kept: Option<Number>,
    /// When the next claim of a window is due.
    pub claim_at: Option<Tick>,
    /// Tokens that nobody wants any more, until nothing is left of them.
    pub abandoned: Abandoned,
    /// Everything that is on its way.
    pub messages: Messages,
    /// Its connections.
    pub connections: Connections,
    /// It learns by this tick that its connection is gone.
    pub loss_known_by: Option<Tick>,
    /// It stands still, until this tick at most.
    pub frozen_until: Option<Tick>,
    /// The number of a guard that was just handed out; only the properties know it.
    pub handed_out: Option<Number>,
    /// The first place that it got in the queue; only the properties know it.
    pub place: Option<Number>,
    /// How many were granted the lock that came later; only the properties know it.
    pub overtaken: u8,
    /// For how many ticks a poller has asked in vain; only the properties know it.
    pub asked_in_vain: u8,
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
            attempt: attempt(0, scenario),
            waiter: Waiter::new(instant(0)),
            ticket: 0,
            has_asked: false,
            has_lifted: true,
            kept: None,
            claim_at: None,
            abandoned: Abandoned::default(),
            messages: Messages::default(),
            connections: Connections::default(),
            loss_known_by: None,
            frozen_until: None,
            handed_out: None,
            place: None,
            overtaken: 0,
            asked_in_vain: 0,
            excused: false,
        }
    }

    /// Whether it believes that it holds the lock.
    #[must_use]
    pub fn holds(&self, now: Tick) -> bool {
        self.stage == Stage::Holding && self.attempt.machine.valid_until() > instant(now)
    }

    /// Whether it wants the lock and does not have it.
    #[must_use]
    pub const fn wants(&self) -> bool {
        use Stage::{Asking, Polling, Retrying, Waiting};
        matches!(self.stage, Asking | Waiting | Retrying | Polling(_))
    }

    /// Whether it waits for nothing but news and its own timer.
    #[must_use]
    pub fn waits_in_queue(&self) -> bool {
        self.stage == Stage::Waiting && self.frozen_until.is_none()
    }

    /// Whether its connection knows that the server's counter has lost nothing.
    #[must_use]
    pub const fn counts(&self, scenario: &Scenario) -> bool {
        scenario.plain && self.has_lifted
    }

    /// Whether it does nothing and nothing of it is on its way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        matches!(self.stage, Stage::Idle | Stage::Crashed)
            && self.abandoned.is_empty()
            && self.messages.is_empty()
    }

    /// Whether it can let this tick pass.
    #[must_use]
    pub fn can_wait(&self, now: Tick) -> bool {
        if let Some(until) = self.frozen_until {
            return now < until;
        }
        self.loss_known_by.is_none_or(|until| now < until)
            && match self.stage {
                Stage::Retrying => false,
                Stage::Holding => self.holds(now),
                _ => true,
            }
    }

    /// The lowest number of a grant that is on its way to it.
    #[must_use]
    pub fn lowest_number(&self) -> Option<Number> {
        self.messages.granted().chain(self.kept).min()
    }

    /// Vanishes; what was sent stays on its way, and the server may not notice for a while.
    pub fn crash(&mut self, scenario: &Scenario) {
        self.abandoned.clear();
        self.forget(scenario);
        self.stage = Stage::Crashed;
        self.change_channel(false, scenario);
        (self.frozen_until, self.loss_known_by) = (None, None);
        self.messages.forget_all();
        self.tidy();
    }

    /// Its connection for pushes is replaced by a new one.
    pub fn change_channel(&mut self, alive: bool, scenario: &Scenario) {
        let Connections { channel, is_counted, is_old_counted } = self.connections;
        self.connections = Connections {
            channel: if scenario.one_channel { channel } else { channel + 1 },
            is_counted: alive,
            is_old_counted: is_counted || is_old_counted,
        };
        self.messages.pushes.clear();
        self.loss_known_by = None;
    }

    /// Ends a wait.
    pub fn forget(&mut self, scenario: &Scenario) {
        self.stage = Stage::Idle;
        self.attempt = attempt(self.tokens, scenario);
        self.waiter = Waiter::new(instant(0));
        (self.ticket, self.kept, self.claim_at) = (0, None, None);
        self.has_asked = false;
        (self.place, self.overtaken, self.excused) = (None, 0, false);
        self.asked_in_vain = 0;
    }

    /// Drops what nobody will notice, and brings the rest into one order.
    pub fn tidy(&mut self) {
        let (wants, channel, token) = (self.wants(), self.connections.channel, self.attempt.number);
        self.messages.tidy(|p| wants && p.channel == channel && p.attempt == token);
    }

    /// A token that something may be left of.
    pub fn find_mut(&mut self, number: u8) -> Option<&mut AttemptDriver> {
        if self.attempt.number == number && !matches!(self.stage, Stage::Idle | Stage::Crashed) {
            return Some(&mut self.attempt);
        }
        self.abandoned.find_mut(number)
    }
}

/// A token that nothing was sent for yet.
#[must_use]
pub fn attempt(number: u8, scenario: &Scenario) -> AttemptDriver {
    AttemptDriver::new(number, true, scenario.bug == Some(SeededBug::LateAfterTooShort))
}
