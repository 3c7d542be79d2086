//! What is explored of the lines inside processes.

use std::time::Duration;

use crate::handover::seeded_bugs::Plant;
use crate::product::Handover;
use crate::queue::scenarios::{self, Budget, NONE, QueueRow};
use crate::time::{Tick, ticks};

/// What a task wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wish {
    /// The lease that it asks for.
    pub ttl: Tick,
    /// Whether it keeps its lease alive, as often as [`Budget::renewed`] allows.
    pub keeps: bool,
    /// Whether it waits if the lock is not free.
    pub waits: bool,
}

/// One exploration.
#[derive(Clone, Copy, Debug)]
pub struct HandoverRow {
    /// The store, the network and the trouble, as in the model of the store's line.
    pub store: QueueRow,
    /// The tasks of each process; each wants the lock once.
    pub tasks: &'static [&'static [Wish]],
    /// A grant of the store is passed on so often at most.
    pub grants: u16,
    /// A grant of the store is passed on before so many ticks have passed.
    pub time: Tick,
    /// Whoever leads acts again so long after it promised to, at the latest.
    pub patience: Tick,
    /// The bug.
    pub plant: Option<Plant>,
}

impl HandoverRow {
    /// How far a lease is passed on.
    #[must_use]
    pub fn handover(&self) -> Handover {
        if self.plant == Some(Plant::NoLimit) {
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
pub const WAITS: Wish = Wish { ttl: 4, keeps: false, waits: true };

/// A task that waits, for a lease that is longer than a window.
pub const WAITS_LONG: Wish = Wish { ttl: 7, ..WAITS };

/// A task that waits, for a lease that is as short as a window.
pub const WAITS_SHORT: Wish = Wish { ttl: 3, ..WAITS };

/// A task that keeps its lease alive.
pub const KEEPS: Wish = Wish { keeps: true, ..WAITS_LONG };

/// A task that does not wait.
pub const TRIES: Wish = Wish { waits: false, ..WAITS };

/// Somebody gives up.
pub const DROPPED: Budget = Budget { dropped: 1, ..NONE };

/// What the rows have in common.
pub const ROW: HandoverRow = HandoverRow {
    store: QueueRow { ttls: [9; 4], window: 3, freeze: 8, ..scenarios::ROW },
    tasks: &[&[WAITS, WAITS], &[WAITS]],
    grants: 2,
    time: 2,
    patience: 3,
    plant: None,
};

const fn row(name: &'static str, tasks: &'static [&'static [Wish]], budget: Budget) -> HandoverRow {
    HandoverRow { store: QueueRow { name, budget, ..ROW.store }, tasks, ..ROW }
}

impl HandoverRow {
    /// The same, where so many may overtake a process, and the lock may be free for so long.
    const fn allowing(self, overtaking: u8, free: Tick) -> Self {
        Self { store: QueueRow { overtaking, free, ..self.store }, ..self }
    }

    /// The same, too large for every change.
    const fn rarely(self) -> Self {
        Self { store: QueueRow { quick: false, ..self.store }, ..self }
    }

    /// The same, where those who are not polled are replaced soon.
    const fn impatient(self) -> Self {
        Self { patience: 1, ..self }
    }
}

const ONE: &[Wish] = &[WAITS];
const TWO: &[Wish] = &[WAITS; 2];
const THREE: &[Wish] = &[WAITS; 3];

/// The rows that must hold; what they allow is what happens in them, and no more.
///
/// Where somebody is not polled, the lock is free for as long as the others are patient.
pub const ROWS: &[HandoverRow] = &[
    row("hand-over-1x3-calm", &[THREE], NONE),
    row("hand-over-2+1-calm", &[TWO, ONE], NONE),
    row("hand-over-2x2-calm", &[TWO, TWO], NONE),
    HandoverRow { grants: 1, ..row("hand-over-3+1-one-grant", &[THREE, ONE], NONE) },
    HandoverRow { time: 1, ..row("hand-over-3+1-one-tick", &[THREE, ONE], NONE) },
    row("hand-over-1x2-drop-slow", &[TWO], Budget { dropped: 1, slow: 1, ..NONE }),
    row("hand-over-1x2-drop-slow-loss", &[TWO], Budget { dropped: 1, slow: 1, lost: 1, ..NONE })
        .allowing(0, 1),
    row("hand-over-1x2-freeze-slow", &[TWO], Budget { frozen: 1, slow: 1, ..NONE })
        .impatient()
        .allowing(0, 1),
    row("hand-over-1x2-freeze-drop", &[TWO], Budget { frozen: 1, dropped: 1, ..NONE }).impatient(),
    row("hand-over-1x3-2drop", &[THREE], Budget { dropped: 2, ..NONE }),
    row("hand-over-1x3-drop-slow", &[THREE], Budget { dropped: 1, slow: 1, ..NONE }),
    HandoverRow {
        time: 9,
        ..row("hand-over-1x3-long-batch-freeze", &[THREE], Budget { frozen: 1, ..NONE })
            .impatient()
            .allowing(0, 3)
    },
    row("hand-over-1x3-freeze", &[THREE], Budget { frozen: 1, ..NONE }).allowing(0, 5),
    row("hand-over-2+1-drop", &[TWO, ONE], Budget { dropped: 1, ..NONE }),
    row("hand-over-2+1-crash-drop", &[TWO, ONE], Budget { crashed: 1, dropped: 1, ..NONE }),
    row("hand-over-2+1-slow", &[TWO, ONE], Budget { slow: 1, ..NONE }).allowing(1, 0),
    row("hand-over-2+1-lost-push-drop", &[TWO, ONE], Budget { lost_push: 1, dropped: 1, ..NONE })
        .allowing(1, 0),
    row("hand-over-2+1-wipe", &[TWO, ONE], Budget { wiped: 1, ..NONE }).allowing(1, 4),
    row("hand-over-2+1-wipe-drop", &[TWO, ONE], Budget { wiped: 1, dropped: 1, ..NONE })
        .allowing(1, 4),
    row("hand-over-2+1-loss", &[TWO, ONE], Budget { lost: 1, ..NONE }),
    row("hand-over-3+1-lost-push", &[THREE, ONE], Budget { lost_push: 1, ..NONE }).allowing(2, 0),
    row("hand-over-2x2-crash", &[TWO, TWO], Budget { crashed: 1, ..NONE }),
    row("hand-over-2x2-drop", &[TWO, TWO], Budget { dropped: 1, ..NONE }),
    HandoverRow {
        patience: 6,
        ..row("hand-over-1x3-patient-freeze", &[&[WAITS_SHORT; 3]], Budget { frozen: 1, ..NONE })
            .allowing(0, 5)
    },
    row("hand-over-2+1-window-drop", &[&[WAITS_LONG; 2], ONE], Budget { dropped: 1, ..NONE }),
    row(
        "hand-over-mixed-renewals-slow",
        &[&[KEEPS, WAITS]],
        Budget { renewed: 2, slow: 1, ..NONE },
    )
    .allowing(0, 1),
    row("hand-over-mixed-renewal-loss", &[&[KEEPS, WAITS]], Budget { renewed: 1, lost: 1, ..NONE }),
    row("hand-over-mixed-2+1-renewal", &[&[KEEPS, WAITS], ONE], Budget { renewed: 1, ..NONE }),
    row("hand-over-mixed-2+1-drop", &[&[KEEPS, WAITS_SHORT], ONE], Budget { dropped: 1, ..NONE }),
    row("hand-over-tries", &[&[WAITS, WAITS, TRIES], ONE], NONE),
    row("hand-over-tries-drop-slow", &[&[WAITS, TRIES]], Budget { dropped: 1, slow: 1, ..NONE }),
    row("hand-over-tries-freeze", &[&[WAITS, WAITS, TRIES]], Budget { frozen: 1, ..NONE })
        .allowing(0, 5),
    row("hand-over-1x3-freeze-drop", &[THREE], Budget { frozen: 1, dropped: 1, ..NONE })
        .impatient()
        .allowing(0, 3)
        .rarely(),
    row("hand-over-2+1-freeze", &[TWO, ONE], Budget { frozen: 1, ..NONE })
        .impatient()
        .allowing(1, 3)
        .rarely(),
    row("hand-over-2x2-slow", &[TWO, TWO], Budget { slow: 1, ..NONE }).allowing(2, 0).rarely(),
    row("hand-over-2x2-wipe", &[TWO, TWO], Budget { wiped: 1, ..NONE }).allowing(2, 4).rarely(),
    row("hand-over-2+1-drop-slow", &[TWO, ONE], Budget { dropped: 1, slow: 1, ..NONE })
        .allowing(1, 0)
        .rarely(),
    row("hand-over-2+1-slow-loss", &[TWO, ONE], Budget { slow: 1, lost: 1, ..NONE })
        .allowing(1, 1)
        .rarely(),
    row("hand-over-2+1-freeze-drop", &[TWO, ONE], Budget { frozen: 1, dropped: 1, ..NONE })
        .impatient()
        .allowing(1, 3)
        .rarely(),
    row("hand-over-2+1-freeze-crash", &[TWO, ONE], Budget { frozen: 1, crashed: 1, ..NONE })
        .impatient()
        .allowing(1, 3)
        .rarely(),
    row("hand-over-2+1-window-freeze", &[&[WAITS_LONG; 2], ONE], Budget { frozen: 1, ..NONE })
        .impatient()
        .allowing(1, 3)
        .rarely(),
    row(
        "hand-over-mixed-3-renewal-slow",
        &[&[KEEPS, WAITS, WAITS_SHORT]],
        Budget { renewed: 1, slow: 1, ..NONE },
    )
    .allowing(0, 1)
    .rarely(),
    row(
        "hand-over-mixed-3-drop-slow",
        &[&[KEEPS, WAITS, WAITS_SHORT]],
        Budget { dropped: 1, slow: 1, ..NONE },
    )
    .allowing(0, 1)
    .rarely(),
];
