//! Bytes on their way to a server and back, and the health of what carries them.

pub(crate) mod channel;
pub(crate) mod confirmer;
pub(crate) mod connection;
pub(crate) mod credentials;
mod doomed;
pub(crate) mod failure;
pub(crate) mod greeting;
pub(crate) mod health;
pub(crate) mod hello;
mod identity;
pub(crate) mod keep_alive;
pub(crate) mod link;
pub(crate) mod pair;
pub(crate) mod permissions;
pub(crate) mod refusal;
mod replicas;
pub(crate) mod runtime;
pub(crate) mod server_clock;
pub(crate) mod slot_set;
mod subscriptions;
mod window;
