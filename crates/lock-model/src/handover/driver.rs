//! What tasks and the keeper do with the store: the product's state machines, driven as the
//! product drives them.

use crate::attempt::client::Told;
use crate::exchange::RESPONSE_TIMEOUT;
use crate::handover::process::{Does, Holding, OUTSIDE, Phase, Process, Seat, Standing, Term};
use crate::handover::settings::{Scenario, SeededBug, Wish};
use crate::product::{Instant, NextRequest, Push, ReleaseReply, StepAnswer, Verdict};
use crate::queue::client::{Dealing, Exchange, Pushed};
use crate::queue::server::{Answer, News, Number, Request};
use crate::time::{Tick, instant, tick_of, ticks};

/// The driver of one process at one tick.
#[derive(Debug)]
pub struct Driver<'a> {
    /// What is explored.
    pub scenario: &'a Scenario,
    /// The present.
    pub now: Tick,
    /// Which process.
    pub index: usize,
    /// Whom it drives.
    pub process: &'a mut Process,
    /// A property that was broken on the way.
    pub broken: Told,
}

impl Driver<'_> {
    pub(super) fn has(&self, bug: SeededBug) -> bool {
        self.scenario.bug == Some(bug)
    }

    pub(super) fn at(&self) -> Instant {
        instant(self.now)
    }

    pub(super) fn wish(&self, task: usize) -> Wish {
        self.scenario.tasks[self.index][task]
    }

    fn send(&mut self, attempt: u8, request: Request) {
        self.process.exchanges.push(Exchange::new(attempt, request, self.now));
    }

    fn fresh(&mut self, ttl: Tick) -> Standing {
        self.process.tokens += 1;
        Standing::new(self.scenario, self.process.tokens, ttl, self.now)
    }

    /// A task begins to deal with the store; what it inherits goes on, if that asks for the same.
    pub(super) fn begin(&mut self, task: usize, seat: Seat, waits: bool) {
        let ttl = self.wish(task).ttl;
        let standing = match seat.inheritance {
            Some(standing) if standing.ttl == ttl => standing,
            Some(Standing { dealing, ticket, place, overtaken, passed, .. }) => {
                self.undo(dealing);
                // Only the place in line is kept.
                Standing { ticket, place, overtaken, passed, ..self.fresh(ttl) }
            }
            None => self.fresh(ttl),
        };
        let is_asking = standing.phase == Phase::Asking;
        self.process.tasks[task].does = Does::Asks { term: seat.term, waits, standing };
        let until = self.at() + ticks(self.scenario.patience);
        self.change_line(seat.term, |line| line.promise(seat.term, until, false));
        if !is_asking {
            self.ask(task);
        }
    }

    /// Sends a step, the first or one more.
    pub fn ask(&mut self, task: usize) {
        let (now, channel) = (self.now, self.process.ears.channel);
        let Does::Asks { waits, standing, .. } = &mut self.process.tasks[task].does else { return };
        standing.waiter.asked();
        standing.phase = Phase::Asking;
        standing.dealing.machine.step_sent(instant(now), ticks(standing.ttl));
        let request = Request::Acquire {
            ttl: standing.ttl,
            not_after: now + RESPONSE_TIMEOUT,
            wait: *waits,
            ticket: standing.ticket,
            channel,
        };
        let attempt = standing.dealing.attempt;
        self.send(attempt, request);
    }

    /// Nobody wants this token any more: the keeper does the rest.
    pub(super) fn undo(&mut self, mut dealing: Dealing) {
        if !dealing.machine.owes_nothing() {
            dealing.machine.leave(Instant::from_nanos(0));
            self.process.undos.push(dealing);
        }
    }

    /// Gives up waiting for an answer.
    pub fn time_out(&mut self, exchange: Exchange) {
        let now = self.at();
        let undo = self.process.undos.iter_mut().find(|d| d.attempt == exchange.attempt);
        match (exchange.request, undo) {
            (Request::Acquire { .. }, Some(undo)) => undo.machine.step_failed(false),
            (Request::Acquire { .. }, None) => {
                let Some(task) = self.asking(exchange.attempt) else { return };
                let Does::Asks { standing, waits, .. } = &mut self.process.tasks[task].does else {
                    return;
                };
                standing.dealing.machine.step_failed(false);
                standing.phase = Phase::Retrying;
                if *waits { self.promise(task, self.now) } else { self.give_up(task) }
            }
            (Request::Release { .. }, Some(undo)) => undo.machine.release_failed(now),
            _ => {}
        }
    }

    /// The task that waits for the answer to a step of this token.
    fn asking(&self, attempt: u8) -> Option<usize> {
        self.process.tasks.iter().position(|task| match &task.does {
            Does::Asks { standing, .. } => {
                standing.dealing.attempt == attempt && standing.phase == Phase::Asking
            }
            _ => false,
        })
    }

    /// Takes an answer that somebody waited for.
    pub fn take(&mut self, exchange: Exchange, answer: Answer) {
        let now = self.at();
        match exchange.request {
            Request::Acquire { ttl, .. } => {
                let answer_means = meaning(answer, ttl);
                let undo = self.process.undos.iter_mut().find(|d| d.attempt == exchange.attempt);
                if let Some(undo) = undo {
                    undo.machine.step_answered(now, answer_means);
                } else if let Some(task) = self.asking(exchange.attempt) {
                    self.step_answered(task, exchange, answer, answer_means);
                }
            }
            Request::Release { .. } => {
                let reply = match answer {
                    Answer::Released => ReleaseReply::Released,
                    Answer::NotHeld => ReleaseReply::NotHeld,
                    _ => ReleaseReply::HeldByOther,
                };
                let undo = self.process.undos.iter_mut().find(|d| d.attempt == exchange.attempt);
                if let Some(undo) = undo {
                    undo.machine.release_answered(reply);
                }
            }
            Request::Renew { ttl } => self.renewal_answered(exchange, answer, ttl),
        }
    }

    fn step_answered(
        &mut self,
        task: usize,
        exchange: Exchange,
        answer: Answer,
        means: StepAnswer,
    ) {
        let now = self.at();
        let Does::Asks { waits, standing, .. } = &mut self.process.tasks[task].does else { return };
        let waits = *waits;
        match (standing.dealing.machine.step_answered(now, means), answer) {
            (Verdict::Hold { valid_until }, Answer::Granted(number)) => {
                return self.hold(task, number, valid_until, false);
            }
            (Verdict::TooLate, _) => return self.start_afresh(task),
            (_, Answer::Queued { ticket, rank, left, counter }) => {
                standing.phase = Phase::Waiting;
                standing.ticket = ticket;
                let (sent, left) = (instant(exchange.asked), Some(ticks(left)));
                standing.waiter.queued(sent, now, u64::from(counter), u64::from(rank), left);
            }
            _ => standing.phase = Phase::Polling(self.now + 1),
        }
        if waits { self.promise(task, self.now + 1) } else { self.give_up(task) }
    }

    /// The grant came too late: a fresh token, which keeps the place.
    fn start_afresh(&mut self, task: usize) {
        let does = std::mem::replace(&mut self.process.tasks[task].does, Does::Nothing);
        let Does::Asks { term, waits, mut standing } = does else { return };
        let fresh = self.fresh(standing.ttl);
        self.undo(std::mem::replace(&mut standing.dealing, fresh.dealing));
        standing.phase = Phase::Retrying;
        (standing.waiter, standing.kept) = (fresh.waiter, None);
        self.process.tasks[task].does = Does::Asks { term, waits, standing };
        if waits { self.promise(task, self.now) } else { self.give_up(task) }
    }

    /// Takes a push, which lies there until whoever asks looks at it.
    pub fn hear(&mut self, pushed: Pushed) {
        let now = self.at();
        let mut standings = self.process.standings_mut();
        let Some(standing) = standings.find(|s| s.dealing.attempt == pushed.attempt) else {
            return;
        };
        match pushed.news {
            News::Head(left) => standing.waiter.hinted(now, ticks(left)),
            News::Granted(number) => standing.kept = standing.kept.max(Some(number)),
        }
    }

    fn look_at_pushed(&mut self, task: usize) {
        let (now, window) = (self.at(), ticks(self.scenario.store.window_of(self.index)));
        let Does::Asks { standing, .. } = &mut self.process.tasks[task].does else { return };
        let Some(number) = standing.kept.take() else { return };
        let Push::Granted { since } = standing.waiter.pushed(now, u64::from(number), window) else {
            return;
        };
        let is_window = window < ticks(standing.ttl);
        match standing.dealing.machine.pushed(now, window, since) {
            Verdict::Hold { valid_until } => self.hold(task, number, valid_until, is_window),
            _ => self.start_afresh(task),
        }
    }

    fn hold(&mut self, task: usize, number: Number, deadline: Instant, is_window: bool) {
        let does = std::mem::replace(&mut self.process.tasks[task].does, Does::Nothing);
        let Does::Asks { term, standing: Standing { dealing, .. }, .. } = does else { return };
        let forgets = self.has(SeededBug::TermIsForgotten) && term != OUTSIDE;
        let term = if forgets { self.process.current } else { term };
        let keeps = self.wish(task).keeps;
        let holding = Holding {
            term,
            attempt: dealing.attempt,
            dealing: Some(dealing),
            number,
            index: 0,
            since: self.now,
            granted: self.now,
            deadline,
            offered: None,
            is_window,
            is_unconfirmed: false,
            due: (is_window || keeps).then_some(self.now + 1),
        };
        self.granted(&holding);
        self.made(&holding);
        self.process.tasks[task].does = Does::Holds(holding);
    }

    /// A guard was made: it must be valid, and its number above all before.
    pub(super) fn made(&mut self, holding: &Holding) {
        let is_excused = holding.attempt <= self.process.excused;
        self.process.made.push((holding.fence(), is_excused));
        if !holding.holds(self.now) {
            self.broken = Some("S2: a guard is made past its deadline".to_owned());
        }
    }

    /// The keeper, or the caller, renews.
    pub fn renew(&mut self, task: usize, ttl: Tick) {
        let now = self.at();
        let Some(holding) = self.process.tasks[task].does.holding_mut() else { return };
        let Some(dealing) = &mut holding.dealing else { return };
        dealing.machine.renewal_sent(now, ticks(ttl));
        holding.is_unconfirmed = true;
        let attempt = dealing.attempt;
        self.send(attempt, Request::Renew { ttl });
    }

    fn renewal_answered(&mut self, exchange: Exchange, answer: Answer, ttl: Tick) {
        let is_mine = |holding: &Holding| {
            holding.dealing.is_some_and(|dealing| dealing.attempt == exchange.attempt)
        };
        let mine = self.process.holdings().find(|(_, holding)| is_mine(holding));
        let Some((task, holding)) = mine else { return };
        if answer != Answer::Renewed || !holding.holds(self.now) {
            return self.lose(task);
        }
        let Some(holding) = self.process.tasks[task].does.holding_mut() else { return };
        let Some(dealing) = &mut holding.dealing else { return };
        let bound = dealing.machine.renewed(instant(exchange.asked), ticks(ttl));
        holding.deadline = holding.deadline.max(bound);
        (holding.is_window, holding.is_unconfirmed) = (false, false);
    }

    /// Does what the machines want at once.
    pub fn settle(&mut self) {
        for task in 0..self.process.tasks.len() {
            self.settle_task(task);
            self.keep(task);
        }
        let now = self.at();
        for nth in (0..self.process.undos.len()).rev() {
            let Dealing { attempt, machine, .. } = self.process.undos[nth];
            match machine.next(now) {
                NextRequest::Done => drop(self.process.undos.remove(nth)),
                NextRequest::SendRelease => {
                    self.process.undos[nth].machine.release_sent(now);
                    let channel = self.process.ears.channel;
                    self.send(attempt, Request::Release { channel });
                }
                _ => {}
            }
        }
        self.process.tidy();
    }

    fn settle_task(&mut self, task: usize) {
        if self.process.tasks[task].frozen_until.is_some() {
            return;
        }
        match &self.process.tasks[task].does {
            Does::Asks { standing: Standing { phase: Phase::Waiting, .. }, .. } => {
                self.look_at_pushed(task);
            }
            Does::Waits(place) if place.told.is_some() && self.scenario.is_polled_at_once() => {
                self.take_turn(task);
            }
            _ => {}
        }
        let Does::Asks { standing, .. } = &self.process.tasks[task].does else { return };
        match standing.phase {
            // What is shorter than a tick rounds into the tick that it falls into.
            Phase::Waiting if standing.waiter.ask_at() < instant(self.now + 1) => self.ask(task),
            Phase::Polling(at) if at <= self.now => self.ask(task),
            _ => {}
        }
    }

    /// What the keeper does for a lease: it claims windows, and again until that is answered.
    fn keep(&mut self, task: usize) {
        let (now, wish) = (self.now, self.wish(task));
        let Some(holding) = self.process.tasks[task].does.holding_mut() else { return };
        if !holding.holds(now) || holding.due.is_none_or(|due| due > now) {
            return;
        }
        if holding.offered.is_some() {
            // It looks again soon.
            return;
        }
        if !holding.is_window {
            // It looks again at the end.
            holding.due = Some(first_tick(holding.deadline));
            return;
        }
        holding.due = Some(now + 1);
        let left = if wish.keeps { wish.ttl } else { holding.granted + wish.ttl - now };
        self.renew(task, left);
    }

    /// When whoever leads acts again.
    fn promise(&mut self, task: usize, soonest: Tick) {
        let Does::Asks { term, standing, .. } = &self.process.tasks[task].does else { return };
        let at = match standing.phase {
            Phase::Waiting => standing.waiter.ask_at(),
            _ => instant(soonest),
        };
        let (term, is_refused): (Term, _) = (*term, standing.phase != Phase::Retrying);
        let until = at + ticks(self.scenario.patience);
        self.change_line(term, |line| line.promise(term, until, is_refused));
    }
}

/// The first tick that does not begin before an instant.
fn first_tick(instant: Instant) -> Tick {
    let tick = tick_of(instant);
    if crate::time::instant(tick) < instant { tick + 1 } else { tick }
}

fn meaning(answer: Answer, lease: Tick) -> StepAnswer {
    match answer {
        Answer::Granted(_) => StepAnswer::Granted { lease: ticks(lease) },
        Answer::Queued { .. } => StepAnswer::Queued,
        _ => StepAnswer::Held,
    }
}
