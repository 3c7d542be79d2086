//! Making a connection and finding out whether the server will do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lock_core::backend::Clock;
use lock_core::{Instant, LockErrorKind};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, Pipeline, RedisError, Value};

use crate::protocol::reply::{self, Hello};
use crate::protocol::scripts::{MODERN, PLAIN, Scripts};
use crate::queue::Line;
use crate::wire::connection::{Connection, Signs, Watcher};
use crate::wire::failure::{Failure, too_old};
use crate::wire::server_clock::ServerClock;

/// The oldest server whose commands suffice: `GETEX`, and `SET` with both `PX` and `GET`.
const OLDEST: (u16, u16) = (6, 2);
/// The first server that knows script flags.
const FIRST_MODERN: (u16, u16) = (7, 0);
/// Requests that redis-rs takes in before it makes callers wait.
const REQUESTS_IN_ADVANCE: usize = 1_024;

const NOT_TLS: &str = "does the port speak TLS?";

/// Where connections come from.
pub(crate) enum Source {
    /// They are made as needed.
    Client(Client),
    /// There is only this one; to connect is to greet the server again.
    Existing(MultiplexedConnection),
}

/// The server, and how it is greeted.
pub(crate) struct Target {
    pub(crate) source: Source,
    /// Where it is, for people; without a password.
    pub(crate) address: String,
    /// Whether grants need the server's time.
    pub(crate) needs_time: bool,
    /// Those who hear what is pushed; none where nothing can be.
    pub(crate) line: Option<Arc<Line>>,
    pub(crate) warned_of_eviction: AtomicBool,
}

impl Target {
    /// Makes a connection and greets the server: two round trips, and one more on Redis 6.2.
    pub(crate) async fn connect(&self, deadline: Instant) -> Result<Connection, Failure> {
        let signs = Arc::new(Signs::new(self.line.clone()));
        let channel = match &self.source {
            Source::Existing(channel) => channel.clone(),
            Source::Client(client) => {
                // Its own timeouts would need tokio's timers; whoever calls us has a deadline.
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(None)
                    .set_response_timeout(None)
                    .set_pipeline_buffer_size(REQUESTS_IN_ADVANCE)
                    .set_push_sender(Watcher(Arc::clone(&signs)));
                let channel = client.get_multiplexed_async_connection_with_config(&config).await;
                channel.map_err(|error| at_connect(error, client))?
            }
        };
        let greeted = Connection::new(channel.clone(), &MODERN, None, Arc::new(Signs::new(None)));
        let (scripts, clock) = self.greet(&greeted, deadline).await?;
        Ok(Connection::new(channel, scripts, clock, signs).with_outbox())
    }

    async fn greet(
        &self,
        connection: &Connection,
        deadline: Instant,
    ) -> Result<(&'static Scripts, Option<ServerClock>), Failure> {
        let mut greeting = Pipeline::new();
        greeting.cmd("HELLO").cmd("INFO").arg("memory");
        for script in MODERN.all() {
            greeting.add_command(script.load());
        }
        greeting.cmd("TIME");
        let mut answers = connection.send_all(&greeting, deadline).await?;
        let received = Clock::SYSTEM.now();
        let time = answers.pop().map_or_else(
            || Err(Failure::unavailable("no answer")),
            |time| Ok(ServerClock::new(received, reply::time(&time?)?)),
        );
        let mut answers = answers.into_iter();
        let hello = answers.next().ok_or_else(too_old)?.map_err(unknown_is_too_old)?;
        let hello = reply::hello(&hello)?;
        let version = check(&hello)?;
        if let Some(Ok(memory)) = answers.next() {
            self.warn_of_eviction(&memory);
        }
        let clock = match time {
            Err(failure) if self.needs_time => return Err(failure),
            time => time.ok(),
        };
        if version >= FIRST_MODERN {
            return Ok((&MODERN, clock));
        }
        // What cannot be loaded now is sent with its text when it is needed.
        let mut loading = Pipeline::new();
        for script in PLAIN.all() {
            loading.add_command(script.load());
        }
        connection.send_all(&loading, deadline).await?;
        Ok((&PLAIN, clock))
    }

    /// Says that no connection came about in time.
    pub(crate) fn too_slow(&self) -> Failure {
        let failure = Failure::unavailable("no connection to the server in time").not_applied();
        match &self.source {
            // A plain port waits in silence for the end of what it takes for a command.
            Source::Client(client) if is_tls(client) => failure.with_hint(NOT_TLS),
            _ => failure,
        }
    }

    /// Says once that the server may throw locks away.
    fn warn_of_eviction(&self, memory: &Value) {
        let limit = reply::info_field(memory, "maxmemory").unwrap_or("0");
        let policy = reply::info_field(memory, "maxmemory_policy").unwrap_or("noeviction");
        if limit == "0" || policy == "noeviction" {
            return;
        }
        if !self.warned_of_eviction.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                maxmemory = limit,
                policy,
                "the Redis server evicts keys when its memory is full, and a lock that is evicted \
                 is given to somebody else; set maxmemory-policy to noeviction"
            );
        }
    }
}

/// Asks whether the server answers.
pub(crate) fn ping() -> Cmd {
    redis::cmd("PING")
}

fn at_connect(error: RedisError, client: &Client) -> Failure {
    // TLS and plain text end each other's connections at once, without a word about why.
    let ended_at_once = error.is_connection_dropped() && !error.is_connection_refusal()
        || error.to_string().contains("corrupt message");
    let failure = Failure::from(error).not_applied();
    if !ended_at_once {
        return failure;
    }
    failure.with_hint(if is_tls(client) { NOT_TLS } else { "is it a TLS port?" })
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
