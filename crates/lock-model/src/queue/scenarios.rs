//! The scenarios that must hold.

use crate::budget::{Budget, NONE};
use crate::queue::settings::{COMMON, GAPS, LONG, Scenario};
use crate::time::Tick;

/// The scenarios that must hold; what they allow is what happens in them, and no more.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "queue-2x1-calm-late", latency: 1, ..COMMON },
    Scenario { name: "queue-2x2-calm", waits: 2, ..COMMON },
    Scenario { name: "queue-3x1-calm", clients: 3, ..COMMON },
    Scenario { name: "queue-3x1-calm-late", clients: 3, latency: 1, quick: false, ..COMMON },
    Scenario { name: "queue-4x1-calm", clients: 4, ..COMMON },
    Scenario {
        name: "queue-2x1-slow-loss",
        budget: Budget { slow: 1, lost: 1, ..NONE },
        queue_free: 1,
        free: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-slow-late",
        latency: 1,
        budget: Budget { slow: 1, ..NONE },
        queue_free: 1,
        free: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-loss-late",
        latency: 1,
        budget: Budget { lost: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-slow-loss-late",
        latency: 1,
        budget: Budget { slow: 1, lost: 1, ..NONE },
        quick: false,
        overtaking: 1,
        queue_free: 1,
        free: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-cut-drop-slow",
        budget: Budget { cut: 1, dropped: 1, slow: 1, ..NONE },
        overtaking: 1,
        free: 3,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-cut-drop-slow-late",
        latency: 1,
        budget: Budget { cut: 1, dropped: 1, slow: 1, ..NONE },
        quick: false,
        overtaking: 1,
        queue_free: 1,
        free: 3,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-2slow-drop",
        budget: Budget { slow: 2, dropped: 1, ..NONE },
        queue_free: 1,
        free: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-2slow-drop-late",
        latency: 1,
        budget: Budget { slow: 2, dropped: 1, ..NONE },
        quick: false,
        overtaking: 1,
        queue_free: 1,
        free: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-freeze-crash-lost-push",
        budget: Budget { frozen: 1, crashed: 1, lost_push: 1, ..NONE },
        queue_free: 3,
        free: 3,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-freeze-crash-lost-push-late",
        latency: 1,
        budget: Budget { frozen: 1, crashed: 1, lost_push: 1, ..NONE },
        quick: false,
        overtaking: 1,
        queue_free: 3,
        free: 3,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-wipe-slow-loss",
        budget: Budget { wiped: 1, slow: 1, lost: 1, ..NONE },
        overtaking: 2,
        queue_free: 1,
        free: 3,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-foreign-delete-crash-slow",
        budget: Budget { foreign: 1, deleted: 1, crashed: 1, slow: 1, ..NONE },
        overtaking: 2,
        queue_free: 3,
        free: 4,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-renewal-slow-loss",
        budget: Budget { renewed: 1, slow: 1, lost: 1, ..NONE },
        queue_free: 1,
        free: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-freeze-slow-drop",
        budget: Budget { frozen: 1, slow: 1, dropped: 1, ..NONE },
        overtaking: 1,
        queue_free: 3,
        free: 3,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-2cut-loss-drop",
        budget: Budget { cut: 2, lost: 1, dropped: 1, ..NONE },
        free: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-2x2-slow",
        waits: 2,
        budget: Budget { slow: 1, ..NONE },
        quick: false,
        overtaking: 2,
        ..COMMON
    },
    Scenario {
        name: "queue-2x2-crash-drop",
        waits: 2,
        budget: Budget { crashed: 1, dropped: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "queue-2x2-cut-lost-push",
        waits: 2,
        budget: Budget { cut: 1, lost_push: 1, ..NONE },
        quick: false,
        overtaking: 2,
        free: 3,
        ..COMMON
    },
    Scenario {
        name: "queue-2x2-freeze",
        waits: 2,
        budget: Budget { frozen: 1, ..NONE },
        quick: false,
        overtaking: 2,
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-slow",
        clients: 3,
        budget: Budget { slow: 1, ..NONE },
        overtaking: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-loss-drop",
        clients: 3,
        budget: Budget { lost: 1, dropped: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-crash-lost-push",
        clients: 3,
        budget: Budget { crashed: 1, lost_push: 1, ..NONE },
        overtaking: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-cut",
        clients: 3,
        budget: Budget { cut: 1, ..NONE },
        overtaking: 1,
        free: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-cut-drop",
        clients: 3,
        budget: Budget { cut: 1, dropped: 1, ..NONE },
        overtaking: 1,
        free: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-freeze",
        clients: 3,
        budget: Budget { frozen: 1, ..NONE },
        overtaking: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-freeze-crash",
        clients: 3,
        budget: Budget { frozen: 1, crashed: 1, ..NONE },
        quick: false,
        overtaking: 1,
        queue_free: 3,
        free: 3,
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-slow-loss",
        clients: 3,
        budget: Budget { slow: 1, lost: 1, ..NONE },
        quick: false,
        overtaking: 1,
        queue_free: 1,
        free: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-slow-drop",
        clients: 3,
        budget: Budget { slow: 1, dropped: 1, ..NONE },
        overtaking: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-wipe-crash",
        clients: 3,
        budget: Budget { wiped: 1, crashed: 1, ..NONE },
        overtaking: 1,
        free: 3,
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-foreign-drop",
        clients: 3,
        budget: Budget { foreign: 1, dropped: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-renewal-crash",
        clients: 3,
        budget: Budget { renewed: 1, crashed: 1, ..NONE },
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-one-skip-crash-drop",
        clients: 3,
        skips: 1,
        budget: Budget { crashed: 1, dropped: 1, ..NONE },
        queue_free: 3,
        free: 3,
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-one-channel-cut",
        clients: 3,
        one_channel: true,
        budget: Budget { cut: 1, ..NONE },
        overtaking: 1,
        free: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-one-channel-cut-drop-slow",
        one_channel: true,
        budget: Budget { cut: 1, dropped: 1, slow: 1, ..NONE },
        overtaking: 1,
        free: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-2+1-poller-crash-lost-push",
        clients: 3,
        pollers: 1,
        budget: Budget { crashed: 1, lost_push: 1, ..NONE },
        overtaking: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-1+1-poller-slow-loss",
        pollers: 1,
        budget: Budget { slow: 1, lost: 1, ..NONE },
        queue_free: 1,
        free: 1,
        ..COMMON
    },
    Scenario {
        name: "queue-2x1-foreign-release",
        foreign: 8,
        foreign_releases: true,
        budget: Budget { foreign: 1, ..NONE },
        overtaking: 1,
        queue_free: 1,
        free: 1,
        ..COMMON
    },
    Scenario { name: "queue-1+1-gaps", waits: 2, ..GAPS },
    Scenario { name: "queue-2+1-gaps", clients: 3, ..GAPS },
    Scenario {
        name: "queue-2+1-gaps-twice",
        clients: 3,
        waits: 2,
        in_vain: 7,
        quick: false,
        ..GAPS
    },
    Scenario { name: "queue-3+1-gaps", clients: 4, quick: false, ..GAPS },
    Scenario {
        name: "queue-2+1-gaps-crash-lost-push",
        clients: 3,
        budget: Budget { crashed: 1, lost_push: 1, ..NONE },
        overtaking: 1,
        queue_free: 2,
        free: 2,
        in_vain: Tick::MAX,
        ..GAPS
    },
    Scenario {
        name: "queue-2+1-gaps-slow-drop",
        clients: 3,
        budget: Budget { slow: 1, dropped: 1, ..NONE },
        overtaking: 1,
        queue_free: 3,
        free: 3,
        in_vain: Tick::MAX,
        quick: false,
        ..GAPS
    },
    Scenario {
        name: "queue-2+1-gaps-freeze",
        clients: 3,
        budget: Budget { frozen: 1, ..NONE },
        overtaking: 1,
        in_vain: Tick::MAX,
        ..GAPS
    },
    Scenario {
        name: "queue-2+1-gaps-wipe",
        clients: 3,
        budget: Budget { wiped: 1, ..NONE },
        overtaking: 1,
        in_vain: Tick::MAX,
        ..GAPS
    },
    Scenario {
        name: "queue-1+1-gaps-foreign-cut",
        foreign_releases: true,
        budget: Budget { foreign: 1, cut: 1, ..NONE },
        overtaking: 1,
        in_vain: Tick::MAX,
        ..GAPS
    },
    Scenario {
        name: "queue-2x1-long-and-short-drop-slow",
        ttls: [8, 1, 1, 1],
        budget: Budget { dropped: 1, slow: 1, ..NONE },
        free: 3,
        ..COMMON
    },
    Scenario {
        name: "queue-3x1-long-lost-push-crash",
        clients: 3,
        budget: Budget { lost_push: 1, crashed: 1, ..NONE },
        overtaking: 1,
        queue_free: 5,
        free: 5,
        ..LONG
    },
    Scenario {
        name: "queue-4x1-long-drop-crash",
        clients: 4,
        budget: Budget { dropped: 1, crashed: 1, ..NONE },
        quick: false,
        ..LONG
    },
    Scenario {
        name: "queue-4x1-long-lost-push",
        clients: 4,
        budget: Budget { lost_push: 1, ..NONE },
        quick: false,
        overtaking: 2,
        free: 5,
        ..LONG
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
            &["queue-3x1-calm", "queue-2x1-long-and-short-drop-slow"],
            200_000,
        );
    }
}
