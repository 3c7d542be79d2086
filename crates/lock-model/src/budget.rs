//! How much trouble there is in a scenario.

/// How often each kind of trouble may happen, and what clients may do of their own accord.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Messages and pushes that take longer than ordinary ones.
    pub slow: u8,
    /// Messages that never arrive.
    pub lost: u8,
    /// Pushes that never arrive.
    pub lost_push: u8,
    /// Requests that the server refuses, saying that nothing ran.
    pub refused: u8,
    /// Connections for pushes that are lost.
    pub cut: u8,
    /// Connections with a plain command that end for their client before they do for the server.
    pub cut_off: u8,
    /// Acquires that are given up: their futures are dropped.
    pub dropped: u8,
    /// Steps that are repeated with the same token, after a failed one or a refusal.
    pub repeated: u8,
    /// Renewals, beside those that claim the rest of a window.
    pub renewed: u8,
    /// Clients that vanish.
    pub crashed: u8,
    /// Clients that stand still, or tasks that are not polled, for a while.
    pub frozen: u8,
    /// Times that the server forgets everything.
    pub wiped: u8,
    /// Times that the server loses its counter only.
    pub evicted: u8,
    /// Times that a replica takes over, which got none of the newest numbers.
    pub failed_over: u8,
    /// Times that somebody deletes the lock.
    pub deleted: u8,
    /// Times that a client of another library takes the lock.
    pub foreign: u8,
}

/// No trouble at all.
pub const NONE: Budget = Budget {
    slow: 0,
    lost: 0,
    lost_push: 0,
    refused: 0,
    cut: 0,
    cut_off: 0,
    dropped: 0,
    repeated: 0,
    renewed: 0,
    crashed: 0,
    frozen: 0,
    wiped: 0,
    evicted: 0,
    failed_over: 0,
    deleted: 0,
    foreign: 0,
};
