//! The lines of a service: which of its tasks wait for which name, who leads, and who is next.
//!
//! [`Line`] decides; this carries its decisions from task to task. Whatever is on its way to a task
//! that is gone by then is a guard or a seat, and dropping either goes on to the next in line.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot::{self, Receiver, Sender};

use crate::api::guard::LockGuard;
use crate::api::lease::Lease;
use crate::api::lock::Plan;
use crate::api::service::ServiceInner;
use crate::backend::Ticket;
use crate::engine::attempt_driver::Dealing;
use crate::engine::held::{Granted, Holding};
use crate::machine::attempt::StoreAttempt;
use crate::machine::local_queue::{Handover, Line, Look, Next};
use crate::sync::panics;
use crate::time::clock::Instant;
use crate::types::error::{LockError, LockErrorKind};
use crate::types::name::LockKey;

/// The number of a leader or a holder in its line; [`OUTSIDE`] for those that have none.
pub(crate) type Term = u64;

/// Of a task that deals with the store for itself alone.
pub(crate) const OUTSIDE: Term = 0;

pub(crate) struct Lines {
    handover: Handover,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lines: HashMap<LockKey, Entry>,
    terms: Term,
}

struct Entry {
    line: Line<Waiter>,
    /// Who holds the lease, if a guard of this line does.
    holder: Weak<Holding>,
    /// Why the store could not be asked, if that is so.
    trouble: Option<Arc<str>>,
}

/// A waiting task.
struct Waiter {
    plan: Arc<Plan>,
    turn: Sender<Turn>,
}

/// What a waiting task is told.
pub(crate) enum Turn {
    /// It holds the lock, if it takes the guard up in time.
    Hold(LockGuard),
    /// It deals with the store.
    Lead(Seat),
}

/// What becomes of a task that wants a lock.
pub(crate) enum Entered {
    Lead(Seat),
    Wait(Place),
    /// It does not want to wait, and the lock is not free.
    Refused,
}

/// What becomes of a lease whose guard was released.
pub(crate) enum Released {
    /// It was passed on.
    PassedOn,
    /// It goes back to the store; somebody else may ask next.
    GivenBack(StoreAttempt, Option<Successor>),
}

impl Lines {
    pub(crate) fn new(handover: Handover) -> Self {
        Self { handover, state: Mutex::default() }
    }

    /// A task wants the lock: it leads the line, or goes to its end, or does neither.
    pub(crate) fn enter(
        &self,
        service: &Arc<ServiceInner>,
        key: &LockKey,
        plan: &Arc<Plan>,
        now: Instant,
        deadline: Instant,
    ) -> Entered {
        if self.handover.is_off() || !service.backend().capabilities().renew {
            return Entered::Lead(Seat::new(service, key, OUTSIDE));
        }
        let mut state = self.lock();
        let next_term = state.next_term();
        match state.lines.entry(key.clone()) {
            Slot::Vacant(slot) => {
                slot.insert(Entry {
                    line: Line::new(next_term, now + service.patience()),
                    holder: Weak::new(),
                    trouble: None,
                });
                Entered::Lead(Seat::new(service, key, next_term))
            }
            Slot::Occupied(slot) if deadline <= now => {
                if slot.get().is_taken(now) {
                    Entered::Refused
                } else {
                    // Whoever leads has no answer yet, and this one does not wait for it.
                    Entered::Lead(Seat::new(service, key, OUTSIDE))
                }
            }
            Slot::Occupied(mut slot) => {
                let (turn, told) = oneshot::channel();
                let number = slot.get_mut().line.join(Waiter { plan: Arc::clone(plan), turn });
                let (service, key) = (Arc::clone(service), key.clone());
                Entered::Wait(Place { service, key, number, told })
            }
        }
    }

    /// The store granted the lock to whoever leads.
    pub(crate) fn granted(&self, key: &LockKey, holding: &Arc<Holding>, now: Instant) {
        if holding.term() == OUTSIDE {
            return;
        }
        if let Some(entry) = self.lock().lines.get_mut(key)
            && entry.line.granted(holding.term(), now)
        {
            entry.holder = Arc::downgrade(holding);
            entry.trouble = None;
        }
    }

    /// A guard was released while it was held, with `left` of the store's lease.
    pub(crate) fn released(
        &self,
        from: &Arc<Holding>,
        machine: StoreAttempt,
        now: Instant,
        left: Duration,
    ) -> Released {
        if from.term() == OUTSIDE {
            return Released::GivenBack(machine, None);
        }
        let key = from.key();
        let mut state = self.lock();
        let next_term = state.next_term();
        let Some(entry) = state.lines.get_mut(key) else {
            return Released::GivenBack(machine, None);
        };
        let ttl = |next: &Waiter| next.plan.options.ttl;
        match entry.line.released(from.term(), now, left, self.handover, next_term, ttl) {
            Next::Stale => Released::GivenBack(machine, None),
            Next::Nobody => {
                state.lines.remove(key);
                Released::GivenBack(machine, None)
            }
            Next::Lead(next) => {
                drop(state);
                let seat = Seat::new(&from.service, key, next_term);
                Released::GivenBack(machine, Some(Successor { turn: next.turn, seat }))
            }
            Next::Hold(next, _index) => {
                let granted = Granted::passed_on(from, machine, &next.plan, now, next_term);
                let holding = Holding::grant(Arc::clone(&from.service), &next.plan, &granted);
                entry.holder = Arc::downgrade(&holding);
                drop(state);
                let guard = LockGuard::new(Lease(holding));
                // A task that is gone meanwhile drops the guard, which passes it on.
                tell(next.turn, Turn::Hold(guard));
                Released::PassedOn
            }
        }
    }

    /// A lease of a line ended before its guard did.
    pub(crate) fn lost(&self, holding: &Holding) {
        if holding.term() != OUTSIDE {
            let seat = Seat::new(&holding.service, holding.key(), holding.term());
            drop(seat);
        }
    }

    /// Whoever leads will act again at `at`; `trouble` says why the store could not be asked.
    fn promise(&self, seat: &Seat, at: Instant, trouble: Option<&LockError>) {
        if let Some(entry) = self.lock().lines.get_mut(&seat.key)
            && entry.line.promise(seat.term, at + seat.service.patience(), trouble.is_none())
        {
            entry.trouble = trouble.map(|error| error.to_string().into());
        }
    }

    /// Whoever led has given up, or the lease is over: the next task leads.
    fn next_leader(&self, key: &LockKey, term: Term, now: Instant) -> Option<(Sender<Turn>, Term)> {
        let mut state = self.lock();
        let next_term = state.next_term();
        let entry = state.lines.get_mut(key)?;
        match entry.line.ended(term, now, next_term) {
            Next::Lead(next) | Next::Hold(next, _) => Some((next.turn, next_term)),
            Next::Nobody => {
                state.lines.remove(key);
                None
            }
            Next::Stale => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_term(&mut self) -> Term {
        self.terms += 1;
        self.terms
    }
}

impl Entry {
    fn held_until(&self) -> Instant {
        self.holder.upgrade().map_or(Instant::default(), |holding| holding.held_until())
    }

    /// Whether another holds the lock, as far as is known; what is overdue is not known any more.
    fn is_taken(&self, now: Instant) -> bool {
        self.line.is_taken() && !self.line.is_overdue(now, self.held_until())
    }
}

/// The right to deal with the store on a line's behalf.
///
/// Dropping it makes the next in line lead, with whatever the line has in the store; where there is
/// none, that is undone.
pub(crate) struct Seat {
    service: Arc<ServiceInner>,
    key: LockKey,
    term: Term,
    inheritance: Option<Box<Inheritance>>,
}

/// What a line has in the store.
pub(crate) struct Inheritance {
    pub(crate) dealing: Dealing,
    pub(crate) ticket: Option<Ticket>,
    /// What the dealing asks for.
    pub(crate) ttl: Duration,
}

impl Seat {
    fn new(service: &Arc<ServiceInner>, key: &LockKey, term: Term) -> Self {
        Self { service: Arc::clone(service), key: key.clone(), term, inheritance: None }
    }

    pub(crate) const fn service(&self) -> &Arc<ServiceInner> {
        &self.service
    }

    pub(crate) const fn key(&self) -> &LockKey {
        &self.key
    }

    /// Takes over what whoever led before has in the store.
    pub(crate) fn inherit(&mut self) -> Option<Inheritance> {
        self.inheritance.take().map(|inheritance| *inheritance)
    }

    /// Leaves it to whoever leads next. For one who leads no line there is nobody.
    pub(crate) fn bequeath(&mut self, inheritance: impl FnOnce() -> Inheritance) {
        if self.term != OUTSIDE {
            self.inheritance = Some(Box::new(inheritance()));
        }
    }

    /// Tells the line that it has begun, and what it was told is not overdue any more.
    pub(crate) fn begin(&self, now: Instant) {
        if self.term != OUTSIDE
            && let Some(entry) = self.service.lines().lock().lines.get_mut(&self.key)
        {
            entry.line.promise(self.term, now + self.service.patience(), false);
        }
    }

    /// Tells the line when it will act again.
    pub(crate) fn promise(&self, at: Instant, trouble: Option<&LockError>) {
        if self.term != OUTSIDE {
            self.service.lines().promise(self, at, trouble);
        }
    }

    /// The lock is held: from now on the holder is responsible for the line.
    pub(crate) fn rise(&mut self) -> Term {
        mem::replace(&mut self.term, OUTSIDE)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.term == OUTSIDE {
            return;
        }
        let now = self.service.clock().now();
        if let Some((turn, term)) = self.service.lines().next_leader(&self.key, self.term, now) {
            let mut seat = Self::new(&self.service, &self.key, term);
            seat.inheritance = self.inheritance.take();
            tell(turn, Turn::Lead(seat));
        }
    }
}

/// Who leads as soon as a release is on its way.
pub(crate) struct Successor {
    turn: Sender<Turn>,
    seat: Seat,
}

impl Successor {
    pub(crate) fn call(self) {
        tell(self.turn, Turn::Lead(self.seat));
    }
}

/// Tells a task its turn. A waker of the user's that panics must not stop whoever releases.
fn tell(task: Sender<Turn>, turn: Turn) {
    panics::contained(|| drop(task.send(turn)));
}

/// A task's place in a line.
pub(crate) struct Place {
    service: Arc<ServiceInner>,
    key: LockKey,
    number: u64,
    told: Receiver<Turn>,
}

impl Place {
    /// Waits for the turn, until `deadline`: an error if the store cannot be asked, `None` if the
    /// lock is held by another. Where neither is known by then, the turn is to ask once.
    pub(crate) async fn turn(mut self, deadline: Instant) -> Result<Option<Turn>, LockError> {
        let clock = self.service.clock();
        loop {
            let now = clock.now();
            if now >= deadline {
                return self.too_late(now);
            }
            let look_at = match self.look(now) {
                Ok(at) => at,
                Err(seat) => return Ok(Some(Turn::Lead(seat))),
            };
            tokio::select! {
                biased;
                told = &mut self.told => {
                    // Forgotten on the way, by a panic: then it asks for itself.
                    let alone = |_| Turn::Lead(Seat::new(&self.service, &self.key, OUTSIDE));
                    return Ok(Some(told.unwrap_or_else(alone)));
                }
                () = clock.sleep_until(look_at.min(deadline)) => {}
            }
        }
    }

    /// Looks after those before: takes over from whoever is overdue, or says when to look again.
    fn look(&self, now: Instant) -> Result<Instant, Seat> {
        let mut state = self.service.lines().lock();
        let next_term = state.next_term();
        let Some(entry) = state.lines.get_mut(&self.key) else { return Ok(Instant::FAR_FUTURE) };
        let held_until = entry.held_until();
        match entry.line.look(self.number, now, held_until, next_term) {
            Look::Again(at) => Ok(at),
            Look::Called => Ok(Instant::FAR_FUTURE),
            Look::Lead => {
                drop(state);
                Err(Seat::new(&self.service, &self.key, next_term))
            }
        }
    }

    fn too_late(&mut self, now: Instant) -> Result<Option<Turn>, LockError> {
        self.told.close();
        if let Ok(turn) = self.told.try_recv() {
            return Ok(Some(turn));
        }
        let state = self.service.lines().lock();
        let entry = state.lines.get(&self.key);
        if entry.is_some_and(|entry| entry.is_taken(now)) {
            return Ok(None);
        }
        if let Some(trouble) = entry.and_then(|entry| entry.trouble.as_ref()) {
            return Err(LockError::new(LockErrorKind::Unavailable, trouble.to_string()));
        }
        drop(state);
        Ok(Some(Turn::Lead(Seat::new(&self.service, &self.key, OUTSIDE))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.service.lines().lock();
        let left = state.lines.get_mut(&self.key).and_then(|entry| entry.line.leave(self.number));
        drop(state);
        // This wakes the task itself.
        panics::contained(|| drop(left));
    }
}
