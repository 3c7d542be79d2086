//! A guard: the product's own [`Lease`], when the background looks at it, and what the properties
//! need to know of it.

use crate::attempt_driver::AttemptDriver;
use crate::handover::settings::{Scenario, SeededBug, TaskOptions};
use crate::message::Number;
use crate::product::{
    Duty, GivenUp, Instant, Lease, LeaseEnd, LossReason, Renewal, StoreAttempt, Term,
};
use crate::properties::Breach;
use crate::time::{Tick, first_tick, instant, tick_of, ticks};

/// Whoever is offered a lease accepts it before so many ticks have passed.
const OFFER: Tick = 2;

/// A guard, or one on its way to a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// On whose behalf it is held.
    pub term: Term,
    /// Which token.
    pub attempt: u8,
    /// The number of the store's grant.
    pub number: Number,
    /// How often the lease was passed on before.
    pub index: u16,
    /// The product's own code; it has the token's, too, until it gives that up.
    lease: Lease,
    /// When the background looks at it; `None` if it never does.
    due: Option<Tick>,
    /// Renewals whose answers somebody waits for, and when they were sent.
    renewals: Vec<(Tick, Renewal)>,
    /// When the store granted it; only the properties know it.
    since: Tick,
    /// When this guard was made; only the properties know it.
    granted: Tick,
    /// The store's lease is shorter than what was asked for, and no renewal has been confirmed. The
    /// properties know it, and whoever counts the renewals of a lease that is kept alive.
    is_short: bool,
    /// A renewal was sent, and none has been confirmed since; only the properties know it.
    is_unconfirmed: bool,
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
        let AttemptDriver { number: attempt, machine, .. } = driver;
        let lease = Lease::granted(&options.terms(), instant(now), deadline, is_window, machine);
        let held = Self {
            term,
            attempt,
            number,
            index: 0,
            lease,
            due: None,
            renewals: Vec::new(),
            since: now,
            granted: now,
            is_short: is_window,
            is_unconfirmed: false,
        };
        held.scheduled(options, now)
    }

    /// What is left of the lease, offered to a task of another term.
    #[must_use]
    pub fn offer(
        &self,
        mut machine: StoreAttempt,
        (term, index): (Term, u16),
        options: TaskOptions,
        now: Tick,
        bug: Option<SeededBug>,
    ) -> Self {
        let (at, ttl) = (instant(now), ticks(options.ttl));
        if bug == Some(SeededBug::FullLeaseAtHandOver) {
            machine.renewed(at, ttl);
        }
        let is_short = machine.valid_until() < machine.bound(at, ttl);
        let mut lease = Lease::handed_over(&options.terms(), at, machine);
        if bug == Some(SeededBug::OfferForEver) {
            lease.accept(at);
        }
        let held = Self {
            term,
            index,
            lease,
            due: None,
            granted: now,
            is_short,
            is_unconfirmed: false,
            renewals: Vec::new(),
            ..*self
        };
        held.scheduled(options, now)
    }

    fn scheduled(mut self, options: TaskOptions, now: Tick) -> Self {
        self.schedule(self.lease.first_look(instant(now)), options);
        self
    }

    /// The background looks at it at the first tick from then on.
    ///
    /// But a lease that is kept alive is renewed only as often as the scenario says: once its task has
    /// what it asked for, the background looks at it again at its end.
    fn schedule(&mut self, at: Instant, options: TaskOptions) {
        let is_rare = options.keeps_alive && !self.is_short && !self.is_over();
        self.due = Some(first_tick(if is_rare { self.deadline() } else { at }));
    }

    /// Changes the lease. If it is lost by that, its local queue has to be told so: the term.
    fn update<T>(&mut self, change: impl FnOnce(&mut Lease) -> T) -> (T, Option<Term>) {
        let before = self.lease.ended();
        let result = change(&mut self.lease);
        let is_lost = before.is_none() && matches!(self.lease.ended(), Some(LeaseEnd::Lost(_)));
        (result, is_lost.then_some(self.term))
    }

    /// Its task looks at the time.
    pub fn look(&mut self, now: Tick) -> Option<Term> {
        self.update(|lease| lease.look(instant(now))).1
    }

    /// Its task accepts what it was offered. `false`: too late.
    pub fn accept(&mut self, now: Tick) -> (bool, Option<Term>) {
        self.update(|lease| lease.accept(instant(now)))
    }

    /// The background looks at it, and has to do this.
    pub fn duty(&mut self, options: TaskOptions, now: Tick) -> (Duty, Option<Term>) {
        let (duty, lost) = self.update(|lease| lease.duty(instant(now)));
        self.due = None;
        match duty {
            // Within the tick, if it falls into that: none passes between acceptance and claim.
            Duty::LookAgain(at) if self.lease.is_offered() => self.due = Some(tick_of(at)),
            Duty::LookAgain(at) => self.schedule(at, options),
            Duty::Renew { renewal, within } => {
                self.is_unconfirmed = true;
                self.renewals.push((now, renewal));
                // It waits for the answer as long as `within`, and asks again then.
                self.schedule(self.lease.renewal_failed(instant(now) + within), options);
            }
            Duty::Undo(_) => self.renewals.clear(),
            Duty::Nothing => {}
        }
        (duty, lost)
    }

    /// The renewal that was sent at this tick, whose answer nobody waits for any more.
    pub fn take_renewal(&mut self, sent: Tick) -> Option<Renewal> {
        let at = self.renewals.iter().position(|&(at, _)| at == sent)?;
        Some(self.renewals.remove(at).1)
    }

    /// A renewal that was sent at this tick is confirmed.
    pub fn renewed(
        &mut self,
        renewal: Renewal,
        sent: Tick,
        options: TaskOptions,
        now: Tick,
    ) -> Option<Term> {
        let at = instant(now);
        let (renewed, lost) = self.update(|lease| lease.renewed(renewal, instant(sent), at));
        if renewed.is_ok() {
            (self.is_short, self.is_unconfirmed) = (false, false);
        }
        let look_at = renewed.unwrap_or_else(|_| self.lease.undo_at(at));
        self.schedule(look_at, options);
        lost
    }

    /// The answer to a renewal says that it is lost.
    pub fn lose(&mut self, reason: LossReason, options: TaskOptions, now: Tick) -> Option<Term> {
        let (_, lost) = self.update(|lease| lease.lose(reason));
        let undo_at = self.lease.undo_at(instant(now));
        self.schedule(undo_at, options);
        lost
    }

    /// The guard ends.
    pub fn give_up(
        &mut self,
        now: Tick,
        bug: Option<SeededBug>,
    ) -> (Option<GivenUp>, Option<Term>) {
        let is_careless = bug == Some(SeededBug::PassedOnPastDeadline);
        let at = instant(if is_careless { self.granted } else { now });
        let (mut given_up, lost) = self.update(|lease| lease.give_up(at));
        if let Some(given_up) = &mut given_up
            && self.is_released()
            && bug == Some(SeededBug::UnconfirmedPassedOn)
        {
            let left = given_up.attempt.valid_until().saturating_duration_since(at);
            given_up.handover = Some(left);
        }
        (given_up, lost)
    }

    /// Whether its guard has released it.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.lease.ended() == Some(LeaseEnd::Released)
    }

    /// Whether its lease is known to be over.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.lease.ended().is_some()
    }

    /// Whether its task may believe that it holds the lock.
    #[must_use]
    pub fn holds(&self, now: Tick) -> bool {
        !self.is_over() && self.deadline() > instant(now)
    }

    /// The end of the guard.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.lease.deadline()
    }

    /// Whether the background looks at it at this tick.
    #[must_use]
    pub fn is_due(&self, now: Tick) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Whether it is found to be over at this tick: by its task, if that is polled, or by the
    /// background.
    #[must_use]
    pub fn is_found_over(&self, is_polled: bool, now: Tick) -> bool {
        (is_polled || self.is_due(now)) && !self.is_over() && !self.holds(now)
    }

    /// What its task may show to others.
    #[must_use]
    pub fn fence(&self) -> u32 {
        (u32::from(self.number) << 10) + u32::from(self.index)
    }

    /// Whether its task has less than it asked for, and nobody has asked for the rest.
    #[must_use]
    pub const fn is_unclaimed(&self) -> bool {
        self.is_short && !self.is_unconfirmed
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
    pub fn breach_of_bounds(&self, is_offer: bool, options: TaskOptions, now: Tick) -> Breach {
        let asked = instant(self.granted) + ticks(options.ttl);
        if !options.keeps_alive && self.deadline() > asked {
            return Some("R13: a guard lasts longer than its task asked for".to_owned());
        }
        let is_old = is_offer && now >= self.granted + OFFER;
        is_old.then(|| "S7: an offer that nobody takes stands for too long".to_owned())
    }
}
