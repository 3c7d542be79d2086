//! Bugs that are put into the modelled server or driver, each in a scenario that is just troubled
//! enough to show it, and the property that must notice it.

use crate::attempt::settings::{COMMON, Scenario, SeededBug};
use crate::budget::{Budget, NONE};

/// The bugs.
pub const SEEDED_BUGS: &[(Scenario, &str)] = &[
    (
        Scenario {
            name: "release-without-owner-check",
            bug: Some(SeededBug::NoOwnerCheck),
            budget: Budget { slow: 1, ..NONE },
            ..COMMON
        },
        "S4",
    ),
    (
        Scenario {
            name: "deadline-from-reply",
            bug: Some(SeededBug::DeadlineFromReply),
            latency: 1,
            ..COMMON
        },
        "S2",
    ),
    (
        Scenario {
            name: "renewal-deadline-from-reply",
            bug: Some(SeededBug::RenewalFromReply),
            latency: 1,
            budget: Budget { renewed: 1, ..NONE },
            ..COMMON
        },
        "S2",
    ),
    (
        Scenario {
            name: "no-not-after",
            bug: Some(SeededBug::NoNotAfter),
            budget: Budget { slow: 1, ..NONE },
            ..COMMON
        },
        "S6",
    ),
    (
        Scenario {
            name: "late-after-equals-not-after",
            bug: Some(SeededBug::LateAfterTooShort),
            budget: Budget { slow: 1, ..NONE },
            ..COMMON
        },
        "S6",
    ),
    (
        Scenario {
            name: "first-answer-is-final",
            bug: Some(SeededBug::FirstAnswerIsFinal),
            budget: Budget { slow: 1, ..NONE },
            ..COMMON
        },
        "S6",
    ),
    (
        Scenario {
            name: "doubt-forgotten",
            bug: Some(SeededBug::DoubtForgotten),
            budget: Budget { lost: 1, ..NONE },
            ..COMMON
        },
        "S6",
    ),
    (
        Scenario {
            name: "renewal-shortens",
            bug: Some(SeededBug::RenewalShortens),
            latency: 1,
            budget: Budget { renewed: 2, ..NONE },
            ..COMMON
        },
        "S2",
    ),
    (
        Scenario {
            name: "renewal-revives",
            bug: Some(SeededBug::RenewalRevives),
            budget: Budget { slow: 1, renewed: 1, ..NONE },
            ..COMMON
        },
        "S6",
    ),
    (
        Scenario {
            name: "regrant-keeps-expiry",
            bug: Some(SeededBug::RegrantKeepsExpiry),
            budget: Budget { lost: 1, repeated: 1, ..NONE },
            ..COMMON
        },
        "S2",
    ),
    (
        Scenario {
            name: "release-overtakes-step",
            bug: Some(SeededBug::ReleaseOvertakesStep),
            budget: Budget { dropped: 1, ..NONE },
            ..COMMON
        },
        "S6",
    ),
    (
        Scenario {
            name: "retry-is-believed",
            bug: Some(SeededBug::RetryIsBelieved),
            budget: Budget { lost: 1, ..NONE },
            ..COMMON
        },
        "R8",
    ),
    (Scenario { name: "fence-repeats", bug: Some(SeededBug::FenceRepeats), ..COMMON }, "S8"),
    (
        Scenario {
            name: "abandoned-is-ignored",
            bug: Some(SeededBug::AbandonedIsIgnored),
            budget: Budget { dropped: 1, ..NONE },
            ..COMMON
        },
        "S6",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::claims;

    #[test]
    fn every_seeded_bug_is_found_by_the_property_that_it_breaks() {
        claims::bugs_are_found(SEEDED_BUGS, 10_000);
    }

    #[test]
    fn nothing_is_found_where_nothing_was_seeded() {
        let sound = SEEDED_BUGS.iter().map(|(scenario, _)| Scenario { bug: None, ..*scenario });
        claims::nothing_is_found(sound, 3_000);
    }
}
