//! A guard, and what its process knows of its lease.
//!
//! The rules are those of `holding.rs` of the core, copied by hand: nothing outside of this file
//! knows when a lease is a window, when it is renewed, or what an offer is.

use std::time::Duration;

use crate::attempt_driver::AttemptDriver;
use crate::handover::settings::{Scenario, SeededBug, TaskOptions};
use crate::message::Number;
use crate::product::Instant;
use crate::product::Term;
use crate::properties::Breach;
use crate::time::{Tick, first_tick, instant, ticks};

/// Whoever was offered a lease takes it within this time.
const OFFER: Duration = Duration::from_secs(2);

/// A guard, and what its process knows of its lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// On whose behalf it is held.
    pub term: Term,
    /// Which token.
    pub attempt: u8,
    /// The right to release; gone with the end of the lease.
    driver: Option<AttemptDriver>,
    /// The number of the store's grant.
    pub number: Number,
    /// How often the lease was passed on before.
    pub index: u16,
    /// When the store granted it.
    since: Tick,
    /// When this guard was made.
    granted: Tick,
    /// The end of the guard.
    deadline: Instant,
    /// The end of the guard from when on its task has taken it.
    offered: Option<Instant>,
    /// The store's lease is shorter than what was asked for.
    is_window: bool,
    /// A renewal was sent, and none has been confirmed since.
    is_unconfirmed: bool,
    /// When the background looks at it; `None` if it never does.
    due: Option<Tick>,
}

impl Held {
    /// A lease that the store has just granted: all of it, or a window.
    #[must_use]
    pub fn new(
        term: Term,
        driver: AttemptDriver,
        number: Number,
        deadline: Instant,
        is_window: bool,
        options: TaskOptions,
        now: Tick,
    ) -> Self {
        Self {
            term,
            attempt: driver.number,
            driver: Some(driver),
            number,
            index: 0,
            since: now,
            granted: now,
            deadline,
            offered: None,
            is_window,
            is_unconfirmed: false,
            due: (is_window || options.keeps_alive).then_some(now + 1),
        }
    }

    /// What is left of the lease, offered to a task of another term; `None` if it is over.
    #[must_use]
    pub fn offer(
        &self,
        term: Term,
        index: u16,
        options: TaskOptions,
        now: Tick,
        bug: Option<SeededBug>,
    ) -> Option<Self> {
        let machine = &self.driver?.machine;
        let asked = machine.bound(instant(now), ticks(options.ttl));
        let valid_until = machine.valid_until();
        let deadline = match bug {
            Some(SeededBug::FullLeaseAtHandOver) => asked,
            _ if options.keeps_alive => valid_until,
            _ => valid_until.min(asked),
        };
        let is_endless = bug == Some(SeededBug::OfferForEver);
        let offer_ends = if is_endless { deadline } else { instant(now) + OFFER };
        Some(Self {
            term,
            index,
            granted: now,
            deadline: deadline.min(offer_ends),
            offered: Some(deadline),
            is_window: valid_until < asked,
            is_unconfirmed: false,
            due: Some(now + 1),
            ..self.clone()
        })
    }

    /// Its task takes what it was offered.
    pub fn accept(&mut self) {
        self.deadline = self.offered.take().unwrap_or(self.deadline);
    }

    /// The lease is over; whoever had the right to release it does so.
    pub fn end(&mut self) -> Option<AttemptDriver> {
        self.driver.take()
    }

    /// A renewal is about to be sent; `false` if the lease is over.
    pub fn renewal_sent(&mut self, ttl: Tick, now: Tick) -> bool {
        let Some(driver) = &mut self.driver else { return false };
        driver.machine.renewal_sent(instant(now), ticks(ttl));
        self.is_unconfirmed = true;
        true
    }

    /// A renewal that was sent at this tick is confirmed.
    pub fn renewed(&mut self, asked: Tick, ttl: Tick) {
        let Some(driver) = &mut self.driver else { return };
        let bound = driver.machine.renewed(instant(asked), ticks(ttl));
        self.deadline = self.deadline.max(bound);
        (self.is_window, self.is_unconfirmed) = (false, false);
    }

    /// What the background does now: it renews to this lease, if it says so.
    ///
    /// It claims windows, and again until that is answered.
    pub fn look_after(&mut self, options: TaskOptions, now: Tick) -> Option<Tick> {
        let is_due = self.holds(now) && self.due.is_some_and(|due| due <= now);
        // It looks at an offer again soon.
        if !is_due || self.offered.is_some() {
            return None;
        }
        if !self.is_window {
            // It looks again at the end.
            self.due = Some(first_tick(self.deadline));
            return None;
        }
        self.due = Some(now + 1);
        Some(if options.keeps_alive { options.ttl } else { self.granted + options.ttl - now })
    }

    /// How much of the lease may be passed on; `None` if it is over.
    #[must_use]
    pub fn left(&self, now: Tick, bug: Option<SeededBug>) -> Option<Duration> {
        let is_careless = bug == Some(SeededBug::PassedOnPastDeadline);
        let machine = &self.driver.filter(|_| is_careless || self.holds(now))?.machine;
        let left = machine.valid_until().saturating_duration_since(instant(now));
        let left = if is_careless { ticks(9) } else { left };
        let may_pass = !self.is_unconfirmed || bug == Some(SeededBug::UnconfirmedPassedOn);
        Some(if may_pass { left } else { Duration::ZERO })
    }

    /// Whether its lease is known to be over.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.driver.is_none()
    }

    /// Whether its task may believe that it holds the lock.
    #[must_use]
    pub fn holds(&self, now: Tick) -> bool {
        !self.is_over() && self.deadline > instant(now)
    }

    /// The end of the guard.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the background, or a task that is polled, finds at this tick that it is over.
    #[must_use]
    pub fn is_found_over(&self, is_polled: bool, now: Tick) -> bool {
        (is_polled || self.due.is_some()) && !self.is_over() && !self.holds(now)
    }

    /// What its task may show to others.
    #[must_use]
    pub fn fence(&self) -> u32 {
        (u32::from(self.number) << 10) + u32::from(self.index)
    }

    /// Whether it ends although its task has it, and nobody has asked for more than the window.
    #[must_use]
    pub fn is_unclaimed(&self, now: Tick) -> bool {
        self.is_window && !self.is_unconfirmed && self.offered.is_none() && !self.holds(now)
    }

    /// What a lease that is passed on at this tick must never be.
    #[must_use]
    pub fn breach_of_passing(&self, now: Tick, scenario: &Scenario) -> Breach {
        if self.is_unconfirmed {
            return Some("R13: a lease is passed on while a renewal is unconfirmed".to_owned());
        }
        let is_late = now >= self.since + scenario.time;
        is_late.then(|| "R32: a lease is passed on long after the store granted it".to_owned())
    }

    /// A guard lasts no longer than its task asked for, and an offer no longer than an offer.
    #[must_use]
    pub fn breach_of_bounds(&self, options: TaskOptions, now: Tick) -> Breach {
        let granted = instant(self.granted);
        if !options.keeps_alive && self.deadline > granted + ticks(options.ttl) {
            return Some("R13: a guard lasts longer than its task asked for".to_owned());
        }
        let is_old = self.offered.is_some() && instant(now) >= granted + OFFER;
        is_old.then(|| "S7: an offer that nobody takes stands for too long".to_owned())
    }
}
