//! The Redis and Valkey backend of `distlock`: locks on one server, Redis 6.2 or later or Valkey.
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
//! A lock is a string at `<key_prefix><lock key>` with an expiry; its value is `dl:` and the
//! token of its owner; in [`Mode::Plain`] it is the token alone.
//! So it excludes, and is excluded by, every program that takes locks with `SET NX PX`.
//! After a release with `min_hold` the value is `min:dl:<token>` until the expiry.
//!
//! Beside the locks there is one counter for each cluster slot that was ever used, at
//! `dl:f:{<tag>}` and without an expiry: at most 16,384 small keys.
//! It issues the fencing tokens: each is larger than the last, and at least the server's time in
//! microseconds, so that tokens keep rising when the counter is lost with all other data.
//!
//! While somebody waits for a lock, its queue is at `dl:q:{<tag>}:<lock's Redis key>`.
//! Where others take it by asking again and again, `dl:m:{<tag>}:<lock's Redis key>` says so, for 60 s.
//!
//! Do not let untrusted clients write to `dl:*`: access rules cannot separate the counters of two
//! tenants.
//!
//! # Guarantees
//!
//! - Acquire, release and renewal are one script and one round trip each.
//! - An acquire carries the server's time after which it is refused, so that a request that was
//!   delayed on its way cannot take a lock that nobody waits for any more.
//!   This rests on the server's clock: if it is set back, such a request can be late by as much.
//! - An acquire that is repeated with the same token gets the same lock under a larger fencing
//!   token, and never shortens the lease.
//! - Only the owner's token releases or renews, and a renewal never shortens the lease.
//! - A server that is out of memory refuses new locks, and still renews and releases.
//!   One that *evicts* keys may drop a lock while it is held: a warning is logged once.
//! - A read-only replica answers every change with an error.
//! - Replication is asynchronous: a lock that was taken just before a failover may be unknown to
//!   the new master, which then gives it to somebody else.
//!
//! # Waiting
//!
//! Waiters are queued on the server.
//! A release gives the lock to the first waiter in the queue that is alive, in the same script, and
//! tells it by a push over the connection that carries its requests.
//! So waiters are served in the order in which they came, across all processes, and a critical
//! section costs two commands however many wait.
//! A pushed grant begins with a lease of 2 s, or the ttl if that is shorter, which the holder's
//! renewals raise to the ttl: a process that is frozen when its turn comes delays the others by no
//! more than that.
//! Pushes may be lost: the waiters at the front also ask when the holder's lease is due to end, and
//! all of them after 10 s at the latest.
//!
//! Over an existing connection, in [`Mode::Plain`], and where the access rules forbid pushes, there
//! is no queue: waiters poll.
//!
//! # Connections
//!
//! A backend makes at most two connections, each at its first use: one for the callers, and one in
//! the background, for renewals and for releases that outlive their caller.
//! After the first answer that does not come within the response timeout, the backend uses a new
//! connection; it never sends a request twice by itself.
//! A connection is driven by the tokio runtime in which it was made: if that ends, the next
//! operation connects in its own; while it is blocked, the callers' requests time out.
//! The backend waits 50 ms to 1 s before it connects again after a failure, with jitter.
//! An error that trying again cannot cure, such as a wrong password, is returned again during that
//! pause, without asking the server.
//!
//! # Permissions
//!
//! With access rules the user needs the keys `~<key_prefix>*` and `~dl:*`, and the commands
//! `evalsha`, `eval`, `script|load`, `set`, `get`, `getex`, `del`, `exists`, `strlen`, `pttl`,
//! `pexpire`, `time` and `ping`; with `info` the backend can tell whether the server evicts.
//! To queue it also needs the channels `&dl:c:*`, and `subscribe`, `publish`, `pubsub`, `zadd`,
//! `zrem`, `zrange`, `zrank`, `zscore` and `zcard`.
//!
//! # Features
//!
//! - `tls`: `rediss` URLs, with rustls and the system's root certificates; other roots come with
//!   a [`client`](RedisBackendBuilder::client) of your own.
//!   rustls takes its cryptography from the default `CryptoProvider` of the process.
//!   If the program has installed none when the backend makes its first TLS connection, the backend
//!   installs that of *ring*, for the whole process.
//!   To use another, such as aws-lc-rs, call `CryptoProvider::install_default` before.

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
