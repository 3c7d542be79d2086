//! What must hold in every state of all models.

use crate::message::Token;
use crate::product::Instant;
use crate::time::{Tick, instant};

/// A property that is broken, if any.
pub type Breach = Option<String>;

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
pub fn breach_of_exclusion(holders: impl IntoIterator<Item = Belief>) -> Breach {
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

/// S6, that nothing is left in the store when all is quiet: neither a lock nor a place in a queue.
/// A `kind` is what the model calls a client.
#[must_use]
pub fn breach_of_cleanliness(kind: &str, owner: Option<Token>, waiter: Option<Token>) -> Breach {
    let what = if owner.is_some() { "owns the lock" } else { "stands in the queue" };
    let Token { client, attempt } = owner.or(waiter)?;
    Some(format!("S6: all is quiet, and attempt {attempt} of {kind} {client} still {what}"))
}
