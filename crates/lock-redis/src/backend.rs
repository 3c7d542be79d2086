//! [`RedisBackend`]: each operation of a backend as one exchange with the server.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lock_core::backend::{
    Attempt, AttemptRequest, Capabilities, Clock, Grant, Lane, LockBackend, LockKey, ReleaseReply,
    ReleaseRequest, RenewReply, RenewRequest, async_trait,
};
use lock_core::{Instant, LockErrorKind, LockStatus, Result};
use redis::{Cmd, Pipeline};

use crate::builder::{Mode, RedisBackendBuilder};
use crate::protocol::keys::{self, Keys};
use crate::protocol::reply::{self, Released};
use crate::protocol::units::on_system_clock;
use crate::protocol::units::whole_millis;
use crate::queue::Line;
use crate::wire::connection::Connection;
use crate::wire::failure::Failure;
use crate::wire::greeting::ping;
use crate::wire::link::Link;

/// Locks that a script renews in one go: more would keep the server from others for long.
const MAX_RENEWALS_A_SCRIPT: usize = 500;
/// No connection has this number.
pub(crate) const NOT_DEAF: u64 = u64::MAX;
const TTL_MIN: Duration = Duration::from_millis(10);
const TTL_MAX: Duration = Duration::from_secs(24 * 24 * 60 * 60);

/// Locks on a Redis or Valkey server.
///
/// Connecting is lazy: the first operation makes the first of at most two connections.
/// See the [crate's documentation](crate).
pub struct RedisBackend {
    /// Carries the callers' requests, in order.
    pub(crate) command: Link,
    /// Carries the keeper's, on its own thread, so that user code cannot hold them up.
    pub(crate) keeper: Link,
    /// Those who stand in line; none where nothing can be pushed.
    pub(crate) line: Option<Arc<Line>>,
    /// The connection on which the server forbade pushes, so that nobody stands in line.
    pub(crate) deaf_on: AtomicU64,
    pub(crate) key_prefix: Box<str>,
    pub(crate) response_timeout: Duration,
    /// How long after it was sent an attempt can still run.
    pub(crate) late_after: Duration,
    pub(crate) mode: Mode,
}

impl RedisBackend {
    /// Starts to set up a backend.
    ///
    /// ```
    /// use lock_redis::RedisBackend;
    ///
    /// # fn main() -> lock_core::Result<()> {
    /// let backend = RedisBackend::builder().url("redis://127.0.0.1:6379").build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> RedisBackendBuilder {
        RedisBackendBuilder::new()
    }

    fn deadline(&self) -> Instant {
        Clock::SYSTEM.now() + self.response_timeout
    }

    async fn set_if_absent(&self, request: &AttemptRequest) -> Result<Attempt> {
        let key = keys::lock_key(&self.key_prefix, &request.key)?;
        let deadline = on_system_clock(request.clock, request.asked_at + self.response_timeout);
        let connection = self.command.connection(deadline).await?;
        let mut command = Cmd::with_capacity(6, 128);
        command.arg("SET").arg(&key).arg(&request.token.to_hex()[..]).arg("NX").arg("PX");
        command.arg(whole_millis(request.ttl));
        let answer = connection.send(command, deadline).await?;
        if connection.judge(reply::was_set(&answer))? {
            return Ok(Attempt::granted(Grant::new()));
        }
        let mut question = redis::cmd("PTTL");
        question.arg(&key);
        let left = connection.send(question, deadline).await;
        // Not to know how long it is held is no reason to fail.
        let left = left.ok().and_then(|left| reply::time_to_live(&left).ok());
        Ok(match left {
            Some(Some(Some(left))) => Attempt::held_for(left),
            _ => Attempt::held(),
        })
    }

    /// The connection for a release: the one that carried the attempt, if it is there.
    async fn connection_of(&self, lane: Lane, deadline: Instant) -> Result<Arc<Connection>> {
        let link = match lane {
            Lane::Caller => &self.command,
            _ => &self.keeper,
        };
        if lane == Lane::Caller
            && link.up().is_none()
            && let Some(spare) = self.keeper.up()
        {
            return Ok(spare);
        }
        Ok(link.connection(deadline).await?)
    }

    async fn release_once(
        &self,
        request: &ReleaseRequest,
        keys: &Keys,
        connection: &Connection,
        standing: Option<Duration>,
        deadline: Instant,
    ) -> Result<Released, Failure> {
        let rest = if request.rest.is_zero() { 0 } else { whole_millis(request.rest) };
        let arguments = |command: &mut Cmd| {
            match self.mode {
                Mode::Auto => command.arg(3).arg(&keys.lock).arg(&keys.fence).arg(&keys.line),
                Mode::Plain => command.arg(1).arg(&keys.lock),
            };
            command.arg(&request.token.to_hex()[..]).arg(rest);
            if let (Some(line), Some(window)) = (&self.line, standing) {
                command.arg(line.channel()).arg(whole_millis(window));
            }
        };
        let answer = connection.run(&connection.scripts().release, arguments, deadline).await?;
        connection.judge(reply::released(&answer))
    }

    async fn renew_part(
        &self,
        connection: &Connection,
        leases: &[(String, &RenewRequest)],
        deadline: Instant,
    ) -> Result<Vec<RenewReply>, Failure> {
        let arguments = |command: &mut Cmd| {
            command.arg(leases.len());
            for (key, _) in leases {
                command.arg(key);
            }
            for (_, lease) in leases {
                command.arg(&lease.token.to_hex()[..]).arg(whole_millis(lease.ttl));
            }
        };
        let answer = connection.run(&connection.scripts().renew, arguments, deadline).await?;
        connection.judge(reply::renewed(&answer, leases.len()))
    }
}

#[async_trait]
impl LockBackend for RedisBackend {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn capabilities(&self) -> Capabilities {
        let scripted = self.mode == Mode::Auto;
        Capabilities::none()
            .with_renew(true)
            .with_inspect(true)
            .with_fencing(scripted)
            .with_rest(scripted)
            .with_repeatable(scripted)
            .with_queueing(self.line.is_some() && self.deaf_on.load(Ordering::Relaxed) == NOT_DEAF)
            .with_ttl_min(TTL_MIN)
            .with_ttl_max(TTL_MAX)
            .with_late_after(self.late_after)
    }

    async fn attempt(self: Arc<Self>, request: AttemptRequest) -> Result<Attempt> {
        match self.mode {
            Mode::Auto => self.acquire(&request).await,
            Mode::Plain => self.set_if_absent(&request).await,
        }
    }

    async fn release(self: Arc<Self>, request: ReleaseRequest) -> Result<ReleaseReply> {
        let keys = Keys::new(&self.key_prefix, &request.key)?;
        let deadline = self.deadline();
        let connection = self.connection_of(request.lane, deadline).await?;
        let standing = self.line.as_ref().and_then(|line| line.leaving(request.token));
        let mut first = None;
        loop {
            let sent = Clock::SYSTEM.now();
            let released = self.release_once(&request, &keys, &connection, standing, deadline);
            let released = match (released.await, first) {
                (Ok(released), _) => released,
                // It is known what became of the lock; the line will see to itself.
                (Err(_), Some(reply)) => return Ok(reply),
                (Err(failure), None) => return Err(failure.or_unknown().into()),
            };
            if let Some(line) = &self.line {
                line.left(request.token, sent);
            }
            let reply = *first.get_or_insert(released.reply);
            if !released.again {
                return Ok(reply);
            }
        }
    }

    async fn renew(self: Arc<Self>, batch: Vec<RenewRequest>) -> Result<Vec<RenewReply>> {
        let within = batch.iter().map(|lease| lease.within).min().unwrap_or_default();
        let deadline = Clock::SYSTEM.now() + within.min(self.response_timeout);
        let key_of = |lease: &RenewRequest| keys::lock_key(&self.key_prefix, &lease.key);
        let leases: Vec<_> =
            batch.iter().map(|lease| Ok((key_of(lease)?, lease))).collect::<Result<_>>()?;
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let connection = self.keeper.connection(deadline).await?;
        // They are all written before the first is answered.
        let parts = leases
            .chunks(MAX_RENEWALS_A_SCRIPT)
            .map(|part| self.renew_part(&connection, part, deadline));
        let parts = futures_util::future::join_all(parts).await;
        let mut replies = Vec::with_capacity(batch.len());
        for (part, leases) in parts.into_iter().zip(leases.chunks(MAX_RENEWALS_A_SCRIPT)) {
            match part {
                Ok(part) => replies.extend(part),
                Err(failure) => {
                    let failed = || RenewReply::Failed(failure.clone().or_unknown().into());
                    replies.extend(leases.iter().map(|_| failed()));
                }
            }
        }
        Ok(replies)
    }

    async fn status(self: Arc<Self>, key: LockKey) -> Result<Option<LockStatus>> {
        let Keys { lock, line, .. } = Keys::new(&self.key_prefix, &key)?;
        let deadline = self.deadline();
        let connection = self.command.connection(deadline).await?;
        let mut question = Pipeline::new();
        // The first only asks for the type: a key that is no lock must not be shown as one.
        question.cmd("STRLEN").arg(&lock).cmd("PTTL").arg(&lock);
        // Also where this backend's own waiters stand in no line: others may.
        if self.mode == Mode::Auto {
            question.cmd("ZCARD").arg(&line);
        }
        let mut answers = connection.send_all(&question, deadline).await?.into_iter();
        let mut next = || {
            let missing = || Err(Failure::unavailable("the server did not answer"));
            answers.next().unwrap_or_else(missing).map_err(|failure| about(failure, &lock))
        };
        next()?;
        let left = connection.judge(reply::time_to_live(&next()?))?;
        // Not to know how many wait, for want of a permission, is no reason to fail.
        let waiters = next().ok().and_then(|count| reply::count(&count));
        Ok(left.map(|left| match waiters {
            Some(waiters) => LockStatus::new(left).with_waiters(waiters),
            None => LockStatus::new(left),
        }))
    }

    fn check_key(&self, key: &LockKey) -> Result<()> {
        keys::lock_key(&self.key_prefix, key).map(drop)
    }

    async fn ping(self: Arc<Self>) -> Result<()> {
        let deadline = self.deadline();
        let connection = self.command.connection(deadline).await?;
        connection.send(ping(), deadline).await?;
        Ok(())
    }

    async fn close(self: Arc<Self>) {
        self.command.close();
        self.keeper.close();
    }
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackend")
            .field("server", &self.command.address())
            .field("key_prefix", &self.key_prefix)
            .field("response_timeout", &self.response_timeout)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

pub(crate) fn about(failure: Failure, key: &str) -> Failure {
    if failure.kind == LockErrorKind::Backend {
        return failure.while_doing(&format!("at the key {key:?}"));
    }
    failure
}
