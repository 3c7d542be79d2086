//! Bugs that are put into the modelled driver, each in a scenario that is just troubled enough to
//! show it, and the property that must notice it.

use crate::budget::{Budget, NONE};
use crate::handover::settings::{COMMON, DROPPED, Scenario, SeededBug, WAITS, WAITS_LONG};
use crate::queue::settings as queue;

const fn bug(name: &'static str, bug: SeededBug, budget: Budget) -> Scenario {
    let store =
        queue::Scenario { name, overtaking: 2, queue_free: 9, free: 9, budget, ..COMMON.store };
    Scenario { store, bug: Some(bug), ..COMMON }
}

const FROZEN: Budget = Budget { frozen: 1, ..NONE };

/// The bugs.
pub const SEEDED_BUGS: &[(Scenario, &str)] = &[
    (
        Scenario {
            time: 9,
            ..bug("hand-over-past-deadline", SeededBug::PassedOnPastDeadline, NONE)
        },
        "S2",
    ),
    (bug("hand-over-fence-repeats", SeededBug::LocalFenceRepeats, NONE), "S8"),
    (bug("hand-over-full-lease", SeededBug::FullLeaseAtHandOver, NONE), "S2"),
    (
        Scenario {
            store: queue::Scenario { name: "hand-over-without-limit", ..COMMON.store },
            tasks: &[&[WAITS, WAITS, WAITS], &[WAITS]],
            grants: 1,
            time: 9,
            bug: Some(SeededBug::NoLimit),
            ..COMMON
        },
        "S11",
    ),
    (Scenario { grants: 9, time: 1, ..bug("hand-over-late", SeededBug::NoLimit, NONE) }, "R32"),
    (bug("hand-over-stale-release", SeededBug::StaleGuardReleases, NONE), "S2"),
    (bug("hand-over-leadership-is-lost", SeededBug::LeadershipIsLost, DROPPED), "S7"),
    (bug("hand-over-nothing-handed-off", SeededBug::NothingHandedOff, DROPPED), "S6"),
    (
        Scenario {
            tasks: &[&[WAITS_LONG, WAITS_LONG]],
            ..bug("hand-over-offer-for-ever", SeededBug::OfferForEver, FROZEN)
        },
        "S7",
    ),
    (bug("hand-over-loss-untold", SeededBug::LossUntold, Budget { wiped: 1, ..NONE }), "S7"),
    (bug("hand-over-term-is-forgotten", SeededBug::TermIsForgotten, FROZEN), "R13"),
    (
        Scenario {
            tasks: &[&[WAITS_LONG, WAITS_LONG], &[WAITS]],
            ..bug("hand-over-unconfirmed", SeededBug::UnconfirmedPassedOn, NONE)
        },
        "R13",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::claims;

    #[test]
    fn every_seeded_bug_is_found_by_the_property_that_it_breaks() {
        claims::bugs_are_found(SEEDED_BUGS, 100_000);
    }

    #[test]
    fn nothing_is_found_where_nothing_was_seeded() {
        let sound = SEEDED_BUGS.iter().map(|(scenario, _)| Scenario { bug: None, ..*scenario });
        claims::nothing_is_found(sound, 30_000);
    }
}
