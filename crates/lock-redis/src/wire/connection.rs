//! One connection to the server: sending with a deadline, and knowing when it is of no use.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future;
use lock_core::backend::{Clock, in_time};
use lock_core::{Instant, LockErrorKind};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::sync::OnceCell;

use crate::wire::failure::Failure;
use crate::wire::health::{ConnectionId, Health};
use crate::wire::hello::Dialect;
use crate::wire::outbox::Outbox;
use crate::wire::server_clock::ServerClock;

/// A connection that has been greeted.
pub(crate) struct Connection {
    channel: MultiplexedConnection,
    /// None while it is being greeted.
    outbox: Option<Outbox>,
    dialect: Dialect,
    clock: Mutex<Option<ServerClock>>,
    health: Arc<Health>,
    /// Scripts may write where the server would refuse a command.
    tries_writing: bool,
    /// Whether the server pushes over it, once it was asked to.
    pushes: OnceCell<bool>,
}

impl Connection {
    pub(crate) fn new(
        channel: MultiplexedConnection,
        dialect: Dialect,
        clock: Option<ServerClock>,
        health: Arc<Health>,
    ) -> Self {
        let (clock, pushes) = (Mutex::new(clock), OnceCell::new());
        Self { channel, outbox: None, dialect, clock, health, tries_writing: false, pushes }
    }

    /// Lets commands that are sent at once share a write; the current runtime sees to that.
    pub(crate) fn with_outbox(mut self) -> Self {
        self.outbox = Some(Outbox::start(self.channel.clone()));
        self
    }

    /// Nothing can be pushed over it.
    pub(crate) fn without_pushes(mut self) -> Self {
        self.pushes = OnceCell::new_with(Some(false));
        self
    }

    /// What is asked for is preceded by a command that the server can refuse.
    pub(crate) fn trying_to_write(mut self) -> Self {
        self.tries_writing = true;
        self
    }

    /// Whether a script that writes has to be preceded by a command that does.
    pub(crate) fn tries_writing(&self) -> bool {
        self.tries_writing
    }

    /// Tells this connection from others.
    pub(crate) fn id(&self) -> ConnectionId {
        self.health.id()
    }

    /// Whether new requests may use it.
    pub(crate) fn is_open(&self) -> bool {
        self.health.is_open()
    }

    /// Whether it answered anything after the greeting.
    pub(crate) fn has_served(&self) -> bool {
        self.health.has_served()
    }

    /// Whether the server was asked for pushes over it, and forbade them.
    pub(crate) fn is_push_forbidden(&self) -> bool {
        self.pushes.get() == Some(&false)
    }

    /// Which scripts the server understands.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What the server's clock shows, as the newest reply said.
    pub(crate) fn clock(&self) -> Option<ServerClock> {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a reply that has just arrived with the server's time.
    pub(crate) fn note_time(&self, server_micros: u64) {
        let newest = ServerClock::new(Clock::SYSTEM.now(), server_micros);
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some(newest);
    }

    /// Subscribes to this channel, the only one of the connection, unless it is subscribed already.
    /// `false` if the server forbids to subscribe, to publish, or to count the subscribers.
    pub(crate) async fn subscribe(
        &self,
        channel: &str,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let pushes = self.pushes.get_or_try_init(async || {
            let mut subscribe = redis::cmd("SUBSCRIBE");
            let mut asking = Pipeline::new();
            // What pushes need, tried out; subscribers ignore what they do not understand.
            asking.cmd("PUBSUB").arg("NUMSUB").arg(channel).cmd("PUBLISH").arg(channel).arg("?");
            subscribe.arg(channel);
            let answers = future::join(
                // Its answer is a push, which has no place among those of a batch.
                self.send_alone(&subscribe, deadline),
                self.send_all(&asking, deadline),
            );
            let (subscribed, asked) = answers.await;
            for answer in asked?.into_iter().chain([subscribed]) {
                match answer {
                    Err(failure) if failure.kind == LockErrorKind::Denied => {
                        self.health.push_forbidden(&failure.message());
                        return Ok(false);
                    }
                    answer => drop(answer?),
                }
            }
            Ok(true)
        });
        pushes.await.copied()
    }

    /// Sends a command and awaits its reply until the deadline. The first answer that does not
    /// come in time makes new requests go elsewhere; requests under way may still be answered.
    pub(crate) async fn send(&self, command: Cmd, deadline: Instant) -> Result<Value, Failure> {
        let Some(outbox) = &self.outbox else { return self.send_alone(&command, deadline).await };
        let reply = std::pin::pin!(outbox.send(&self.channel, command));
        let reply = self.within(deadline, reply).await;
        self.judge(reply.and_then(refusal_is_failure))
    }

    async fn send_alone(&self, command: &Cmd, deadline: Instant) -> Result<Value, Failure> {
        let mut channel = self.channel.clone();
        let reply = std::pin::pin!(channel.send_packed_command(command));
        let reply = self.within(deadline, reply).await;
        self.judge(reply.and_then(refusal_is_failure))
    }

    /// As [`send`](Self::send), for commands in one write; each has a result of its own.
    pub(crate) async fn send_all(
        &self,
        commands: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Result<Value, Failure>>, Failure> {
        let mut channel = self.channel.clone();
        let replies = std::pin::pin!(channel.send_packed_commands(commands, 0, commands.len()));
        let replies = self.judge(self.within(deadline, replies).await)?;
        Ok(replies.into_iter().map(|reply| self.judge(refusal_is_failure(reply))).collect())
    }

    /// A reply that cannot be read ends the connection as well.
    pub(crate) fn judge<T, F: Into<Failure>>(&self, result: Result<T, F>) -> Result<T, Failure> {
        match result.map_err(Into::into) {
            Ok(value) => {
                self.health.serves();
                Ok(value)
            }
            Err(failure) => {
                if failure.breaks_connection {
                    self.health.close();
                }
                Err(failure)
            }
        }
    }

    async fn within<T>(
        &self,
        deadline: Instant,
        reply: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, Failure> {
        if Clock::SYSTEM.now() >= deadline {
            let failure =
                Failure::unavailable("the deadline had passed before the request was sent");
            return Err(failure.not_applied());
        }
        match in_time(deadline, reply).await {
            Some(reply) => reply.map_err(Failure::from),
            None => {
                Err(Failure::unavailable("the server did not answer in time").breaking_connection())
            }
        }
    }
}

fn refusal_is_failure(reply: Value) -> Result<Value, Failure> {
    match reply {
        Value::ServerError(error) => Err(Failure::from(redis::RedisError::from(error))),
        reply => Ok(reply),
    }
}
