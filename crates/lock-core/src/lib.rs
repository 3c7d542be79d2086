//! The core of `distlock`: the lock service, locks, guards and leases, the background thread that
//! renews and releases them, and a store in memory. It does no networking; that is the job of the
//! backends.
//!
//! Programs use the crate `distlock`, which re-exports what they need. This crate is for authors of
//! backends: see [`backend`].
#![cfg_attr(docsrs, feature(doc_cfg))]

mod api;
pub mod backend;
mod engine;
#[doc(hidden)]
pub mod machine;
pub mod memory;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod types;

/// The same locks for programs without an asynchronous main: each call blocks its thread.
pub mod blocking {
    pub use crate::api::blocking::guard::LockGuard;
    pub use crate::api::blocking::lease::Lease;
    pub use crate::api::blocking::lease_set::LeaseSet;
    pub use crate::api::blocking::lock::Lock;
    pub use crate::api::blocking::lock_set::LockSet;
    pub use crate::api::blocking::lock_set_guard::LockSetGuard;
    pub use crate::api::blocking::service::LockService;
    #[doc(hidden)]
    pub use crate::sync::blocking::block_on;
}

pub use api::guard::LockGuard;
pub use api::lease::Lease;
pub use api::lease_set::LeaseSet;
pub use api::lock::Lock;
pub use api::lock_set::LockSet;
pub use api::lock_set_guard::LockSetGuard;
pub use api::lock_token::LockToken;
pub use api::service::LockService;
pub use api::service_builder::LockServiceBuilder;
pub use time::instant::Instant;
pub use types::error::{LockError, LockErrorKind, Result};
pub use types::fencing::FencingToken;
pub use types::handover::Handover;
pub use types::holder::{Holder, HolderId, Waiter, Who};
pub use types::loss::LossReason;
pub use types::name::{LockName, MAX_KEY_BYTES};
pub use types::options::{
    DEFAULT_ACQUIRE_WAIT, DEFAULT_TTL, LockOptions, MIN_KEEP_ALIVE_TTL, OnLost,
};
pub use types::process::ProcessInfo;
pub use types::server_info::ServerInfo;
pub use types::status::{HeldLock, LockStatus, ReleaseOutcome, ShutdownReport};
#[doc(hidden)]
pub use types::{duration_text, message_text, time_text};

/// Compiles and runs the code in the README of this package.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
