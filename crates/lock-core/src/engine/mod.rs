//! Drives the state machines: talks to the backend, keeps the deadlines, renews and releases.

pub(crate) mod acquire;
mod acquisition;
mod attempt_driver;
pub(crate) mod backend_users;
pub(crate) mod background;
pub(crate) mod held;
pub(crate) mod local_queues;
mod renew;
mod schedule;
pub(crate) mod shutdown;
pub(crate) mod telemetry;
