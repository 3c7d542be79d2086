//! Pure state machines: events in, decisions out. No clock, no network, no runtime.

pub mod attempt;
pub mod lease;
pub mod local_queue;
pub mod margins;
pub mod waiter;
