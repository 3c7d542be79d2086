//! The backend against real servers: each claim a test on every supported version.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]
#![expect(clippy::print_stdout, reason = "figures, for those who ask with `--nocapture`")]

mod clock;
mod cluster;
mod common;
mod conformance;
mod connections;
mod credentials;
mod exits;
mod faults;
mod idle;
mod processes;
mod protocol;
mod queue;
mod refusals;
mod registry;
mod replicas;
mod runtimes;
mod scripted;
mod sentinel;
mod servers;
mod service;
#[cfg(feature = "tls")]
mod tls;
mod tools;
mod uncontended;
mod verifying;
mod ways;
