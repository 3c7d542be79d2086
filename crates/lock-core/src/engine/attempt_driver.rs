//! Carries out what the state machine of a store attempt says: sends its steps and releases, and
//! sees to it that a started exchange is always finished by somebody.

use std::future::{Future, poll_fn};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use crate::api::service::ServiceInner;
use crate::backend::capabilities::Capabilities;
use crate::backend::{
    Attempt, AttemptRequest, Clock, Grant, Lane, LockBackend, OwnerToken, ReleaseReply,
    ReleaseRequest, Sleep, Waiting,
};
use crate::machine::attempt::{Next, StepAnswer, StoreAttempt, Verdict};
use crate::sync::panics;
use crate::time::clock::Instant;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::name::LockKey;
use crate::types::status::ReleaseOutcome;

type StepFuture = Pin<Box<dyn Future<Output = Result<Attempt>> + Send>>;
type ReleaseFuture = Pin<Box<dyn Future<Output = Result<ReleaseReply>> + Send>>;

/// One token's dealings with the store.
///
/// Dropping it undoes whatever the token may own: at once if the store answers without a pause,
/// else by handing everything over to the keeper.
pub(crate) struct Dealing {
    home: Home,
    key: LockKey,
    token: OwnerToken,
    machine: StoreAttempt,
    /// The end of `min_hold`: a release leaves the lock standing until then.
    rest_until: Instant,
    in_flight: InFlight,
    /// When the newest answer was heard.
    heard_at: Instant,
    /// The clock as it was read just before, for the first thing to do.
    just_now: Option<Instant>,
}

/// Who drives it.
enum Home {
    /// A task of the user's.
    Caller(Arc<ServiceInner>),
    /// The keeper. It must not keep its own service alive.
    Keeper { backend: Arc<dyn LockBackend>, clock: Clock },
}

enum InFlight {
    Nothing,
    Step { future: StepFuture, ttl: Duration },
    Release(ReleaseFuture),
    Pause(Sleep),
}

/// What came of asking once.
#[derive(Debug)]
pub(crate) enum Asked {
    Granted {
        grant: Grant,
        valid_until: Instant,
    },
    /// It was granted, but the answer came after the lease had ended.
    TooLate,
    Held {
        retry_after: Option<Duration>,
    },
    Queued(Waiting),
    Failed(LockError),
}

impl Dealing {
    pub(crate) fn new(service: Arc<ServiceInner>, key: LockKey, now: Instant) -> Result<Self> {
        let machine = StoreAttempt::new(&service.backend().capabilities());
        let token = OwnerToken::random_at(now)?;
        Ok(Self::resume(service, key, token, machine, Instant::from_nanos(0), None))
    }

    /// Takes up the dealings of a lease again.
    pub(crate) fn resume(
        service: Arc<ServiceInner>,
        key: LockKey,
        token: OwnerToken,
        machine: StoreAttempt,
        rest_until: Instant,
        just_now: Option<Instant>,
    ) -> Self {
        let home = Home::Caller(service);
        let (in_flight, heard_at) = (InFlight::Nothing, Instant::default());
        Self { home, key, token, machine, rest_until, in_flight, heard_at, just_now }
    }

    pub(crate) const fn token(&self) -> OwnerToken {
        self.token
    }

    pub(crate) fn key(&self) -> &LockKey {
        &self.key
    }

    pub(crate) const fn heard_at(&self) -> Instant {
        self.heard_at
    }

    pub(crate) fn clock(&self) -> Clock {
        match &self.home {
            Home::Caller(service) => service.clock(),
            Home::Keeper { clock, .. } => *clock,
        }
    }

    /// Whether a step is under way, from before a change of hands.
    pub(crate) const fn is_asking(&self) -> bool {
        matches!(self.in_flight, InFlight::Step { .. })
    }

    /// Goes on with the step that is under way.
    pub(crate) async fn asked(&mut self) -> Asked {
        poll_fn(|cx| self.poll_step(cx)).await
    }

    /// Asks the store once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future and then the dealing hands the exchange over to the keeper.
    pub(crate) async fn ask(&mut self, request: AttemptRequest) -> Asked {
        let ttl = request.ttl;
        self.machine.step_sent(request.asked_at, ttl);
        let future = panics::begun(|| Arc::clone(self.backend()).attempt(request));
        self.in_flight = InFlight::Step { future, ttl };
        self.asked().await
    }

    /// A grant was pushed while the token stood in line.
    pub(crate) fn pushed(&mut self, grant: Grant, ttl: Duration) -> Asked {
        let now = self.clock().now();
        self.heard_at = now;
        let lease = grant.granted_ttl.unwrap_or(ttl);
        let since = grant.since.unwrap_or(now);
        let verdict = self.machine.pushed(now, lease, since);
        asked(verdict, grant)
    }

    /// Ends the asking with a grant: the machine goes on in the lease, and nothing is undone.
    pub(crate) fn take_machine(&mut self) -> StoreAttempt {
        mem::replace(&mut self.machine, StoreAttempt::new(&Capabilities::none()))
    }

    /// The same dealings, for another task; nothing is left here.
    pub(crate) fn take(&mut self) -> Self {
        let home = match &self.home {
            Home::Caller(service) => Home::Caller(Arc::clone(service)),
            Home::Keeper { backend, clock } => {
                Home::Keeper { backend: Arc::clone(backend), clock: *clock }
            }
        };
        self.move_to(home)
    }

    /// Releases, and returns when the outcome is known; the keeper does the rest, if any.
    ///
    /// A store that cannot leave a lock standing is asked by the keeper, when `min_hold` is over;
    /// what it will say is not known before.
    pub(crate) async fn release(mut self) -> ReleaseOutcome {
        // Nothing was sent yet, so what is waited for is `min_hold`, on a backend without rest: the
        // keeper does that.
        let begin = Instant::from_nanos(0);
        if let Next::WaitUntil(at) = self.machine.next(begin)
            && self.clock().now() < at
        {
            return ReleaseOutcome::Unknown;
        }
        poll_fn(|cx| self.poll_until(cx, |machine| machine.outcome().is_some())).await;
        self.machine.outcome().unwrap_or(ReleaseOutcome::AlreadyExpired)
    }

    /// Undoes everything; for the keeper.
    pub(crate) async fn undo(mut self) {
        poll_fn(|cx| self.poll_until(cx, |_| false)).await;
    }

    /// The same dealings, driven by the keeper.
    pub(crate) fn into_keeper(mut self) -> Self {
        self.hand_over()
    }

    fn hand_over(&mut self) -> Self {
        let home = Home::Keeper { backend: Arc::clone(self.backend()), clock: self.clock() };
        self.move_to(home)
    }

    fn move_to(&mut self, home: Home) -> Self {
        let in_flight = mem::replace(&mut self.in_flight, InFlight::Nothing);
        let machine = self.take_machine();
        let Self { token, rest_until, heard_at, .. } = *self;
        let (key, just_now) = (self.key.clone(), None);
        Self { home, key, token, machine, rest_until, in_flight, heard_at, just_now }
    }

    fn backend(&self) -> &Arc<dyn LockBackend> {
        match &self.home {
            Home::Caller(service) => service.backend(),
            Home::Keeper { backend, .. } => backend,
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Asked> {
        let InFlight::Step { future, ttl } = &mut self.in_flight else {
            // The machine and this struct disagree; do not wait for what will never come.
            self.machine.step_failed(false);
            return Poll::Ready(Asked::Failed(LockError::new(
                LockErrorKind::Backend,
                "an attempt was awaited that had not been sent",
            )));
        };
        let ttl = *ttl;
        let result = ready!(self.home.poll(future, cx));
        self.in_flight.clear();
        let now = self.clock().now();
        self.heard_at = now;
        Poll::Ready(match result {
            Ok(Attempt::Granted(grant)) => {
                let lease = grant.granted_ttl.unwrap_or(ttl);
                asked(self.machine.step_answered(now, StepAnswer::Granted { lease }), grant)
            }
            Ok(Attempt::Held { retry_after }) => {
                self.machine.step_answered(now, StepAnswer::Held);
                Asked::Held { retry_after }
            }
            Ok(Attempt::Queued(waiting)) => {
                self.machine.step_answered(now, StepAnswer::Queued);
                Asked::Queued(waiting)
            }
            Err(error) => {
                self.machine.step_failed(error.is_not_applied());
                Asked::Failed(error)
            }
        })
    }

    /// Does what the machine says until it is done, or `enough`.
    fn poll_until(&mut self, cx: &mut Context<'_>, enough: fn(&StoreAttempt) -> bool) -> Poll<()> {
        // Read when it is needed, and again when time has passed.
        let mut time = self.just_now.take();
        loop {
            if enough(&self.machine) {
                return Poll::Ready(());
            }
            let now = *time.get_or_insert_with(|| self.clock().now());
            match self.machine.next(now) {
                Next::Done | Next::Caller => return Poll::Ready(()),
                Next::AwaitStep => {
                    drop(ready!(self.poll_step(cx)));
                    time = None;
                }
                Next::AwaitRelease => {
                    ready!(self.poll_release(cx));
                    time = None;
                }
                Next::SendRelease => self.send_release(now),
                Next::WaitUntil(at) => {
                    let sleep = self.clock().sleep_until(at);
                    let pause = match &mut self.in_flight {
                        InFlight::Pause(pause) if pause.deadline() == at => pause,
                        other => {
                            *other = InFlight::Pause(sleep);
                            continue;
                        }
                    };
                    ready!(Pin::new(pause).poll(cx));
                    time = None;
                }
            }
        }
    }

    fn send_release(&mut self, now: Instant) {
        self.machine.release_sent(now);
        let rest = self.rest_until.saturating_duration_since(now);
        let lane = match self.home {
            Home::Caller(_) => Lane::Caller,
            Home::Keeper { .. } => Lane::Keeper,
        };
        let request = ReleaseRequest::new(self.key.clone(), self.token, self.clock())
            .with_rest(rest)
            .with_lane(lane);
        let future = panics::begun(|| Arc::clone(self.backend()).release(request));
        self.in_flight = InFlight::Release(future);
    }

    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let result = match &mut self.in_flight {
            InFlight::Release(future) => ready!(self.home.poll(future, cx)),
            _ => Err(LockError::new(LockErrorKind::Backend, "the release was not under way")),
        };
        self.in_flight.clear();
        match result {
            Ok(reply) => self.machine.release_answered(reply),
            Err(error) => {
                self.machine.release_failed(self.clock().now());
                let key = &self.key;
                panics::contained(|| {
                    tracing::debug!(target: "distlock", %key, %error, "release failed");
                });
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Dealing {
    fn drop(&mut self) {
        let Home::Caller(service) = &self.home else { return };
        if self.machine.owes_nothing() {
            return;
        }
        let service = Arc::clone(service);
        // Only what was not left already: a release keeps its own not-before.
        self.machine.leave(Instant::from_nanos(0));
        // The caller's own next call must find its lock free: so the release is on its way before
        // this returns. It never blocks, and a panic of the backend's must not abort an unwinding.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            self.poll_until(&mut Context::from_waker(Waker::noop()), |_| false)
        }));
        if !matches!(polled, Ok(Poll::Ready(()))) {
            service.keeper().adopt(self.hand_over());
        }
    }
}

impl Home {
    /// Polls a backend's future: in the caller's runtime if there is one, else in the keeper's,
    /// and with a panic turned into an error that says "perhaps applied".
    fn poll<T>(
        &self,
        future: &mut Pin<Box<dyn Future<Output = Result<T>> + Send>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T>> {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let _entered = match self {
                Self::Caller(service) => service.keeper().enter_unless_in_runtime(),
                Self::Keeper { .. } => None,
            };
            future.as_mut().poll(cx)
        }));
        polled.unwrap_or_else(|panic| Poll::Ready(Err(panics::error(&*panic))))
    }
}

impl InFlight {
    /// Drops what has ended; a future that has panicked may panic once more.
    fn clear(&mut self) {
        let ended = mem::replace(self, Self::Nothing);
        catch_unwind(AssertUnwindSafe(|| drop(ended))).ok();
    }
}

fn asked(verdict: Verdict, grant: Grant) -> Asked {
    match verdict {
        Verdict::Hold { valid_until } => Asked::Granted { grant, valid_until },
        _ => Asked::TooLate,
    }
}
