//! Bugs that are put into the modelled driver of the line, each in a row that is just troubled
//! enough to show it, and the property that must notice it.

use crate::handover::scenarios::{DROPPED, HandoverRow, ROW, WAITS, WAITS_LONG};
use crate::queue::scenarios::{Budget, NONE, QueueRow};

/// A bug that is put into the modelled driver, to see that the properties notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plant {
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
    SeatIsLost,
    /// Whoever leads leaves its place, but not what it has in the store.
    NothingInherited,
    /// What was offered stands until the end of the lease.
    OfferForEver,
    /// The loss of a lease is not told to the line.
    LossUntold,
    /// Whoever was replaced goes on as if it led the line.
    TermIsForgotten,
    /// A lease is passed on although a renewal is not confirmed.
    UnconfirmedPassedOn,
}

const fn plant(name: &'static str, plant: Plant, budget: Budget) -> HandoverRow {
    let store = QueueRow { name, overtaking: 2, line_free: 9, free: 9, budget, ..ROW.store };
    HandoverRow { store, plant: Some(plant), ..ROW }
}

const FROZEN: Budget = Budget { frozen: 1, ..NONE };

/// The bugs.
pub const PLANTS: &[(HandoverRow, &str)] = &[
    (
        HandoverRow {
            time: 9,
            ..plant("hand-over-past-deadline", Plant::PassedOnPastDeadline, NONE)
        },
        "S2",
    ),
    (plant("hand-over-fence-repeats", Plant::LocalFenceRepeats, NONE), "S8"),
    (plant("hand-over-full-lease", Plant::FullLeaseAtHandOver, NONE), "S2"),
    (
        HandoverRow {
            store: QueueRow { name: "hand-over-without-limit", ..ROW.store },
            tasks: &[&[WAITS, WAITS, WAITS], &[WAITS]],
            grants: 1,
            time: 9,
            plant: Some(Plant::NoLimit),
            ..ROW
        },
        "S11",
    ),
    (HandoverRow { grants: 9, time: 1, ..plant("hand-over-late", Plant::NoLimit, NONE) }, "R32"),
    (plant("hand-over-stale-release", Plant::StaleGuardReleases, NONE), "S2"),
    (plant("hand-over-seat-is-lost", Plant::SeatIsLost, DROPPED), "S7"),
    (plant("hand-over-nothing-inherited", Plant::NothingInherited, DROPPED), "S6"),
    (
        HandoverRow {
            tasks: &[&[WAITS_LONG, WAITS_LONG]],
            ..plant("hand-over-offer-for-ever", Plant::OfferForEver, FROZEN)
        },
        "S7",
    ),
    (plant("hand-over-loss-untold", Plant::LossUntold, Budget { wiped: 1, ..NONE }), "S7"),
    (plant("hand-over-term-is-forgotten", Plant::TermIsForgotten, FROZEN), "R13"),
    (
        HandoverRow {
            tasks: &[&[WAITS_LONG, WAITS_LONG], &[WAITS]],
            ..plant("hand-over-unconfirmed", Plant::UnconfirmedPassedOn, NONE)
        },
        "R13",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handover::scenarios::ROWS;
    use crate::search::{End, explore};

    #[test]
    fn every_planted_bug_is_found_by_the_property_that_it_breaks() {
        for (row, expected) in PLANTS {
            match explore(row, 100_000).end {
                End::Broken { property, .. } => {
                    assert!(property.starts_with(expected), "{}: {property}", row.store.name);
                }
                end => panic!("{}: {end:?}", row.store.name),
            }
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_was_planted() {
        for (row, _) in PLANTS {
            let report = explore(&HandoverRow { plant: None, ..*row }, 30_000);
            let name = row.store.name;
            assert!(!matches!(report.end, End::Broken { .. }), "{name}: {:?}", report.end);
        }
    }

    #[test]
    fn the_small_rows_hold() {
        for name in ["hand-over-1x3-calm", "hand-over-2+1-calm"] {
            let row = ROWS.iter().find(|row| row.store.name == name).unwrap();
            assert_eq!(explore(row, 200_000).end, End::Exhausted, "{name}");
        }
    }
}
