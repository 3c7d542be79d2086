//! One connection to the server: sending with a deadline, and knowing when it is of no use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{self, Either, select};
use lock_core::backend::Clock;
use lock_core::{Instant, LockErrorKind};
use redis::aio::{AsyncPushSender, MultiplexedConnection, SendError};
use redis::{Cmd, Pipeline, PushInfo, PushKind, RedisResult, Value};
use tokio::sync::OnceCell;

use crate::protocol::reply;
use crate::protocol::scripts::{Script, Scripts};
use crate::queue::Line;
use crate::wire::failure::Failure;
use crate::wire::outbox::Outbox;
use crate::wire::server_clock::ServerClock;

/// A connection that has been greeted.
pub(crate) struct Connection {
    channel: MultiplexedConnection,
    /// None while it is being greeted.
    outbox: Option<Outbox>,
    scripts: &'static Scripts,
    clock: Mutex<Option<ServerClock>>,
    signs: Arc<Signs>,
    /// Whether the server lets it listen, once it was asked.
    listens: OnceCell<bool>,
}

/// What is known of a connection's health.
pub(crate) struct Signs {
    /// Tells the connections of those in line apart.
    id: u64,
    is_closed: AtomicBool,
    has_served: AtomicBool,
    /// Those who count on its pushes.
    line: Option<Arc<Line>>,
}

impl Signs {
    pub(crate) fn new(line: Option<Arc<Line>>) -> Self {
        let id = line.as_ref().map_or(0, |line| line.next_connection());
        Self { id, is_closed: AtomicBool::new(false), has_served: AtomicBool::new(false), line }
    }

    fn close(&self) {
        let was_closed = self.is_closed.swap(true, Ordering::AcqRel);
        if let Some(line) = &self.line
            && !was_closed
        {
            line.deafened(self.id);
        }
    }
}

/// Lives as long as the task that drives the connection: takes in what is pushed, and hears when
/// the connection ends.
///
/// So a connection that was lost while it was idle is noticed before anything is sent on it, also
/// when it was lost because its runtime is gone.
pub(crate) struct Watcher(pub(crate) Arc<Signs>);

impl AsyncPushSender for Watcher {
    fn send(&self, info: PushInfo) -> Result<(), SendError> {
        match info.kind {
            PushKind::Disconnection => self.0.close(),
            PushKind::Message => {
                if let (Some(line), Some(push)) = (&self.0.line, reply::push(&info.data)) {
                    line.hear(push);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Connection {
    pub(crate) fn new(
        channel: MultiplexedConnection,
        scripts: &'static Scripts,
        clock: Option<ServerClock>,
        signs: Arc<Signs>,
    ) -> Self {
        let (clock, listens) = (Mutex::new(clock), OnceCell::new());
        Self { channel, outbox: None, scripts, clock, signs, listens }
    }

    /// Lets commands that are sent at once share a write; the current runtime sees to that.
    pub(crate) fn with_outbox(mut self) -> Self {
        self.outbox = Some(Outbox::start(self.channel.clone()));
        self
    }

    /// Tells this connection from others.
    pub(crate) fn id(&self) -> u64 {
        self.signs.id
    }

    /// Whether new requests may go here.
    pub(crate) fn is_open(&self) -> bool {
        !self.signs.is_closed.load(Ordering::Acquire)
    }

    /// Whether it answered anything after the greeting.
    pub(crate) fn has_served(&self) -> bool {
        self.signs.has_served.load(Ordering::Relaxed)
    }

    pub(crate) fn scripts(&self) -> &'static Scripts {
        self.scripts
    }

    /// What the server's clock shows, as the newest reply said.
    pub(crate) fn clock(&self) -> Option<ServerClock> {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a reply that has just arrived with the server's time.
    pub(crate) fn hear_time(&self, server_micros: u64) {
        let heard = ServerClock::new(Clock::SYSTEM.now(), server_micros);
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some(heard);
    }

    /// Sees to it that the connection listens on this channel; `false` if the server forbids to
    /// listen, to speak, or to ask who listens.
    pub(crate) async fn listen(&self, channel: &str, deadline: Instant) -> Result<bool, Failure> {
        let listening = self.listens.get_or_try_init(async || {
            let mut subscribe = redis::cmd("SUBSCRIBE");
            let mut asking = Pipeline::new();
            // What pushes need, tried out; listeners pass over what they do not understand.
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
                        tracing::debug!(cause = failure.message(), "no pushes from Redis");
                        return Ok(false);
                    }
                    answer => drop(answer?),
                }
            }
            Ok(true)
        });
        listening.await.copied()
    }

    /// Runs a script by its name, or by its text if the server does not know the name.
    pub(crate) async fn run(
        &self,
        script: &Script,
        arguments: impl Fn(&mut Cmd) + Send + Sync,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let mut command = script.by_name();
        arguments(&mut command);
        match self.send(command, deadline).await {
            Err(failure) if failure.script_is_missing => {
                let mut command = script.by_text();
                arguments(&mut command);
                self.send(command, deadline).await
            }
            result => result,
        }
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
                self.signs.has_served.store(true, Ordering::Relaxed);
                Ok(value)
            }
            Err(failure) => {
                if failure.breaks_connection {
                    self.signs.close();
                }
                Err(failure)
            }
        }
    }

    async fn within<T>(
        &self,
        deadline: Instant,
        reply: impl Future<Output = RedisResult<T>> + Unpin,
    ) -> Result<T, Failure> {
        if Clock::SYSTEM.now() >= deadline {
            let failure =
                Failure::unavailable("the time to answer was over before the request was sent");
            return Err(failure.not_applied());
        }
        match select(reply, Clock::SYSTEM.sleep_until(deadline)).await {
            Either::Left((reply, _)) => reply.map_err(Failure::from),
            Either::Right(_) => {
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
