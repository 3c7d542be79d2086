//! The quorum over stores in memory that fail on command, and over real servers.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]

mod claims;
mod conformance;
mod contention;
mod logging;
mod naive;
mod seeded;
#[macro_use]
mod servers;
mod restart;
mod store;
mod tools;
mod undo;
