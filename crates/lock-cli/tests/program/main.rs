//! The program as its users meet it: real processes, real signals, real servers, a real terminal.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]
#![cfg_attr(
    not(feature = "redis"),
    expect(dead_code, reason = "most of what the helpers are for needs a server")
)]

#[cfg(all(feature = "dapr", feature = "redis"))]
mod daprd;
mod harness;
mod pass_through;
#[cfg(feature = "redis")]
mod redis_8_2;
#[cfg(target_os = "linux")]
mod terminal;
mod verbs;
