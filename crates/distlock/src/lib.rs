//! Distributed locks for Rust: one API over Redis, Valkey, Dapr and memory.
//!
//! Some work must be done by only one instance of a service at a time: charging an order, rebuilding a
//! cache entry, writing the nightly report. The instances take a lock for it in a store that all of
//! them share:
//!
//! ```
//! use std::time::Duration;
//!
//! # async fn charge(_order: u32, _token: Option<distlock::FencingToken>) -> u32 { 7 }
//! #[tokio::main]
//! async fn main() -> distlock::Result<()> {
//!     // The store is configuration: this could be `redis://localhost:6379`.
//!     let locks = distlock::connect("memory:").await?;
//!
//!     // Run a body under a lock. The result is `None` if somebody else holds the lock: then the
//!     // body was not run.
//!     let receipt = locks
//!         .lock("order:42")
//!         .ttl(Duration::from_secs(30))
//!         .execute(async |lease| charge(42, lease.fencing_token()).await)
//!         .await?;
//!     assert_eq!(receipt, Some(7));
//!
//!     // Or hold the lock in a guard, and wait up to 5 s for it.
//!     let guard = locks.lock("report").wait(Duration::from_secs(5)).keep_alive().acquire().await?;
//!     guard.release().await;
//!
//!     // At the end of the program: tasks that still hold a lock have 5 s to finish.
//!     locks.shutdown(Duration::from_secs(5)).await;
//!     Ok(())
//! }
//! ```
//!
//! A lock is a **lease**: it ends by itself after a time, its *ttl* (time to live), so that a
//! holder that crashed does not block the others forever. If a holder is paused for longer than its
//! lease, somebody else can acquire the lock meanwhile: [`Lease::ensure_held`] reports that, and a
//! [`FencingToken`] lets the protected resource refuse the writes of the earlier holder.
//!
//! # Where to look
//!
//! | to | see |
//! |---|---|
//! | connect to a store | [`connect`], [`LockConfig`], [`LockService`] |
//! | name a lock and set its options | [`LockService::lock`], [`Lock`], [`LockOptions`] |
//! | run a body under it | [`Lock::execute`], [`Lock::try_execute`], [`Lease`] |
//! | hold it in a variable | [`Lock::try_acquire`], [`Lock::acquire`], [`LockGuard`] |
//! | take and release it in two separate calls | [`LockService::try_acquire_lock`], [`LockService::release_lock`] |
//! | handle what goes wrong | [`LockError`], [`LockErrorKind`], [`LossReason`] |
//! | hold several locks at once | [`LockService::lock_all`], [`LockSet`], [`LockSetGuard`], [`LeaseSet`] |
//! | pass a lock on to another process | [`LockGuard::into_token`], [`Lock::adopt`], [`LockToken`] |
//! | lock without an asynchronous main | [`blocking`] |
//! | end the program | [`LockService::shutdown`], [`ShutdownReport`] |
//! | choose a backend at run time | [`backend::AnyBackend`] |
//! | write a backend | [`backend`] |
//!
//! # Backends and features
//!
//! | store | URL | feature | module |
//! |---|---|---|---|
//! | memory of this process | `memory:` | none | [`memory`] |
//! | one server: Redis 6.2 or later, or Valkey | `redis://`, `redis+unix://` | `redis` | `redis` |
//! | the master that Redis Sentinels name | `redis+sentinel://` | `redis` | `redis` |
//! | a Redis or Valkey cluster | `redis+cluster://` | `redis` | `redis` |
//! | any of these over TLS | `rediss://`, `rediss+sentinel://`, `rediss+cluster://` | `redis` and `tls` | `redis` |
//! | a lock store of a Dapr sidecar | `dapr://` | `dapr` | `dapr` |
//! | a majority of independent Redis or Valkey servers | `redis+quorum://` | `redis` and `quorum` | `quorum` |
//!
//! Each scheme of Redis also has a name that begins with `valkey`.
//!
//! No feature is on by default. `connection-manager` lets the Redis store use an existing
//! `ConnectionManager` of the `redis` crate. `tls` adds TLS to the stores of the other features.
//! `metrics` records metrics through the `metrics` crate.
//! `testing` adds the module of that name, for tests of programs that use locks.
//! `serde` implements deserialization for [`LockConfig`], so that it can be read from a file, and
//! serde's traits for [`LockOptions`], [`FencingToken`] and [`LockName`].
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod blocking;
mod config;
mod connect;

pub use config::LockConfig;
#[doc(hidden)]
pub use config::nearest;
pub use connect::connect;

#[doc(inline)]
pub use lock_core::{
    DEFAULT_ACQUIRE_WAIT, DEFAULT_TTL, FencingToken, Handover, HeldLock, Holder, HolderId, Lease,
    LeaseSet, Lock, LockError, LockErrorKind, LockGuard, LockName, LockOptions, LockService,
    LockServiceBuilder, LockSet, LockSetGuard, LockStatus, LockToken, LossReason, MAX_KEY_BYTES,
    MIN_KEEP_ALIVE_TTL, OnLost, ProcessInfo, ReleaseOutcome, Result, ServerInfo, ShutdownReport,
    Waiter, Who,
};
#[doc(hidden)]
pub use lock_core::{duration_text, time_text};

/// For authors of backends: the trait, what it is asked, and what it answers.
///
/// Implement [`LockBackend`](backend::LockBackend) with plain `async fn`.
/// [`AnyBackend`](backend::AnyBackend) holds a backend that is chosen at run time.
/// The crate `lock-testkit` has a conformance suite for backends.
///
/// ```
/// use distlock::backend::{
///     AcquireReply, AcquireRequest, Capabilities, LockBackend, ReleaseReply, ReleaseRequest,
/// };
/// use distlock::{LockService, Result};
///
/// /// A store in which somebody else holds every lock.
/// struct Taken;
///
/// impl LockBackend for Taken {
///     fn kind(&self) -> &'static str {
///         "taken"
///     }
///     fn capabilities(&self) -> Capabilities {
///         Capabilities::none()
///     }
///     async fn acquire(&self, _: AcquireRequest) -> Result<AcquireReply> {
///         Ok(AcquireReply::held())
///     }
///     async fn release(&self, _: ReleaseRequest) -> Result<ReleaseReply> {
///         Ok(ReleaseReply::HeldByOther)
///     }
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let locks = LockService::new(Taken);
/// assert!(locks.lock("x").try_acquire().await.unwrap().is_none());
/// # });
/// ```
pub mod backend {
    #[doc(hidden)]
    pub use lock_core::backend::name_program;
    #[doc(inline)]
    pub use lock_core::backend::{
        AcquireReply, AcquireRequest, AnyBackend, Backoff, Capabilities, Clock, EvictRequest,
        Grant, InstanceId, Instant, Lane, ListCursor, ListReply, ListRequest, LockBackend, LockKey,
        OwnerToken, ReleaseReply, ReleaseRequest, RenewReply, RenewRequest, Sleep, Ticket, Waiting,
        Wake, holder_of, in_time, on_system_clock, this_process,
    };
}

/// The store in this process's memory.
pub mod memory {
    #[doc(inline)]
    pub use lock_core::memory::MemoryBackend;
}

/// For tests of programs that use locks: a store in which a test takes locks away, holds them, and
/// lets requests fail.
#[cfg(feature = "testing")]
pub mod testing {
    #[doc(inline)]
    pub use lock_core::testing::TestStore;
}

/// The store on Redis or Valkey: for settings that a URL cannot express, and for existing
/// connections.
///
/// A program that has a client or a connection of the `redis` crate can give it to the backend, if it
/// is of the version that this crate uses, which is [`redis_rs`](redis::redis_rs):
///
/// ```
/// use distlock::LockService;
/// use distlock::redis::{RedisBackend, redis_rs};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis_rs::Client::open("redis://127.0.0.1:6379")?;
/// // Nothing is connected before the first operation.
/// let locks = LockService::new(RedisBackend::builder().client(client).build()?);
/// # Ok(())
/// # }
/// ```
///
/// [`connection`](redis::RedisBackendBuilder::connection) takes a `MultiplexedConnection`, and with the
/// feature `connection-manager`, `connection_manager` takes a `ConnectionManager`.
#[cfg(feature = "redis")]
pub mod redis {
    #[doc(inline)]
    pub use lock_redis::{DaprKeyPrefix, RedisBackend, RedisBackendBuilder, Sentinels};

    /// The crate [`redis`](https://docs.rs/redis), in the version whose clients and connections the
    /// [builder](RedisBackendBuilder) takes.
    pub use lock_redis::redis_rs;
}

/// The store behind a Dapr sidecar: for settings that a URL cannot express, and for existing
/// channels.
#[cfg(feature = "dapr")]
pub mod dapr {
    #[doc(inline)]
    pub use lock_dapr::{DaprBackend, DaprBackendBuilder};
}

/// The store on a majority of independent stores: for members that a URL cannot name.
#[cfg(feature = "quorum")]
pub mod quorum {
    #[doc(inline)]
    pub use lock_quorum::{QuorumBackend, QuorumBackendBuilder};
}

/// Compiles and runs the code in the README of this package.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
