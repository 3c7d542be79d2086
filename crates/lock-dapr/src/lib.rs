//! The Dapr backend of `distlock`: locks through the lock API of a Dapr sidecar, 1.8 or later.
//!
//! ```
//! use lock_core::LockService;
//! use lock_dapr::DaprBackend;
//!
//! # fn main() -> lock_core::Result<()> {
//! // Where the sidecar is stands in the environment, as for every program beside a sidecar.
//! // Nothing is connected before the first operation.
//! let backend = DaprBackend::builder("lockstore").from_env().build()?;
//! let locks = LockService::new(backend);
//! # Ok(())
//! # }
//! ```
//!
//! # What the sidecar offers
//!
//! Dapr's lock API is in alpha and has two calls: `TryLockAlpha1` and `UnlockAlpha1`.
//! So much is there, and the rest is refused as
//! [`Unsupported`](lock_core::LockErrorKind::Unsupported) when it is asked for:
//!
//! | | |
//! |---|---|
//! | `try_acquire`, `release`, `execute`, the manual pair | yes |
//! | waiting | by asking again after 50 to 500 ms, with jitter; not in order of arrival |
//! | `min_hold` | yes: the lock is released later |
//! | `keep_alive`, `max_hold`, `extend` | no: the API cannot renew |
//! | fencing tokens, `status`, metadata | no |
//!
//! # What a lock can rely on
//!
//! - **Scope.** With Dapr's default, locks exclude programs of the same *app id* only.
//!   The component's item `keyPrefix` decides: `none` or `name` for a lock that all share.
//! - **Whole seconds.** The store's lease is the ttl rounded up to whole seconds; the guard's
//!   deadline stays as it was asked for.
//! - **One owner an attempt.** Each attempt carries an owner of its own, so that whatever came of
//!   it can be undone without hurting anybody.
//!   An attempt without a usable answer is undone until the sidecar says that nothing is left, or
//!   the lease is over.
//! - **A refusal is doubted if it was slow.** The sidecar sends a request again when Redis does not
//!   answer it, and is then refused by its own first one: it reports "held by another" for a lock
//!   that this very attempt took.
//!   So a refusal that took longer than 250 ms, or came after trouble, is verified by an unlock
//!   before it is believed.
//! - **A drop is in order.** An attempt goes out after the releases of the same name that this
//!   backend has under way, since the sidecar would serve both at once.
//!   One that takes longer than 250 ms is not waited for.
//! - The store is Redis, and what holds for Redis holds here: data that the server loses takes the
//!   locks with it.
//!
//! # The channel
//!
//! A backend makes at most two gRPC channels, each at its first use: one for the callers, and one
//! for releases that outlive their caller.
//! A channel is driven by the tokio runtime in which it was made, which needs its I/O and time
//! enabled. When that runtime ends, or an answer does not come within the timeout, the next request
//! makes a channel in its own.
//! A connection that the sidecar ends, as it does when it stops, is replaced by the next request.
//! Nothing is ever sent twice behind the caller's back, and no keepalive is sent: the sidecar ends
//! connections that ping more often than every 8 s, and the timeout finds dead ones.
//!
//! # Features
//!
//! - `tls`: `https` endpoints, with rustls and the system's root certificates; other roots come with
//!   a [`channel`](DaprBackendBuilder::channel) of your own. A certificate that is not accepted is
//!   [`Denied`](lock_core::LockErrorKind::Denied).
//!   While it is off such endpoints are refused, since the token would travel in plain text.

mod backend;
mod builder;
mod departures;
mod endpoint;
mod environment;
mod error;
mod link;
mod sidecar;

pub use backend::DaprBackend;
pub use builder::DaprBackendBuilder;
