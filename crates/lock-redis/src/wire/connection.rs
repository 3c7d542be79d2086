//! One connection to the server: sending with a deadline, and knowing when it is of no use.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{self, Either, select};
use lock_core::backend::{Clock, GivenUp, in_time, is_background_thread};
use lock_core::{Instant, LockErrorKind};
use redis::{Cmd, Pipeline, RedisResult, Value};

use crate::wire::channel::Channel;
use crate::wire::failure::Failure;
use crate::wire::health::{ConnectionId, Health};
use crate::wire::hello::{ChannelWords, Dialect};
use crate::wire::identity::Identity;
use crate::wire::server_clock::ServerClock;
use crate::wire::slot_set::{SlotSet, Trust};
use crate::wire::subscriptions::Subscriptions;
use crate::wire::window::{Room, Window};

/// After so long without an answer, something on the way may have forgotten the connection.
const DOUBTFUL_AFTER: Duration = Duration::from_secs(10);

/// How exactly it is known when the last answer came.
const SERVED_STEP: Duration = Duration::from_millis(500);

/// A connection that has been greeted.
pub(crate) struct Connection {
    wire: Wire,
    window: Window,
    dialect: Dialect,
    clock: Mutex<Option<ServerClock>>,
    subscriptions: Subscriptions,
    /// Whether there can be another one in its place.
    is_replaceable: bool,
    /// Scripts may write where the server would refuse a command.
    tries_writing: bool,
    /// By what the server knows it, if it lets other connections end this one.
    identity: Option<Identity>,
    /// The server has a command that compares and deletes.
    deletes_if_equal: bool,
    /// The slots whose counters were seen to be no older than the connection.
    counted: SlotSet,
    /// For how long that is to be believed; for ever if this is none.
    trust: Option<Trust>,
}

/// What commands are sent through.
#[derive(Clone)]
struct Wire {
    channel: Channel,
    health: Arc<Health>,
    /// When a command was last sent that was answered, in ns and not exactly.
    served_at: Arc<AtomicU64>,
    /// The library's own thread drives the connection, and so wakes whoever waits for it.
    wakes_from_background: bool,
    /// Each command is preceded by `ASKING`.
    asks: bool,
}

impl Connection {
    pub(crate) fn new(
        channel: Channel,
        dialect: Dialect,
        clock: Option<ServerClock>,
        health: Arc<Health>,
    ) -> Self {
        let served_at = Arc::new(AtomicU64::new(Clock::SYSTEM.now().as_nanos()));
        Self {
            wire: Wire {
                channel,
                health,
                served_at,
                wakes_from_background: is_background_thread(),
                asks: false,
            },
            window: Window::new(),
            dialect,
            clock: Mutex::new(clock),
            subscriptions: Subscriptions::default(),
            is_replaceable: false,
            tries_writing: false,
            identity: None,
            deletes_if_equal: false,
            counted: SlotSet::default(),
            trust: None,
        }
    }

    /// Says that another connection can be made in its place.
    pub(crate) fn replaceable(mut self) -> Self {
        self.is_replaceable = true;
        self
    }

    /// What is asked for is preceded by a command that the server can refuse.
    pub(crate) fn trying_to_write(mut self) -> Self {
        self.tries_writing = true;
        self
    }

    /// By this the server knows it, and lets other connections end it.
    pub(crate) fn known_as(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The server has a command that compares and deletes.
    pub(crate) fn deleting_if_equal(mut self) -> Self {
        self.deletes_if_equal = true;
        self
    }

    /// By what the server knows it, if it lets other connections end this one.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Whether plain commands may be sent over it: those that have run late can be told from those
    /// that never will. Not if its user does not expect it to be ended.
    pub(crate) fn takes_plain(&self) -> bool {
        self.is_replaceable && self.identity.is_some()
    }

    /// Whether the server has a command that compares and deletes.
    pub(crate) fn deletes_if_equal(&self) -> bool {
        self.deletes_if_equal
    }

    /// Slots whose counters are known to be at least what the server's clock showed when the
    /// connection was made: a server that came in another's place may have lost the last numbers.
    pub(crate) fn counted(&self) -> &SlotSet {
        if self.trust.as_ref().is_some_and(Trust::is_over) {
            self.counted.clear();
        }
        &self.counted
    }

    /// Says for how long it is known of counters that they have lost no number.
    pub(crate) fn trusting_counters_for(mut self, time: Duration) -> Self {
        self.trust = Some(Trust::new(time));
        self
    }

    /// No new request may use it, and nothing is pushed over it any more.
    pub(crate) fn leave(&self) {
        self.wire.health.close();
    }

    /// The same connection for requests that are for a slot on its way to this server.
    pub(crate) fn asking(&self) -> Self {
        let Wire { channel, health, .. } = self.wire.clone();
        let mut asking = Self::new(channel, self.dialect, self.clock(), health);
        asking.wire = Wire { asks: true, ..self.wire.clone() };
        asking
    }

    /// What the server calls itself while it runs, if that is known.
    pub(crate) fn server(&self) -> Option<&str> {
        self.identity.as_ref().map(Identity::server)
    }

    /// Whether a script that writes has to be preceded by a command that does.
    pub(crate) fn tries_writing(&self) -> bool {
        self.tries_writing
    }

    /// Tells this connection from others.
    pub(crate) fn id(&self) -> ConnectionId {
        self.wire.health.id()
    }

    /// Whether new requests may use it.
    pub(crate) fn is_open(&self) -> bool {
        self.wire.health.is_open()
    }

    /// Whether it answered anything after the greeting.
    pub(crate) fn has_served(&self) -> bool {
        self.wire.health.has_served()
    }

    /// Whether it was idle for so long that it should be asked whether it still works.
    pub(crate) fn is_doubtful(&self) -> bool {
        let served_at = Instant::from_nanos(self.wire.served_at.load(Ordering::Relaxed));
        let idle = Clock::SYSTEM.now().saturating_duration_since(served_at);
        self.is_replaceable && idle >= DOUBTFUL_AFTER
    }

    /// Asks the server whether it answers, for a quarter of the time that is left: the rest is for
    /// another connection. One that gets no answer is of no use any more.
    pub(crate) async fn answers(&self, deadline: Instant) -> bool {
        let now = Clock::SYSTEM.now();
        let patience = deadline.saturating_duration_since(now) / 4;
        // A refusal is an answer.
        self.wire.send(&redis::cmd("PING"), now + patience).await.ok();
        self.is_open()
    }

    /// Whether the server was asked for pushes over it, and forbade them.
    pub(crate) fn is_push_forbidden(&self) -> bool {
        self.wire.health.is_push_forbidden()
    }

    /// What the server understands.
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

    /// Subscribes to this channel, unless it is subscribed already. `false` if the server forbids
    /// to subscribe, to publish, or to count the subscribers.
    pub(crate) async fn subscribe(
        &self,
        channel: &str,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        if self.subscriptions.is_subscribed(channel) {
            return Ok(true);
        }
        if self.is_push_forbidden() {
            return Ok(false);
        }
        let new = |try_all| {
            let (wire, words) = (self.wire.clone(), self.dialect.channels());
            let channel = channel.to_owned();
            let asking =
                async move { wire.ask_for_pushes(&channel, words, try_all, deadline).await };
            asking.boxed().shared()
        };
        let Some(asked) = self.subscriptions.question(channel, new) else { return Ok(true) };
        let asking = std::pin::pin!(asked.clone());
        let answer = in_time(deadline, self.wire.contained(asking))
            .await
            .unwrap_or_else(|| Err(Failure::unavailable("the server did not answer in time")));
        self.subscriptions.answered(channel, &asked, &answer);
        answer
    }

    /// Sends a command and awaits its reply until the deadline. The first answer that does not
    /// come in time makes new requests go elsewhere; requests under way may still be answered.
    pub(crate) async fn send(&self, command: Cmd, deadline: Instant) -> Result<Value, Failure> {
        self.send_unless(None, command, deadline).await
    }

    /// As [`send`](Self::send), for a command that need not be sent once it was given up.
    pub(crate) async fn send_unless(
        &self,
        given_up: Option<&GivenUp>,
        command: Cmd,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let _room = self.room(given_up, deadline).await?;
        self.wire.send(&command, deadline).await
    }

    /// As [`send`](Self::send), for commands in one write; each has a result of its own.
    pub(crate) async fn send_all(
        &self,
        commands: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Result<Value, Failure>>, Failure> {
        self.send_all_unless(None, commands, deadline).await
    }

    /// As [`send_all`](Self::send_all), for commands that need not be sent once they were given up.
    pub(crate) async fn send_all_unless(
        &self,
        given_up: Option<&GivenUp>,
        commands: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Result<Value, Failure>>, Failure> {
        let _room = self.room(given_up, deadline).await?;
        self.wire.send_all(commands, deadline).await
    }

    /// Room for a command; fails if it was given up or is late before there is some. Nothing was
    /// sent then.
    async fn room(
        &self,
        given_up: Option<&GivenUp>,
        deadline: Instant,
    ) -> Result<Room<'_>, Failure> {
        let room = match self.window.room() {
            Some(room) => room,
            // In a place of its own: that is rare.
            None => Box::pin(self.wait_for_room(deadline)).await?,
        };
        if given_up.is_some_and(GivenUp::is_set) {
            return Err(Failure::given_up());
        }
        Ok(room)
    }

    async fn wait_for_room(&self, deadline: Instant) -> Result<Room<'_>, Failure> {
        let waiting = std::pin::pin!(self.window.wait_for_room());
        in_time(deadline, contained(waiting)).await.flatten().ok_or_else(|| {
            let message = "the server did not answer those who asked before in time";
            Failure::unavailable(message).not_applied()
        })
    }

    /// A reply that cannot be read ends the connection as well.
    pub(crate) fn judge<T, F: Into<Failure>>(&self, result: Result<T, F>) -> Result<T, Failure> {
        self.wire.judge(result)
    }
}

impl Wire {
    /// Subscribes to a channel; with `try_all` it also tries what else pushes need.
    async fn ask_for_pushes(
        &self,
        channel: &str,
        words: ChannelWords,
        try_all: bool,
        deadline: Instant,
    ) -> Result<bool, Failure> {
        let mut subscribe = redis::cmd(words.subscribe);
        subscribe.arg(channel);
        // Its answer is a push, which has no place among those of a batch.
        let subscribing = self.send(&subscribe, deadline);
        let trying = async {
            if !try_all {
                return Ok(Vec::new());
            }
            let mut asking = Pipeline::new();
            asking.cmd("PUBSUB").arg(words.count).arg(channel);
            // Subscribers ignore what they do not understand.
            asking.cmd(words.publish).arg(channel).arg("?");
            self.send_all(&asking, deadline).await
        };
        let (subscribed, tried) = future::join(subscribing, trying).await;
        for answer in tried?.into_iter().chain([subscribed]) {
            match answer {
                Err(failure) if failure.kind == LockErrorKind::Denied => {
                    self.health.push_forbidden(&failure.message());
                    return Ok(false);
                }
                answer => drop(answer?),
            }
        }
        Ok(true)
    }

    async fn send(&self, command: &Cmd, deadline: Instant) -> Result<Value, Failure> {
        if self.asks {
            let mut asking = Pipeline::new();
            asking.cmd("ASKING").add_command(command.clone());
            // In a place of its own: this is rare.
            let answers = Box::pin(self.send_all(&asking, deadline)).await?;
            let missing = || Err(Failure::unavailable("the server did not answer"));
            return answers.into_iter().next_back().unwrap_or_else(missing);
        }
        let mut channel = self.channel.clone();
        let reply = std::pin::pin!(channel.send(command));
        let reply = self.within(deadline, reply).await;
        self.judge(reply.and_then(refusal_is_failure))
    }

    async fn send_all(
        &self,
        commands: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<Result<Value, Failure>>, Failure> {
        let mut channel = self.channel.clone();
        let replies = std::pin::pin!(channel.send_all(commands));
        let replies = self.judge(self.within(deadline, replies).await)?;
        Ok(replies.into_iter().map(|reply| self.judge(refusal_is_failure(reply))).collect())
    }

    /// A waker of the user's that panics must not end the task that drives the connection for all.
    async fn contained<T>(&self, reply: Pin<&mut impl Future<Output = T>>) -> T {
        if !self.wakes_from_background {
            return reply.await;
        }
        contained(reply).await
    }

    fn judge<T, F: Into<Failure>>(&self, result: Result<T, F>) -> Result<T, Failure> {
        match result.map_err(Into::into) {
            Ok(value) => {
                self.health.serves();
                Ok(value)
            }
            Err(failure) => {
                self.health.failed(&failure);
                Err(failure)
            }
        }
    }

    async fn within<T>(
        &self,
        deadline: Instant,
        reply: Pin<&mut impl Future<Output = RedisResult<T>>>,
    ) -> Result<T, Failure> {
        let now = Clock::SYSTEM.now();
        if now >= deadline {
            let failure =
                Failure::unavailable("the deadline had passed before the request was sent");
            return Err(failure.not_applied());
        }
        let reply = match self.health.out_of_step() {
            None => in_time(deadline, self.contained(reply)).await,
            Some(out_of_step) => {
                let awaiting = async {
                    let out_of_step = std::pin::pin!(out_of_step);
                    match select(reply, out_of_step).await {
                        Either::Left((reply, _)) => Some(reply),
                        Either::Right(_) => None,
                    }
                };
                // In a place of its own: only in clusters it is needed.
                match in_time(deadline, self.contained(Box::pin(awaiting).as_mut())).await {
                    Some(None) => return Err(out_of_step_failure()),
                    reply => reply.flatten(),
                }
            }
        };
        match reply {
            Some(_) if self.health.is_out_of_step() => Err(out_of_step_failure()),
            Some(reply) => {
                // Rarely, since it is shared by all who send.
                let before = Instant::from_nanos(self.served_at.load(Ordering::Relaxed));
                if now >= before + SERVED_STEP {
                    self.served_at.store(now.as_nanos(), Ordering::Relaxed);
                }
                reply.map_err(Failure::from)
            }
            None => {
                Err(Failure::unavailable("the server did not answer in time").breaking_connection())
            }
        }
    }
}

fn out_of_step_failure() -> Failure {
    let message = "the server ended a subscription, so its answers cannot be told apart";
    Failure::unavailable(message).breaking_connection()
}

/// The future, with the waker of a task of the user's so wrapped that its panic goes no further.
pub(super) async fn contained<T>(mut future: Pin<&mut impl Future<Output = T>>) -> T {
    poll_fn(|cx| {
        if is_background_thread() {
            return future.as_mut().poll(cx);
        }
        let waker = Waker::from(Arc::new(Contained(cx.waker().clone())));
        future.as_mut().poll(&mut Context::from_waker(&waker))
    })
    .await
}

/// Wakes another waker, whose panic goes no further.
struct Contained(Waker);

impl Wake for Contained {
    fn wake(self: Arc<Self>) {
        catch_unwind(AssertUnwindSafe(|| self.0.wake_by_ref())).ok();
    }
}

fn refusal_is_failure(reply: Value) -> Result<Value, Failure> {
    match reply {
        Value::ServerError(error) => Err(Failure::from(redis::RedisError::from(error))),
        reply => Ok(reply),
    }
}
