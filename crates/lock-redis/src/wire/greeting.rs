//! Making a connection and finding out whether the server will do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use lock_core::backend::Clock;
use lock_core::{Instant, LockErrorKind, event};
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::io::AsyncDNSResolver;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, Pipeline, RedisConnectionInfo, RedisError,
    RedisFuture, Value,
};

use crate::wire::channel::Channel;
use crate::wire::connection::Connection;
use crate::wire::credentials::Ready;
use crate::wire::failure::{Failure, Forbidden};
use crate::wire::health::{Health, Watcher};
use crate::wire::hello::{self, Dialect, Hello};
use crate::wire::identity::Identity;
use crate::wire::permissions::Needs;
use crate::wire::refusal::no_resp3;
use crate::wire::server_clock::ServerClock;

/// The oldest server whose commands suffice: `GETEX`, and `SET` with both `PX` and `GET`.
const OLDEST: (u16, u16) = (6, 2);
/// Requests that redis-rs takes in before it makes callers wait.
const REQUESTS_IN_ADVANCE: usize = 1_024;

const NOT_TLS: &str = "does the port speak TLS?";
const OLD_PROTOCOL: &str = "the server, or a proxy before it, answers HELLO 3 in RESP2, which has \
                            no pushes; connect to a server that speaks RESP3";
const PASSES_REPLICAS: &str = "Redis 6.2 does not apply its min-replicas-to-write to scripts, so each request for a lock is \
     preceded by a command that it can refuse, and waiters poll; use \
     Redis 7.0 or later";
const NO_CHANNELS_OF_SLOTS: &str = "the nodes of a cluster of Redis 6.2 have no channels that belong to slots; use Redis 7.0 or \
     later, or Valkey";
const ENDED: &str = "is it a TLS port, or a proxy that does not know HELLO 3 (RESP3)?";
/// Before the TLS handshake a server cannot say why it closes a connection, and what it says after it
/// can be lost when it closes the connection behind it.
const ENDED_TLS: &str = "does the port speak TLS, has the server reached its maxclients, or does \
                         it require another client certificate (tls_cert_file)?";

/// How a server is greeted on each new connection.
pub(crate) struct Greeting {
    /// What comes first on a connection of our own.
    session: Session,
    /// What the server is asked to allow.
    needs: Needs,
    /// Commands that let a server of this dialect know the scripts before they are needed.
    preload: fn(Dialect) -> Vec<Cmd>,
    /// Whether a server that follows a master is refused.
    wants_master: bool,
    /// Whether the server is to be a node of a cluster.
    is_cluster: bool,
    warned_of_eviction: AtomicBool,
    warned_of_cluster: AtomicBool,
}

impl Greeting {
    pub(crate) fn new(session: Session, needs: Needs, preload: fn(Dialect) -> Vec<Cmd>) -> Self {
        Self {
            session,
            needs,
            preload,
            wants_master: false,
            is_cluster: false,
            warned_of_eviction: AtomicBool::new(false),
            warned_of_cluster: AtomicBool::new(false),
        }
    }

    /// Refuses a server that follows a master: it can become one, but is none yet or no longer.
    pub(crate) fn of_master(self) -> Self {
        Self { wants_master: true, ..self }
    }

    /// Takes nodes of a cluster.
    pub(crate) fn of_cluster(self) -> Self {
        Self { is_cluster: true, ..self }
    }

    /// Greets the server: one round trip, and one more on Redis 6.2.
    pub(crate) async fn greet(
        &self,
        channel: Channel,
        health: Arc<Health>,
        deadline: Instant,
    ) -> Result<Connection, Failure> {
        let asking = Connection::new(
            channel.clone(),
            Dialect::default(),
            None,
            // What goes wrong here is told by the result, not to the listener.
            Arc::new(Health::new(None)),
        );
        let Greeted { dialect, clock, speaks_resp3, passes_replicas, identity, deletes_if_equal } =
            self.ask(&asking, deadline).await?;
        let mut connection = Connection::new(channel, dialect, clock, Arc::clone(&health));
        if let Some(identity) = identity {
            connection = connection.known_as(identity);
        }
        if deletes_if_equal {
            connection = connection.deleting_if_equal();
        }
        let no_pushes = match (speaks_resp3, passes_replicas) {
            (false, _) => Some(OLD_PROTOCOL),
            (true, true) => Some(PASSES_REPLICAS),
            _ => None,
        };
        if let Some(cause) = no_pushes {
            health.push_forbidden(&cause);
        } else if self.is_cluster && dialect == Dialect::Redis6 {
            // Once for all nodes.
            if self.warned_of_cluster.swap(true, Ordering::Relaxed) {
                health.push_forbidden_quietly();
            } else {
                health.push_forbidden(&NO_CHANNELS_OF_SLOTS);
            }
        }
        if passes_replicas {
            connection = connection.trying_to_write();
        }
        Ok(connection)
    }

    async fn ask(&self, connection: &Connection, deadline: Instant) -> Result<Greeted, Failure> {
        let mut greeting = Pipeline::new();
        let needs = self.needs.ask();
        let read = [redis::cmd("HELLO"), info("memory"), info("server")].into_iter();
        let read = read.chain([Identity::try_to_end(), delete_if_equal()]).chain(needs);
        // What these answer is of no interest, but for the last.
        let unread = (self.preload)(Dialect::default()).into_iter().chain(self.session.names());
        let commands = read.chain(self.session.select()).chain(unread);
        for command in commands.chain([redis::cmd("TIME")]) {
            greeting.add_command(command);
        }
        let mut answers = connection.send_all(&greeting, deadline).await?.into_iter();
        let received = Clock::SYSTEM.now();
        let missing = || Err(Failure::unavailable("the server did not answer the greeting"));
        let time = answers.next_back().unwrap_or_else(missing);
        let time = time.and_then(|time| Ok(ServerClock::new(received, hello::time(&time)?)));
        let mut next = || answers.next().unwrap_or_else(missing);
        let hello = next().map_err(of_hello)?;
        let hello = hello::hello(&hello).map_err(|_| no_resp3())?;
        let (memory, server, ends, deleted) = (next(), next(), next(), next());
        // Whether it may be used is looked at before where the key is.
        let deletes_if_equal =
            deleted.map_or_else(|failure| failure.of_cluster.is_some(), |_| true);
        let needed = [next(), next()];
        let version = check(&hello, self.is_cluster)?;
        if self.wants_master && hello.is_replica() {
            let message = "the server says that it is a replica; a failover may be under way";
            return Err(Failure::unavailable(message).not_applied());
        }
        self.needs.check(needed)?;
        if self.session.selects() {
            next()?;
        }
        if let Ok(memory) = memory {
            self.warn_of_eviction(&memory);
        }
        let clock = Some(time?);
        // Which run of the server this is. Without it, a connection's number means nothing.
        let run = server.as_ref().ok().and_then(|all| hello::info_field(all, "run_id"));
        let identity = hello.id.zip(run).filter(|_| ends.is_ok());
        let identity = identity.map(|(id, run)| Identity::new(id, run));
        let dialect = Dialect::of_version(version);
        let mut passes_replicas = false;
        if dialect != Dialect::default() {
            let mut loading = Pipeline::new();
            loading.add_command(info("replication"));
            // What cannot be loaded now is sent with its text when it is needed.
            for command in (self.preload)(dialect) {
                loading.add_command(command);
            }
            let mut answers = connection.send_all(&loading, deadline).await?.into_iter();
            let replication = answers.next().and_then(Result::ok);
            // It is shown only where min-replicas-to-write is set.
            let good = replication
                .as_ref()
                .and_then(|all| hello::info_field(all, "min_slaves_good_slaves"));
            passes_replicas = good.is_some();
        }
        let speaks_resp3 = hello.speaks_resp3;
        Ok(Greeted { dialect, clock, speaks_resp3, passes_replicas, identity, deletes_if_equal })
    }

    /// Says once that the server may throw locks away.
    fn warn_of_eviction(&self, memory: &Value) {
        let limit = hello::info_field(memory, "maxmemory").unwrap_or("0");
        let policy = hello::info_field(memory, "maxmemory_policy").unwrap_or("noeviction");
        if limit == "0" || policy == "noeviction" {
            return;
        }
        if !self.warned_of_eviction.swap(true, Ordering::Relaxed) {
            event!(
                WARN,
                "eviction",
                "redis",
                maxmemory = limit,
                policy,
                "the Redis server evicts keys when its memory is full, and a lock that is evicted \
                 is given to somebody else while it is held; set maxmemory-policy to noeviction"
            );
        }
    }
}

/// What a greeting has found out.
struct Greeted {
    dialect: Dialect,
    clock: Option<ServerClock>,
    speaks_resp3: bool,
    /// The server's scripts write although too few of its replicas keep up.
    passes_replicas: bool,
    /// By what the server knows the connection, if it lets other connections end it.
    identity: Option<Identity>,
    /// The server has a command that compares and deletes.
    deletes_if_equal: bool,
}

/// What redis-rs would send first on a connection, beside `HELLO`.
///
/// It would take the first error that a server answers only if nothing else was asked for: a server
/// that has too many clients says so once, and closes the connection.
#[derive(Default)]
pub(crate) struct Session {
    database: i64,
    library: Option<(String, String)>,
}

impl Session {
    /// Takes over what these settings ask for, and leaves `HELLO` to redis-rs.
    pub(crate) fn taken_from(settings: RedisConnectionInfo) -> (Self, RedisConnectionInfo) {
        let library = (!settings.skip_set_lib_name()).then(|| {
            let name = settings.lib_name().unwrap_or("distlock").to_owned();
            (name, settings.lib_ver().unwrap_or(env!("CARGO_PKG_VERSION")).to_owned())
        });
        let session = Self { database: settings.db(), library };
        (session, settings.set_db(0).set_skip_set_lib_name())
    }

    fn selects(&self) -> bool {
        self.database != 0
    }

    fn select(&self) -> Option<Cmd> {
        let mut select = redis::cmd("SELECT");
        select.arg(self.database);
        self.selects().then_some(select)
    }

    /// Names the client for those who list a server's clients; not every server knows how.
    fn names(&self) -> impl Iterator<Item = Cmd> {
        let library = self.library.iter();
        library.flat_map(|(name, version)| [("LIB-NAME", name), ("LIB-VER", version)]).map(
            |(what, text)| {
                let mut naming = redis::cmd("CLIENT");
                naming.arg("SETINFO").arg(what).arg(text);
                naming
            },
        )
    }
}

/// Opens a connection: one round trip. What happens to it is told to `health`.
pub(crate) async fn open(
    ready: &Ready,
    health: &Arc<Health>,
) -> Result<MultiplexedConnection, Failure> {
    open_with(ready, Watcher(Arc::clone(health))).await
}

/// As [`open`], with whom to tell of what the server pushes. It lives as long as the connection.
pub(crate) async fn open_with(
    ready: &Ready,
    listener: impl AsyncPushSender,
) -> Result<MultiplexedConnection, Failure> {
    let Ready { client, at } = ready;
    #[cfg(feature = "tls")]
    if is_tls(client) {
        choose_cryptography();
    }
    // Its own timeouts would need tokio's timers; whoever calls us has a deadline.
    let mut config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(REQUESTS_IN_ADVANCE)
        .set_push_sender(listener);
    if let Some((host, port)) = at.clone() {
        config = config.set_dns_resolver(LeadsTo { host, port });
    }
    let channel = client.get_multiplexed_async_connection_with_config(&config).await;
    channel.map_err(|error| at_connect(error, client))
}

/// Where every name leads to.
struct LeadsTo {
    host: String,
    port: u16,
}

impl AsyncDNSResolver for LeadsTo {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        _host: &'b str,
        _port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        let Self { host, port } = self;
        let found = tokio::net::lookup_host((host.as_str(), *port));
        async move { Ok(Box::new(found.await?) as Box<dyn Iterator<Item = SocketAddr> + Send>) }
            .boxed()
    }
}

/// Says that no connection came about in time.
pub(crate) fn too_slow(client: Option<&Client>) -> Failure {
    let failure = Failure::unavailable("no connection to the server in time").not_applied();
    match client {
        // A plain port takes the TLS handshake for the beginning of a command, and waits for more.
        Some(client) if is_tls(client) => failure.with_hint(NOT_TLS),
        _ => failure,
    }
}

/// Asks whether the server answers.
pub(crate) fn ping() -> Cmd {
    redis::cmd("PING")
}

fn at_connect(error: RedisError, client: &Client) -> Failure {
    // A port that expects TLS closes a plain connection at once and the reverse, without a reason.
    let ended_at_once = error.is_connection_dropped() && !error.is_connection_refusal()
        || error.to_string().contains("corrupt message");
    let failure = of_hello(Failure::from(error)).not_applied();
    if !ended_at_once {
        return failure;
    }
    failure.with_hint(if is_tls(client) { ENDED_TLS } else { ENDED })
}

/// redis-rs takes the process's default provider of cryptography and cannot be given another;
/// without one, rustls panics unless exactly one is compiled in.
#[cfg(feature = "tls")]
fn choose_cryptography() {
    use rustls::crypto::{CryptoProvider, ring};

    // An error says that the program made its choice in between, which stays.
    if CryptoProvider::get_default().is_none() && ring::default_provider().install_default().is_ok()
    {
        event!(
            DEBUG,
            "cryptography",
            "redis",
            "ring is now the process's default cryptography provider for rustls"
        );
    }
}

fn is_tls(client: &Client) -> bool {
    matches!(client.get_connection_info().addr(), ConnectionAddr::TcpTls { .. })
}

fn check(hello: &Hello, is_cluster: bool) -> Result<(u16, u16), Failure> {
    let refuse =
        |message: String| Err(Failure::new(LockErrorKind::InvalidConfig, message).not_applied());
    match hello.mode.as_str() {
        "cluster" if !is_cluster => {
            return refuse(
                "the server is a node of a cluster; write redis+cluster://HOST:PORT, with the \
                 addresses of some of its nodes"
                    .into(),
            );
        }
        "sentinel" => {
            return refuse(
                "the server is a Sentinel; write redis+sentinel://HOST:PORT/MASTER, with the name \
                 of the master that it watches"
                    .into(),
            );
        }
        _ => {}
    }
    match hello.version_numbers() {
        Some(version) if version >= OLDEST => Ok(version),
        _ => refuse(format!(
            "the server is {} {}; Redis 6.2 or later, or Valkey, is needed",
            hello.server, hello.version
        )),
    }
}

/// Valkey 9 compares and deletes by itself; this deletes nothing.
fn delete_if_equal() -> Cmd {
    let mut command = redis::cmd("DELIFEQ");
    command.arg("dl:?").arg("-");
    command
}

fn info(section: &str) -> Cmd {
    let mut info = redis::cmd("INFO");
    info.arg(section);
    info
}

/// What a refusal of `HELLO` means that says nothing else.
fn of_hello(failure: Failure) -> Failure {
    if matches!(failure.forbidden, Some(Forbidden::Unknown(_))) {
        return no_resp3();
    }
    if failure.kind == LockErrorKind::Backend {
        return no_resp3().with_hint(failure.message());
    }
    failure
}
