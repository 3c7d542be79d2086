//! Bugs that are put into the modelled server or driver, each in a row that is just troubled
//! enough to show it, and the property that must notice it.

use crate::queue::scenarios::{Budget, LONG, NONE, QueueRow, ROW};

/// A bug that is put into the modelled server or driver, to see that the properties notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plant {
    /// The server publishes a grant and takes a count of zero for "nobody got it".
    PublishTells,
    /// The server runs an acquire however late it arrives.
    NoNotAfter,
    /// The server grants again without raising the expiry.
    RegrantKeepsExpiry,
    /// The server sets the expiry to the renewal's, also if that is earlier.
    RenewalShortens,
    /// The server tells the next in line nothing.
    NoHint,
    /// The server tells the next in line nothing when the head leaves.
    LeaveWithoutHint,
    /// The server hands the lock over for the whole lease.
    FullLeaseAtHandOver,
    /// The server grants a free lock to whoever does not wait, past the line.
    PollerOvertakes,
    /// The server hands a lock over that is not free.
    AdvanceOverHolder,
    /// The server releases whoever owns the lock.
    NoOwnerCheck,
    /// The server forgets to store the counter.
    FenceRepeats,
    /// The server finds an entry of the line by its connection, and leaves older ones.
    OldEntryStays,
    /// The driver counts a pushed window from the arrival of the push.
    DeadlineFromPush,
    /// The driver tells the waiter no counter.
    NoCounterRule,
    /// The driver takes a push for the answer to the step that is under way.
    PushAnswersStep,
    /// The driver does not send the ticket.
    TailAgain,
    /// The driver forgets older news when an answer arrives.
    OldAnswerWins,
    /// The driver forgets what came for a token that nobody wants any more.
    AbandonedIsIgnored,
    /// The driver sends a release while a step is under way, and takes its answer for final.
    ReleaseOvertakesStep,
    /// The driver takes the first answer to a release for the final one.
    FirstAnswerIsFinal,
    /// The driver believes that an acquire can take effect no later than its timeout, to the tick.
    LateAfterTooShort,
    /// The driver takes a step without an answer for one that did nothing.
    DoubtForgotten,
    /// The driver does not claim windows.
    ClaimMissing,
}

const fn plant(name: &'static str, plant: Plant, budget: Budget) -> QueueRow {
    QueueRow { name, plant: Some(plant), overtaking: 2, line_free: 4, free: 4, budget, ..ROW }
}

const SLOW: Budget = Budget { slow: 1, ..NONE };
const LOST: Budget = Budget { lost: 1, ..NONE };
const DROPPED: Budget = Budget { dropped: 1, ..NONE };

/// The bugs.
pub const PLANTS: &[(QueueRow, &str)] = &[
    (plant("line-publish-tells", Plant::PublishTells, Budget { cut: 1, ..NONE }), "S2"),
    (plant("line-no-not-after", Plant::NoNotAfter, Budget { slow: 1, dropped: 1, ..NONE }), "S6"),
    (plant("line-regrant-keeps-expiry", Plant::RegrantKeepsExpiry, LOST), "S2"),
    (
        plant(
            "line-renewal-shortens",
            Plant::RenewalShortens,
            Budget { renewed: 1, slow: 1, ..NONE },
        ),
        "S2",
    ),
    (
        QueueRow {
            clients: 3,
            line_free: 0,
            ttls: [8, 4, 4, 4],
            ..plant("line-no-hint", Plant::NoHint, Budget { crashed: 1, ..NONE })
        },
        "S7",
    ),
    (
        QueueRow {
            clients: 4,
            ttls: LONG.ttls,
            window: LONG.window,
            free: 8,
            line_free: 0,
            ..plant(
                "line-leave-without-hint",
                Plant::LeaveWithoutHint,
                Budget { dropped: 1, crashed: 1, ..NONE },
            )
        },
        "S7",
    ),
    (
        QueueRow {
            ttls: [6; 4],
            ..plant(
                "line-full-lease-at-hand-over",
                Plant::FullLeaseAtHandOver,
                Budget { frozen: 1, ..NONE },
            )
        },
        "S7",
    ),
    (
        QueueRow {
            clients: 3,
            pollers: 1,
            overtaking: 0,
            ..plant("line-poller-overtakes", Plant::PollerOvertakes, Budget { crashed: 1, ..NONE })
        },
        "S11",
    ),
    (
        QueueRow {
            clients: 3,
            ..plant("line-advance-over-holder", Plant::AdvanceOverHolder, DROPPED)
        },
        "S4",
    ),
    (plant("line-fence-repeats", Plant::FenceRepeats, NONE), "S8"),
    (plant("line-no-owner-check", Plant::NoOwnerCheck, DROPPED), "S4"),
    (
        plant("line-old-entry-stays", Plant::OldEntryStays, Budget { cut: 1, dropped: 1, ..NONE }),
        "S6",
    ),
    (plant("line-deadline-from-push", Plant::DeadlineFromPush, SLOW), "S2"),
    (QueueRow { clients: 3, ..plant("line-no-counter-rule", Plant::NoCounterRule, SLOW) }, "S2"),
    (
        plant(
            "line-push-answers-step",
            Plant::PushAnswersStep,
            Budget { slow: 1, lost: 1, ..NONE },
        ),
        "S2",
    ),
    (
        QueueRow {
            clients: 4,
            overtaking: 1,
            ..plant("line-no-ticket", Plant::TailAgain, Budget { lost_push: 1, ..NONE })
        },
        "S11",
    ),
    (
        QueueRow {
            free: 1,
            ..plant("line-old-answer-wins", Plant::OldAnswerWins, Budget { cut: 1, ..NONE })
        },
        "S7",
    ),
    (plant("line-abandoned-is-ignored", Plant::AbandonedIsIgnored, DROPPED), "S6"),
    (plant("line-release-overtakes-step", Plant::ReleaseOvertakesStep, DROPPED), "S6"),
    (plant("line-first-answer-is-final", Plant::FirstAnswerIsFinal, SLOW), "S6"),
    (
        plant(
            "line-late-after-equals-not-after",
            Plant::LateAfterTooShort,
            Budget { slow: 1, dropped: 1, ..NONE },
        ),
        "S6",
    ),
    (
        plant(
            "line-doubt-forgotten",
            Plant::DoubtForgotten,
            Budget { lost: 1, dropped: 1, ..NONE },
        ),
        "S6",
    ),
    (plant("line-claim-missing", Plant::ClaimMissing, NONE), "S3"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::scenarios::ROWS;
    use crate::search::{End, explore};

    /// The two that only four clients show take seconds each.
    fn small() -> impl Iterator<Item = &'static (QueueRow, &'static str)> {
        PLANTS.iter().filter(|(row, _)| row.clients < 4)
    }

    #[test]
    fn every_planted_bug_is_found_by_the_property_that_it_breaks() {
        for (row, expected) in small() {
            match explore(row, 100_000).end {
                End::Broken { property, .. } => {
                    assert!(property.starts_with(expected), "{}: {property}", row.name);
                }
                end => panic!("{}: {end:?}", row.name),
            }
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_was_planted() {
        for (row, _) in small() {
            let report = explore(&QueueRow { plant: None, ..*row }, 30_000);
            assert!(!matches!(report.end, End::Broken { .. }), "{}: {:?}", row.name, report.end);
        }
    }

    #[test]
    fn the_small_rows_hold() {
        for name in ["line-3x1-calm", "line-2x1-long-and-short-drop-slow"] {
            let row = ROWS.iter().find(|row| row.name == name).unwrap();
            assert_eq!(explore(row, 200_000).end, End::Exhausted, "{name}");
        }
    }
}
