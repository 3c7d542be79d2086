//! The program as its users meet it: real processes, real signals, real servers, a real terminal.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]

#[path = "program/harness.rs"]
mod harness;
#[cfg(feature = "redis")]
#[path = "program/loss.rs"]
mod loss;
#[cfg(feature = "redis")]
#[path = "program/others.rs"]
mod others;
#[path = "program/pass_through.rs"]
mod pass_through;
#[cfg(feature = "redis")]
#[path = "program/signals.rs"]
mod signals;
#[cfg(target_os = "linux")]
#[path = "program/terminal.rs"]
mod terminal;
#[path = "program/verbs.rs"]
mod verbs;
