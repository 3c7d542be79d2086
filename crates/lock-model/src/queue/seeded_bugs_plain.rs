//! Bugs of plain commands, each in a scenario that is just troubled enough to show it, and the
//! property that must notice it.

use crate::budget::{Budget, NONE};
use crate::queue::settings::{PLAIN, Scenario, SeededBug};

const fn bug(name: &'static str, bug: SeededBug, budget: Budget) -> Scenario {
    Scenario { name, bug: Some(bug), overtaking: 2, queue_free: 1, free: 1, budget, ..PLAIN }
}

const EVICTED: Budget = Budget { evicted: 1, ..NONE };
const FAILED_OVER: Budget = Budget { failed_over: 1, ..NONE };
const LATE: Budget = Budget { slow: 1, dropped: 1, ..NONE };

/// The bugs.
pub const SEEDED_BUGS: &[(Scenario, &str)] = &[
    (bug("queue-plain-no-mark", SeededBug::NoMark, NONE), "S7"),
    (bug("queue-plain-mark-loses-expiry", SeededBug::MarkLosesExpiry, NONE), "S4"),
    (
        bug(
            "queue-plain-foreign-is-marked",
            SeededBug::ForeignIsMarked,
            Budget { foreign: 1, ..NONE },
        ),
        "S4",
    ),
    (
        Scenario {
            clients: 3,
            ..bug("queue-plain-grant-is-unmarked", SeededBug::GrantIsUnmarked, NONE)
        },
        "S7",
    ),
    (
        bug(
            "queue-plain-renewal-misses-mark",
            SeededBug::RenewalMissesMark,
            Budget { renewed: 1, ..NONE },
        ),
        "S12",
    ),
    (bug("queue-plain-repetition-misses-mark", SeededBug::RepetitionMissesMark, EVICTED), "S12"),
    (bug("queue-plain-release-ignores-mark", SeededBug::PlainReleaseIgnoresMark, NONE), "S7"),
    (
        Scenario {
            queue_free: 4,
            free: 4,
            ..bug(
                "queue-plain-number-of-lost-lock",
                SeededBug::NumberOfLostLock,
                Budget { deleted: 1, ..NONE },
            )
        },
        "S8",
    ),
    (
        Scenario {
            waits: 2,
            ..bug("queue-plain-number-before-set", SeededBug::NumberBeforeSet, NONE)
        },
        "S8",
    ),
    (bug("queue-plain-no-kill", SeededBug::NoKill, LATE), "S6"),
    (bug("queue-plain-kill-elsewhere", SeededBug::KillElsewhere, LATE), "S6"),
    (
        Scenario {
            clients: 1,
            slow: 8,
            ..bug(
                "queue-plain-kill-once",
                SeededBug::KillOnce,
                Budget { slow: 1, lost: 1, dropped: 1, ..NONE },
            )
        },
        "S6",
    ),
    (bug("queue-plain-lost-counter-is-believed", SeededBug::LostCounterIsBelieved, EVICTED), "S8"),
    (bug("queue-plain-no-lift", SeededBug::NoLift, FAILED_OVER), "S8"),
    (
        Scenario {
            pollers: 2,
            waits: 2,
            ..bug(
                "queue-plain-any-answer-lifts",
                SeededBug::AnyAnswerLifts,
                Budget { dropped: 1, ..FAILED_OVER },
            )
        },
        "S8",
    ),
    (
        bug(
            "queue-plain-not-equal-is-not-held",
            SeededBug::NotEqualIsNotHeld,
            Budget { dropped: 1, ..NONE },
        ),
        "S6",
    ),
    (
        bug(
            "queue-plain-refusal-after-set",
            SeededBug::RefusalAfterSet,
            Budget { evicted: 1, refused: 1, dropped: 1, ..NONE },
        ),
        "S6",
    ),
    (
        bug(
            "queue-plain-second-request-has-own-time",
            SeededBug::SecondRequestHasOwnTime,
            Budget { slow: 2, dropped: 1, ..NONE },
        ),
        "S6",
    ),
    (
        Scenario {
            pollers: 1,
            unnumbered: 1,
            waits: 1,
            ..bug("queue-plain-unnumbered-no-kill", SeededBug::NoKill, LATE)
        },
        "S6",
    ),
    (
        Scenario {
            pollers: 1,
            unnumbered: 1,
            waits: 1,
            ..bug(
                "queue-plain-unnumbered-release-ignores-mark",
                SeededBug::PlainReleaseIgnoresMark,
                NONE,
            )
        },
        "S7",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::claims;

    /// What has many states when it is sound takes too long here.
    const fn is_small(scenario: &Scenario) -> bool {
        scenario.budget.slow < 2 && scenario.waits < 2
    }

    fn small() -> impl Iterator<Item = &'static (Scenario, &'static str)> {
        SEEDED_BUGS.iter().filter(|(scenario, _)| is_small(scenario))
    }

    #[test]
    fn every_seeded_bug_of_plain_commands_is_found_by_the_property_that_it_breaks() {
        claims::bugs_are_found(small(), 100_000);
    }

    #[test]
    fn nothing_is_found_in_plain_commands_where_nothing_was_seeded() {
        let sound = small().map(|(scenario, _)| Scenario { bug: None, ..*scenario });
        claims::nothing_is_found(sound, 20_000);
    }
}
