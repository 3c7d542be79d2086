//! The core of `distlock`: the lock service, guards and leases, the keeper that looks after them,
//! and a store in memory. It knows no network and no SDK; backends bring those.
//!
//! Users take the facade crate `distlock`, which re-exports everything here; this crate is for
//! those who write a backend of their own: see [`backend`].

mod api;
pub mod backend;
mod engine;
#[doc(hidden)]
pub mod machine;
pub mod memory;
mod sync;
mod time;
mod types;

pub use api::guard::LockGuard;
pub use api::lease::Lease;
pub use api::lock::Lock;
pub use api::service::{LockService, LockServiceBuilder};
pub use time::instant::Instant;
#[doc(hidden)]
pub use types::duration_text;
pub use types::error::{LockError, LockErrorKind, Result};
pub use types::fencing::FencingToken;
pub use types::handover::Handover;
pub use types::loss::LossReason;
pub use types::name::{LockName, MAX_KEY_BYTES};
pub use types::options::{
    DEFAULT_ACQUIRE_WAIT, DEFAULT_TTL, LockOptions, MIN_KEEP_ALIVE_TTL, OnLost,
};
pub use types::status::{LockStatus, ReleaseOutcome, ShutdownReport};
