//! Backends that are broken on purpose: each must be rejected, by the claim that names its defect.
//!
//! ```
//! use lock_testkit::broken::{BrokenBackend, Defect};
//! use lock_testkit::conformance::{OneBackend, run_blocking};
//!
//! let report = run_blocking(&OneBackend::paused(BrokenBackend::new(Defect::NoOwnerCheck)));
//! let failed: Vec<_> = report.failures().map(|(claim, _)| claim.path()).collect();
//! assert!(failed.contains(&"release::a_release_touches_nobody_elses_lock".to_owned()));
//! ```

mod backend;
mod defect;
mod store;

pub use backend::BrokenBackend;
pub use defect::Defect;
