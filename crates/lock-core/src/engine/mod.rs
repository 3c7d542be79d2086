//! Carries out what the state machines decide: asks the store, waits, keeps the deadlines, renews and
//! releases.

pub(crate) mod acquire;
pub(crate) mod acquire_all;
mod acquisition;
mod advice;
mod asking;
mod attempt_driver;
mod backend_users;
mod background;
mod context;
mod doubt;
pub(crate) mod extend;
mod farewell;
pub(crate) mod held;
mod hold;
pub(crate) mod holder;
pub(crate) mod inspect;
mod lease_end;
mod local_queues;
mod loss_text;
pub(crate) mod metrics;
mod outage;
mod pace;
pub(crate) mod pass_on;
pub(crate) mod plan;
pub(crate) mod renew;
pub(crate) mod schedule;
pub(crate) mod shutdown;
pub(crate) mod spans;
pub(crate) mod store;
mod store_health;
pub(crate) mod telemetry;
pub(crate) mod tell;
pub(crate) mod verify;
