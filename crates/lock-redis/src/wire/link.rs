//! A supervised connection: made when it is needed, by one caller for all, replaced when it ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use lock_core::backend::{Backoff, Clock, in_time};
use lock_core::{Instant, LockErrorKind, event};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::wire::connection::Connection;
use crate::wire::failure::Failure;

/// What an attempt to connect may take beyond its time before it is given up from outside.
const OVERDUE: Duration = Duration::from_millis(50);
/// The pauses between attempts to connect that failed grow from the first to the second.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// Makes the connections of a link.
pub(crate) trait Connector: Send + Sync {
    /// Makes a connection and greets the server.
    fn connect(&self, deadline: Instant) -> BoxFuture<'_, Result<Connection, Failure>>;

    /// Says that no connection came about in time.
    fn too_slow(&self) -> Failure;

    /// Where the server is, for people; without a password.
    fn address(&self) -> &str;
}

/// A cheap handle to a connection that comes and goes.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    connector: Arc<dyn Connector>,
    /// How long one attempt to connect may take.
    connect_timeout: Duration,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    phase: Phase,
    /// Attempts that failed, and connections that ended before they served, in a row.
    failures: u32,
    /// No attempt begins before.
    not_before: Instant,
    last_failure: Option<Failure>,
    /// How many attempts have begun, and how many have failed, since the beginning.
    attempts: u64,
    failed_attempts: u64,
}

enum Phase {
    Down,
    /// It is overdue when its runtime is alive and does not run.
    Connecting {
        attempt: u64,
        overdue_at: Instant,
    },
    Up(Arc<Connection>),
    Closed,
}

/// What a caller has to do.
enum Step {
    Use(Arc<Connection>),
    Start(Handle, ConnectAttempt),
    AwaitUntil(Instant),
}

impl Link {
    pub(crate) fn new(connector: Arc<dyn Connector>, connect_timeout: Duration) -> Self {
        let state = State {
            phase: Phase::Down,
            failures: 0,
            not_before: Instant::from_nanos(0),
            last_failure: None,
            attempts: 0,
            failed_attempts: 0,
        };
        let state = Mutex::new(state);
        Self(Arc::new(Inner { connector, connect_timeout, state, changed: Notify::new() }))
    }

    /// The connection, if it is there.
    pub(crate) fn up(&self) -> Option<Arc<Connection>> {
        match &self.0.lock().phase {
            Phase::Up(connection) if connection.is_open() => Some(Arc::clone(connection)),
            _ => None,
        }
    }

    /// The connection, made if it is not there.
    ///
    /// A caller sees at most one attempt fail: whether to try again is for the core to decide.
    /// Nothing was sent when it fails.
    pub(crate) async fn connection(&self, deadline: Instant) -> Result<Arc<Connection>, Failure> {
        if let Some(connection) = self.up() {
            return Ok(connection);
        }
        let failed_before = self.0.lock().failed_attempts;
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            let until = match self.step(failed_before)? {
                Step::Use(connection) => return Ok(connection),
                Step::Start(runtime, attempt) => {
                    self.start(&runtime, attempt, failed_before)?;
                    deadline
                }
                Step::AwaitUntil(at) => at.min(deadline),
            };
            in_time(until, changed).await;
            if Clock::SYSTEM.now() >= deadline {
                return Err(self.too_slow());
            }
        }
    }

    /// Whether it is a handle to the same connection.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Where the server is, for people.
    pub(crate) fn address(&self) -> &str {
        self.0.connector.address()
    }

    /// Ends it for good.
    pub(crate) fn close(&self) {
        let closed = std::mem::replace(&mut self.0.lock().phase, Phase::Closed);
        drop(closed);
        self.0.changed.notify_waiters();
    }

    fn step(&self, failed_before: u64) -> Result<Step, Failure> {
        let mut state = self.0.lock();
        let now = Clock::SYSTEM.now();
        match &state.phase {
            Phase::Closed => {
                let failure = Failure::new(LockErrorKind::ShutDown, "the Redis backend was closed");
                return Err(failure.not_applied());
            }
            Phase::Connecting { overdue_at, .. } if now < *overdue_at => {
                return Ok(Step::AwaitUntil(*overdue_at));
            }
            Phase::Connecting { .. } => {
                state.failed(self.0.unconnected(self.0.connector.too_slow()), now);
            }
            Phase::Up(connection) if connection.is_open() => {
                return Ok(Step::Use(Arc::clone(connection)));
            }
            Phase::Up(connection) => {
                // A server that accepts and then fails must not be asked in a tight loop.
                let failures = if connection.has_served() { 0 } else { state.failures + 1 };
                state.down(failures, now);
            }
            Phase::Down => {}
        }
        if state.failed_attempts != failed_before
            && let Some(failure) = &state.last_failure
        {
            return Err(failure.clone());
        }
        if now < state.not_before {
            return match &state.last_failure {
                Some(failure) if !failure.is_passing() => Err(failure.clone()),
                _ => Ok(Step::AwaitUntil(state.not_before)),
            };
        }
        let runtime = Handle::try_current().map_err(|_| {
            let message = "the Redis backend needs a tokio runtime to connect, and there is none";
            Failure::new(LockErrorKind::InvalidConfig, message).not_applied()
        })?;
        state.attempts += 1;
        let attempt = state.attempts;
        let overdue_at = now + self.0.connect_timeout + OVERDUE;
        state.phase = Phase::Connecting { attempt, overdue_at };
        let inner = Some(Arc::clone(&self.0));
        Ok(Step::Start(runtime, ConnectAttempt { inner, number: attempt }))
    }

    /// Connects in a task, so that a caller who leaves does not stop it for the others.
    ///
    /// A runtime that has ended drops the task at once, and the state must not be locked then.
    fn start(
        &self,
        runtime: &Handle,
        attempt: ConnectAttempt,
        failed_before: u64,
    ) -> Result<(), Failure> {
        let is_over = runtime.spawn(attempt.run()).is_finished();
        let state = self.0.lock();
        if is_over && matches!(state.phase, Phase::Down) && state.failed_attempts == failed_before {
            let failure = Failure::unavailable("the tokio runtime of this request has ended");
            return Err(failure.not_applied());
        }
        Ok(())
    }

    fn too_slow(&self) -> Failure {
        let failure = self.0.unconnected(self.0.connector.too_slow());
        match &self.0.lock().last_failure {
            Some(last) => failure.with_hint(&format!("the last attempt: {}", last.message())),
            None => failure,
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unconnected(&self, failure: Failure) -> Failure {
        failure.while_doing(&format!("could not connect to Redis at {}", self.connector.address()))
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let deadline = Clock::SYSTEM.now() + self.connect_timeout;
        let connected = in_time(deadline, self.connector.connect(deadline)).await;
        connected.unwrap_or_else(|| Err(self.connector.too_slow()))
    }
}

impl State {
    fn down(&mut self, failures: u32, now: Instant) {
        self.phase = Phase::Down;
        self.failures = failures;
        // None after a success.
        let pause = failures.checked_sub(1).map(|before| PAUSE.jittered(before));
        self.not_before = now + pause.unwrap_or_default();
    }

    fn failed(&mut self, failure: Failure, now: Instant) {
        self.down(self.failures + 1, now);
        self.last_failure = Some(failure);
        self.failed_attempts += 1;
    }

    fn is_connecting(&self, number: u64) -> bool {
        matches!(self.phase, Phase::Connecting { attempt, .. } if attempt == number)
    }
}

/// One attempt to connect. If its runtime ends before it does, the next caller tries elsewhere.
struct ConnectAttempt {
    inner: Option<Arc<Inner>>,
    number: u64,
}

impl ConnectAttempt {
    async fn run(mut self) {
        let Some(inner) = self.inner.clone() else { return };
        let result = inner.connect().await;
        self.inner = None;
        let mut state = inner.lock();
        if !state.is_connecting(self.number) {
            // Closed, or given up: somebody else may be connecting already.
            return;
        }
        match result {
            Ok(connection) => {
                let address = inner.connector.address();
                event!(DEBUG, "connected", "redis", address, "connected to {address}");
                state.phase = Phase::Up(Arc::new(connection));
                state.last_failure = None;
            }
            Err(failure) => {
                let failure = inner.unconnected(failure).not_applied();
                let cause = failure.message();
                event!(DEBUG, "connect_failed", "redis", cause, "{cause}");
                state.failed(failure, Clock::SYSTEM.now());
            }
        }
        drop(state);
        inner.changed.notify_waiters();
    }
}

impl Drop for ConnectAttempt {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            let mut state = inner.lock();
            if state.is_connecting(self.number) {
                state.phase = Phase::Down;
            }
            drop(state);
            inner.changed.notify_waiters();
        }
    }
}
