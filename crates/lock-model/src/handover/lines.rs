//! How tasks come into a line, are told of their turn, and pass on what they have: the product's
//! own [`Line`] decides, and this carries its decisions from task to task.

use std::mem;
use std::time::Duration;

use crate::handover::driver::Driver;
use crate::handover::process::{Does, Holding, OUTSIDE, Place, Seat, Standing, Task, Term, Turn};
use crate::handover::settings::SeededBug;
use crate::product::{Instant, LocalQueue, Look, NextInQueue};
use crate::queue::server::Request;
use crate::time::ticks;

/// Whoever was offered a lease takes it within this time.
pub const OFFER: Duration = Duration::from_secs(2);

impl Driver<'_> {
    /// A task wants the lock: it leads the line, or goes to its end, or does neither.
    pub fn enter(&mut self, task: usize) {
        let (now, waits) = (self.at(), self.wish(task).waits);
        let held_until = self.process.held_until();
        self.process.tasks[task].begun = true;
        match &mut self.process.line {
            None => {
                let term = self.new_term();
                self.process.line =
                    Some(LocalQueue::new(term, now + ticks(self.scenario.patience)));
                self.begin(task, Seat { term, inheritance: None }, waits);
            }
            Some(line) if !waits => {
                if !line.is_taken() || line.is_overdue(now, held_until) {
                    self.begin(task, Seat { term: OUTSIDE, inheritance: None }, false);
                }
            }
            Some(line) => {
                let number = line.join(u8::try_from(task).unwrap_or(u8::MAX));
                let place = Place { number, look_at: now, told: None };
                self.process.tasks[task].does = Does::Waits(place);
                self.look(task);
            }
        }
    }

    /// A waiting task looks after those before it.
    pub fn look(&mut self, task: usize) {
        let (now, held_until) = (self.at(), self.process.held_until());
        let (current, next_term) = (self.process.current, self.process.terms + 1);
        let Does::Waits(place) = &mut self.process.tasks[task].does else { return };
        let look = self
            .process
            .line
            .as_mut()
            .map(|line| line.look(place.number, now, held_until, next_term));
        match look {
            Some(Look::Again(at)) if at <= now => {
                self.broken = Some("S7: a task that waits looks again and again".to_owned());
            }
            Some(Look::Again(at)) => place.look_at = at,
            Some(Look::Called) | None => place.look_at = Instant::FAR_FUTURE,
            Some(Look::Lead) => {
                let before = |task: &&Task| {
                    let leads = matches!(task.does, Does::Asks { term, .. } if term == current);
                    leads && self.scenario.store.budget.frozen == 0
                };
                if self.process.tasks.iter().any(|task| before(&task)) {
                    self.broken = Some("S7: a leader is deposed that acts in time".to_owned());
                }
                let term = self.new_term();
                self.begin(task, Seat { term, inheritance: None }, true);
            }
        }
    }

    /// A task takes what it was told.
    pub fn take_turn(&mut self, task: usize) {
        match self.leave_place(task) {
            Some(Turn::Lead(seat)) => self.begin(task, seat, true),
            // Too late: it went back to the store.
            Some(Turn::Hold(holding)) if !holding.holds(self.now) => {
                self.end(holding);
                self.enter(task);
            }
            Some(Turn::Hold(mut holding)) => {
                holding.deadline = holding.offered.take().unwrap_or(holding.deadline);
                self.process.tasks[task].does = Does::Holds(holding);
            }
            None => {}
        }
    }

    /// The time of a waiting task is up just when it is told to lead: it asks once more.
    pub fn time_up(&mut self, task: usize) {
        if let Some(Turn::Lead(seat)) = self.leave_place(task) {
            self.begin(task, seat, false);
        }
    }

    fn leave_place(&mut self, task: usize) -> Option<Turn> {
        let does = mem::replace(&mut self.process.tasks[task].does, Does::Nothing);
        let Does::Waits(place) = does else { return None };
        if let Some(line) = &mut self.process.line {
            line.leave(place.number);
        }
        place.told
    }

    /// A task gives up; whatever it leads, or was told, goes on to the next.
    pub fn give_up(&mut self, task: usize) {
        if let Does::Waits(_) = self.process.tasks[task].does {
            match self.leave_place(task) {
                Some(Turn::Lead(seat)) => self.next_leader(seat.term, seat.inheritance),
                Some(Turn::Hold(holding)) => self.end(holding),
                None => {}
            }
            return;
        }
        let does = mem::replace(&mut self.process.tasks[task].does, Does::Nothing);
        let Does::Asks { term, standing, .. } = does else { return };
        if self.has(SeededBug::SeatIsLost) {
            self.undo(standing.dealing);
        } else if self.has(SeededBug::NothingInherited) && term != OUTSIDE {
            self.next_leader(term, None);
        } else {
            self.next_leader(term, Some(standing));
        }
    }

    /// The store has granted the lock to whoever leads.
    pub(super) fn granted(&mut self, holding: &Holding) {
        let (now, term) = (self.at(), holding.term);
        // Whoever leads no more holds for itself.
        let _is_leading = self.change_line(term, |line| line.granted(term, now));
    }

    /// The guard of a task is dropped.
    pub fn release(&mut self, task: usize) {
        let does = mem::replace(&mut self.process.tasks[task].does, Does::Nothing);
        if let Does::Holds(holding) = does {
            self.end(holding);
        }
    }

    /// A task that is polled again drops a guard whose lease was lost meanwhile.
    pub fn drop_what_is_over(&mut self, task: usize) {
        let does = &mut self.process.tasks[task].does;
        if matches!(does, Does::Holds(holding) if holding.is_over()) {
            *does = Does::Nothing;
        }
    }

    /// A lease is over before its guard is; a task that is polled drops that, too.
    pub fn lose(&mut self, task: usize) {
        let is_frozen = self.process.tasks[task].frozen_until.is_some();
        let Some(holding) = self.process.tasks[task].does.holding_mut() else { return };
        let mut lost = holding.clone();
        holding.dealing = None;
        if lost.is_unclaimed() && !lost.holds(self.now) && self.scenario.store.latency == 0 {
            self.broken = Some("S3: a window ended that nobody had claimed".to_owned());
        }
        if !is_frozen && matches!(self.process.tasks[task].does, Does::Holds(_)) {
            self.process.tasks[task].does = Does::Nothing;
        }
        self.forget_renewals(lost.attempt);
        if let Some(dealing) = lost.dealing.take() {
            self.undo(dealing);
            if !self.has(SeededBug::LossUntold) {
                self.next_leader(lost.term, None);
            }
        }
    }

    /// A guard ends: its lease is passed on, or goes back to the store.
    fn end(&mut self, mut holding: Holding) {
        let now = self.at();
        self.forget_renewals(holding.attempt);
        let is_lost = !holding.holds(self.now) && !self.has(SeededBug::PassedOnPastDeadline);
        let Some(dealing) = holding.dealing.take() else { return };
        if is_lost {
            self.undo(dealing);
            if !self.has(SeededBug::LossUntold) {
                self.next_leader(holding.term, None);
            }
            return;
        }
        let may_pass = !holding.is_unconfirmed || self.has(SeededBug::UnconfirmedPassedOn);
        let left = dealing.machine.valid_until().saturating_duration_since(now);
        let left = if self.has(SeededBug::PassedOnPastDeadline) { ticks(9) } else { left };
        let left = if may_pass { left } else { Duration::ZERO };
        let (handover, next_term) = (self.scenario.handover(), self.process.terms + 1);
        let wishes = self.scenario.tasks[self.index];
        let next = self.change_line(holding.term, |line| {
            let ttl = |task: &u8| ticks(wishes[usize::from(*task)].ttl);
            line.released(holding.term, now, left, handover, next_term, ttl)
        });
        match next.unwrap_or(NextInQueue::Stale) {
            NextInQueue::Hold(next, index) => {
                if self.has(SeededBug::StaleGuardReleases) {
                    self.undo(dealing);
                }
                let index =
                    if self.has(SeededBug::LocalFenceRepeats) { holding.index } else { index };
                let passed = Holding { dealing: Some(dealing), index, ..holding };
                self.pass_on(usize::from(next), &passed);
            }
            NextInQueue::Lead(next) => {
                self.undo(dealing);
                let term = self.new_term();
                self.tell(usize::from(next), Turn::Lead(Seat { term, inheritance: None }));
            }
            NextInQueue::Nobody => {
                self.process.line = None;
                self.undo(dealing);
            }
            NextInQueue::Stale => self.undo(dealing),
        }
    }

    /// What is left of a lease goes to the next one in line, who has to take it.
    fn pass_on(&mut self, task: usize, from: &Holding) {
        let (now, wish) = (self.at(), self.wish(task));
        let Some(dealing) = from.dealing else { return };
        let asked = dealing.machine.bound(now, ticks(wish.ttl));
        let valid_until = dealing.machine.valid_until();
        let deadline = match () {
            () if self.has(SeededBug::FullLeaseAtHandOver) => asked,
            () if wish.keeps => valid_until,
            () => valid_until.min(asked),
        };
        let offer_ends = if self.has(SeededBug::OfferForEver) { deadline } else { now + OFFER };
        let holding = Holding {
            term: self.new_term(),
            granted: self.now,
            deadline: deadline.min(offer_ends),
            offered: Some(deadline),
            is_window: valid_until < asked,
            is_unconfirmed: false,
            due: Some(self.now + 1),
            ..from.clone()
        };
        self.made(&holding);
        self.broken =
            self.broken.take().or_else(|| self.breach_of_passing(&holding, from.is_unconfirmed));
        self.tell(task, Turn::Hold(holding));
    }

    /// What a lease that is passed on must never be.
    fn breach_of_passing(&self, holding: &Holding, is_unconfirmed: bool) -> Option<String> {
        if is_unconfirmed {
            return Some("R13: a lease is passed on while a renewal is unconfirmed".to_owned());
        }
        let is_late = self.now >= holding.since + self.scenario.time;
        is_late.then(|| "R32: a lease is passed on long after the store granted it".to_owned())
    }

    /// Whoever led has given up, or a lease is over: the next task leads, and inherits.
    fn next_leader(&mut self, term: Term, inheritance: Option<Standing>) {
        let (now, next_term) = (self.at(), self.process.terms + 1);
        let next = match term {
            OUTSIDE => None,
            _ => self.change_line(term, |line| line.ended(term, now, next_term)),
        };
        match next.unwrap_or(NextInQueue::Stale) {
            NextInQueue::Lead(next) | NextInQueue::Hold(next, _) => {
                let term = self.new_term();
                self.tell(usize::from(next), Turn::Lead(Seat { term, inheritance }));
                return;
            }
            NextInQueue::Nobody => self.process.line = None,
            NextInQueue::Stale => {}
        }
        if let Some(standing) = inheritance {
            self.undo(standing.dealing);
        }
    }

    fn tell(&mut self, task: usize, turn: Turn) {
        let waits = |does: &Does| match does {
            Does::Waits(Place { number, told: None, .. }) => Some(*number),
            _ => None,
        };
        let first = self.process.tasks.iter().filter_map(|task| waits(&task.does)).min();
        match &mut self.process.tasks[task].does {
            Does::Waits(place) if Some(place.number) == first => place.told = Some(turn),
            _ => self.broken = Some("S11: a task is told that is not the first in line".to_owned()),
        }
    }

    /// Changes the line on behalf of a term: nothing, if that is over.
    pub(super) fn change_line<T>(
        &mut self,
        term: Term,
        change: impl FnOnce(&mut LocalQueue<u8>) -> T,
    ) -> Option<T> {
        if term == OUTSIDE {
            return None;
        }
        let is_over = term != self.process.current;
        let line = self.process.line.as_mut()?;
        let before = is_over.then(|| line.clone());
        let result = change(line);
        if before.is_some_and(|before| before != *line) {
            self.broken = Some("R13: a term that is over changes the line".to_owned());
        }
        Some(result)
    }

    fn new_term(&mut self) -> Term {
        self.process.terms += 1;
        self.process.current = self.process.terms;
        self.process.current
    }

    /// Nobody renews for a guard that is gone.
    fn forget_renewals(&mut self, attempt: u8) {
        for exchange in &mut self.process.exchanges {
            exchange.awaited &=
                exchange.attempt != attempt || !matches!(exchange.request, Request::Renew { .. });
        }
    }
}
