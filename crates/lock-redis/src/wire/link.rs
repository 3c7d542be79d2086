//! A supervised connection: made when it is needed, by one caller for all, replaced when it ends.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lock_core::backend::{Backoff, Clock, background_runtime, in_time};
use lock_core::{Instant, LockErrorKind, event};
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;

use crate::wire::connection::Connection;
use crate::wire::failure::Failure;
use crate::wire::runtime::current_runtime;

/// What an attempt to connect may take beyond its time before it is given up from outside.
const OVERDUE: Duration = Duration::from_millis(50);
/// After so many commands in a row by tasks of one runtime that does not drive the link, it does.
const MOVES_AFTER: u32 = 64;
/// So many runtimes that cannot connect are remembered.
const MAX_UNFIT: usize = 16;
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

    /// Says what is to be done when the server is known to be elsewhere.
    fn when_moved(&self, _then: Box<dyn Fn() + Send + Sync>) {}

    /// No connection will be asked for any more.
    fn close(&self) {}
}

/// A cheap handle to a connection that comes and goes.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

/// Which runtime drives the connections of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// That of the tasks that use the link. Those of other runtimes must not: theirs may run while
    /// this one stands still.
    Caller,
    /// The library's own, which no code of the user's can stop.
    Background,
}

/// What a link that callers drive is to the tasks of one runtime.
pub(crate) enum Standing {
    /// It is up, and their own runtime drives it.
    Own(Arc<Connection>),
    /// Their own runtime is connecting.
    Coming,
    /// Another runtime drives it.
    Foreign,
    /// No runtime drives it. `moves` if their own should, because they send so much.
    Vacant { moves: bool },
    /// Their own runtime cannot drive it.
    Unfit,
}

/// Why a link has no connection for those who asked.
pub(crate) enum NoConnection {
    /// Another runtime drives it now.
    Foreign,
    /// It could not be made; nothing was sent.
    Failed(Failure),
}

struct Inner {
    connector: Arc<dyn Connector>,
    driver: Driver,
    /// How long one attempt to connect may take.
    connect_timeout: Duration,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    phase: Phase,
    /// The runtime that drives the connection, or is to drive the one that is being made.
    driver: Option<Id>,
    /// The last runtimes that could not connect, because they had ended or lack what that needs.
    unfit: VecDeque<Id>,
    /// The runtime whose tasks came in vain, and how often in a row.
    visits: Option<(Id, u32)>,
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

/// Whether to wait until it is time for another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    Full,
    /// No: there is another way.
    None,
}

impl Link {
    pub(crate) fn new(
        connector: Arc<dyn Connector>,
        driver: Driver,
        connect_timeout: Duration,
    ) -> Self {
        let state = State {
            phase: Phase::Down,
            driver: None,
            unfit: VecDeque::new(),
            visits: None,
            failures: 0,
            not_before: Instant::from_nanos(0),
            last_failure: None,
            attempts: 0,
            failed_attempts: 0,
        };
        let (state, changed) = (Mutex::new(state), Notify::new());
        let inner = Arc::new(Inner { connector, driver, connect_timeout, state, changed });
        let link = Arc::downgrade(&inner);
        inner.connector.when_moved(Box::new(move || {
            link.upgrade().iter().for_each(|link| link.try_at_once());
        }));
        Self(inner)
    }

    /// The connection, if it is there.
    pub(crate) fn up(&self) -> Option<Arc<Connection>> {
        match &self.0.lock().phase {
            Phase::Up(connection) if connection.is_open() => Some(Arc::clone(connection)),
            _ => None,
        }
    }

    /// What the link is to a task of this runtime that has a command to send.
    pub(crate) fn visit(&self, here: Id) -> Standing {
        let mut state = self.0.lock();
        let is_own = state.driver == Some(here);
        let is_driven = match &state.phase {
            Phase::Up(connection) if connection.is_open() => {
                if is_own {
                    let connection = Arc::clone(connection);
                    state.visits = None;
                    return Standing::Own(connection);
                }
                true
            }
            Phase::Connecting { overdue_at, .. } if Clock::SYSTEM.now() < *overdue_at => {
                if is_own {
                    return Standing::Coming;
                }
                true
            }
            // Whoever asks for the connection is told.
            Phase::Closed => return Standing::Coming,
            _ => false,
        };
        if state.unfit.contains(&here) {
            return Standing::Unfit;
        }
        let moves = state.visited_by(here) >= MOVES_AFTER;
        if is_driven && !moves {
            return Standing::Foreign;
        }
        if is_driven && matches!(state.phase, Phase::Up(_)) {
            // What is under way there may still be answered.
            let left = std::mem::replace(&mut state.phase, Phase::Down);
            drop(state);
            drop(left);
        }
        Standing::Vacant { moves }
    }

    /// Whether this runtime could not connect.
    pub(crate) fn is_unfit(&self, here: Id) -> bool {
        self.0.lock().unfit.contains(&here)
    }

    /// The connection, made if it is not there, for tasks of the current runtime.
    ///
    /// A caller sees at most one attempt fail: whether to try again is for the core to decide.
    pub(crate) async fn connection(
        &self,
        deadline: Instant,
        patience: Patience,
    ) -> Result<Arc<Connection>, NoConnection> {
        let failed_before = self.0.lock().failed_attempts;
        loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            let until = match self.step(failed_before, patience)? {
                Step::Use(connection) => return Ok(connection),
                Step::Start(runtime, attempt) => {
                    // A task, so that a caller who leaves does not stop it for the others. A
                    // runtime that has ended drops it at once, so the state must not be locked.
                    drop(runtime.spawn(attempt.run()));
                    deadline
                }
                Step::AwaitUntil(at) => at.min(deadline),
            };
            in_time(until, changed).await;
            if Clock::SYSTEM.now() >= deadline {
                return Err(NoConnection::Failed(self.too_slow()));
            }
        }
    }

    /// Where the server is, for people.
    pub(crate) fn address(&self) -> &str {
        self.0.connector.address()
    }

    /// Ends it for good.
    pub(crate) fn close(&self) {
        let closed = std::mem::replace(&mut self.0.lock().phase, Phase::Closed);
        drop(closed);
        self.0.connector.close();
        self.0.changed.notify_waiters();
    }

    fn step(&self, failed_before: u64, patience: Patience) -> Result<Step, NoConnection> {
        let mut state = self.0.lock();
        let now = Clock::SYSTEM.now();
        let is_foreign = self.0.driver == Driver::Caller && state.driver != current_runtime();
        match &state.phase {
            Phase::Closed => {
                let failure = Failure::new(LockErrorKind::ShutDown, "the Redis backend was closed");
                return Err(NoConnection::Failed(failure.not_applied()));
            }
            Phase::Connecting { overdue_at, .. } if now < *overdue_at => {
                return if is_foreign {
                    Err(NoConnection::Foreign)
                } else {
                    Ok(Step::AwaitUntil(*overdue_at))
                };
            }
            // Its runtime is alive and does not run.
            Phase::Connecting { .. } => {
                state.failed(self.0.unconnected(self.0.connector.too_slow()), now);
            }
            Phase::Up(connection) if connection.is_open() => {
                return if is_foreign {
                    Err(NoConnection::Foreign)
                } else {
                    Ok(Step::Use(Arc::clone(connection)))
                };
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
            return Err(NoConnection::Failed(failure.clone()));
        }
        if now < state.not_before {
            return match &state.last_failure {
                Some(failure) if !failure.is_passing() || patience == Patience::None => {
                    Err(NoConnection::Failed(failure.clone()))
                }
                _ => Ok(Step::AwaitUntil(state.not_before)),
            };
        }
        let runtime = match self.0.driver {
            Driver::Background => background_runtime().map_err(|error| error.to_string()),
            Driver::Caller => Handle::try_current().map_err(|error| error.to_string()),
        };
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(cause) => {
                let failure = Failure::unavailable(cause).not_applied();
                state.failed(failure.clone(), now);
                return Err(NoConnection::Failed(failure));
            }
        };
        state.attempts += 1;
        let attempt = state.attempts;
        let overdue_at = now + self.0.connect_timeout + OVERDUE;
        state.phase = Phase::Connecting { attempt, overdue_at };
        state.driver = Some(runtime.id());
        state.visits = None;
        let inner = Some(Arc::clone(&self.0));
        let attempt = ConnectAttempt { inner, number: attempt, runtime: runtime.id() };
        Ok(Step::Start(runtime, attempt))
    }

    fn too_slow(&self) -> Failure {
        let failure = self.0.unconnected(self.0.connector.too_slow());
        let Some(last) = self.0.lock().last_failure.clone() else { return failure };
        // Both begin with the same words.
        let what = format!("{}: ", self.0.connecting());
        let cause = last.message().strip_prefix(&*what).unwrap_or(last.message());
        if failure.message().contains(cause) {
            return failure;
        }
        failure.with_hint(&format!("the last attempt: {cause}"))
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the pause between attempts: what failed before says nothing of the next one.
    fn try_at_once(&self) {
        self.lock().down_without_pause();
        self.changed.notify_waiters();
    }

    fn unconnected(&self, failure: Failure) -> Failure {
        failure.while_doing(&self.connecting())
    }

    fn connecting(&self) -> String {
        format!("could not connect to Redis at {}", self.connector.address())
    }

    /// A panic is an error, too.
    async fn connect(&self) -> Result<Result<Connection, Failure>, Panicked> {
        let deadline = Clock::SYSTEM.now() + self.connect_timeout;
        let connecting = AssertUnwindSafe(self.connector.connect(deadline)).catch_unwind();
        match in_time(deadline, connecting).await {
            Some(Ok(connected)) => Ok(connected),
            Some(Err(panic)) => Err(Panicked::new(&*panic)),
            None => Ok(Err(self.connector.too_slow())),
        }
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

    fn down_without_pause(&mut self) {
        self.failures = 0;
        self.not_before = Instant::from_nanos(0);
    }

    fn failed(&mut self, failure: Failure, now: Instant) {
        self.down(self.failures + 1, now);
        self.last_failure = Some(failure);
        self.failed_attempts += 1;
    }

    /// The runtime could not connect, and will not try again; others need not wait.
    fn runtime_failed(&mut self, runtime: Id, failure: Failure) {
        if self.unfit.len() == MAX_UNFIT {
            self.unfit.pop_front();
        }
        self.unfit.push_back(runtime);
        self.phase = Phase::Down;
        self.last_failure = Some(failure);
        self.failed_attempts += 1;
    }

    fn visited_by(&mut self, here: Id) -> u32 {
        let before = self.visits.filter(|(visitor, _)| *visitor == here).map_or(0, |(_, n)| n);
        self.visits = Some((here, before + 1));
        before
    }

    fn is_connecting(&self, number: u64) -> bool {
        matches!(self.phase, Phase::Connecting { attempt, .. } if attempt == number)
    }
}

/// One attempt to connect. However it ends, that is recorded: nothing tries in a tight loop.
struct ConnectAttempt {
    inner: Option<Arc<Inner>>,
    number: u64,
    runtime: Id,
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
            Ok(Ok(connection)) => {
                let address = inner.connector.address();
                event!(DEBUG, "connected", "redis", address, "connected to {address}");
                state.phase = Phase::Up(Arc::new(connection));
                state.last_failure = None;
            }
            Ok(Err(failure)) => {
                let failure = inner.unconnected(failure).not_applied();
                let cause = failure.message();
                event!(DEBUG, "connect_failed", "redis", cause, "{cause}");
                state.failed(failure, Clock::SYSTEM.now());
            }
            Err(panicked) if panicked.is_unfit => {
                state.runtime_failed(self.runtime, panicked.failure);
            }
            Err(panicked) => state.failed(panicked.failure, Clock::SYSTEM.now()),
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
                let message = "the tokio runtime in which the connection was made has ended";
                let failure = Failure::unavailable(message).not_applied();
                state.runtime_failed(self.runtime, failure);
            }
            drop(state);
            inner.changed.notify_waiters();
        }
    }
}

/// An attempt to connect that panicked.
struct Panicked {
    failure: Failure,
    /// The runtime lacks what connecting needs, and another one may have it.
    is_unfit: bool,
}

impl Panicked {
    fn new(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        // What tokio says where a runtime was built without its I/O or its timers.
        let is_unfit = text.contains("enable_io") || text.contains("enable_time");
        let failure = if is_unfit {
            let message =
                "the tokio runtime cannot connect; build it with enable_io, or enable_all";
            event!(
                WARN,
                "runtime_unfit",
                "redis",
                "a tokio runtime was built without enable_io, so its locks use the library's own \
                 connection, which is slower; build it with enable_all"
            );
            Failure::new(LockErrorKind::InvalidConfig, message)
        } else {
            Failure::new(LockErrorKind::Backend, format!("connecting panicked: {text}"))
        };
        Self { failure: failure.not_applied(), is_unfit }
    }
}

#[cfg(test)]
mod tests;
