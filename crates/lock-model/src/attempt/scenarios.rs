//! The scenarios that must hold.

use crate::attempt::settings::{COMMON, Scenario};
use crate::budget::{Budget, NONE};

/// The scenarios that must hold.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "2x1-calm", latency: 1, ..COMMON },
    Scenario { name: "2x2-calm", attempts: 2, ..COMMON },
    Scenario { name: "2x2-calm-late", attempts: 2, latency: 1, quick: false, ..COMMON },
    Scenario { name: "3x1-calm", clients: 3, ..COMMON },
    Scenario { name: "3x1-calm-late", clients: 3, latency: 1, quick: false, ..COMMON },
    Scenario {
        name: "2x1-drop-loss-late",
        latency: 1,
        budget: Budget { dropped: 1, lost: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "2x1-drop-loss-slow-late",
        latency: 1,
        budget: Budget { dropped: 1, lost: 1, slow: 1, ..NONE },
        quick: false,
        ..COMMON
    },
    Scenario {
        name: "2x2-drop-loss-slow",
        attempts: 2,
        budget: Budget { dropped: 1, lost: 1, slow: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "2x1-repeat-loss-2slow",
        budget: Budget { repeated: 2, lost: 1, slow: 2, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "2x1-drop-repeat-2loss-slow",
        budget: Budget { dropped: 1, repeated: 1, lost: 2, slow: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "2x1-refused-drop-repeat-loss",
        budget: Budget { refused: 2, dropped: 1, repeated: 1, lost: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "2x2-crash-drop-slow",
        attempts: 2,
        budget: Budget { crashed: 1, dropped: 1, slow: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "1x3-drop-repeat-loss-2slow",
        clients: 1,
        attempts: 3,
        budget: Budget { dropped: 1, repeated: 1, lost: 1, slow: 2, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "2x1-renewal-late",
        latency: 1,
        budget: Budget { renewed: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "2x1-renewal-slow-late",
        latency: 1,
        budget: Budget { renewed: 1, slow: 1, ..NONE },
        quick: false,
        ..COMMON
    },
    Scenario {
        name: "2x1-renewal-loss-slow",
        budget: Budget { renewed: 1, lost: 1, slow: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "2x1-2renewals-slow",
        budget: Budget { renewed: 2, slow: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "2x1-2renewals-loss-slow",
        budget: Budget { renewed: 2, lost: 1, slow: 1, ..NONE },
        quick: false,
        ..COMMON
    },
    Scenario {
        name: "2x2-renewal-loss",
        attempts: 2,
        budget: Budget { renewed: 1, lost: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "2x1-wipe-renewal-slow",
        budget: Budget { wiped: 1, renewed: 1, slow: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "2x1-wipe-renewal-loss-slow",
        budget: Budget { wiped: 1, renewed: 1, lost: 1, slow: 1, ..NONE },
        quick: false,
        ..COMMON
    },
    Scenario {
        name: "3x1-renewal-slow",
        clients: 3,
        budget: Budget { renewed: 1, slow: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "3x1-drop-loss",
        clients: 3,
        budget: Budget { dropped: 1, lost: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "2x1-short-lease-drop-repeat-slow",
        ttl: 1,
        renewals: [1, 2],
        latency: 1,
        budget: Budget { dropped: 1, repeated: 1, slow: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "2x2-short-lease-renewal-loss",
        attempts: 2,
        ttl: 2,
        renewals: [1, 2],
        budget: Budget { renewed: 1, lost: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "1x1-outage-2renewals-2slow",
        clients: 1,
        slow: 8,
        budget: Budget { lost: 6, renewed: 2, slow: 2, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "1x1-outage-4renewals-slow",
        clients: 1,
        slow: 8,
        budget: Budget { lost: 6, renewed: 4, slow: 1, ..NONE },
        quick: false,
        ..COMMON
    },
    Scenario {
        name: "2x1-2renewals-2slow",
        budget: Budget { renewed: 2, slow: 2, ..NONE },
        quick: false,
        ..COMMON
    },
    Scenario {
        name: "2x1-3renewals-2slow",
        budget: Budget { renewed: 3, slow: 2, ..NONE },
        quick: false,
        ..COMMON
    },
    Scenario {
        name: "2x1-2renewals-drop-loss-slow",
        budget: Budget { renewed: 2, dropped: 1, lost: 1, slow: 1, ..NONE },
        quick: false,
        ..COMMON
    },
    Scenario {
        name: "2x1-renewal-loss-slow-late",
        latency: 1,
        budget: Budget { renewed: 1, lost: 1, slow: 1, ..NONE },
        quick: false,
        ..COMMON
    },
    Scenario {
        name: "2x1-drop-repeat-loss-2slow-late",
        latency: 1,
        budget: Budget { dropped: 1, repeated: 1, lost: 1, slow: 2, ..NONE },
        quick: false,
        ..COMMON
    },
    Scenario {
        name: "2x2-2renewals-loss",
        attempts: 2,
        budget: Budget { renewed: 2, lost: 1, ..NONE },
        quick: false,
        ..COMMON
    },
    Scenario {
        name: "2x3-repeat-loss-slow",
        attempts: 3,
        budget: Budget { repeated: 1, lost: 1, slow: 1, ..NONE },
        quick: false,
        ..COMMON
    },
    Scenario {
        name: "3x1-drop-late",
        clients: 3,
        latency: 1,
        budget: Budget { dropped: 1, ..NONE },
        quick: false,
        ..COMMON
    },
    Scenario {
        name: "3x1-renewal-drop-loss-slow",
        clients: 3,
        budget: Budget { renewed: 1, dropped: 1, lost: 1, slow: 1, ..NONE },
        quick: false,
        ..COMMON
    },
    Scenario {
        name: "3x2-drop-slow",
        clients: 3,
        attempts: 2,
        budget: Budget { dropped: 1, slow: 1, ..NONE },
        quick: false,
        ..COMMON
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::claims;

    #[test]
    fn the_small_scenarios_hold() {
        claims::they_hold(
            SCENARIOS,
            &["2x1-calm", "2x1-refused-drop-repeat-loss", "3x1-drop-loss"],
            100_000,
        );
    }
}
