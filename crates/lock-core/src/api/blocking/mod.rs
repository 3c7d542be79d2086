//! The same locks for programs without an asynchronous main: each call blocks its thread.

pub(crate) mod guard;
pub(crate) mod lease;
pub(crate) mod lease_set;
pub(crate) mod lock;
pub(crate) mod lock_set;
pub(crate) mod lock_set_guard;
pub(crate) mod service;
