//! The scenarios that must hold.

use crate::budget::{Budget, NONE};
use crate::handover::settings::{
    COMMON, KEEPS, Scenario, TRIES, TaskOptions, WAITS, WAITS_LONG, WAITS_SHORT,
};
use crate::queue::settings as queue;
use crate::time::Tick;

const fn scenario(
    name: &'static str,
    tasks: &'static [&'static [TaskOptions]],
    budget: Budget,
) -> Scenario {
    Scenario { store: queue::Scenario { name, budget, ..COMMON.store }, tasks, ..COMMON }
}

impl Scenario {
    /// The same, where so many may overtake a process, and the lock may be free for so long.
    const fn allowing(self, overtaking: u8, free: Tick) -> Self {
        Self { store: queue::Scenario { overtaking, free, ..self.store }, ..self }
    }

    /// The same, too large for every change.
    const fn rarely(self) -> Self {
        Self { store: queue::Scenario { quick: false, ..self.store }, ..self }
    }

    /// The same, where those who are not polled are replaced soon.
    const fn impatient(self) -> Self {
        Self { patience: 1, ..self }
    }
}

const ONE: &[TaskOptions] = &[WAITS];
const TWO: &[TaskOptions] = &[WAITS; 2];
const THREE: &[TaskOptions] = &[WAITS; 3];

/// The scenarios that must hold; what they allow is what happens in them, and no more.
///
/// Where somebody is not polled, the lock is free for as long as the others are patient.
pub const SCENARIOS: &[Scenario] = &[
    scenario("hand-over-1x3-calm", &[THREE], NONE),
    scenario("hand-over-2+1-calm", &[TWO, ONE], NONE),
    scenario("hand-over-2x2-calm", &[TWO, TWO], NONE),
    Scenario { grants: 1, ..scenario("hand-over-3+1-one-grant", &[THREE, ONE], NONE) },
    Scenario { time: 1, ..scenario("hand-over-3+1-one-tick", &[THREE, ONE], NONE) },
    scenario("hand-over-1x2-drop-slow", &[TWO], Budget { dropped: 1, slow: 1, ..NONE }),
    scenario(
        "hand-over-1x2-drop-slow-loss",
        &[TWO],
        Budget { dropped: 1, slow: 1, lost: 1, ..NONE },
    )
    .allowing(0, 1),
    scenario("hand-over-1x2-freeze-slow", &[TWO], Budget { frozen: 1, slow: 1, ..NONE })
        .impatient()
        .allowing(0, 1),
    scenario("hand-over-1x2-freeze-drop", &[TWO], Budget { frozen: 1, dropped: 1, ..NONE })
        .impatient(),
    scenario("hand-over-1x3-2drop", &[THREE], Budget { dropped: 2, ..NONE }),
    scenario("hand-over-1x3-drop-slow", &[THREE], Budget { dropped: 1, slow: 1, ..NONE }),
    Scenario {
        time: 9,
        ..scenario("hand-over-1x3-long-batch-freeze", &[THREE], Budget { frozen: 1, ..NONE })
            .impatient()
            .allowing(0, 3)
    },
    scenario("hand-over-1x3-freeze", &[THREE], Budget { frozen: 1, ..NONE }).allowing(0, 5),
    scenario("hand-over-2+1-drop", &[TWO, ONE], Budget { dropped: 1, ..NONE }),
    scenario("hand-over-2+1-crash-drop", &[TWO, ONE], Budget { crashed: 1, dropped: 1, ..NONE }),
    scenario("hand-over-2+1-slow", &[TWO, ONE], Budget { slow: 1, ..NONE }).allowing(1, 0),
    scenario(
        "hand-over-2+1-lost-push-drop",
        &[TWO, ONE],
        Budget { lost_push: 1, dropped: 1, ..NONE },
    )
    .allowing(1, 0),
    scenario("hand-over-2+1-wipe", &[TWO, ONE], Budget { wiped: 1, ..NONE }).allowing(1, 4),
    scenario("hand-over-2+1-wipe-drop", &[TWO, ONE], Budget { wiped: 1, dropped: 1, ..NONE })
        .allowing(1, 4),
    scenario("hand-over-2+1-loss", &[TWO, ONE], Budget { lost: 1, ..NONE }),
    scenario("hand-over-3+1-lost-push", &[THREE, ONE], Budget { lost_push: 1, ..NONE })
        .allowing(2, 0),
    scenario("hand-over-2x2-crash", &[TWO, TWO], Budget { crashed: 1, ..NONE }),
    scenario("hand-over-2x2-drop", &[TWO, TWO], Budget { dropped: 1, ..NONE }),
    Scenario {
        patience: 6,
        ..scenario(
            "hand-over-1x3-patient-freeze",
            &[&[WAITS_SHORT; 3]],
            Budget { frozen: 1, ..NONE },
        )
        .allowing(0, 5)
    },
    scenario("hand-over-2+1-window-drop", &[&[WAITS_LONG; 2], ONE], Budget { dropped: 1, ..NONE }),
    scenario(
        "hand-over-mixed-renewals-slow",
        &[&[KEEPS, WAITS]],
        Budget { renewed: 2, slow: 1, ..NONE },
    )
    .allowing(0, 1),
    scenario(
        "hand-over-mixed-renewal-loss",
        &[&[KEEPS, WAITS]],
        Budget { renewed: 1, lost: 1, ..NONE },
    ),
    scenario("hand-over-mixed-2+1-renewal", &[&[KEEPS, WAITS], ONE], Budget { renewed: 1, ..NONE }),
    scenario(
        "hand-over-mixed-2+1-drop",
        &[&[KEEPS, WAITS_SHORT], ONE],
        Budget { dropped: 1, ..NONE },
    ),
    scenario("hand-over-tries", &[&[WAITS, WAITS, TRIES], ONE], NONE),
    scenario(
        "hand-over-tries-drop-slow",
        &[&[WAITS, TRIES]],
        Budget { dropped: 1, slow: 1, ..NONE },
    ),
    scenario("hand-over-tries-freeze", &[&[WAITS, WAITS, TRIES]], Budget { frozen: 1, ..NONE })
        .allowing(0, 5),
    scenario("hand-over-1x3-freeze-drop", &[THREE], Budget { frozen: 1, dropped: 1, ..NONE })
        .impatient()
        .allowing(0, 3)
        .rarely(),
    scenario("hand-over-2+1-freeze", &[TWO, ONE], Budget { frozen: 1, ..NONE })
        .impatient()
        .allowing(1, 3)
        .rarely(),
    scenario("hand-over-2x2-slow", &[TWO, TWO], Budget { slow: 1, ..NONE }).allowing(2, 0).rarely(),
    scenario("hand-over-2x2-wipe", &[TWO, TWO], Budget { wiped: 1, ..NONE })
        .allowing(2, 4)
        .rarely(),
    scenario("hand-over-2+1-drop-slow", &[TWO, ONE], Budget { dropped: 1, slow: 1, ..NONE })
        .allowing(1, 0)
        .rarely(),
    scenario("hand-over-2+1-slow-loss", &[TWO, ONE], Budget { slow: 1, lost: 1, ..NONE })
        .allowing(1, 1)
        .rarely(),
    scenario("hand-over-2+1-freeze-drop", &[TWO, ONE], Budget { frozen: 1, dropped: 1, ..NONE })
        .impatient()
        .allowing(1, 3)
        .rarely(),
    scenario("hand-over-2+1-freeze-crash", &[TWO, ONE], Budget { frozen: 1, crashed: 1, ..NONE })
        .impatient()
        .allowing(1, 3)
        .rarely(),
    scenario("hand-over-2+1-window-freeze", &[&[WAITS_LONG; 2], ONE], Budget { frozen: 1, ..NONE })
        .impatient()
        .allowing(1, 3)
        .rarely(),
    scenario(
        "hand-over-mixed-3-renewal-slow",
        &[&[KEEPS, WAITS, WAITS_SHORT]],
        Budget { renewed: 1, slow: 1, ..NONE },
    )
    .allowing(0, 1)
    .rarely(),
    scenario(
        "hand-over-mixed-3-drop-slow",
        &[&[KEEPS, WAITS, WAITS_SHORT]],
        Budget { dropped: 1, slow: 1, ..NONE },
    )
    .allowing(0, 1)
    .rarely(),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::claims;

    #[test]
    fn the_small_scenarios_hold() {
        claims::they_hold(SCENARIOS, &["hand-over-1x3-calm", "hand-over-2+1-calm"], 200_000);
    }
}
