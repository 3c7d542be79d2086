//! The conformance suite: proves a backend, and the lock service over it, claim by claim.
//!
//! Each sentence of the contract (the `# Behavior` bullets of
//! [`LockBackend`] and the promises of
//! [`LockService`]) is one [`Claim`] with one short proof.
//! The suite asks the backend for its
//! [`Capabilities`]: a claim whose [`Need`] is not met is
//! replaced by its counter-claim (asking for it is refused up front), or reported as not
//! applicable; a harness must name what its backend lacks, so that nothing is left out by accident.
//!
//! # Proving a backend
//!
//! Say in a [`Harness`] how a new handle onto the store is made and how time passes; a store inside
//! the process takes [`OneBackend`]. Then either let every claim be a test of its own, counted and
//! named by `cargo test`:
//!
//! ```
//! // tests/conformance.rs
//! use lock_core::memory::MemoryBackend;
//! use lock_testkit::conformance::{Need, OneBackend};
//!
//! lock_testkit::conformance_tests!(
//!     // A store in memory acts at once, so its requests are never late.
//!     OneBackend::paused(MemoryBackend::new()).lacking([Need::Lateness])
//! );
//! # fn main() {}
//! ```
//!
//! or run all of them and look at the [`Report`]:
//!
//! ```
//! use lock_core::memory::MemoryBackend;
//! use lock_testkit::conformance::{self, Need, OneBackend};
//!
//! let harness = OneBackend::paused(MemoryBackend::new()).lacking([Need::Lateness]);
//! let report = conformance::run_blocking(&harness);
//! assert!(report.is_clean(), "{report}");
//! ```
//!
//! A proof ends at its limit ([`Pace::with_limit`]), so a backend that hangs fails a claim and does
//! not stop the suite. Claims take names of their own, so a store can be shared with other runs.
//! That the suite can fail is proven with the backends of [`broken`](crate::broken).
//!
//! [`LockBackend`]: lock_core::backend::LockBackend
//! [`LockService`]: lock_core::LockService
//! [`Capabilities`]: lock_core::backend::Capabilities

mod claim;
mod harness;
mod index;
mod need;
mod pace;
mod proof;
mod report;
mod run;
mod runtimes;
mod scene;

mod cancellation;
mod exclusion;
mod execute;
mod expiry;
mod fencing;
mod holders;
mod loss;
mod manual_pair;
mod naming;
mod options;
mod passing_on;
mod release;
mod renewal;
mod several;
mod shutdown;
mod tools;
mod waiting;

pub use ::async_trait::async_trait;
pub use claim::Claim;
pub use harness::{Harness, OneBackend};
pub use index::{CLAIMS, find};
pub use need::Need;
pub use pace::Pace;
pub use report::{Outcome, Report, Verdict};
pub use run::{prove_or_panic, run, run_blocking};
