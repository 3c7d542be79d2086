//! Bugs that are put into the modelled server or driver, each in a row that is just troubled
//! enough to show it, and the property that must notice it.

use crate::attempt::scenarios::{Budget, NONE, ROW, Row};

/// A bug that is put into the modelled server or driver, to see that the properties notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plant {
    /// The server releases whoever owns the lock.
    NoOwnerCheck,
    /// The driver counts a lease from the arrival of the answer.
    DeadlineFromReply,
    /// The driver counts a renewed lease from the arrival of the answer.
    RenewalFromReply,
    /// The server runs an acquire however late it arrives.
    NoNotAfter,
    /// The driver believes that an acquire can take effect no later than its timeout, to the tick.
    LateAfterTooShort,
    /// The driver takes the first answer to a release for the final one.
    FirstAnswerIsFinal,
    /// The driver takes a step without an answer for one that did nothing.
    DoubtForgotten,
    /// The server sets the expiry to the renewal's, also if that is earlier.
    RenewalShortens,
    /// The server sets a lease that is not there any more.
    RenewalRevives,
    /// The server grants again without raising the expiry.
    RegrantKeepsExpiry,
    /// The driver sends a release while a step is under way, and takes its answer for final.
    ReleaseOvertakesStep,
    /// The driver reports what a repeated release was answered.
    RetryIsBelieved,
    /// The server forgets to store the counter.
    FenceRepeats,
    /// The driver forgets a grant that nobody waits for.
    AbandonedIsIgnored,
}

/// The bugs.
pub const PLANTS: &[(Row, &str)] = &[
    (
        Row {
            name: "release-without-owner-check",
            plant: Some(Plant::NoOwnerCheck),
            budget: Budget { slow: 1, ..NONE },
            ..ROW
        },
        "S4",
    ),
    (
        Row {
            name: "deadline-from-reply",
            plant: Some(Plant::DeadlineFromReply),
            latency: 1,
            ..ROW
        },
        "S2",
    ),
    (
        Row {
            name: "renewal-deadline-from-reply",
            plant: Some(Plant::RenewalFromReply),
            latency: 1,
            budget: Budget { renewed: 1, ..NONE },
            ..ROW
        },
        "S2",
    ),
    (
        Row {
            name: "no-not-after",
            plant: Some(Plant::NoNotAfter),
            budget: Budget { slow: 1, ..NONE },
            ..ROW
        },
        "S6",
    ),
    (
        Row {
            name: "late-after-equals-not-after",
            plant: Some(Plant::LateAfterTooShort),
            budget: Budget { slow: 1, ..NONE },
            ..ROW
        },
        "S6",
    ),
    (
        Row {
            name: "first-answer-is-final",
            plant: Some(Plant::FirstAnswerIsFinal),
            budget: Budget { slow: 1, ..NONE },
            ..ROW
        },
        "S6",
    ),
    (
        Row {
            name: "doubt-forgotten",
            plant: Some(Plant::DoubtForgotten),
            budget: Budget { lost: 1, ..NONE },
            ..ROW
        },
        "S6",
    ),
    (
        Row {
            name: "renewal-shortens",
            plant: Some(Plant::RenewalShortens),
            latency: 1,
            budget: Budget { renewed: 2, ..NONE },
            ..ROW
        },
        "S2",
    ),
    (
        Row {
            name: "renewal-revives",
            plant: Some(Plant::RenewalRevives),
            budget: Budget { slow: 1, renewed: 1, ..NONE },
            ..ROW
        },
        "S6",
    ),
    (
        Row {
            name: "regrant-keeps-expiry",
            plant: Some(Plant::RegrantKeepsExpiry),
            budget: Budget { lost: 1, repeated: 1, ..NONE },
            ..ROW
        },
        "S2",
    ),
    (
        Row {
            name: "release-overtakes-step",
            plant: Some(Plant::ReleaseOvertakesStep),
            budget: Budget { dropped: 1, ..NONE },
            ..ROW
        },
        "S6",
    ),
    (
        Row {
            name: "retry-is-believed",
            plant: Some(Plant::RetryIsBelieved),
            budget: Budget { lost: 1, ..NONE },
            ..ROW
        },
        "R8",
    ),
    (Row { name: "fence-repeats", plant: Some(Plant::FenceRepeats), ..ROW }, "S8"),
    (
        Row {
            name: "abandoned-is-ignored",
            plant: Some(Plant::AbandonedIsIgnored),
            budget: Budget { dropped: 1, ..NONE },
            ..ROW
        },
        "S6",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{End, explore};

    #[test]
    fn every_planted_bug_is_found_by_the_property_that_it_breaks() {
        for (row, expected) in PLANTS {
            match explore(row, 10_000).end {
                End::Broken { property, .. } => {
                    assert!(property.starts_with(expected), "{}: {property}", row.name);
                }
                end => panic!("{}: {end:?}", row.name),
            }
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_was_planted() {
        for (row, _) in PLANTS {
            let report = explore(&Row { plant: None, ..*row }, 3_000);
            assert!(!matches!(report.end, End::Broken { .. }), "{}: {:?}", row.name, report.end);
        }
    }
}
