//! What is explored of the line.

use crate::queue::seeded_bugs::Plant;
use crate::time::Tick;

/// How often each kind of trouble may happen, and what clients may do of their own accord.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Messages and pushes that take up to [`QueueRow::slow`] ticks.
    pub slow: u8,
    /// Messages that never arrive.
    pub lost: u8,
    /// Pushes that never arrive.
    pub lost_push: u8,
    /// Connections for pushes that are lost.
    pub cut: u8,
    /// Waits that are given up.
    pub dropped: u8,
    /// Renewals, beside the claims of windows.
    pub renewed: u8,
    /// Clients that vanish.
    pub crashed: u8,
    /// Clients that stand still for a while.
    pub frozen: u8,
    /// Times that the server forgets everything.
    pub wiped: u8,
    /// Times that somebody deletes the lock.
    pub deleted: u8,
    /// Times that a client of another library takes the lock.
    pub foreign: u8,
}

/// One exploration.
#[derive(Clone, Copy, Debug)]
pub struct QueueRow {
    /// Its name.
    pub name: &'static str,
    /// How many clients.
    pub clients: usize,
    /// How many of them, the last ones, ask again and again instead of standing in line.
    pub pollers: usize,
    /// How often each wants the lock, one time after the other.
    pub waits: u8,
    /// The lease that each asks for.
    pub ttls: [Tick; 4],
    /// The lease of a pushed grant.
    pub window: Tick,
    /// The lease that a renewal asks for.
    pub renewal: Tick,
    /// The lease of another library's client.
    pub foreign: Tick,
    /// How long an ordinary message takes at most.
    pub latency: Tick,
    /// How long a slow message takes at most.
    pub slow: Tick,
    /// How long a client stands still at most.
    pub freeze: Tick,
    /// How many in line a script looks at before it gives up.
    pub skips: u8,
    /// Whether a client keeps its channel when it makes a new connection.
    pub one_channel: bool,
    /// The trouble.
    pub budget: Budget,
    /// So many may overtake a client.
    pub overtaking: u8,
    /// For so many ticks the lock may be free while somebody stands in line.
    pub line_free: Tick,
    /// For so many ticks the lock may be free while somebody waits, perhaps unknown to the server:
    /// until the end of the lease that the client was told of.
    pub free: Tick,
    /// The bug.
    pub plant: Option<Plant>,
    /// Whether it is small enough for every change: a million states at most.
    pub quick: bool,
}

impl QueueRow {
    /// Whether this client does not stand in line.
    #[must_use]
    pub const fn polls(&self, client: usize) -> bool {
        client + self.pollers >= self.clients
    }

    /// The lease of a grant that is pushed to this client.
    #[must_use]
    pub fn window_of(&self, client: usize) -> Tick {
        self.window.min(self.ttls[client])
    }
}

/// No trouble at all.
pub const NONE: Budget = Budget {
    slow: 0,
    lost: 0,
    lost_push: 0,
    cut: 0,
    dropped: 0,
    renewed: 0,
    crashed: 0,
    frozen: 0,
    wiped: 0,
    deleted: 0,
    foreign: 0,
};

/// What the rows have in common.
pub const ROW: QueueRow = QueueRow {
    name: "",
    clients: 2,
    pollers: 0,
    waits: 1,
    ttls: [4; 4],
    window: 3,
    renewal: 5,
    foreign: 3,
    latency: 0,
    slow: 4,
    freeze: 5,
    skips: 64,
    one_channel: false,
    budget: NONE,
    overtaking: 0,
    line_free: 0,
    free: 0,
    plant: None,
    quick: true,
};

/// A long lease before short ones: whoever is told of it waits long.
pub const LONG: QueueRow = QueueRow { ttls: [8, 3, 3, 3], window: 2, ..ROW };

/// The rows that must hold; what they allow is what happens in them, and no more.
pub const ROWS: &[QueueRow] = &[
    QueueRow { name: "line-2x1-calm-late", latency: 1, ..ROW },
    QueueRow { name: "line-2x2-calm", waits: 2, ..ROW },
    QueueRow { name: "line-3x1-calm", clients: 3, ..ROW },
    QueueRow { name: "line-3x1-calm-late", clients: 3, latency: 1, quick: false, ..ROW },
    QueueRow { name: "line-4x1-calm", clients: 4, ..ROW },
    QueueRow {
        name: "line-2x1-slow-loss",
        budget: Budget { slow: 1, lost: 1, ..NONE },
        line_free: 1,
        free: 1,
        ..ROW
    },
    QueueRow {
        name: "line-2x1-slow-late",
        latency: 1,
        budget: Budget { slow: 1, ..NONE },
        line_free: 1,
        free: 1,
        ..ROW
    },
    QueueRow { name: "line-2x1-loss-late", latency: 1, budget: Budget { lost: 1, ..NONE }, ..ROW },
    QueueRow {
        name: "line-2x1-slow-loss-late",
        latency: 1,
        budget: Budget { slow: 1, lost: 1, ..NONE },
        quick: false,
        overtaking: 1,
        line_free: 1,
        free: 1,
        ..ROW
    },
    QueueRow {
        name: "line-2x1-cut-drop-slow",
        budget: Budget { cut: 1, dropped: 1, slow: 1, ..NONE },
        overtaking: 1,
        free: 3,
        ..ROW
    },
    QueueRow {
        name: "line-2x1-cut-drop-slow-late",
        latency: 1,
        budget: Budget { cut: 1, dropped: 1, slow: 1, ..NONE },
        quick: false,
        overtaking: 1,
        line_free: 1,
        free: 3,
        ..ROW
    },
    QueueRow {
        name: "line-2x1-2slow-drop",
        budget: Budget { slow: 2, dropped: 1, ..NONE },
        line_free: 1,
        free: 1,
        ..ROW
    },
    QueueRow {
        name: "line-2x1-2slow-drop-late",
        latency: 1,
        budget: Budget { slow: 2, dropped: 1, ..NONE },
        quick: false,
        overtaking: 1,
        line_free: 1,
        free: 1,
        ..ROW
    },
    QueueRow {
        name: "line-2x1-freeze-crash-lost-push",
        budget: Budget { frozen: 1, crashed: 1, lost_push: 1, ..NONE },
        line_free: 3,
        free: 3,
        ..ROW
    },
    QueueRow {
        name: "line-2x1-freeze-crash-lost-push-late",
        latency: 1,
        budget: Budget { frozen: 1, crashed: 1, lost_push: 1, ..NONE },
        quick: false,
        overtaking: 1,
        line_free: 3,
        free: 3,
        ..ROW
    },
    QueueRow {
        name: "line-2x1-wipe-slow-loss",
        budget: Budget { wiped: 1, slow: 1, lost: 1, ..NONE },
        overtaking: 2,
        line_free: 1,
        free: 3,
        ..ROW
    },
    QueueRow {
        name: "line-2x1-foreign-delete-crash-slow",
        budget: Budget { foreign: 1, deleted: 1, crashed: 1, slow: 1, ..NONE },
        overtaking: 2,
        line_free: 3,
        free: 4,
        ..ROW
    },
    QueueRow {
        name: "line-2x1-renewal-slow-loss",
        budget: Budget { renewed: 1, slow: 1, lost: 1, ..NONE },
        line_free: 1,
        free: 1,
        ..ROW
    },
    QueueRow {
        name: "line-2x1-freeze-slow-drop",
        budget: Budget { frozen: 1, slow: 1, dropped: 1, ..NONE },
        overtaking: 1,
        line_free: 3,
        free: 3,
        ..ROW
    },
    QueueRow {
        name: "line-2x1-2cut-loss-drop",
        budget: Budget { cut: 2, lost: 1, dropped: 1, ..NONE },
        free: 1,
        ..ROW
    },
    QueueRow {
        name: "line-2x2-slow",
        waits: 2,
        budget: Budget { slow: 1, ..NONE },
        quick: false,
        overtaking: 2,
        ..ROW
    },
    QueueRow {
        name: "line-2x2-crash-drop",
        waits: 2,
        budget: Budget { crashed: 1, dropped: 1, ..NONE },
        ..ROW
    },
    QueueRow {
        name: "line-2x2-cut-lost-push",
        waits: 2,
        budget: Budget { cut: 1, lost_push: 1, ..NONE },
        quick: false,
        overtaking: 2,
        free: 3,
        ..ROW
    },
    QueueRow {
        name: "line-2x2-freeze",
        waits: 2,
        budget: Budget { frozen: 1, ..NONE },
        quick: false,
        overtaking: 2,
        ..ROW
    },
    QueueRow {
        name: "line-3x1-slow",
        clients: 3,
        budget: Budget { slow: 1, ..NONE },
        overtaking: 1,
        ..ROW
    },
    QueueRow {
        name: "line-3x1-loss-drop",
        clients: 3,
        budget: Budget { lost: 1, dropped: 1, ..NONE },
        ..ROW
    },
    QueueRow {
        name: "line-3x1-crash-lost-push",
        clients: 3,
        budget: Budget { crashed: 1, lost_push: 1, ..NONE },
        overtaking: 1,
        ..ROW
    },
    QueueRow {
        name: "line-3x1-cut",
        clients: 3,
        budget: Budget { cut: 1, ..NONE },
        overtaking: 1,
        free: 1,
        ..ROW
    },
    QueueRow {
        name: "line-3x1-cut-drop",
        clients: 3,
        budget: Budget { cut: 1, dropped: 1, ..NONE },
        overtaking: 1,
        free: 1,
        ..ROW
    },
    QueueRow {
        name: "line-3x1-freeze",
        clients: 3,
        budget: Budget { frozen: 1, ..NONE },
        overtaking: 1,
        ..ROW
    },
    QueueRow {
        name: "line-3x1-freeze-crash",
        clients: 3,
        budget: Budget { frozen: 1, crashed: 1, ..NONE },
        quick: false,
        overtaking: 1,
        line_free: 3,
        free: 3,
        ..ROW
    },
    QueueRow {
        name: "line-3x1-slow-loss",
        clients: 3,
        budget: Budget { slow: 1, lost: 1, ..NONE },
        quick: false,
        overtaking: 1,
        line_free: 1,
        free: 1,
        ..ROW
    },
    QueueRow {
        name: "line-3x1-slow-drop",
        clients: 3,
        budget: Budget { slow: 1, dropped: 1, ..NONE },
        overtaking: 1,
        ..ROW
    },
    QueueRow {
        name: "line-3x1-wipe-crash",
        clients: 3,
        budget: Budget { wiped: 1, crashed: 1, ..NONE },
        overtaking: 1,
        free: 3,
        ..ROW
    },
    QueueRow {
        name: "line-3x1-foreign-drop",
        clients: 3,
        budget: Budget { foreign: 1, dropped: 1, ..NONE },
        ..ROW
    },
    QueueRow {
        name: "line-3x1-renewal-crash",
        clients: 3,
        budget: Budget { renewed: 1, crashed: 1, ..NONE },
        ..ROW
    },
    QueueRow {
        name: "line-3x1-one-skip-crash-drop",
        clients: 3,
        skips: 1,
        budget: Budget { crashed: 1, dropped: 1, ..NONE },
        line_free: 3,
        free: 3,
        ..ROW
    },
    QueueRow {
        name: "line-3x1-one-channel-cut",
        clients: 3,
        one_channel: true,
        budget: Budget { cut: 1, ..NONE },
        overtaking: 1,
        free: 1,
        ..ROW
    },
    QueueRow {
        name: "line-2x1-one-channel-cut-drop-slow",
        one_channel: true,
        budget: Budget { cut: 1, dropped: 1, slow: 1, ..NONE },
        overtaking: 1,
        free: 1,
        ..ROW
    },
    QueueRow {
        name: "line-2+1-poller-crash-lost-push",
        clients: 3,
        pollers: 1,
        budget: Budget { crashed: 1, lost_push: 1, ..NONE },
        overtaking: 1,
        ..ROW
    },
    QueueRow {
        name: "line-1+1-poller-slow-loss",
        pollers: 1,
        budget: Budget { slow: 1, lost: 1, ..NONE },
        line_free: 1,
        free: 1,
        ..ROW
    },
    QueueRow {
        name: "line-2x1-long-and-short-drop-slow",
        ttls: [8, 1, 1, 1],
        budget: Budget { dropped: 1, slow: 1, ..NONE },
        free: 3,
        ..ROW
    },
    QueueRow {
        name: "line-3x1-long-lost-push-crash",
        clients: 3,
        budget: Budget { lost_push: 1, crashed: 1, ..NONE },
        overtaking: 1,
        line_free: 5,
        free: 5,
        ..LONG
    },
    QueueRow {
        name: "line-4x1-long-drop-crash",
        clients: 4,
        budget: Budget { dropped: 1, crashed: 1, ..NONE },
        quick: false,
        ..LONG
    },
    QueueRow {
        name: "line-4x1-long-lost-push",
        clients: 4,
        budget: Budget { lost_push: 1, ..NONE },
        quick: false,
        overtaking: 2,
        free: 5,
        ..LONG
    },
];
