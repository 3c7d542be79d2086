//! The ledger of live leases: who holds what, and which lease is due for the keeper's attention.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::backend::Clock;
use crate::engine::held::Holding;
use crate::sync::lazy_notify::Bell;
use crate::time::clock::Instant;

/// A place in the ledger.
pub(crate) type Slot = u32;

#[derive(Default)]
pub(crate) struct Ledger {
    state: Mutex<State>,
    /// An entry is due earlier than the one that the keeper sleeps for.
    earlier: Notify,
    /// The last lease has ended.
    empty: Bell,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    free: Vec<Slot>,
    due: BTreeSet<(Instant, Slot)>,
    /// The keeper looks again by then at the latest; it need not be woken for what is due later.
    asleep_until: Instant,
}

struct Entry {
    lease: Weak<Holding>,
    due: Option<Instant>,
}

impl Ledger {
    /// Enters a lease; the keeper looks at it when it is due.
    pub(crate) fn enter(&self, lease: &Arc<Holding>, due: Option<Instant>) {
        let mut state = self.lock();
        let slot = state.free.pop().unwrap_or_else(|| {
            state.entries.push(Entry { lease: Weak::new(), due: None });
            // More leases than a `u32` counts would need 100 GiB.
            Slot::try_from(state.entries.len() - 1).unwrap_or(Slot::MAX)
        });
        lease.set_slot(slot);
        if let Some(entry) = state.entries.get_mut(slot as usize) {
            entry.lease = Arc::downgrade(lease);
        }
        let is_earlier = due.is_some_and(|due| state.schedule(slot, due));
        drop(state);
        if is_earlier {
            self.earlier.notify_one();
        }
    }

    /// Strikes a lease out.
    pub(crate) fn leave(&self, slot: Slot) {
        let mut state = self.lock();
        state.unschedule(slot);
        if let Some(entry) = state.entries.get_mut(slot as usize) {
            entry.lease = Weak::new();
            state.free.push(slot);
        }
        let is_empty = state.free.len() == state.entries.len();
        drop(state);
        if is_empty {
            self.empty.ring();
        }
    }

    /// The keeper is to look at the lease at `due`.
    pub(crate) fn schedule(&self, lease: &Holding, due: Instant) {
        let mut state = self.lock();
        let slot = lease.slot();
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
    pub(crate) async fn due(&self, clock: Clock) -> Vec<Weak<Holding>> {
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
    pub(crate) fn all(&self) -> Vec<Arc<Holding>> {
        self.lock().entries.iter().filter_map(|entry| entry.lease.upgrade()).collect()
    }

    /// Ends when no lease is left.
    pub(crate) async fn emptied(&self) {
        self.empty.until(|| self.is_empty().then_some(())).await;
    }

    fn is_empty(&self) -> bool {
        let state = self.lock();
        state.free.len() == state.entries.len()
    }

    fn take_due(&self, now: Instant) -> Vec<Weak<Holding>> {
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the keeper sleeps for too long, and has to be woken.
    #[must_use]
    fn schedule(&mut self, slot: Slot, due: Instant) -> bool {
        self.unschedule(slot);
        let Some(entry) = self.entries.get_mut(slot as usize) else { return false };
        entry.due = Some(due);
        self.due.insert((due, slot));
        let is_earlier = due < self.asleep_until;
        if is_earlier {
            self.asleep_until = due;
        }
        is_earlier
    }

    fn unschedule(&mut self, slot: Slot) {
        let due = self.entries.get_mut(slot as usize).and_then(|entry| entry.due.take());
        if let Some(at) = due {
            self.due.remove(&(at, slot));
        }
    }
}
