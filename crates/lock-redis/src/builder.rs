//! How a [`RedisBackend`] is set up.

pub(crate) mod cluster;
mod endpoint;
mod hosts;
mod place;
pub(crate) mod sentinels;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lock_core::Result;
use lock_core::duration_text::exact;
use redis::Client;
use redis::aio::MultiplexedConnection;

use crate::backend::RedisBackend;
use crate::builder::cluster::ClusterNodes;
use crate::builder::endpoint::{invalid, open, own};
use crate::builder::place::{Place, one};
use crate::builder::sentinels::Sentinels;
use crate::contended::Contended;
use crate::ops::Protocol;
use crate::ops::parts::Parts;
use crate::ops::registry::Registry;
use crate::protocol::dapr::DaprKeyPrefix;
use crate::protocol::keys::RESERVED_PREFIX;
use crate::protocol::{needs, scripts};
use crate::queue::Queue;
use crate::topology::dialer::Dialer;
use crate::topology::reach::Reach;
use crate::topology::standalone::Source;
use crate::wire::channel::Channel;
use crate::wire::credentials::Credentials;
use crate::wire::greeting::{Greeting, Session};

/// Long enough for a busy server and a lost packet, short enough to be waited for.
const DEFAULT_RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Below, every hiccup of the network would cost a connection; above, a dead connection would be
/// kept for too long.
const RESPONSE_TIMEOUTS: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_secs(60));
/// How late a request may be by our clock: the server refuses late requests by its own.
const LATE_MARGIN: Duration = Duration::from_millis(50);
const DEFAULT_KEY_PREFIX: &str = "lock:";
const MAX_KEY_PREFIX_BYTES: usize = 1_024;

/// Builds a [`RedisBackend`]; see [`RedisBackend::builder`].
///
/// Its `Debug` output shows no password.
#[must_use = "a builder does nothing until `build` is called"]
pub struct RedisBackendBuilder {
    server: Server,
    key_prefix: Result<String>,
    response_timeout: Duration,
    credentials: Credentials,
    sentinel_password_file: Option<PathBuf>,
    replicas: u8,
    looks_out: bool,
    registers: bool,
}

enum Server {
    Missing,
    Url(String),
    Sentinels(Sentinels),
    Cluster(ClusterNodes),
    Client(Client),
    Connection(Channel),
}

impl Server {
    /// The Sentinels, or the nodes of a cluster, in place of a URL that names some.
    fn resolved(self) -> Result<Self> {
        match self {
            Self::Url(url) => {
                Ok(match (Sentinels::from_url(&url)?, ClusterNodes::from_url(&url)?) {
                    (Some(sentinels), _) => Self::Sentinels(sentinels),
                    (None, Some(nodes)) => Self::Cluster(nodes),
                    (None, None) => Self::Url(url),
                })
            }
            other => Ok(other),
        }
    }
}

impl RedisBackendBuilder {
    pub(crate) fn new() -> Self {
        Self {
            server: Server::Missing,
            key_prefix: Ok(DEFAULT_KEY_PREFIX.to_owned()),
            response_timeout: DEFAULT_RESPONSE_TIMEOUT,
            credentials: Credentials::default(),
            sentinel_password_file: None,
            replicas: 0,
            looks_out: true,
            registers: true,
        }
    }

    /// The server: `redis[s]://[[user]:password@]host[:port][/database]` or
    /// `redis+unix:///path/to/socket[?db=database]`. `valkey[s]://`, `valkey+unix://` and `unix://`
    /// mean the same.
    ///
    /// Or the master that Sentinels watch:
    /// `redis[s]+sentinel://[[user]:password@]host[:port][,host[:port]…]/master[/database]`, with the
    /// hosts and the ports of the Sentinels, and the user and the password of the master.
    /// See [`Sentinels`].
    ///
    /// Or a cluster: `redis[s]+cluster://[[user]:password@]host[:port][,host[:port]…]`, with some of its
    /// nodes. See [`ClusterNodes`].
    ///
    /// `rediss` and `valkeys` need the feature `tls`.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.server = Server::Url(url.into());
        self
    }

    /// The master that Sentinels name.
    ///
    /// ```
    /// # mod distlock { pub use lock_core::*; pub mod redis { pub use lock_redis::*; } }
    /// use distlock::redis::{RedisBackend, Sentinels};
    ///
    /// # fn main() -> distlock::Result<()> {
    /// let sentinels = Sentinels::new(["a.example:26379", "b.example", "c.example"], "mymaster");
    /// let backend = RedisBackend::builder().sentinels(sentinels).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn sentinels(mut self, sentinels: Sentinels) -> Self {
        self.server = Server::Sentinels(sentinels);
        self
    }

    /// The cluster that these nodes belong to.
    ///
    /// ```
    /// # mod distlock { pub use lock_core::*; pub mod redis { pub use lock_redis::*; } }
    /// use distlock::redis::RedisBackend;
    ///
    /// # fn main() -> distlock::Result<()> {
    /// let nodes = ["a.example:7000", "b.example:7000", "c.example:7000"];
    /// let backend = RedisBackend::builder().cluster(nodes).build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cluster(mut self, nodes: impl Into<ClusterNodes>) -> Self {
        self.server = Server::Cluster(nodes.into());
        self
    }

    /// The server of a client of the `redis` crate, for settings that a URL cannot express.
    ///
    /// The client's settings are used, but always with the third version of the Redis protocol
    /// (RESP3).
    pub fn client(mut self, client: Client) -> Self {
        self.server = Server::Client(client);
        self
    }

    /// An existing connection, instead of connections that the backend makes.
    ///
    /// What is missing, compared with [`url`](Self::url) or [`client`](Self::client):
    ///
    /// - There is no queue, since nothing can be pushed over it: waiters poll, in no order.
    ///   Beside backends whose waiters queue, they get the lock only in the gaps that those leave.
    /// - It is never replaced. Once it is closed, every operation fails with an error that says so,
    ///   of the kind [`Backend`](lock_core::LockErrorKind::Backend), which is not retryable. To
    ///   recover from an outage, use `connection_manager` (with the feature of that name), `client`
    ///   or `url`.
    /// - It carries everything, renewals included. It is driven by the tokio runtime in which it
    ///   was created: while that runtime is blocked, no lock can be taken or released, and leases
    ///   are not renewed.
    /// - Its own response timeout, 500 ms unless it was set, applies as well as the backend's.
    ///
    /// Do not send blocking commands or `MULTI` over it.
    pub fn connection(mut self, connection: MultiplexedConnection) -> Self {
        self.server = Server::Connection(Channel::Connection(connection));
        self
    }

    /// An existing `ConnectionManager`, which reconnects when its connection is closed.
    ///
    /// Apart from that, it has the limits of an existing [`connection`](Self::connection).
    /// While the manager tries to connect, operations wait for it until their response timeout.
    #[cfg(feature = "connection-manager")]
    pub fn connection_manager(mut self, manager: redis::aio::ConnectionManager) -> Self {
        self.server = Server::Connection(Channel::Manager(manager));
        self
    }

    /// The file that holds the password. Line breaks at its end do not count.
    ///
    /// It takes the place of a password in the URL; a user name stays there: `redis://USER@HOST`.
    /// The file is read for each new connection, so a replaced password takes effect with the next
    /// connection, without a restart of the program.
    pub fn password_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials.password_file = Some(path.into());
        self
    }

    /// The file that holds the password of the Sentinels, as [`password_file`](Self::password_file)
    /// holds that of the master.
    pub fn sentinel_password_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.sentinel_password_file = Some(path.into());
        self
    }

    /// The file with the certificates, in PEM form, of the authorities that the server's certificate
    /// may come from, in place of those of the system.
    ///
    /// Like the other files, it is read for each new connection. It needs the feature `tls`, and a
    /// URL with TLS.
    pub fn tls_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials.ca_file = Some(path.into());
        self
    }

    /// The file with the certificate that this client shows to the server, in PEM form, with those
    /// between it and its authority if there are any. It needs [`tls_key_file`](Self::tls_key_file).
    pub fn tls_cert_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials.cert_file = Some(path.into());
        self
    }

    /// The file with the private key of [`tls_cert_file`](Self::tls_cert_file), in PEM form and not
    /// encrypted.
    pub fn tls_key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials.key_file = Some(path.into());
        self
    }

    /// The name that the server's certificate has to be for, where it is not for the host that is
    /// connected to: behind a tunnel, a port forwarding, or an address that has no name.
    ///
    /// It is a host name or an IP address, without a port, and counts for all servers: Sentinels and
    /// the nodes of a cluster, too. It needs the feature `tls`, and a URL with TLS.
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.credentials.server_name = Some(name.into());
        self
    }

    /// What the Redis key of a lock begins with; `lock:` unless it is set.
    ///
    /// It is used as it is.
    /// Use the empty prefix to share locks with other libraries that use `SET NX`; to share those
    /// of a Dapr sidecar see [`dapr_compatible`](Self::dapr_compatible).
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = Ok(prefix.into());
        self
    }

    /// Shares the locks of a Dapr sidecar whose component `lock.redis` is on the same server and
    /// database: each excludes the other.
    ///
    /// It sets the [`key_prefix`](Self::key_prefix).
    /// Instances of a program that use Dapr and instances that use Redis can run side by side, so a
    /// program can move from one to the other without an interruption.
    ///
    /// ```
    /// # mod distlock { pub use lock_core::*; pub mod redis { pub use lock_redis::*; } }
    /// use distlock::redis::{DaprKeyPrefix, RedisBackend};
    ///
    /// # fn main() -> distlock::Result<()> {
    /// let backend = RedisBackend::builder()
    ///     .url("redis://127.0.0.1:6379")
    ///     .dapr_compatible(DaprKeyPrefix::AppId("shop".into()))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn dapr_compatible(mut self, prefix: DaprKeyPrefix) -> Self {
        self.key_prefix = prefix.spelled();
        self
    }

    /// How long an operation may take, connecting included: 10 ms to 60 s, 2 s unless it is set.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// How many replicas of the server have to confirm a lock before it is granted; none unless it is
    /// set.
    ///
    /// It is for a server with replicas of which one can take its place, behind
    /// [`sentinels`](Self::sentinels) or in a [`cluster`](Self::cluster): a failover loses what the new
    /// master had not received. In a cluster they are the replicas of the node that has the lock.
    /// A grant waits until so many have it, for a quarter of the response timeout at most; one that
    /// they have not confirmed by then is given back, and the error is retryable. Where fewer have
    /// confirmed for 10 s, those that do are enough from then on, and a warning says so: lost
    /// replicas do not block all locks for good.
    ///
    /// It costs one connection more to each server, a `SET` and a `WAIT` for each grant, or for all that are made at
    /// the same time, and two round trips: to the server, and from there to the replicas.
    /// It does not make the server strongly consistent, see
    /// [`WAIT`](https://redis.io/docs/latest/commands/wait/).
    pub fn replicas(mut self, count: u8) -> Self {
        self.replicas = count;
        self
    }

    /// Whether to leave pauses for programs that take the locks by polling; `true` unless it is
    /// set.
    ///
    /// Such programs are those that use another library, or an [existing
    /// connection](Self::connection). They get a lock only while its key is absent, which never
    /// happens while tasks of this backend always queue for the lock. So a backend leaves the locks
    /// that it waited for free for a hundredth of the time that it held them, until it sees such a
    /// program. `false` saves this hundredth for a fleet that shares its locks with nobody else.
    pub fn look_out_for_pollers(mut self, looks_out: bool) -> Self {
        self.looks_out = looks_out;
        self
    }

    /// Whether this process registers itself on the server, so that others can see its name when it
    /// holds a lock; `true` unless it is set.
    ///
    /// It writes its program, version, host, process id and start under a key of its own, which
    /// others read by [`status`](lock_core::Lock::status) and in the errors of waits that timed
    /// out. `false` keeps that from everyone who can read the server.
    pub fn register_process(mut self, registers: bool) -> Self {
        self.registers = registers;
        self
    }

    /// Builds the backend. It connects at the first operation.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](lock_core::LockErrorKind::InvalidConfig) if no server was given, or the URL
    /// or a setting is not allowed.
    pub fn build(self) -> Result<RedisBackend> {
        self.check()?;
        let key_prefix = self.key_prefix?;
        let credentials = self.credentials;
        let replicas = u32::from(self.replicas);
        let reach = Reach { response_timeout: self.response_timeout, replicas };
        let (place, session) = match self.server.resolved()? {
            Server::Sentinels(sentinels) => {
                let (settings, session) =
                    sentinels.checked(&credentials, self.sentinel_password_file)?;
                (Place::Master(settings), session)
            }
            Server::Cluster(nodes) if self.sentinel_password_file.is_none() => {
                let (settings, session) = nodes.checked(&credentials, reach)?;
                (Place::Cluster(settings), session)
            }
            _ if self.sentinel_password_file.is_some() => {
                return Err(invalid(
                    "sentinel_password_file is set, and no Sentinels are given; remove it, or write \
                     redis+sentinel://HOST:PORT/MASTER",
                ));
            }
            Server::Missing | Server::Cluster(_) => {
                return Err(invalid(
                    "no Redis server was given; call url, sentinels, cluster, client or connection",
                ));
            }
            Server::Url(url) => one(own(&open(&url, &credentials)?, &credentials)?),
            Server::Client(client) => one(own(&client, &credentials)?),
            Server::Connection(_) if !credentials.is_empty() => {
                return Err(invalid(
                    "credentials are set, and an existing connection has its own; leave out \
                     password_file, tls_ca_file, tls_cert_file, tls_key_file and tls_server_name",
                ));
            }
            Server::Connection(_) if self.replicas > 0 => {
                return Err(invalid(
                    "replicas is set, and waiting for them holds up the connection, so it needs one \
                     of its own; give the builder a URL or a client, or leave out replicas",
                ));
            }
            Server::Connection(connection) => {
                let address = "an existing connection".to_owned();
                one((Source::Existing(connection), address, Session::default()))
            }
        };
        let late_after = self.response_timeout + LATE_MARGIN;
        // Over an existing connection nothing can be pushed.
        let has_pushes = !matches!(place, Place::Server(Source::Existing(_), _));
        let queue = has_pushes.then(|| Queue::new(late_after, self.looks_out)).transpose()?;
        let asks_replicas = self.replicas > 0;
        let queue = queue.map(|queue| Arc::new(queue.asking_again(asks_replicas)));
        let protocol = Protocol::new(queue);
        let greeting = Greeting::new(session, needs::ALL, scripts::load_all);
        let dialer = Dialer { credentials, greeting, listener: protocol.listener() };
        Ok(RedisBackend {
            protocol,
            parts: Parts {
                topology: place.topology(dialer, reach),
                key_prefix: key_prefix.into(),
                response_timeout: self.response_timeout,
                contended: Contended::default(),
                asks_replicas,
                needs: needs::ALL,
            },
            late_after,
            registry: Registry::new(self.registers),
        })
    }

    fn check(&self) -> Result<()> {
        // An invalid prefix is reported by `build`.
        let prefix = self.key_prefix.as_deref().unwrap_or_default();
        if prefix.starts_with(RESERVED_PREFIX) {
            return Err(invalid("the key prefix begins with `dl:`, which is reserved"));
        }
        if prefix.len() > MAX_KEY_PREFIX_BYTES {
            return Err(invalid(format!(
                "the key prefix has {} bytes; at most {MAX_KEY_PREFIX_BYTES} are allowed",
                prefix.len()
            )));
        }
        let (shortest, longest) = RESPONSE_TIMEOUTS;
        if !(shortest..=longest).contains(&self.response_timeout) {
            return Err(invalid(format!(
                "the response timeout is {}; {} to {} are allowed",
                exact(self.response_timeout),
                exact(shortest),
                exact(longest)
            )));
        }
        Ok(())
    }
}

impl fmt::Debug for RedisBackendBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = match &self.server {
            Server::Missing => "missing",
            Server::Url(_) => "a url",
            Server::Sentinels(_) => "sentinels",
            Server::Cluster(_) => "a cluster",
            Server::Client(_) => "a client",
            Server::Connection(_) => "an existing connection",
        };
        f.debug_struct("RedisBackendBuilder")
            .field("server", &server)
            .field("key_prefix", &self.key_prefix)
            .field("response_timeout", &self.response_timeout)
            .field("replicas", &self.replicas)
            .field("looks_out", &self.looks_out)
            .field("registers", &self.registers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use lock_core::LockErrorKind;

    use super::*;

    fn refused(builder: RedisBackendBuilder) -> String {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
        error.to_string()
    }

    fn builder() -> RedisBackendBuilder {
        RedisBackendBuilder::new().url("redis://127.0.0.1")
    }

    #[test]
    fn settings_that_cannot_work_are_refused_at_once() {
        assert!(refused(RedisBackendBuilder::new()).contains("no Redis server"));
        assert!(refused(builder().url("http://x")).contains("redis[s]://"));
        assert!(refused(builder().key_prefix("dl:")).contains("reserved"));
        assert!(refused(builder().key_prefix("x".repeat(1_025))).contains("1025 bytes"));
        assert!(refused(builder().response_timeout(Duration::ZERO)).contains("10ms to 60s"));
        if cfg!(not(feature = "tls")) {
            assert!(refused(builder().url("rediss://127.0.0.1")).contains("feature `tls`"));
        }
    }

    #[test]
    fn no_text_shows_the_password() {
        let builder = builder().url("redis://user:s3cret@127.0.0.1:7/3");
        assert!(!format!("{builder:?}").contains("s3cret"));
        let backend = builder.build().unwrap();
        let text = format!("{backend:?}");
        assert!(text.contains("127.0.0.1:7") && !text.contains("s3cret"), "{text}");
        for url in ["redis://:s3cret@h:x", "redis://:s3cret@h/?protocol=s3cret", "s3cret://h"] {
            assert!(!refused(RedisBackendBuilder::new().url(url)).contains("s3cret"));
        }
    }
}
