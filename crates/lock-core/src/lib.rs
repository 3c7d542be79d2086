//! The core of `distlock`: the lock service, guards and leases, the keeper that looks after them,
//! and a store in memory. It knows no network and no SDK; backends bring those.
//!
//! Users take the facade crate `distlock`, which re-exports everything here; this crate is for
//! those who write a backend of their own: see [`backend`].

mod acquire;
mod alarm;
pub mod attempt;
pub mod backend;
mod bell;
mod capabilities;
mod clock;
mod dealing;
mod error;
mod execute;
mod guard;
mod holding;
mod keeper;
mod lease;
mod ledger;
pub mod line;
mod lines;
mod lock;
mod loss;
mod manual;
pub mod memory;
mod name;
mod options;
mod panics;
mod pursuit;
mod renewal;
mod service;
mod share;
mod shutdown;
mod status;
mod tally;
mod telemetry;
mod timer;
mod token;
pub mod waiter;

pub use clock::Instant;
pub use error::{LockError, LockErrorKind, Result};
pub use guard::LockGuard;
pub use lease::Lease;
pub use line::Handover;
pub use lock::Lock;
pub use loss::LossReason;
pub use name::{LockName, MAX_KEY_BYTES};
pub use options::{DEFAULT_ACQUIRE_WAIT, DEFAULT_TTL, LockOptions, MIN_KEEP_ALIVE_TTL, OnLost};
pub use service::{LockService, LockServiceBuilder};
pub use shutdown::ShutdownReport;
pub use status::{LockStatus, ReleaseOutcome};
pub use token::FencingToken;
