//! The Redis and Valkey backend of `distlock`: locks on one server, Redis 6.2 or later or Valkey.
//!
//! ```
//! use lock_core::LockService;
//! use lock_redis::RedisBackend;
//!
//! # fn main() -> lock_core::Result<()> {
//! // Nothing is connected before the first operation.
//! let backend = RedisBackend::builder().url("redis://127.0.0.1:6379").build()?;
//! let locks = LockService::new(backend);
//! # Ok(())
//! # }
//! ```
//!
//! # What stands on the server
//!
//! A lock is a string at `<key_prefix><lock key>` with an expiry, and holds the token of its
//! owner.
//! So it excludes, and is excluded by, every program that takes locks with `SET NX PX`.
//! A lock that was released with `min_hold` rests as `min:<token>` until its expiry.
//!
//! Beside the locks there is one counter for each cluster slot that was ever used, at
//! `dl:f:{<tag>}` and without an expiry: at most 16,384 small keys.
//! It issues the fencing tokens: each is larger than the last, and at least the server's time in
//! microseconds, so that tokens go on rising when the counter is lost with all other data.
//!
//! While somebody waits for a lock, its line stands at `dl:q:{<tag>}:<lock's Redis key>`.
//!
//! Do not let clients of less trust write to `dl:*`: access rules cannot keep the counters of two
//! tenants apart.
//!
//! # What a lock can rely on
//!
//! - Acquire, release and renewal are one script and one round trip each.
//! - An acquire carries the server's time after which it is refused, so that a copy that was held
//!   up on its way cannot take a lock that nobody waits for any more.
//!   That rests on the server's clock: while it is set back, by as much can such a copy be late.
//! - Asked again with the same token, the server gives the same lock under a larger fencing token
//!   and never shortens the lease.
//! - Only the owner's token releases or renews, and a renewal never shortens.
//! - A server that is out of memory refuses new locks, and still renews and releases.
//!   One that *evicts* keys may throw a lock away while it is held: a warning is logged once.
//! - A read-only replica answers every change with an error.
//! - Replication is asynchronous: a lock that was taken just before a failover may be unknown to
//!   the new master, which then gives it to somebody else.
//!
//! # Waiting
//!
//! Whoever waits stands in line on the server.
//! A release gives the lock to the first in line that is alive, in the same script, and tells it
//! by a push over the connection that carries its requests.
//! So waiters are served in the order in which they came, over all processes, and a section costs
//! two commands however many wait.
//! A pushed grant begins with a lease of 2 s, or the ttl if that is shorter, which the holder's
//! renewals raise to the ttl: whoever is frozen when its turn comes delays the others by no more.
//! Nobody depends on a push: those at the front ask when the holder's lease is to end, and all
//! after 10 s at the latest.
//!
//! Over an existing connection, in [`Mode::Plain`], and where the access rules forbid pushes,
//! nobody stands in line, and waiters ask again and again.
//!
//! # Connections
//!
//! A backend makes at most two connections, each at its first use: one for the callers, and one
//! for renewals and for releases that outlive their caller.
//! The first answer that does not come within the response timeout makes the backend go on with a
//! new connection, and nothing is ever sent twice behind the caller's back.
//! A connection is driven by the tokio runtime in which it was made: if that ends, the next
//! operation connects in its own; while it is blocked, the callers' requests time out.
//! Connecting anew is paced: 50 ms to 1 s after a failure, with jitter.
//! Errors that trying again cannot cure, such as a wrong password, are repeated from memory during
//! that pause.
//!
//! # Permissions
//!
//! With access rules the user needs the keys `~<key_prefix>*` and `~dl:*`, and the commands
//! `evalsha`, `eval`, `script|load`, `set`, `get`, `getex`, `del`, `exists`, `strlen`, `pttl`,
//! `pexpire`, `time` and `ping`; with `info` the backend can tell whether the server evicts.
//! To stand in line it also needs the channels `&dl:c:*`, and `subscribe`, `publish`, `pubsub`,
//! `zadd`, `zrem`, `zrange`, `zrank`, `zscore` and `zcard`.
//!
//! # Features
//!
//! - `tls`: `rediss` URLs, with rustls and the system's root certificates; other roots come with
//!   a [`client`](RedisBackendBuilder::client) of your own.

mod backend;
mod builder;
mod ops;
mod protocol;
mod queue;
mod topology;
mod wire;

pub use backend::RedisBackend;
pub use builder::{Mode, RedisBackendBuilder};
pub use protocol::dapr::DaprKeyPrefix;
