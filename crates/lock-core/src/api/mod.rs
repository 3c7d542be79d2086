//! What users hold: the service, its locks, guards and leases.

mod execute;
pub(crate) mod guard;
pub(crate) mod lease;
pub(crate) mod lock;
pub(crate) mod lock_token;
pub(crate) mod manual;
pub(crate) mod service;
