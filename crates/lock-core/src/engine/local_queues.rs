//! The local queues of a service: for each name that its tasks want, which task asks the store, and
//! which wait for it.
//!
//! [`LocalQueue`] decides; this carries its decisions from task to task. What a task is told is a lock
//! or a leadership. If the task is gone by then, that is dropped, which makes it the next task's turn.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot::{self, Receiver, Sender};

use crate::backend::Ticket;
use crate::engine::attempt_driver::AttemptDriver;
use crate::engine::plan::Plan;
use crate::engine::store::Store;
use crate::machine::local_queue::{LocalQueue, Look, Next, Term};
use crate::sync::panics;
use crate::time::instant::Instant;
use crate::types::error::{LockError, LockErrorKind};
use crate::types::handover::Handover;
use crate::types::name::LockKey;

/// A lease that a queue watches while one of its tasks holds it.
pub(crate) trait Watched {
    /// Until when it is held, as far as is known: the past, if it is over.
    fn held_until(&self) -> Instant;
}

/// `L` is a lease that is held, and `G` is what owns one.
pub(crate) struct LocalQueues<L, G> {
    store: Store,
    handover: Handover,
    state: Mutex<State<L, G>>,
}

struct State<L, G> {
    queues: HashMap<LockKey, Entry<L, G>>,
    /// The number of the newest term.
    terms: u64,
}

struct Entry<L, G> {
    queue: LocalQueue<Waiting<L, G>>,
    /// The lease, if a guard of this queue holds the lock.
    holder: Weak<L>,
    /// Why the store could not be asked, if that is so.
    failure: Option<LockError>,
}

struct Waiting<L, G> {
    plan: Arc<Plan>,
    turn: Sender<Turn<L, G>>,
}

/// What a waiting task is told.
pub(crate) enum Turn<L, G> {
    /// It holds the lock, if it accepts it in time.
    Hold(G),
    /// It asks the store.
    Lead(Leadership<L, G>),
}

/// What becomes of a task that wants a lock.
pub(crate) enum Entered<L, G> {
    Lead(Leadership<L, G>),
    Wait(LocalWaiter<L, G>),
    /// It does not want to wait, and the lock is not free: a guard of the queue holds this lease, or
    /// the store said so.
    Refused(Option<Arc<L>>),
}

/// What becomes of a lease whose guard was released.
pub(crate) enum Released<L, G> {
    HandedOver,
    /// It goes back to the store; somebody else may ask next.
    ToStore(Option<NextLeader<L, G>>),
}

impl<L, G> LocalQueues<L, G> {
    pub(crate) fn new(store: Store, handover: Handover) -> Self {
        let state = State { queues: HashMap::new(), terms: 0 };
        Self { store, handover, state: Mutex::new(state) }
    }

    /// The store granted the lock to the leader.
    pub(crate) fn granted(&self, key: &LockKey, term: Term, lease: &Arc<L>, now: Instant) {
        if term == Term::Outside {
            return;
        }
        if let Some(entry) = self.lock().queues.get_mut(key)
            && entry.queue.granted(term, now)
        {
            entry.holder = Arc::downgrade(lease);
            entry.failure = None;
        }
    }

    /// A guard was released while it was held, with `left` of the store's lease. `hand_over` makes
    /// what the next task holds.
    pub(crate) fn released(
        self: &Arc<Self>,
        key: &LockKey,
        term: Term,
        now: Instant,
        left: Duration,
        hand_over: impl FnOnce(&Plan, Term) -> (G, Weak<L>),
    ) -> Released<L, G> {
        if term == Term::Outside {
            return Released::ToStore(None);
        }
        let mut state = self.lock();
        let next_term = state.next_term();
        let Some(entry) = state.queues.get_mut(key) else { return Released::ToStore(None) };
        let ttl = |next: &Waiting<L, G>| next.plan.options.ttl;
        match entry.queue.released(term, now, left, self.handover, next_term, ttl) {
            Next::Stale => Released::ToStore(None),
            Next::Nobody => {
                state.queues.remove(key);
                Released::ToStore(None)
            }
            Next::Lead(next) => {
                drop(state);
                let leadership = Leadership::new(self, key, next_term);
                Released::ToStore(Some(NextLeader { turn: next.turn, leadership }))
            }
            Next::Hold(next, _index) => {
                // While the state is locked: a waiting task that looks at a holder which is not
                // entered yet would take the lock for overdue, and depose it.
                let (held, holder) = hand_over(&next.plan, next_term);
                entry.holder = holder;
                drop(state);
                // A task that is gone meanwhile drops it, which hands it on.
                tell(next.turn, Turn::Hold(held));
                Released::HandedOver
            }
        }
    }

    /// A lease ended before its guard did.
    pub(crate) fn lost(self: &Arc<Self>, key: &LockKey, term: Term) {
        if term != Term::Outside {
            drop(Leadership::new(self, key, term));
        }
    }

    /// How many tasks wait for this name behind the one that asks the store or holds the lock.
    pub(crate) fn waiting(&self, key: &LockKey) -> usize {
        self.lock().queues.get(key).map_or(0, |entry| entry.queue.waiting())
    }

    /// The leader has given up, or the lease is over: the next task leads.
    fn next_leader(
        &self,
        key: &LockKey,
        term: Term,
        now: Instant,
    ) -> Option<(Sender<Turn<L, G>>, Term)> {
        let mut state = self.lock();
        let next_term = state.next_term();
        let entry = state.queues.get_mut(key)?;
        match entry.queue.ended(term, now, next_term) {
            Next::Lead(next) | Next::Hold(next, _) => Some((next.turn, next_term)),
            Next::Nobody => {
                state.queues.remove(key);
                None
            }
            Next::Stale => None,
        }
    }

    /// Until when a leader that acts at `at` may be silent, if all is well with it. It asks the
    /// backend, whose code must not run while the state is locked.
    fn acts_by(&self, at: Instant) -> Instant {
        at + self.store.capabilities().settled_after()
    }

    fn lock(&self) -> MutexGuard<'_, State<L, G>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: Watched, G> LocalQueues<L, G> {
    /// A task wants the lock: it leads the queue, or goes to its end, or does neither.
    pub(crate) fn enter(
        self: &Arc<Self>,
        key: &LockKey,
        plan: &Arc<Plan>,
        now: Instant,
        deadline: Instant,
    ) -> Entered<L, G> {
        let capabilities = self.store.capabilities();
        if self.handover.is_off() || !capabilities.renew {
            return Entered::Lead(Leadership::new(self, key, Term::Outside));
        }
        let mut state = self.lock();
        let next_term = state.next_term();
        match state.queues.entry(key.clone()) {
            Slot::Vacant(slot) => {
                slot.insert(Entry {
                    queue: LocalQueue::new(next_term, now + capabilities.settled_after()),
                    holder: Weak::new(),
                    failure: None,
                });
                Entered::Lead(Leadership::new(self, key, next_term))
            }
            Slot::Occupied(slot) if deadline <= now => {
                if slot.get().is_taken(now) {
                    let holder = slot.get().holder.upgrade();
                    drop(state);
                    Entered::Refused(holder)
                } else {
                    // The leader has no answer yet, and this task does not wait for it.
                    Entered::Lead(Leadership::new(self, key, Term::Outside))
                }
            }
            Slot::Occupied(mut slot) => {
                let (turn, told) = oneshot::channel();
                let number = slot.get_mut().queue.join(Waiting { plan: Arc::clone(plan), turn });
                let (queues, key) = (Arc::clone(self), key.clone());
                Entered::Wait(LocalWaiter { queues, key, number, told })
            }
        }
    }
}

impl<L, G> State<L, G> {
    fn next_term(&mut self) -> Term {
        self.terms += 1;
        Term::Numbered(self.terms)
    }
}

impl<L: Watched, G> Entry<L, G> {
    fn held_until(&self) -> Instant {
        self.holder.upgrade().map_or(Instant::ORIGIN, |lease| lease.held_until())
    }

    /// Whether another holds the lock, as far as is known; what is overdue is not known any more.
    fn is_taken(&self, now: Instant) -> bool {
        self.queue.is_taken() && !self.queue.is_overdue(now, self.held_until())
    }
}

/// The right to ask the store on behalf of a queue.
///
/// Dropping it makes the next task the leader, which takes over whatever the queue has in the store;
/// where there is no next task, that is undone.
pub(crate) struct Leadership<L, G> {
    queues: Arc<LocalQueues<L, G>>,
    key: LockKey,
    term: Term,
    state: Option<Box<LeaderState>>,
}

/// What a queue has in the store: it goes from leader to leader.
pub(crate) struct LeaderState {
    pub(crate) driver: AttemptDriver,
    pub(crate) ticket: Option<Ticket>,
    /// What the attempt asks for.
    pub(crate) ttl: Duration,
}

impl<L, G> Leadership<L, G> {
    fn new(queues: &Arc<LocalQueues<L, G>>, key: &LockKey, term: Term) -> Self {
        Self { queues: Arc::clone(queues), key: key.clone(), term, state: None }
    }

    /// Takes over what the leader before has in the store.
    pub(crate) fn take_state(&mut self) -> Option<LeaderState> {
        self.state.take().map(|state| *state)
    }

    /// Leaves it to the next leader. A task outside of a queue has none.
    pub(crate) fn hand_off(&mut self, state: impl FnOnce() -> LeaderState) {
        if self.term != Term::Outside {
            self.state = Some(Box::new(state()));
        }
    }

    /// Tells the queue that the task it called has begun, and is not overdue any more.
    pub(crate) fn begin(&self, now: Instant) {
        if self.term == Term::Outside {
            return;
        }
        let acts_by = self.queues.acts_by(now);
        if let Some(entry) = self.queues.lock().queues.get_mut(&self.key) {
            entry.queue.will_act(self.term, acts_by, false);
        }
    }

    /// Tells the queue when the leader acts again; `failure` says why the store could not be asked.
    pub(crate) fn will_act(&self, at: Instant, failure: Option<&LockError>) {
        if self.term == Term::Outside {
            return;
        }
        let acts_by = self.queues.acts_by(at);
        if let Some(entry) = self.queues.lock().queues.get_mut(&self.key)
            && entry.queue.will_act(self.term, acts_by, failure.is_none())
        {
            entry.failure = failure.cloned();
        }
    }

    /// The lock is held: from now on the queue depends on its holder.
    pub(crate) fn become_holder(&mut self) -> Term {
        mem::replace(&mut self.term, Term::Outside)
    }
}

impl<L, G> Drop for Leadership<L, G> {
    fn drop(&mut self) {
        if self.term == Term::Outside {
            return;
        }
        let now = self.queues.store.now();
        if let Some((turn, term)) = self.queues.next_leader(&self.key, self.term, now) {
            let mut leadership = Self::new(&self.queues, &self.key, term);
            leadership.state = self.state.take();
            tell(turn, Turn::Lead(leadership));
        }
    }
}

/// The task that leads as soon as a release is on its way.
pub(crate) struct NextLeader<L, G> {
    turn: Sender<Turn<L, G>>,
    leadership: Leadership<L, G>,
}

impl<L, G> NextLeader<L, G> {
    pub(crate) fn call(self) {
        tell(self.turn, Turn::Lead(self.leadership));
    }
}

/// Tells a task its turn. A waker of the user's that panics must not stop whoever releases.
fn tell<L, G>(task: Sender<Turn<L, G>>, turn: Turn<L, G>) {
    panics::contained(|| drop(task.send(turn)));
}

/// When to look again, and the lease that a guard of the queue holds.
type Seen<L> = (Instant, Option<Arc<L>>);

/// A task's place in a queue.
pub(crate) struct LocalWaiter<L, G> {
    queues: Arc<LocalQueues<L, G>>,
    key: LockKey,
    number: u64,
    told: Receiver<Turn<L, G>>,
}

impl<L: Watched, G> LocalWaiter<L, G> {
    /// Waits for the turn, until `deadline`: an error if the store cannot be asked, `None` if the
    /// lock is held by another. Where neither is known by then, the turn is to ask once.
    ///
    /// At each look, `wanted` is told of the lease that a guard of the queue holds.
    pub(crate) async fn turn(
        mut self,
        deadline: Instant,
        wanted: impl Fn(&Arc<L>, Instant),
    ) -> Result<Option<Turn<L, G>>, LockError> {
        let clock = self.queues.store.clock();
        loop {
            let now = clock.now();
            if now >= deadline {
                return self.too_late(now);
            }
            let (look_at, holder) = match self.look(now) {
                Ok(seen) => seen,
                Err(leadership) => return Ok(Some(Turn::Lead(leadership))),
            };
            if let Some(holder) = holder {
                wanted(&holder, now);
            }
            tokio::select! {
                biased;
                told = &mut self.told => {
                    // Forgotten on the way, by a panic: then it asks for itself.
                    return Ok(Some(told.unwrap_or_else(|_| self.alone())));
                }
                () = clock.sleep_until(look_at.min(deadline)) => {}
            }
        }
    }

    /// Takes over from a leader or a holder that is overdue, or says when to look again, and who holds.
    fn look(&self, now: Instant) -> Result<Seen<L>, Leadership<L, G>> {
        let mut state = self.queues.lock();
        let next_term = state.next_term();
        let Some(entry) = state.queues.get_mut(&self.key) else {
            return Ok((Instant::FAR_FUTURE, None));
        };
        let (held_until, holder) = (entry.held_until(), entry.holder.upgrade());
        match entry.queue.look(self.number, now, held_until, next_term) {
            Look::Again(at) => Ok((at, holder)),
            Look::Called => Ok((Instant::FAR_FUTURE, None)),
            Look::Lead => {
                drop(state);
                Err(Leadership::new(&self.queues, &self.key, next_term))
            }
        }
    }

    fn too_late(&mut self, now: Instant) -> Result<Option<Turn<L, G>>, LockError> {
        self.told.close();
        if let Ok(turn) = self.told.try_recv() {
            return Ok(Some(turn));
        }
        let state = self.queues.lock();
        let entry = state.queues.get(&self.key);
        if entry.is_some_and(|entry| entry.is_taken(now)) {
            return Ok(None);
        }
        if let Some(failure) = entry.and_then(|entry| entry.failure.as_ref()) {
            let message = failure.to_string();
            return Err(LockError::new(LockErrorKind::Unavailable, message));
        }
        drop(state);
        Ok(Some(self.alone()))
    }

    /// The turn of a task that asks for itself alone.
    fn alone(&self) -> Turn<L, G> {
        Turn::Lead(Leadership::new(&self.queues, &self.key, Term::Outside))
    }
}

impl<L, G> Drop for LocalWaiter<L, G> {
    fn drop(&mut self) {
        let mut state = self.queues.lock();
        let left = state.queues.get_mut(&self.key).and_then(|entry| entry.queue.leave(self.number));
        drop(state);
        // This wakes the task itself.
        panics::contained(|| drop(left));
    }
}
