//! Making a connection and finding out whether the server will do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lock_core::backend::Clock;
use lock_core::{Instant, LockErrorKind, event};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, Pipeline, RedisError, Value};

use crate::wire::channel::Channel;
use crate::wire::connection::Connection;
use crate::wire::failure::{Failure, too_old};
use crate::wire::health::{Health, Watcher};
use crate::wire::hello::{self, Dialect, Hello};
use crate::wire::server_clock::ServerClock;

/// The oldest server whose commands suffice: `GETEX`, and `SET` with both `PX` and `GET`.
const OLDEST: (u16, u16) = (6, 2);
/// Requests that redis-rs takes in before it makes callers wait.
const REQUESTS_IN_ADVANCE: usize = 1_024;

const NOT_TLS: &str = "does the port speak TLS?";

/// How a server is greeted on each new connection.
pub(crate) struct Greeting {
    /// Whether the server's time is needed.
    needs_time: bool,
    /// Commands that let a server of this dialect know the scripts before they are needed.
    preload: fn(Dialect) -> Vec<Cmd>,
    warned_of_eviction: AtomicBool,
}

impl Greeting {
    pub(crate) fn new(needs_time: bool, preload: fn(Dialect) -> Vec<Cmd>) -> Self {
        Self { needs_time, preload, warned_of_eviction: AtomicBool::new(false) }
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
        let (dialect, clock) = self.ask(&asking, deadline).await?;
        Ok(Connection::new(channel, dialect, clock, health).with_outbox())
    }

    async fn ask(
        &self,
        connection: &Connection,
        deadline: Instant,
    ) -> Result<(Dialect, Option<ServerClock>), Failure> {
        let mut greeting = Pipeline::new();
        greeting.cmd("HELLO").cmd("INFO").arg("memory");
        for command in (self.preload)(Dialect::default()) {
            greeting.add_command(command);
        }
        greeting.cmd("TIME");
        let mut answers = connection.send_all(&greeting, deadline).await?;
        let received = Clock::SYSTEM.now();
        let time = answers.pop().map_or_else(
            || Err(Failure::unavailable("no answer")),
            |time| Ok(ServerClock::new(received, hello::time(&time?)?)),
        );
        let mut answers = answers.into_iter();
        let hello = answers.next().ok_or_else(too_old)?.map_err(unknown_is_too_old)?;
        let hello = hello::hello(&hello)?;
        let version = check(&hello)?;
        if let Some(Ok(memory)) = answers.next() {
            self.warn_of_eviction(&memory);
        }
        let clock = match time {
            Err(failure) if self.needs_time => return Err(failure),
            time => time.ok(),
        };
        let dialect = Dialect::of_version(version);
        if dialect != Dialect::default() {
            // What cannot be loaded now is sent with its text when it is needed.
            let mut loading = Pipeline::new();
            for command in (self.preload)(dialect) {
                loading.add_command(command);
            }
            connection.send_all(&loading, deadline).await?;
        }
        Ok((dialect, clock))
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

/// Opens a connection: one round trip. What happens to it is told to `health`.
pub(crate) async fn open(
    client: &Client,
    health: &Arc<Health>,
) -> Result<MultiplexedConnection, Failure> {
    #[cfg(feature = "tls")]
    if is_tls(client) {
        choose_cryptography();
    }
    // Its own timeouts would need tokio's timers; whoever calls us has a deadline.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(REQUESTS_IN_ADVANCE)
        .set_push_sender(Watcher(Arc::clone(health)));
    let channel = client.get_multiplexed_async_connection_with_config(&config).await;
    channel.map_err(|error| at_connect(error, client))
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
    let failure = Failure::from(error).not_applied();
    if !ended_at_once {
        return failure;
    }
    failure.with_hint(if is_tls(client) { NOT_TLS } else { "is it a TLS port?" })
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
            "ring is now the process's default provider of cryptography for rustls"
        );
    }
}

fn is_tls(client: &Client) -> bool {
    matches!(client.get_connection_info().addr(), ConnectionAddr::TcpTls { .. })
}

fn check(hello: &Hello) -> Result<(u16, u16), Failure> {
    let refuse =
        |message: String| Err(Failure::new(LockErrorKind::InvalidConfig, message).not_applied());
    match hello.mode.as_str() {
        "cluster" => {
            return refuse("the server is a node of a cluster; a single server is needed".into());
        }
        "sentinel" => {
            return refuse("the server is a Sentinel; give the address of its master".into());
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

fn unknown_is_too_old(failure: Failure) -> Failure {
    if failure.message().contains("unknown command") { too_old() } else { failure }
}
