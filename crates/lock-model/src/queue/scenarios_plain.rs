//! The scenarios with plain commands that must hold.

use crate::budget::{Budget, NONE};
use crate::queue::settings::{GAPS, PLAIN, Scenario, UNNUMBERED};

/// The scenarios that must hold; what they allow is what happens in them, and no more.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "queue-plain-2x1-calm-late", latency: 1, ..PLAIN },
    Scenario { name: "queue-plain-2x2-calm", waits: 2, overtaking: 1, ..PLAIN },
    Scenario { name: "queue-plain-3x1-calm", clients: 3, overtaking: 1, ..PLAIN },
    Scenario {
        name: "queue-plain-2x1-slow-loss",
        budget: Budget { slow: 1, lost: 1, ..NONE },
        queue_free: 1,
        free: 1,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-2slow-drop",
        budget: Budget { slow: 2, dropped: 1, ..NONE },
        queue_free: 1,
        free: 1,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-cut-off-slow-drop",
        budget: Budget { cut_off: 1, slow: 1, dropped: 1, ..NONE },
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-cut-off-loss-drop",
        budget: Budget { cut_off: 1, lost: 1, dropped: 1, ..NONE },
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-1x2-late-loss-drop",
        clients: 1,
        waits: 2,
        slow: 8,
        budget: Budget { slow: 1, lost: 1, dropped: 1, ..NONE },
        queue_free: 1,
        free: 1,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-slow-2loss-drop",
        budget: Budget { slow: 1, lost: 2, dropped: 1, ..NONE },
        quick: false,
        queue_free: 1,
        free: 1,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-slow-drop-late",
        latency: 1,
        budget: Budget { slow: 1, dropped: 1, ..NONE },
        quick: false,
        queue_free: 1,
        free: 1,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-3x1-crash",
        clients: 3,
        budget: Budget { crashed: 1, ..NONE },
        overtaking: 1,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-3x1-lost-push-crash",
        clients: 3,
        budget: Budget { lost_push: 1, crashed: 1, ..NONE },
        overtaking: 1,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-3x1-one-skip-crash-drop",
        clients: 3,
        skips: 1,
        budget: Budget { crashed: 1, dropped: 1, ..NONE },
        overtaking: 1,
        queue_free: 2,
        free: 2,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x2-crash-drop",
        waits: 2,
        budget: Budget { crashed: 1, dropped: 1, ..NONE },
        quick: false,
        overtaking: 1,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-cut-drop-slow",
        budget: Budget { cut: 1, dropped: 1, slow: 1, ..NONE },
        free: 3,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-freeze-slow",
        budget: Budget { frozen: 1, slow: 1, ..NONE },
        overtaking: 1,
        queue_free: 3,
        free: 3,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-renewal-slow",
        budget: Budget { renewed: 1, slow: 1, ..NONE },
        free: 1,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-3x1-wipe",
        clients: 3,
        budget: Budget { wiped: 1, ..NONE },
        overtaking: 2,
        free: 3,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x2-wipe",
        waits: 2,
        budget: Budget { wiped: 1, ..NONE },
        quick: false,
        overtaking: 2,
        free: 3,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-wipe-slow-drop",
        budget: Budget { wiped: 1, slow: 1, dropped: 1, ..NONE },
        overtaking: 2,
        free: 3,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-3x1-evict",
        clients: 3,
        budget: Budget { evicted: 1, ..NONE },
        overtaking: 1,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x2-evict",
        waits: 2,
        budget: Budget { evicted: 1, ..NONE },
        quick: false,
        overtaking: 1,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-evict-slow-drop",
        budget: Budget { evicted: 1, slow: 1, dropped: 1, ..NONE },
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-evict-refused-drop",
        budget: Budget { evicted: 1, refused: 1, dropped: 1, ..NONE },
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-3x1-fail-over",
        clients: 3,
        budget: Budget { failed_over: 1, ..NONE },
        quick: false,
        overtaking: 1,
        free: 3,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-fail-over-drop",
        budget: Budget { failed_over: 1, dropped: 1, ..NONE },
        free: 1,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-fail-over-evict-slow",
        budget: Budget { failed_over: 1, evicted: 1, slow: 1, ..NONE },
        quick: false,
        overtaking: 1,
        queue_free: 1,
        free: 3,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-foreign-release-drop",
        foreign: 8,
        foreign_releases: true,
        budget: Budget { foreign: 1, dropped: 1, ..NONE },
        overtaking: 1,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-2x1-foreign-delete-crash",
        budget: Budget { foreign: 1, deleted: 1, crashed: 1, ..NONE },
        overtaking: 1,
        queue_free: 3,
        free: 3,
        ..PLAIN
    },
    Scenario {
        name: "queue-plain-1+1-gaps",
        waits: 2,
        plain: true,
        overtaking: 2,
        queue_free: 2,
        free: 2,
        in_vain: 6,
        ..GAPS
    },
    Scenario {
        name: "queue-plain-2+1-gaps",
        clients: 3,
        plain: true,
        overtaking: 1,
        queue_free: 2,
        free: 2,
        in_vain: 4,
        ..GAPS
    },
    Scenario { name: "queue-plain-2+1-unnumbered", clients: 3, overtaking: 1, ..UNNUMBERED },
    Scenario {
        name: "queue-plain-1+1-unnumbered-slow-drop",
        budget: Budget { slow: 1, dropped: 1, ..NONE },
        ..UNNUMBERED
    },
    Scenario {
        name: "queue-plain-1+1-unnumbered-evict-crash-drop",
        budget: Budget { evicted: 1, crashed: 1, dropped: 1, ..NONE },
        ..UNNUMBERED
    },
    Scenario {
        name: "queue-plain-0+2-unnumbered-slow-loss-drop",
        pollers: 2,
        unnumbered: 2,
        budget: Budget { slow: 1, lost: 1, dropped: 1, ..NONE },
        ..UNNUMBERED
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::claims;

    #[test]
    fn the_small_scenarios_with_plain_commands_hold() {
        claims::they_hold(
            SCENARIOS,
            &["queue-plain-3x1-calm", "queue-plain-2x1-evict-refused-drop"],
            200_000,
        );
    }
}
