//! What must hold in every state of both models.

use crate::product::Instant;
use crate::time::{Tick, instant};

/// What a client that holds the lock believes, and what the server says of it.
#[derive(Clone, Copy, Debug)]
pub struct Belief {
    /// Which client.
    pub client: usize,
    /// Until when it believes to hold the lock.
    pub valid_until: Instant,
    /// Until when the server says so; `None` if it says nothing of the kind.
    pub stored: Option<Tick>,
}

/// S1, that only one holds the lock, and S2, that it owns it for as long as it believes.
pub fn breach_of_exclusion(holders: impl IntoIterator<Item = Belief>) -> Option<String> {
    let mut holder = None;
    for Belief { client, valid_until, stored } in holders {
        if let Some(other) = holder.replace(client) {
            return Some(format!("S1: clients {other} and {client} both hold the lock"));
        }
        if stored.is_none_or(|expires| instant(expires) < valid_until) {
            return Some(format!(
                "S2: client {client} believes to hold the lock longer than the store says"
            ));
        }
    }
    None
}
