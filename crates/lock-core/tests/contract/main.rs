//! What the core promises whatever the backend does, driven by a backend that misbehaves on
//! command.
#![expect(clippy::unwrap_used, reason = "tests, helpers included, fail by panicking")]

mod blocking;
mod cancellation;
mod default_times;
mod execute;
mod failing_store;
mod faulty;
mod handing_over;
mod holders;
mod in_line;
mod keeping_alive;
mod lease_advice;
mod leaving;
mod listener;
mod lock_sets;
mod logging;
mod manual;
#[cfg(feature = "metrics")]
mod metrics;
mod options;
mod panicking;
mod passing_on;
mod polling;
mod sharing;
mod shutting_down;
mod spans;
mod telemetry;
mod threads;
mod verifying;
mod waiting;
mod wakers;
mod without_runtime;
