//! The schedule of live leases: when the background looks at each. It holds none of them alive.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::backend::Clock;
use crate::sync::lazy_notify::LazyNotify;
use crate::time::instant::Instant;

/// What can be scheduled knows its slot.
pub(crate) trait Scheduled {
    fn slot(&self) -> &Slot;
}

/// A place in a schedule; none before it was entered.
#[derive(Debug)]
pub(crate) struct Slot(AtomicU32);

impl Slot {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(u32::MAX))
    }

    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All live leases, and those among them that are due.
pub(crate) struct Schedule<L> {
    state: Mutex<State<L>>,
    /// An entry is due earlier than the one that the background sleeps for.
    earlier: Notify,
    /// The last lease has ended.
    empty: LazyNotify,
}

struct State<L> {
    entries: Vec<Entry<L>>,
    free: Vec<u32>,
    due: BTreeSet<(Instant, u32)>,
    /// The background looks again by then at the latest; it need not be woken for what is due later.
    asleep_until: Instant,
}

struct Entry<L> {
    lease: Weak<L>,
    due: Option<Instant>,
}

impl<L: Scheduled> Schedule<L> {
    pub(crate) fn new() -> Self {
        let (entries, free, due) = (Vec::new(), Vec::new(), BTreeSet::new());
        let state = State { entries, free, due, asleep_until: Instant::ORIGIN };
        Self { state: Mutex::new(state), earlier: Notify::new(), empty: LazyNotify::default() }
    }

    /// Enters a lease; the background looks at it when it is due.
    pub(crate) fn enter(&self, lease: &Arc<L>, due: Instant) {
        let mut state = self.lock();
        let slot = state.free.pop().unwrap_or_else(|| {
            state.entries.push(Entry { lease: Weak::new(), due: None });
            // More leases than a `u32` counts would need 100 GiB.
            u32::try_from(state.entries.len() - 1).unwrap_or(u32::MAX)
        });
        // While the state is locked: who schedules it next must find the slot.
        lease.slot().0.store(slot, Ordering::Relaxed);
        if let Some(entry) = state.entries.get_mut(slot as usize) {
            entry.lease = Arc::downgrade(lease);
        }
        let is_earlier = state.schedule(slot, due);
        drop(state);
        if is_earlier {
            self.earlier.notify_one();
        }
    }

    /// Takes a lease out.
    pub(crate) fn leave(&self, lease: &L) {
        let mut state = self.lock();
        let slot = lease.slot().get();
        state.unschedule(slot);
        if let Some(entry) = state.entries.get_mut(slot as usize) {
            entry.lease = Weak::new();
            state.free.push(slot);
        }
        let is_empty = state.is_empty();
        drop(state);
        if is_empty {
            self.empty.notify();
        }
    }

    /// The background is to look at the lease at `due`, or earlier if it was to before: two who
    /// change a lease at once may come here in the other order, and a needless look costs little.
    pub(crate) fn schedule(&self, lease: &L, due: Instant) {
        let mut state = self.lock();
        let slot = lease.slot().get();
        let is_entered = state
            .entries
            .get(slot as usize)
            .is_some_and(|entry| std::ptr::eq(entry.lease.as_ptr(), lease));
        let is_earlier = is_entered && state.schedule(slot, due);
        drop(state);
        if is_earlier {
            self.earlier.notify_one();
        }
    }

    /// Waits until leases are due and takes them; they are due no more until scheduled again.
    pub(crate) async fn due(&self, clock: Clock) -> Vec<Weak<L>> {
        loop {
            let first = {
                let mut state = self.lock();
                let first = state.due.first().map_or(Instant::FAR_FUTURE, |&(at, _)| at);
                state.asleep_until = first;
                first
            };
            let now = clock.now();
            if first <= now {
                return self.take_due(now);
            }
            tokio::select! {
                () = clock.sleep_until(first) => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    /// All live leases.
    pub(crate) fn all(&self) -> Vec<Arc<L>> {
        self.lock().entries.iter().filter_map(|entry| entry.lease.upgrade()).collect()
    }

    /// A live lease that is such a one.
    pub(crate) fn find(&self, is_such: impl Fn(&L) -> bool) -> Option<Arc<L>> {
        // What is upgraded is dropped when the state is not locked any more.
        self.all().into_iter().find(|lease| is_such(lease))
    }

    /// Ends when no lease is left.
    pub(crate) async fn emptied(&self) {
        self.empty.until(|| self.lock().is_empty().then_some(())).await;
    }

    fn take_due(&self, now: Instant) -> Vec<Weak<L>> {
        let mut state = self.lock();
        let mut taken = Vec::new();
        while let Some(&(at, slot)) = state.due.first() {
            if at > now {
                break;
            }
            state.due.pop_first();
            if let Some(entry) = state.entries.get_mut(slot as usize) {
                entry.due = None;
                taken.push(entry.lease.clone());
            }
        }
        taken
    }

    fn lock(&self) -> MutexGuard<'_, State<L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L> State<L> {
    /// Whether the background sleeps for too long, and has to be woken.
    #[must_use]
    fn schedule(&mut self, slot: u32, due: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(slot as usize) else { return false };
        if let Some(known) = entry.due {
            if known <= due {
                return false;
            }
            self.due.remove(&(known, slot));
        }
        entry.due = Some(due);
        self.due.insert((due, slot));
        let is_earlier = due < self.asleep_until;
        if is_earlier {
            self.asleep_until = due;
        }
        is_earlier
    }

    fn unschedule(&mut self, slot: u32) {
        let due = self.entries.get_mut(slot as usize).and_then(|entry| entry.due.take());
        if let Some(at) = due {
            self.due.remove(&(at, slot));
        }
    }

    fn is_empty(&self) -> bool {
        self.free.len() == self.entries.len()
    }
}
