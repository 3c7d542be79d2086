//! The lock service: a backend, a namespace and defaults.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::api::lease::Lease;
use crate::api::lock::Lock;
use crate::api::manual::ManualLocks;
use crate::backend::{AnyBackend, Capabilities, Clock, LockBackend};
use crate::engine::held::ServiceContext;
use crate::engine::plan::{self, Plan};
use crate::engine::store::Store;
use crate::engine::{renew, shutdown};
use crate::memory::MemoryBackend;
use crate::sync::panics;
use crate::types::error::{LockError, Result};
use crate::types::handover::Handover;
use crate::types::name::LockName;
use crate::types::options::LockOptions;
use crate::types::status::{LockStatus, ShutdownReport};

/// Distributed locks over one backend.
///
/// It is cheap to clone, and can be made without an async runtime.
/// The first operation starts the keeper: a thread that renews leases and finishes what its
/// callers have left; it ends by itself after the last service, lock and guard are gone.
///
/// ```
/// # use lock_core as distlock;
/// use std::time::Duration;
/// use distlock::LockService;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let locks = LockService::memory();
///
/// // Run a body under a lock; `None` means that somebody else holds it.
/// let done = locks.lock("order:42").execute(async |_lease| "charged").await.unwrap();
/// assert_eq!(done, Some("charged"));
///
/// // Hold a guard.
/// if let Some(guard) = locks.lock("report").try_acquire().await.unwrap() {
///     assert!(guard.is_held());
///     guard.release().await;
/// }
///
/// // Wait in line.
/// let guard = locks.lock("payment").wait(Duration::from_secs(5)).acquire().await.unwrap();
/// drop(guard);
/// # });
/// ```
#[derive(Clone)]
pub struct LockService(Arc<Shared>);

/// What all clones of a service share.
struct Shared {
    context: Arc<ServiceContext>,
    namespace: Arc<str>,
    defaults: LockOptions,
    manual: ManualLocks,
}

impl LockService {
    /// A service over this backend, with the defaults. Does no I/O.
    pub fn new(backend: impl LockBackend) -> Self {
        Self::builder(backend).build()
    }

    /// A service over a new store in memory, for one process, tests and first steps.
    #[must_use]
    pub fn memory() -> Self {
        Self::new(MemoryBackend::new())
    }

    /// Starts to build a service with settings of its own.
    pub fn builder(backend: impl LockBackend) -> LockServiceBuilder {
        LockServiceBuilder {
            backend: AnyBackend::new(backend),
            namespace: "".into(),
            defaults: LockOptions::new(),
            clock: Clock::SYSTEM,
            handover: Handover::default(),
        }
    }

    /// Names a lock: **a plan, not a lock**; see [`Lock`].
    ///
    /// Does no I/O and cannot fail: a name that is not allowed is reported by
    /// [`Lock::check`] and by every operation.
    ///
    /// `locks.lock("x").await` does not compile, and taking the `.await` away, as rustc proposes,
    /// locks nothing: finish the plan with `try_acquire`, `acquire` or `execute`.
    ///
    /// ```compile_fail,E0277
    /// # use lock_core as distlock;
    /// # async fn f(locks: distlock::LockService) {
    /// let guard = locks.lock("x").await;
    /// # }
    /// ```
    pub fn lock<N>(&self, name: N) -> Lock
    where
        N: TryInto<LockName, Error: Into<LockError>>,
    {
        let Shared { context, namespace, defaults, .. } = &*self.0;
        let plan = Plan::new(namespace, LockName::new(name), defaults.clone());
        Lock::new(Arc::clone(context), Arc::new(plan))
    }

    /// Takes a lock if it is free, to be given back with [`release_lock`](Self::release_lock).
    /// `false`: somebody else holds it.
    ///
    /// Prefer [`execute_with_lock`](Self::execute_with_lock) or a guard: a `?` between the two
    /// calls leaves the lock to its ttl.
    /// The lock belongs to the service, so that any clone of it, in any task, can release it;
    /// when the last clone is dropped, it is released.
    ///
    /// # Errors
    ///
    /// As [`Lock::try_acquire`].
    ///
    /// # Cancel safety
    ///
    /// As [`Lock::try_acquire`].
    pub async fn try_acquire_lock<N>(&self, resource_id: N, ttl: Duration) -> Result<bool>
    where
        N: TryInto<LockName, Error: Into<LockError>>,
    {
        let lock = self.lock(resource_id).ttl(ttl);
        self.0.manual.acquire(&lock).await
    }

    /// Gives a lock back that [`try_acquire_lock`](Self::try_acquire_lock) took.
    /// `true`: this service held it, and the store confirmed that it is free, or the next task of
    /// this service that waits for it holds it.
    /// `false`: this service did not hold it, or not any more.
    ///
    /// # Errors
    ///
    /// [`Unknown`](crate::LockErrorKind::Unknown) if the store did not answer; the keeper goes on
    /// until the lease is over. [`InvalidName`](crate::LockErrorKind::InvalidName) for a name that
    /// cannot be taken.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the release goes on.
    pub async fn release_lock<N>(&self, resource_id: N) -> Result<bool>
    where
        N: TryInto<LockName, Error: Into<LockError>>,
    {
        self.0.manual.release(&self.lock(resource_id)).await
    }

    /// Runs `f` under a lock with this lease: [`Lock::execute`] in one call.
    ///
    /// # Errors
    ///
    /// As [`Lock::execute`].
    ///
    /// # Cancel safety
    ///
    /// As [`Lock::execute`].
    pub async fn execute_with_lock<N, F, Fut, T>(
        &self,
        resource_id: N,
        ttl: Duration,
        f: F,
    ) -> Result<Option<T>>
    where
        N: TryInto<LockName, Error: Into<LockError>>,
        F: FnOnce(Lease) -> Fut,
        Fut: Future<Output = T>,
    {
        self.lock(resource_id).ttl(ttl).execute(f).await
    }

    /// Looks at a lock without touching it: [`Lock::status`] in one call.
    ///
    /// # Errors
    ///
    /// As [`Lock::status`].
    pub async fn status<N>(&self, name: N) -> Result<Option<LockStatus>>
    where
        N: TryInto<LockName, Error: Into<LockError>>,
    {
        self.lock(name).status().await
    }

    /// What the backend can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.0.context.store().capabilities()
    }

    /// Checks the service's default options against each other and against what the backend can do,
    /// without I/O: call it at start-up.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::LockErrorKind::InvalidConfig) or
    /// [`Unsupported`](crate::LockErrorKind::Unsupported), naming the option, its value, and what
    /// is accepted.
    pub fn check(&self) -> Result<()> {
        plan::check_options(&self.0.defaults, self.0.context.store())
    }

    /// Asks the backend whether it answers; for a readiness probe.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::LockErrorKind::Unavailable) if it does not.
    pub async fn ping(&self) -> Result<()> {
        let context = &self.0.context;
        let asked = async {
            context.ensure_open()?;
            let backend = context.store().backend().clone();
            context.background().in_runtime(panics::caught(async { backend.ping().await })).await
        };
        asked.await.map_err(|error| error.with_operation("ping"))
    }

    /// Ends the service.
    ///
    /// It refuses new work and ends all waits with [`ShutDown`](crate::LockErrorKind::ShutDown),
    /// leaves holders `grace` to finish (their leases are still renewed), then ends what is left
    /// with [`LossReason::ShutDown`](crate::LossReason::ShutDown) and releases it, waits for the
    /// answers as long as the backend's timeouts allow, and closes the connections, unless another
    /// service shares the backend: the last one closes them.
    /// Services share a backend if they were given clones of one `Arc`; a wrapper around it counts
    /// as another backend.
    ///
    /// A program that wants to tell its bodies earlier uses a signal of its own, and a grace that
    /// is long enough for them.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the service stays closed for new work; call it again to end the
    /// rest.
    pub async fn shutdown(&self, grace: Duration) -> ShutdownReport {
        let manual = &self.0.manual;
        shutdown::run(&self.0.context, grace, || drop(manual.take_all())).await
    }
}

impl fmt::Debug for LockService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockService")
            .field("backend", &self.0.context.store().kind())
            .field("namespace", &self.0.namespace)
            .field("defaults", &self.0.defaults)
            .finish_non_exhaustive()
    }
}

/// Builds a [`LockService`]; made by [`LockService::builder`].
#[must_use = "a builder does nothing until `build`"]
pub struct LockServiceBuilder {
    backend: AnyBackend,
    namespace: Arc<str>,
    defaults: LockOptions,
    clock: Clock,
    handover: Handover,
}

impl LockServiceBuilder {
    /// A literal prefix of all names, such as `shop:`; no separator is added. Default: empty.
    ///
    /// Services with the same namespace over the same store exclude each other.
    pub fn namespace(mut self, prefix: impl Into<Arc<str>>) -> Self {
        self.namespace = prefix.into();
        self
    }

    /// The options that every lock of this service starts with.
    pub fn defaults(mut self, options: LockOptions) -> Self {
        self.defaults = options;
        self
    }

    /// How far a lease may be passed on between the tasks of this service before it goes back to
    /// the store. Default: 64 times and 5 ms; [`Handover::OFF`] for strict order over all
    /// processes.
    ///
    /// Each task gets a guard, a deadline and a larger fencing token of its own. Where the backend
    /// cannot renew, nothing is passed on.
    pub fn handover(mut self, handover: Handover) -> Self {
        self.handover = handover;
        self
    }

    /// For tests: leases follow [`tokio::time`], which can be paused, and the keeper is a task of
    /// the runtime in which the service is first used.
    ///
    /// ```
    /// # use lock_core as distlock;
    /// # use std::time::Duration;
    /// # use distlock::{LockService, memory::MemoryBackend};
    /// # let runtime = tokio::runtime::Builder::new_current_thread()
    /// #     .enable_all().start_paused(true).build().unwrap();
    /// # runtime.block_on(async {
    /// let locks = LockService::builder(MemoryBackend::new()).tokio_time().build();
    /// let guard = locks.lock("x").ttl(Duration::from_secs(60)).acquire().await.unwrap();
    /// tokio::time::sleep(Duration::from_secs(61)).await; // takes no time when paused
    /// assert!(!guard.is_held());
    /// # });
    /// ```
    pub fn tokio_time(mut self) -> Self {
        self.clock = Clock::TOKIO;
        self
    }

    /// The service. Does no I/O.
    #[must_use]
    pub fn build(self) -> LockService {
        let Self { backend, namespace, defaults, clock, handover } = self;
        let store = Store::new(backend, clock);
        let context = Arc::new(ServiceContext::new(store, handover, renew::run));
        LockService(Arc::new(Shared {
            context,
            namespace,
            defaults,
            manual: ManualLocks::default(),
        }))
    }
}

impl fmt::Debug for LockServiceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockServiceBuilder")
            .field("backend", &self.backend.kind())
            .field("namespace", &self.namespace)
            .field("defaults", &self.defaults)
            .finish_non_exhaustive()
    }
}
