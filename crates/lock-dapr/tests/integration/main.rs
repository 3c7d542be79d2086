//! The Dapr backend against a real sidecar with a real Redis behind it; and, for what those cannot
//! be made to do, against a sidecar that exists in this process only.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as tests may")]

mod common;
/// What needs a `daprd`: `cargo xtask test` leaves this module out where there is none.
mod daprd;
mod fake;
mod scripted;
/// What needs the feature: without it such endpoints are refused, which the unit tests show.
#[cfg(feature = "tls")]
mod tls;
