//! The Redis and Valkey backend of `distlock`: locks on one server, Redis 6.2 or later or Valkey, on
//! the master that Sentinels name, or on a cluster.
//!
//! ```
//! # mod distlock { pub use lock_core::*; pub mod redis { pub use lock_redis::*; } }
//! use distlock::LockService;
//! use distlock::redis::RedisBackend;
//!
//! # fn main() -> distlock::Result<()> {
//! // Nothing is connected before the first operation.
//! let backend = RedisBackend::builder().url("redis://127.0.0.1:6379").build()?;
//! let locks = LockService::new(backend);
//! # Ok(())
//! # }
//! ```
//!
//! # Keys
//!
//! A lock is a string at `<key_prefix><lock key>` with an expiry; its value is the token of its owner
//! behind `dl:`, or behind `dl+` or `dl*` once somebody waits for it.
//! So it excludes, and is excluded by, every program that takes locks with `SET NX PX`.
//! After a release with `min_hold` the value is `min:dl:<token>` until the expiry.
//!
//! Beside the locks there is one counter for each cluster slot that was ever used, at
//! `dl:f:{<tag>}` and without an expiry: at most 16,384 small keys.
//! It issues the fencing tokens: each is larger than the last. A counter that is new, or that may have
//! lost numbers, is lifted to the server's time in microseconds, so that tokens keep rising when it is
//! lost with all other data.
//!
//! While somebody waits for a lock, its queue is at `dl:q:{<tag>}:<lock's Redis key>`.
//! Where others take it by asking again and again, `dl:m:{<tag>}:<lock's Redis key>` says so, for 60 s.
//!
//! Do not let untrusted clients write to `dl:*`: access rules cannot separate the counters of two
//! tenants.
//!
//! # Guarantees
//!
//! - An uncontended lock is taken by `SET NX` and `INCR` in one write, and released by a
//!   compare-and-delete: two round trips in all, at the lowest cost for the server. Waiting,
//!   handing a lock over and renewing are a script and a round trip each.
//! - A request that was delayed on its way does not take a lock that nobody waits for any more: the
//!   script carries the server's time after which it is refused, and the connection of a plain command
//!   that got no answer is ended by `CLIENT KILL` before anything else is sent.
//!   The former rests on the server's clock: if it is set back, such a request can be late by as much.
//! - An acquire that is repeated with the same token gets the same lock under a larger fencing
//!   token, and never shortens the lease.
//! - Only the owner's token releases or renews, and a renewal never shortens the lease.
//! - A server that is out of memory refuses new locks, and still renews and releases.
//!   One that *evicts* keys may drop a lock while it is held: a warning is logged once.
//! - A read-only replica answers every change with an error.
//! - Replication is asynchronous: a lock that was taken just before a failover may be unknown to
//!   the new master, which then gives it to somebody else.
//!   With [`Sentinels`], connections leave the old master as soon as one of them announces a new
//!   one;
//!   with [`replicas`](RedisBackendBuilder::replicas), a lock is granted when replicas have it.
//!
//! # Waiting
//!
//! Waiters are queued on the server.
//! A release gives the lock to the first waiter in the queue that is alive, in the same script, and
//! tells it by a push over the connection that carries its requests.
//! Before the first wait in a cluster slot a connection subscribes to the backend's channel of that
//! slot, on a single server too: that is one command more, once for each connection and slot.
//! So waiters are served in the order in which they arrived, across all processes, and a critical
//! section costs two commands however many wait.
//! A pushed grant begins with a lease of 2 s, or the ttl if that is shorter, which the holder's
//! renewals raise to the ttl: a process that is frozen when its turn comes delays the others by no
//! more than that.
//! Pushes may be lost: the waiters at the front also ask when the holder's lease is due to end, and
//! all of them after 10 s at the latest.
//!
//! Over an existing connection, and where the server forbids pushes, there is no queue: waiters poll.
//!
//! # Connections
//!
//! A backend opens at most two connections to a server, each at its first use; on a cluster, that
//! is two for each node that is used.
//!
//! - The first is driven by the tokio runtime of the callers, which is fastest, and carries the
//!   requests of the tasks of that runtime only.
//! - The second is driven by the library's own thread, which nothing in the program can stop.
//!   It carries renewals, releases that outlive their caller, and the requests of everybody else:
//!   the tasks of other runtimes, and threads without a runtime.
//!
//! So a runtime that is blocked, idle, or has ended does not delay calls of another one, and a
//! runtime that was built without I/O or timers can take locks. If the first connection is gone, or
//! its runtime does not use it, while another runtime sends 64 requests in a row, that one gets a
//! first connection of its own.
//!
//! While one of the two cannot be used or made, the other one takes its part: renewals go over the
//! callers' connection, for example, where the server has no room for a second one.
//! A release whose caller has left it, and which gets no answer within 100 ms, is sent over the
//! second connection as well.
//! Nothing else is sent twice.
//!
//! After the first answer that does not come within the response timeout, the backend uses a new
//! connection.
//! Idle connections are kept alive by TCP, every 15 s.
//! If one got no answer for 10 s, the next caller's request is preceded by a `PING`; when a quarter
//! of the response timeout has passed without an answer, another connection is made and used.
//! The backend waits 50 ms to 1 s before it connects again after a failure, with jitter.
//! An error that a retry cannot fix, such as a wrong password, is returned again during that
//! pause, without asking the server.
//!
//! With [`Sentinels`], each new connection asks all of them for the master, and the library's own
//! thread has one more connection to each of them, which is subscribed to news of a failover.
//!
//! With [`replicas`](RedisBackendBuilder::replicas) there is a third connection, over which the
//! backend waits for the replicas to confirm a lock, and a fourth while some of them are missing, over
//! which it asks whether they are back. Each node of a cluster has its own.
//!
//! An existing connection, or connection manager, is the only connection of its backend; see
//! [`RedisBackendBuilder::connection`].
//!
//! # Permissions
//!
//! With access rules the user needs the keys `~<key_prefix>*` and `~dl:*`, and the commands
//! `evalsha`, `eval`, `script|load`, `set`, `get`, `getex`, `del`, `exists`, `strlen`, `pttl`,
//! `pexpire`, `time` and `ping`; with `info` the backend can tell whether the server evicts.
//! To queue it also needs the channels `&dl:c:*`, and `zadd`, `zrem`, `zrange`, `zrank`, `zscore`,
//! `zcard`, `ssubscribe`, `spublish` and `pubsub|shardnumsub`; on Redis 6.2 `subscribe`, `publish`
//! and `pubsub` in place of the last three.
//! Each new connection asks whether the commands may be used, and an error names what is missing.
//! With `client|kill`, `info` and `incr` uncontended locks are taken by plain commands;
//! without one of these they are taken by the script, which costs the server three times the work.
//! [`replicas`](RedisBackendBuilder::replicas) needs `wait`. On a cluster, the user also needs
//! `cluster|slots`, `cluster|nodes` and `asking`.
//! `CONFIG` is not needed.
//!
//! # Features
//!
//! - `connection-manager`: an existing `ConnectionManager` of the `redis` crate.
//! - `tls`: `rediss` and `rediss+sentinel` URLs, with rustls and the system's root certificates, or those of
//!   [`tls_ca_file`](RedisBackendBuilder::tls_ca_file); a certificate for the client comes from
//!   [`tls_cert_file`](RedisBackendBuilder::tls_cert_file).
//!   rustls takes its cryptography from the default `CryptoProvider` of the process.
//!   If the program has installed none when the backend makes its first TLS connection, the backend
//!   installs that of *ring*, for the whole process.
//!   To use another, such as aws-lc-rs, call `CryptoProvider::install_default` before.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod builder;
mod contended;
mod ops;
mod protocol;
mod queue;
mod topology;
mod wire;

pub use backend::RedisBackend;
pub use builder::RedisBackendBuilder;
pub use builder::cluster::ClusterNodes;
pub use builder::sentinels::Sentinels;
pub use protocol::dapr::DaprKeyPrefix;
/// The crate [`redis`](https://docs.rs/redis), in the version whose clients and connections
/// [`RedisBackendBuilder`] takes.
pub use redis as redis_rs;

/// Compiles and runs the code in the README of this package.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
