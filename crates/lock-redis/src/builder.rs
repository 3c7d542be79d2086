//! How a [`RedisBackend`] is set up.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lock_core::duration_text::exact;
use lock_core::message_text::host_and_port;
use lock_core::{LockError, LockErrorKind, Result};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{Client, ConnectionAddr, ProtocolVersion};

use crate::backend::RedisBackend;
use crate::contended::Contended;
use crate::ops::Protocol;
use crate::ops::parts::Parts;
use crate::protocol::dapr::DaprKeyPrefix;
use crate::protocol::keys::RESERVED_PREFIX;
use crate::protocol::{needs, scripts};
use crate::queue::Queue;
use crate::topology::standalone::{Server as Endpoint, Source, Standalone};
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
/// An idle connection says so often that it lives, and this often if nothing comes back: before a
/// NAT or a balancer forgets it, which some do after 30 s.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(5));
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
    looks_out: bool,
}

enum Server {
    Missing,
    Url(String),
    Client(Client),
    Connection(Channel),
}

impl RedisBackendBuilder {
    pub(crate) fn new() -> Self {
        Self {
            server: Server::Missing,
            key_prefix: Ok(DEFAULT_KEY_PREFIX.to_owned()),
            response_timeout: DEFAULT_RESPONSE_TIMEOUT,
            credentials: Credentials::default(),
            looks_out: true,
        }
    }

    /// The server: `redis[s]://[[user]:password@]host[:port][/database]` or
    /// `redis+unix:///path/to/socket[?db=database]`. `valkey[s]://`, `valkey+unix://` and `unix://`
    /// mean the same.
    ///
    /// `rediss` and `valkeys` need the feature `tls`.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.server = Server::Url(url.into());
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
    /// - It is never replaced. Once it has ended, every operation fails with an error that says so,
    ///   of the kind [`Backend`](LockErrorKind::Backend), which is not retryable. To go on after an
    ///   outage, use `connection_manager` (with the feature of that name), `client` or `url`.
    /// - It carries everything, renewals included. It is driven by the tokio runtime in which it
    ///   was made: while that runtime is blocked, no lock can be taken or released, and leases are
    ///   not renewed.
    /// - Its own response timeout, 500 ms unless it was set, applies as well as the backend's.
    ///
    /// Do not send commands that block the connection, or `MULTI`, on it meanwhile.
    pub fn connection(mut self, connection: MultiplexedConnection) -> Self {
        self.server = Server::Connection(Channel::Connection(connection));
        self
    }

    /// An existing `ConnectionManager`, which connects again when its connection has ended.
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
    /// It takes the place of a password in the URL; a user name stays there:
    /// `redis://USER@HOST`.
    /// The file is read for each new connection, so a password that was replaced in it counts from
    /// then on, and the program need not be started again.
    pub fn password_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials.password_file = Some(path.into());
        self
    }

    /// The file with the certificates, in PEM form, of the authorities that the server's certificate
    /// may come from, in place of those of the system.
    ///
    /// As the other files, it is read for each new connection. It needs the feature `tls`, and a
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

    /// Whether programs may be about that take the locks by asking again and again; `true` unless it
    /// is set.
    ///
    /// Such programs are those that use another library, or an [existing
    /// connection](Self::connection).
    /// They get a lock only while its key is absent, and where tasks of this backend always queue for
    /// a lock, it never is.
    /// So a backend leaves the locks that it waited for free for a hundredth of the time that it held
    /// them, until it sees such a program.
    /// `false` spares a fleet that shares its locks with nobody else this hundredth.
    pub fn look_out_for_pollers(mut self, looks_out: bool) -> Self {
        self.looks_out = looks_out;
        self
    }

    /// Makes the backend. Nothing is connected yet: that happens at the first operation.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](LockErrorKind::InvalidConfig) if no server was given, or the URL or a
    /// setting is not allowed.
    pub fn build(self) -> Result<RedisBackend> {
        self.check()?;
        let key_prefix = self.key_prefix?;
        let (source, address, session) = match self.server {
            Server::Missing => {
                return Err(invalid("no Redis server was given; call url, client or connection"));
            }
            Server::Url(url) => own(&open(&url, &self.credentials)?, &self.credentials)?,
            Server::Client(client) => own(&client, &self.credentials)?,
            Server::Connection(_) if !self.credentials.is_empty() => {
                return Err(invalid(
                    "a file with credentials is set, and an existing connection has its own; leave \
                     out password_file, tls_ca_file, tls_cert_file and tls_key_file",
                ));
            }
            Server::Connection(connection) => {
                let address = "an existing connection".to_owned();
                (Source::Existing(connection), address, Session::default())
            }
        };
        let late_after = self.response_timeout + LATE_MARGIN;
        // Over an existing connection nothing can be pushed.
        let has_pushes = matches!(source, Source::Client(_));
        let queue = has_pushes.then(|| Queue::new(late_after, self.looks_out)).transpose()?;
        let protocol = Protocol::new(queue.map(Arc::new));
        let greeting = Greeting::new(session, needs::ALL, scripts::load_all);
        let listener = protocol.listener();
        let credentials = self.credentials;
        let server = Endpoint { source, credentials, address, greeting, listener };
        Ok(RedisBackend {
            protocol,
            parts: Parts {
                topology: Standalone::new(server, self.response_timeout),
                key_prefix: key_prefix.into(),
                response_timeout: self.response_timeout,
                contended: Contended::default(),
                needs: needs::ALL,
            },
            late_after,
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
            Server::Client(_) => "a client",
            Server::Connection(_) => "an existing connection",
        };
        f.debug_struct("RedisBackendBuilder")
            .field("server", &server)
            .field("key_prefix", &self.key_prefix)
            .field("response_timeout", &self.response_timeout)
            .field("looks_out", &self.looks_out)
            .finish_non_exhaustive()
    }
}

fn open(url: &str, credentials: &Credentials) -> Result<Client> {
    let is_tls = url.starts_with("rediss:") || url.starts_with("valkeys:");
    if is_tls && cfg!(not(feature = "tls")) {
        return Err(invalid("a URL with TLS needs the feature `tls`; turn it on"));
    }
    // The cause is left out of the text: it may quote what stands in the URL.
    let client = Client::open(url).map_err(|_| {
        invalid(
            "the URL is not one of a Redis server; write \
             redis[s]://[[user]:password@]host[:port][/database] or redis+unix:///path",
        )
    })?;
    let settings = client.get_connection_info().redis_settings();
    let has_password = settings.password().is_some() || credentials.password_file.is_some();
    if settings.username().is_some() && !has_password {
        // It would be ignored; most often it is a password without its colon.
        return Err(invalid(
            "the URL has a user name and no password; did you mean redis://:PASSWORD@HOST, with a \
             colon before the password? A user name is written as redis://USER:PASSWORD@HOST, or \
             as redis://USER@HOST with password_file",
        ));
    }
    Ok(client)
}

/// The client as this backend uses it.
fn own(client: &Client, credentials: &Credentials) -> Result<(Source, String, Session)> {
    let info = client.get_connection_info().clone();
    credentials.check(&info)?;
    // With the database, if it is not the usual one: it may be what is wrong.
    let server = shown(info.addr());
    let address = match info.redis_settings().db() {
        0 => server,
        database => format!("{server}/{database}"),
    };
    // Only with RESP3 does redis-rs tell when an idle connection is lost.
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let (session, settings) = Session::taken_from(settings);
    let tcp = kept_alive(info.tcp_settings().clone());
    let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
    let client = Client::open(info)
        .map_err(|error| invalid("the client cannot be used").with_source(error))?;
    // Finds out now what would be wrong at each connection.
    credentials.read_into(&client)?;
    Ok((Source::Client(client), address, session))
}

/// Where a server is, for people.
fn shown(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            host_and_port(host, *port)
        }
        other => other.to_string(),
    }
}

/// Keeps idle connections known to whatever stands on the way and forgets those that say nothing.
fn kept_alive(settings: TcpSettings) -> TcpSettings {
    if settings.keepalive().is_some() {
        return settings;
    }
    let (idle, interval) = KEEPALIVE;
    settings.set_keepalive(TcpKeepalive::new().with_time(idle).with_interval(interval))
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> LockError {
    LockError::new(LockErrorKind::InvalidConfig, message).not_applied()
}

#[cfg(test)]
mod tests {
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
    fn an_idle_connection_is_kept_alive_every_15_seconds_unless_its_client_says_otherwise() {
        let shown = |settings: TcpSettings| format!("{:?}", settings.keepalive());
        let ours = TcpKeepalive::new()
            .with_time(Duration::from_secs(15))
            .with_interval(Duration::from_secs(5));
        assert_eq!(shown(kept_alive(TcpSettings::default())), format!("{:?}", Some(&ours)));
        let theirs = TcpSettings::default().set_keepalive(ours.with_time(Duration::from_secs(300)));
        assert_eq!(shown(kept_alive(theirs.clone())), shown(theirs));
    }

    #[test]
    fn an_address_is_shown_as_a_url_writes_it() {
        for (url, shown) in [
            ("redis://[::1]:7411/3", "[::1]:7411/3"),
            ("redis://[fe80::1]", "[fe80::1]:6379"),
            ("valkey://localhost:7", "localhost:7"),
            ("unix:///run/redis.sock?db=1", "/run/redis.sock/1"),
        ] {
            let client = Client::open(url).unwrap();
            assert_eq!(own(&client, &Credentials::default()).unwrap().1, shown);
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
