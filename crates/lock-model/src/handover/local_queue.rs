//! How tasks come into a local queue, are told of their turn, and pass on what they have: the
//! product's own [`LocalQueue`] decides, and this carries its decisions from task to task.

use std::mem;

use crate::attempt_driver::AttemptDriver;
use crate::handover::driver::Driver;
use crate::handover::held::Held;
use crate::handover::leader::{LeaderState, Leadership, LocalWaiter, Turn};
use crate::handover::process::{Task, TaskState};
use crate::handover::settings::SeededBug;
use crate::product::{GivenUp, Instant, LocalQueue, Look, NextInQueue, StoreAttempt, Term};
use crate::time::ticks;

impl Driver<'_> {
    /// A task wants the lock: it leads the queue, or goes to its end, or does neither.
    pub fn enter(&mut self, task: usize) {
        let (now, waits) = (self.at(), self.options(task).waits);
        let held_until = self.process.held_until();
        self.process.tasks[task].begun = true;
        match &mut self.process.queue {
            None => {
                let term = self.process.new_term();
                let patience = ticks(self.scenario.patience);
                self.process.queue = Some(LocalQueue::new(term, now + patience));
                self.begin(task, Leadership { term, state: None }, waits);
            }
            Some(queue) if !waits => {
                if !queue.is_taken() || queue.is_overdue(now, held_until) {
                    self.begin(task, Leadership { term: Term::Outside, state: None }, false);
                }
            }
            Some(queue) => {
                let number = queue.join(u8::try_from(task).unwrap_or(u8::MAX));
                let waiter = LocalWaiter { number, look_at: now, told: None };
                self.process.tasks[task].state = TaskState::Waiting(waiter);
                self.look(task);
            }
        }
    }

    /// A waiting task looks after those before it.
    pub fn look(&mut self, task: usize) {
        let (now, held_until) = (self.at(), self.process.held_until());
        let (current, next_term) = (self.process.current, self.process.next_term());
        let TaskState::Waiting(waiter) = &mut self.process.tasks[task].state else { return };
        let queue = self.process.queue.as_mut();
        match queue.map(|queue| queue.look(waiter.number, now, held_until, next_term)) {
            Some(Look::Again(at)) if at <= now => {
                self.broken = Some("S7: a task that waits looks again and again".to_owned());
            }
            Some(Look::Again(at)) => waiter.look_at = at,
            Some(Look::Called) | None => waiter.look_at = Instant::FAR_FUTURE,
            Some(Look::Lead) => {
                let is_leader = |task: &Task| match task.state {
                    TaskState::Asking { term, .. } => term == current,
                    _ => false,
                };
                let acts_in_time = self.scenario.store.budget.frozen == 0;
                if acts_in_time && self.process.tasks.iter().any(is_leader) {
                    self.broken = Some("S7: a leader is replaced that acts in time".to_owned());
                }
                let term = self.process.new_term();
                self.begin(task, Leadership { term, state: None }, true);
            }
        }
    }

    /// A task takes what it was told.
    pub fn take_turn(&mut self, task: usize) {
        match self.leave_queue(task) {
            Some(Turn::Lead(leadership)) => self.begin(task, leadership, true),
            Some(Turn::Hold(mut held)) => {
                let (is_accepted, lost) = held.accept(self.now);
                self.lease_lost(lost);
                if is_accepted {
                    self.process.tasks[task].state = TaskState::Holding(held);
                } else {
                    // Too late: it goes back to the store.
                    self.end(held);
                    self.enter(task);
                }
            }
            None => {}
        }
    }

    /// The time of a waiting task is up just when it is told to lead: it asks once more.
    pub fn time_up(&mut self, task: usize) {
        if let Some(Turn::Lead(leadership)) = self.leave_queue(task) {
            self.begin(task, leadership, false);
        }
    }

    fn leave_queue(&mut self, task: usize) -> Option<Turn> {
        let state = mem::replace(&mut self.process.tasks[task].state, TaskState::Idle);
        let TaskState::Waiting(waiter) = state else { return None };
        if let Some(queue) = &mut self.process.queue {
            queue.leave(waiter.number);
        }
        waiter.told
    }

    /// A task gives up; whatever it leads, or was told, goes on to the next.
    pub fn give_up(&mut self, task: usize) {
        if let TaskState::Waiting(_) = self.process.tasks[task].state {
            match self.leave_queue(task) {
                Some(Turn::Lead(Leadership { term, state })) => self.hand_off(term, state),
                Some(Turn::Hold(held)) => self.end(held),
                None => {}
            }
            return;
        }
        let state = mem::replace(&mut self.process.tasks[task].state, TaskState::Idle);
        let TaskState::Asking { term, leader, .. } = state else { return };
        if self.has(SeededBug::LeadershipIsLost) {
            self.process.abandoned.add(leader.attempt);
        } else if self.has(SeededBug::NothingHandedOff) && term != Term::Outside {
            self.hand_off(term, None);
        } else {
            self.hand_off(term, Some(leader));
        }
    }

    /// The store has granted the lock to whoever leads.
    pub fn granted(&mut self, held: &Held) {
        let now = self.at();
        // Whoever leads no more holds for itself.
        let _is_leading = self.change_queue(held.term, |queue, term| queue.granted(term, now));
    }

    /// The guard of a task is dropped.
    pub fn release(&mut self, task: usize) {
        let state = mem::replace(&mut self.process.tasks[task].state, TaskState::Idle);
        if let TaskState::Holding(held) = state {
            self.end(held);
        }
    }

    /// The time of a lease is over, which its task finds, or the background.
    pub fn lose(&mut self, task: usize) {
        let (now, state) = (self.now, &mut self.process.tasks[task].state);
        let is_taken = matches!(state, TaskState::Holding(_));
        let Some(held) = state.held_mut() else { return };
        if is_taken && held.is_unclaimed() && self.scenario.store.latency == 0 {
            self.broken = Some("S3: a window ended that nobody had claimed".to_owned());
        }
        if held.is_due(now) {
            self.do_duty(task);
        } else {
            let lost = held.look(now);
            self.lease_lost(lost);
        }
    }

    /// The local queue is told of the loss of the lease of this term, if one was lost.
    pub(super) fn lease_lost(&mut self, term: Option<Term>) {
        if let Some(term) = term
            && !self.has(SeededBug::LossUntold)
        {
            self.hand_off(term, None);
        }
    }

    /// A guard ends: its lease is passed on, or goes back to the store.
    fn end(&mut self, mut held: Held) {
        let now = self.at();
        self.process.messages.forget_renewals(held.attempt);
        let (given_up, lost) = held.give_up(self.now, self.scenario.bug);
        self.lease_lost(lost);
        let Some(GivenUp { attempt: machine, handover: left, .. }) = given_up else { return };
        let attempt = AttemptDriver::of(held.attempt, machine);
        if !held.is_released() {
            return self.process.abandoned.add(attempt);
        }
        let (handover, next_term) = (self.scenario.handover(), self.process.next_term());
        let options = self.scenario.tasks[self.index];
        let next = self.change_queue(held.term, |queue, term| {
            let ttl = |task: &u8| ticks(options[usize::from(*task)].ttl);
            queue.released(term, now, left.unwrap_or_default(), handover, next_term, ttl)
        });
        match next.unwrap_or(NextInQueue::Stale) {
            NextInQueue::Hold(next, index) => {
                if self.has(SeededBug::StaleGuardReleases) {
                    self.process.abandoned.add(attempt);
                }
                let repeats = self.has(SeededBug::LocalFenceRepeats);
                let index = if repeats { held.index } else { index };
                self.pass_on(usize::from(next), index, &held, machine);
            }
            NextInQueue::Lead(next) => {
                self.process.abandoned.add(attempt);
                let term = self.process.new_term();
                self.tell(usize::from(next), Turn::Lead(Leadership { term, state: None }));
            }
            NextInQueue::Nobody => {
                self.process.queue = None;
                self.process.abandoned.add(attempt);
            }
            NextInQueue::Stale => self.process.abandoned.add(attempt),
        }
    }

    /// What is left of a lease goes to the next one in the queue, who has to take it.
    fn pass_on(&mut self, task: usize, index: u16, from: &Held, machine: StoreAttempt) {
        let (term, options) = (self.process.new_term(), self.options(task));
        let held = from.offer(machine, (term, index), options, self.now, self.scenario.bug);
        self.made(&held);
        let broken = self.broken.take();
        self.broken = broken.or_else(|| from.breach_of_passing(self.now, self.scenario));
        self.tell(task, Turn::Hold(held));
    }

    /// Whoever led has given up, or a lease is over: the next task leads, with what was left to it.
    fn hand_off(&mut self, term: Term, state: Option<LeaderState>) {
        let (now, next_term) = (self.at(), self.process.next_term());
        let next = self.change_queue(term, |queue, term| queue.ended(term, now, next_term));
        match next.unwrap_or(NextInQueue::Stale) {
            NextInQueue::Lead(next) | NextInQueue::Hold(next, _) => {
                let term = self.process.new_term();
                self.tell(usize::from(next), Turn::Lead(Leadership { term, state }));
                return;
            }
            NextInQueue::Nobody => self.process.queue = None,
            NextInQueue::Stale => {}
        }
        if let Some(leader) = state {
            self.process.abandoned.add(leader.attempt);
        }
    }

    fn tell(&mut self, task: usize, turn: Turn) {
        let waits = |task: &Task| match task.state {
            TaskState::Waiting(LocalWaiter { number, told: None, .. }) => Some(number),
            _ => None,
        };
        let first = self.process.tasks.iter().filter_map(waits).min();
        match &mut self.process.tasks[task].state {
            TaskState::Waiting(waiter) if Some(waiter.number) == first => waiter.told = Some(turn),
            _ => {
                let why = "S11: a task is told that is not the first in the local queue";
                self.broken = Some(why.to_owned());
            }
        }
    }

    /// Changes the local queue on behalf of a term: nothing, if that is over.
    pub fn change_queue<T>(
        &mut self,
        term: Term,
        change: impl FnOnce(&mut LocalQueue<u8>, Term) -> T,
    ) -> Option<T> {
        if term == Term::Outside {
            return None;
        }
        let is_over = term != self.process.current;
        let queue = self.process.queue.as_mut()?;
        let before = is_over.then(|| queue.clone());
        let result = change(queue, term);
        if before.is_some_and(|before| before != *queue) {
            self.broken = Some("R13: a term that is over changes the local queue".to_owned());
        }
        Some(result)
    }
}
