//! Locks for programs without an asynchronous main: each call blocks its thread.
//!
//! The types have the names, the options and the behaviour of the asynchronous ones. No runtime is
//! needed: connections belong to the library's own background thread. No feature is needed.
//!
//! ```
//! use std::time::Duration;
//!
//! fn main() -> distlock::Result<()> {
//!     // The store is configuration: this could be `redis://localhost:6379`.
//!     let locks = distlock::blocking::connect("memory:")?;
//!
//!     let receipt = locks.lock("order:42").execute(|_lease| "charged")?;
//!     assert_eq!(receipt, Some("charged"));
//!
//!     let guard = locks.lock("report").wait(Duration::from_secs(5)).keep_alive().acquire()?;
//!     guard.release();
//!
//!     locks.shutdown(Duration::from_secs(5));
//!     Ok(())
//! }
//! ```
//!
//! Blocking methods panic in asynchronous code on a tokio runtime, before anything is sent: use the
//! [asynchronous service](crate::LockService) there.

#[doc(inline)]
pub use lock_core::blocking::{
    Lease, LeaseSet, Lock, LockGuard, LockService, LockSet, LockSetGuard,
};

use lock_core::Result;
use lock_core::blocking::block_on;

use crate::LockConfig;

/// Connects to the store at this URL, and asks it once whether it answers; see
/// [`distlock::connect`](crate::connect).
///
/// # Errors
///
/// As [`distlock::connect`](crate::connect).
///
/// # Panics
///
/// In asynchronous code on a tokio runtime.
#[track_caller]
pub fn connect(url: impl AsRef<str>) -> Result<LockService> {
    connect_with(LockConfig::from_url(url)?)
}

/// Connects to the store of a configuration; see [`LockConfig::connect`].
///
/// # Errors
///
/// As [`LockConfig::connect`].
///
/// # Panics
///
/// In asynchronous code on a tokio runtime.
#[track_caller]
pub fn connect_with(config: LockConfig) -> Result<LockService> {
    block_on(config.connect()).map(LockService::from)
}
