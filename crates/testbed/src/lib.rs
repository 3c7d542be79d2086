//! Real Redis and Valkey servers, and Dapr sidecars before them, for the tests of this workspace.
//!
//! Each server listens on loopback only, on a port of its own, works in a private directory,
//! writes nothing to disk, and dies with its runner, also when the runner is killed with
//! `SIGKILL` or the server is frozen at that moment.
//!
//! The calls are synchronous and short, so that they can be used from any test, async ones
//! included. [`wait`] has what async tests need to wait for an event.
//!
//! # Where the binaries come from
//!
//! [`ServerKind::find`] looks, in this order, at
//! 1. the environment variable `DISTLOCK_TEST_SERVERS`, for instance
//!    `redis-6.2=/opt/redis-6.2/redis-server,valkey-9.1=/opt/valkey/valkey-server`;
//! 2. the cache `target/servers` of this workspace, which `cargo xtask servers --fetch` fills;
//! 3. `redis-server` or `valkey-server` on `PATH`, if it reports the wanted version.
//!
//! # Example
//!
//! ```
//! use testbed::{RedisServer, available};
//!
//! # fn main() -> std::io::Result<()> {
//! for binary in available()? {
//!     let server = RedisServer::start(binary.kind())?;
//!     println!("{} {} listens on {}", binary.kind(), binary.version(), server.url());
//! }
//! # Ok(())
//! # }
//! ```

mod binary;
#[cfg(feature = "certificates")]
mod certificates;
mod clock;
mod cluster;
mod daprd;
mod port;
mod process;
mod redis;
mod resp;
mod sentinels;
mod sidecar;
pub mod wait;

pub use binary::{SERVERS_VARIABLE, ServerBinary, ServerKind, ServerSource, available};
#[cfg(feature = "certificates")]
pub use certificates::Authority;
pub use clock::WallClock;
pub use cluster::{ClusterSet, ClusterSettings};
pub use daprd::{DAPRD_VARIABLE, DaprBinary};
pub use port::ReservedPort;
pub use redis::RedisServer;
pub use sentinels::{SentinelServer, SentinelSet, SentinelSettings};
pub use sidecar::{DaprSettings, DaprSidecar};
