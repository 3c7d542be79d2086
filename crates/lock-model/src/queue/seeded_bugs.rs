//! Bugs that are put into the modelled server or driver, each in a scenario that is just troubled
//! enough to show it, and the property that must notice it.

use crate::budget::{Budget, NONE};
use crate::queue::settings::{COMMON, GAPS, LONG, Scenario, SeededBug};

const fn bug(name: &'static str, bug: SeededBug, budget: Budget) -> Scenario {
    Scenario { name, bug: Some(bug), overtaking: 2, queue_free: 4, free: 4, budget, ..COMMON }
}

const fn in_gaps(name: &'static str, bug: SeededBug) -> Scenario {
    Scenario { name, bug: Some(bug), clients: 3, waits: 2, ..GAPS }
}

const SLOW: Budget = Budget { slow: 1, ..NONE };
const LOST: Budget = Budget { lost: 1, ..NONE };
const DROPPED: Budget = Budget { dropped: 1, ..NONE };

/// The bugs.
pub const SEEDED_BUGS: &[(Scenario, &str)] = &[
    (bug("queue-publish-tells", SeededBug::PublishTells, Budget { cut: 1, ..NONE }), "S2"),
    (
        bug("queue-no-not-after", SeededBug::NoNotAfter, Budget { slow: 1, dropped: 1, ..NONE }),
        "S6",
    ),
    (bug("queue-regrant-keeps-expiry", SeededBug::RegrantKeepsExpiry, LOST), "S2"),
    (
        bug(
            "queue-renewal-shortens",
            SeededBug::RenewalShortens,
            Budget { renewed: 1, slow: 1, ..NONE },
        ),
        "S2",
    ),
    (
        Scenario {
            clients: 3,
            queue_free: 0,
            ttls: [8, 4, 4, 4],
            ..bug("queue-no-hint", SeededBug::NoHint, Budget { crashed: 1, ..NONE })
        },
        "S7",
    ),
    (
        Scenario {
            clients: 4,
            ttls: LONG.ttls,
            window: LONG.window,
            free: 8,
            queue_free: 0,
            ..bug(
                "queue-leave-without-hint",
                SeededBug::LeaveWithoutHint,
                Budget { dropped: 1, crashed: 1, ..NONE },
            )
        },
        "S7",
    ),
    (
        Scenario {
            ttls: [6; 4],
            ..bug(
                "queue-full-lease-at-hand-over",
                SeededBug::FullLeaseAtHandOver,
                Budget { frozen: 1, ..NONE },
            )
        },
        "S7",
    ),
    (
        Scenario {
            clients: 3,
            pollers: 1,
            overtaking: 0,
            ..bug(
                "queue-poller-overtakes",
                SeededBug::PollerOvertakes,
                Budget { crashed: 1, ..NONE },
            )
        },
        "S11",
    ),
    (
        Scenario {
            clients: 3,
            ..bug("queue-advance-over-holder", SeededBug::AdvanceOverHolder, DROPPED)
        },
        "S4",
    ),
    (
        Scenario {
            foreign: 8,
            foreign_releases: true,
            queue_free: 1,
            free: 1,
            ..bug(
                "queue-foreign-is-not-told",
                SeededBug::ForeignIsNotTold,
                Budget { foreign: 1, ..NONE },
            )
        },
        "S7",
    ),
    (Scenario { clients: 2, waits: 3, ..in_gaps("queue-no-gap", SeededBug::NoGap) }, "S11"),
    (in_gaps("queue-gap-grants-too", SeededBug::GapGrantsToo), "S2"),
    (in_gaps("queue-gap-never-ends", SeededBug::GapNeverEnds), "S7"),
    (
        Scenario {
            waits: 1,
            ttls: [2, 2, 6, 2],
            ..in_gaps("queue-poller-tells-nobody", SeededBug::PollerTellsNobody)
        },
        "S7",
    ),
    (in_gaps("queue-newcomer-takes-gap", SeededBug::NewcomerTakesGap), "S11"),
    (bug("queue-fence-repeats", SeededBug::FenceRepeats, NONE), "S8"),
    (bug("queue-no-owner-check", SeededBug::NoOwnerCheck, DROPPED), "S4"),
    (
        bug(
            "queue-old-entry-stays",
            SeededBug::OldEntryStays,
            Budget { cut: 1, dropped: 1, ..NONE },
        ),
        "S6",
    ),
    (bug("queue-deadline-from-push", SeededBug::DeadlineFromPush, SLOW), "S2"),
    (Scenario { clients: 3, ..bug("queue-no-counter-rule", SeededBug::NoCounterRule, SLOW) }, "S2"),
    (
        bug(
            "queue-push-answers-step",
            SeededBug::PushAnswersStep,
            Budget { slow: 1, lost: 1, ..NONE },
        ),
        "S2",
    ),
    (
        Scenario {
            clients: 4,
            overtaking: 1,
            ..bug("queue-no-ticket", SeededBug::NoTicket, Budget { lost_push: 1, ..NONE })
        },
        "S11",
    ),
    (
        Scenario {
            free: 1,
            ..bug("queue-old-answer-wins", SeededBug::OldAnswerWins, Budget { cut: 1, ..NONE })
        },
        "S7",
    ),
    (bug("queue-abandoned-is-ignored", SeededBug::AbandonedIsIgnored, DROPPED), "S6"),
    (bug("queue-release-overtakes-step", SeededBug::ReleaseOvertakesStep, DROPPED), "S6"),
    (bug("queue-first-answer-is-final", SeededBug::FirstAnswerIsFinal, SLOW), "S6"),
    (
        bug(
            "queue-late-after-equals-not-after",
            SeededBug::LateAfterTooShort,
            Budget { slow: 1, dropped: 1, ..NONE },
        ),
        "S6",
    ),
    (
        bug(
            "queue-doubt-forgotten",
            SeededBug::DoubtForgotten,
            Budget { lost: 1, dropped: 1, ..NONE },
        ),
        "S6",
    ),
    (bug("queue-claim-missing", SeededBug::ClaimMissing, NONE), "S3"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::claims;

    /// The two that only four clients show take seconds each, and so does the one that takes three waits.
    fn small() -> impl Iterator<Item = &'static (Scenario, &'static str)> {
        SEEDED_BUGS.iter().filter(|(scenario, _)| scenario.clients < 4 && scenario.waits < 3)
    }

    #[test]
    fn every_seeded_bug_is_found_by_the_property_that_it_breaks() {
        claims::bugs_are_found(small(), 100_000);
    }

    #[test]
    fn nothing_is_found_where_nothing_was_seeded() {
        let sound = small().map(|(scenario, _)| Scenario { bug: None, ..*scenario });
        claims::nothing_is_found(sound, 30_000);
    }
}
