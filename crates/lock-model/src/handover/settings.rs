//! What a scenario says, and the bugs that may be seeded in one.

use std::time::Duration;

use crate::budget::{Budget, NONE};
use crate::product::{Handover, Terms};
use crate::queue::settings as queue;
use crate::time::{Tick, ticks};

/// What a task wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TaskOptions {
    /// The lease that it asks for.
    pub ttl: Tick,
    /// Whether it keeps its lease alive, as often as [`Budget::renewed`] allows.
    pub keeps_alive: bool,
    /// Whether it waits if the lock is not free.
    pub waits: bool,
}

impl TaskOptions {
    /// The same as the product has it.
    #[must_use]
    pub fn terms(self) -> Terms {
        let (ttl, keep_alive) = (ticks(self.ttl), self.keeps_alive);
        Terms { ttl, keep_alive, max_hold: None, min_hold: Duration::ZERO }
    }
}

/// One exploration.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The store, the network and the trouble, as in the model of the store's queue.
    pub store: queue::Scenario,
    /// The tasks of each process; each wants the lock once.
    pub tasks: &'static [&'static [TaskOptions]],
    /// A grant of the store is passed on so often at most.
    pub grants: u16,
    /// A grant of the store is passed on before so many ticks have passed.
    pub time: Tick,
    /// Whoever leads acts again so long after it promised to, at the latest.
    pub patience: Tick,
    /// The bug.
    pub bug: Option<SeededBug>,
}

impl Scenario {
    /// How far a lease is passed on.
    #[must_use]
    pub fn handover(&self) -> Handover {
        if self.bug == Some(SeededBug::NoLimit) {
            return Handover::new(Handover::MAX_GRANTS, Duration::from_secs(3600));
        }
        Handover::new(self.grants, ticks(self.time))
    }

    /// Whether nothing can come between a task's being told of its turn and its taking it.
    #[must_use]
    pub const fn is_polled_at_once(&self) -> bool {
        self.store.budget.dropped == 0 && self.store.budget.frozen == 0
    }
}

/// A task that waits.
pub const WAITS: TaskOptions = TaskOptions { ttl: 4, keeps_alive: false, waits: true };

/// A task that waits, for a lease that is longer than a window.
pub const WAITS_LONG: TaskOptions = TaskOptions { ttl: 7, ..WAITS };

/// A task that waits, for a lease that is as short as a window.
pub const WAITS_SHORT: TaskOptions = TaskOptions { ttl: 3, ..WAITS };

/// A task that keeps its lease alive.
pub const KEEPS: TaskOptions = TaskOptions { keeps_alive: true, ..WAITS_LONG };

/// A task that does not wait.
pub const TRIES: TaskOptions = TaskOptions { waits: false, ..WAITS };

/// Somebody gives up.
pub const DROPPED: Budget = Budget { dropped: 1, ..NONE };

/// What the scenarios have in common.
pub const COMMON: Scenario = Scenario {
    store: queue::Scenario { ttls: [9; 4], window: 3, freeze: 8, ..queue::COMMON },
    tasks: &[&[WAITS, WAITS], &[WAITS]],
    grants: 2,
    time: 2,
    patience: 3,
    bug: None,
};

/// A bug that is put into the modelled driver, to see that the properties notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SeededBug {
    /// A lease is passed on without a look at its deadline, nor at what is left of it.
    PassedOnPastDeadline,
    /// A guard that was passed on shows the number of the one before.
    LocalFenceRepeats,
    /// A lease that is passed on counts as long as if the store had just granted it.
    FullLeaseAtHandOver,
    /// A lease is passed on as long as anybody waits.
    NoLimit,
    /// A guard whose lease was passed on releases that in the store, too.
    StaleGuardReleases,
    /// Whoever leads leaves without a word.
    LeadershipIsLost,
    /// Whoever leads hands off its place, but not what it has in the store.
    NothingHandedOff,
    /// What was offered stands until the end of the lease.
    OfferForEver,
    /// The loss of a lease is not told to the local queue.
    LossUntold,
    /// Whoever was replaced goes on as if it led the local queue.
    TermIsForgotten,
    /// A lease is passed on although a renewal is not confirmed.
    UnconfirmedPassedOn,
}
