//! What is explored: rows that must hold, and planted bugs that must be found.

use crate::time::Tick;

/// How often each kind of trouble may happen, and what clients may do of their own accord.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Messages that take up to [`Row::slow`] ticks.
    pub slow: u8,
    /// Messages that never arrive.
    pub lost: u8,
    /// Requests that the server refuses, saying that nothing ran.
    pub refused: u8,
    /// Acquire futures that are dropped while a step is under way.
    pub dropped: u8,
    /// Steps that are repeated with the same token, after a failed one or a refusal.
    pub repeated: u8,
    /// Renewals.
    pub renewed: u8,
    /// Clients that vanish.
    pub crashed: u8,
    /// Times that the server forgets everything, or somebody deletes the key.
    pub wiped: u8,
}

impl Budget {
    /// No trouble at all.
    pub const NONE: Self = Self {
        slow: 0,
        lost: 0,
        refused: 0,
        dropped: 0,
        repeated: 0,
        renewed: 0,
        crashed: 0,
        wiped: 0,
    };
}

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

/// One exploration.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// How many clients.
    pub clients: usize,
    /// How many attempts each makes, one after the other.
    pub attempts: u8,
    /// The lease of an attempt.
    pub ttl: Tick,
    /// The leases that renewals ask for; of each, one can be under way.
    pub renewals: [Tick; 2],
    /// How long an ordinary message takes at most.
    pub latency: Tick,
    /// How long a slow message takes at most.
    pub slow: Tick,
    /// The trouble.
    pub budget: Budget,
    /// The bug.
    pub plant: Option<Plant>,
    /// Whether it is small enough for every change.
    pub quick: bool,
}

/// What the rows below have in common.
const ROW: Row = Row {
    name: "",
    clients: 2,
    attempts: 1,
    ttl: 4,
    renewals: [4, 6],
    latency: 0,
    slow: 5,
    budget: NONE,
    plant: None,
    quick: true,
};

const NONE: Budget = Budget::NONE;

/// The rows that must hold.
pub const ROWS: &[Row] = &[
    Row { name: "2x1-calm", latency: 1, ..ROW },
    Row { name: "2x2-calm", attempts: 2, latency: 1, ..ROW },
    Row { name: "3x1-calm", clients: 3, latency: 1, ..ROW },
    Row {
        name: "2x1-drop-loss-slow",
        latency: 1,
        budget: Budget { dropped: 1, lost: 1, slow: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "2x2-drop-loss-slow",
        attempts: 2,
        budget: Budget { dropped: 1, lost: 1, slow: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "2x1-repeat-loss-2slow",
        budget: Budget { repeated: 2, lost: 1, slow: 2, ..NONE },
        ..ROW
    },
    Row {
        name: "2x1-drop-repeat-2loss-slow",
        budget: Budget { dropped: 1, repeated: 1, lost: 2, slow: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "2x1-refused-drop-repeat-loss",
        budget: Budget { refused: 2, dropped: 1, repeated: 1, lost: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "2x2-crash-drop-slow",
        attempts: 2,
        budget: Budget { crashed: 1, dropped: 1, slow: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "1x3-drop-repeat-loss-2slow",
        clients: 1,
        attempts: 3,
        budget: Budget { dropped: 1, repeated: 1, lost: 1, slow: 2, ..NONE },
        ..ROW
    },
    Row {
        name: "2x1-renewal-slow",
        latency: 1,
        budget: Budget { renewed: 1, slow: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "2x1-2renewals-loss-slow",
        budget: Budget { renewed: 2, lost: 1, slow: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "2x2-renewal-loss",
        attempts: 2,
        budget: Budget { renewed: 1, lost: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "2x1-wipe-renewal-loss-slow",
        budget: Budget { wiped: 1, renewed: 1, lost: 1, slow: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "3x1-renewal-slow",
        clients: 3,
        budget: Budget { renewed: 1, slow: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "3x1-drop-loss",
        clients: 3,
        budget: Budget { dropped: 1, lost: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "2x1-short-lease-drop-repeat-slow",
        ttl: 1,
        renewals: [1, 2],
        latency: 1,
        budget: Budget { dropped: 1, repeated: 1, slow: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "2x2-short-lease-renewal-loss",
        attempts: 2,
        ttl: 2,
        renewals: [1, 2],
        budget: Budget { renewed: 1, lost: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "1x1-outage-2renewals-2slow",
        clients: 1,
        slow: 8,
        budget: Budget { lost: 6, renewed: 2, slow: 2, ..NONE },
        ..ROW
    },
    Row {
        name: "1x1-outage-4renewals-slow",
        clients: 1,
        slow: 8,
        budget: Budget { lost: 6, renewed: 4, slow: 1, ..NONE },
        quick: false,
        ..ROW
    },
    Row {
        name: "2x1-2renewals-2slow",
        budget: Budget { renewed: 2, slow: 2, ..NONE },
        quick: false,
        ..ROW
    },
    Row {
        name: "2x1-3renewals-2slow",
        budget: Budget { renewed: 3, slow: 2, ..NONE },
        quick: false,
        ..ROW
    },
    Row {
        name: "2x1-2renewals-drop-loss-slow",
        budget: Budget { renewed: 2, dropped: 1, lost: 1, slow: 1, ..NONE },
        quick: false,
        ..ROW
    },
    Row {
        name: "2x1-renewal-loss-slow-late",
        latency: 1,
        budget: Budget { renewed: 1, lost: 1, slow: 1, ..NONE },
        quick: false,
        ..ROW
    },
    Row {
        name: "2x1-drop-repeat-loss-2slow-late",
        latency: 1,
        budget: Budget { dropped: 1, repeated: 1, lost: 1, slow: 2, ..NONE },
        quick: false,
        ..ROW
    },
    Row {
        name: "2x2-2renewals-loss",
        attempts: 2,
        budget: Budget { renewed: 2, lost: 1, ..NONE },
        quick: false,
        ..ROW
    },
    Row {
        name: "2x3-repeat-loss-slow",
        attempts: 3,
        budget: Budget { repeated: 1, lost: 1, slow: 1, ..NONE },
        quick: false,
        ..ROW
    },
    Row {
        name: "3x1-drop-late",
        clients: 3,
        latency: 1,
        budget: Budget { dropped: 1, ..NONE },
        quick: false,
        ..ROW
    },
    Row {
        name: "3x1-renewal-drop-loss-slow",
        clients: 3,
        budget: Budget { renewed: 1, dropped: 1, lost: 1, slow: 1, ..NONE },
        quick: false,
        ..ROW
    },
    Row {
        name: "3x2-drop-slow",
        clients: 3,
        attempts: 2,
        budget: Budget { dropped: 1, slow: 1, ..NONE },
        quick: false,
        ..ROW
    },
];

/// The bugs, each in a row that is just troubled enough to show it, and the property that must
/// notice it.
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
    use crate::explore::{End, explore};

    #[test]
    fn the_small_rows_hold() {
        for name in ["2x1-calm", "2x1-refused-drop-repeat-loss", "3x1-drop-loss"] {
            let row = ROWS.iter().find(|row| row.name == name).unwrap();
            let report = explore(row, 100_000);
            assert_eq!(report.end, End::Exhausted, "{name}");
        }
    }

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
