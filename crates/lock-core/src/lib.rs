//! The core of `distlock`.

mod alarm;
pub mod attempt;
pub mod backend;
mod capabilities;
mod clock;
mod error;
mod name;
mod options;
mod status;
mod timer;
mod token;

pub use clock::Instant;
pub use error::{LockError, LockErrorKind, LossReason, Result};
pub use name::{LockName, MAX_KEY_BYTES};
pub use options::{LockOptions, OnLost};
pub use status::{LockStatus, ReleaseOutcome};
pub use token::FencingToken;
