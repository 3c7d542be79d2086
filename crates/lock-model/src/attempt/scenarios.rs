//! What is explored: the rows that must hold.

use crate::attempt::seeded_bugs::Plant;
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
    /// Whether it is small enough for every change: a million states at most.
    pub quick: bool,
}

/// No trouble at all.
pub const NONE: Budget = Budget {
    slow: 0,
    lost: 0,
    refused: 0,
    dropped: 0,
    repeated: 0,
    renewed: 0,
    crashed: 0,
    wiped: 0,
};

/// What the rows have in common.
pub const ROW: Row = Row {
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

/// The rows that must hold.
pub const ROWS: &[Row] = &[
    Row { name: "2x1-calm", latency: 1, ..ROW },
    Row { name: "2x2-calm", attempts: 2, ..ROW },
    Row { name: "2x2-calm-late", attempts: 2, latency: 1, quick: false, ..ROW },
    Row { name: "3x1-calm", clients: 3, ..ROW },
    Row { name: "3x1-calm-late", clients: 3, latency: 1, quick: false, ..ROW },
    Row {
        name: "2x1-drop-loss-late",
        latency: 1,
        budget: Budget { dropped: 1, lost: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "2x1-drop-loss-slow-late",
        latency: 1,
        budget: Budget { dropped: 1, lost: 1, slow: 1, ..NONE },
        quick: false,
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
    Row { name: "2x1-renewal-late", latency: 1, budget: Budget { renewed: 1, ..NONE }, ..ROW },
    Row {
        name: "2x1-renewal-slow-late",
        latency: 1,
        budget: Budget { renewed: 1, slow: 1, ..NONE },
        quick: false,
        ..ROW
    },
    Row {
        name: "2x1-renewal-loss-slow",
        budget: Budget { renewed: 1, lost: 1, slow: 1, ..NONE },
        ..ROW
    },
    Row { name: "2x1-2renewals-slow", budget: Budget { renewed: 2, slow: 1, ..NONE }, ..ROW },
    Row {
        name: "2x1-2renewals-loss-slow",
        budget: Budget { renewed: 2, lost: 1, slow: 1, ..NONE },
        quick: false,
        ..ROW
    },
    Row {
        name: "2x2-renewal-loss",
        attempts: 2,
        budget: Budget { renewed: 1, lost: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "2x1-wipe-renewal-slow",
        budget: Budget { wiped: 1, renewed: 1, slow: 1, ..NONE },
        ..ROW
    },
    Row {
        name: "2x1-wipe-renewal-loss-slow",
        budget: Budget { wiped: 1, renewed: 1, lost: 1, slow: 1, ..NONE },
        quick: false,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{End, explore};

    #[test]
    fn the_small_rows_hold() {
        for name in ["2x1-calm", "2x1-refused-drop-repeat-loss", "3x1-drop-loss"] {
            let row = ROWS.iter().find(|row| row.name == name).unwrap();
            let report = explore(row, 100_000);
            assert_eq!(report.end, End::Exhausted, "{name}");
        }
    }
}
