//! What users hold: the service, its locks, guards and leases.

pub(crate) mod blocking;
mod execute;
pub(crate) mod guard;
pub(crate) mod lease;
pub(crate) mod lease_set;
pub(crate) mod lock;
pub(crate) mod lock_set;
pub(crate) mod lock_set_guard;
pub(crate) mod lock_token;
pub(crate) mod manual;
pub(crate) mod service;
pub(crate) mod service_builder;
