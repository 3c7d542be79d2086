//! The Dapr backend of `distlock`: locks through the lock API of a Dapr sidecar, version 1.8 or later.
//!
//! ```
//! # mod distlock { pub use lock_core::*; pub mod dapr { pub use lock_dapr::*; } }
//! use distlock::LockService;
//! use distlock::dapr::DaprBackend;
//!
//! # fn main() -> distlock::Result<()> {
//! // The sidecar's address comes from the variables that Dapr sets for every program beside it.
//! // Nothing is connected until the first operation.
//! let backend = DaprBackend::builder("lockstore").from_env().build()?;
//! let locks = LockService::new(backend);
//! # Ok(())
//! # }
//! ```
//!
//! Programs use it through the crate `distlock` with the feature `dapr`, as `distlock::dapr`.
//!
//! # What the sidecar offers
//!
//! Dapr's lock API is in alpha and has two calls: `TryLockAlpha1` and `UnlockAlpha1`.
//! An operation or option that needs more is refused as
//! [`Unsupported`](lock_core::LockErrorKind::Unsupported):
//!
//! | | |
//! |---|---|
//! | `try_acquire`, `release`, `execute`, the manual pair | yes |
//! | waiting | by asking again after 50 to 500 ms, with jitter; not in order of arrival |
//! | `min_hold` | yes: the lock is released later |
//! | `keep_alive_if_supported`, `max_hold` | accepted: the lease is fixed, and ends at its ttl |
//! | `keep_alive`, `extend`, `verify`, `into_token`, `adopt` | no: the API cannot renew a lease |
//! | `require_fencing`, `status`, `list`, `force_release` | no |
//!
//! # What a lock can rely on
//!
//! - **Scope.** With Dapr's default settings, a lock excludes only programs of the same *app id*.
//!   For a lock that all programs share, set the item `keyPrefix` of the component to `none` or
//!   `name`.
//! - **Whole seconds.** The store's lease is the ttl rounded up to whole seconds; the guard's
//!   deadline is exactly what was asked for.
//! - **One owner for each attempt.** Each attempt to take a lock uses an owner id of its own, so it
//!   can be undone without touching anybody else's lock.
//!   An attempt that gets no usable answer is undone until the sidecar confirms that nothing is
//!   left of it, or until its lease is over.
//! - **Slow refusals are verified.** If Redis does not answer, the sidecar sends the request again,
//!   and its first request can make the second one fail: the sidecar then reports "held by another"
//!   for a lock that this attempt took itself.
//!   A refusal that took longer than 250 ms, or that follows a failed request, is therefore verified
//!   by an unlock.
//! - **A drop is in order.** A sidecar serves requests concurrently. An attempt is therefore sent
//!   after the releases of the same name that this backend has sent before, but waits for them for
//!   250 ms at most.
//! - The store is Redis, and the limits of Redis apply: if the server loses its data, the locks are
//!   lost with it.
//!
//! # The channel
//!
//! A backend makes at most two gRPC channels, each at its first use: one for callers, and one for
//! the background thread, which sends the releases that outlive their caller. The library's own
//! thread drives both, so they do not depend on the program's tokio runtimes: a runtime that is
//! blocked, has ended, or lacks I/O does not delay calls of another one. If an answer does not come
//! within the timeout, the next request makes a new channel. If the sidecar closes the connection,
//! as it does when it stops, the next request connects again. No request is ever repeated without
//! the caller's knowledge. No keepalive is sent: the sidecar closes connections that ping more
//! often than every 8 s, and the timeout detects dead ones.
//!
//! # Features
//!
//! - `tls`: endpoints with TLS, with rustls and the system's root certificates, or those of
//!   [`tls_ca_file`](DaprBackendBuilder::tls_ca_file). A certificate that is not accepted is
//!   [`Denied`](lock_core::LockErrorKind::Denied).
//!   Without this feature such endpoints are refused, because the API token would be sent in plain
//!   text.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod builder;
mod credentials;
mod endpoint;
mod environment;
mod error;
mod link;
mod pending_releases;
mod sidecar;

pub use backend::DaprBackend;
pub use builder::DaprBackendBuilder;

/// Compiles and runs the code in the README of this package.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
