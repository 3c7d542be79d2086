//! The lock service: a backend, a namespace and default options.

mod tools;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
#[cfg(feature = "testing")]
use std::sync::PoisonError;
use std::time::Duration;

use crate::api::lease::Lease;
use crate::api::lock::Lock;
use crate::api::lock_set::LockSet;
use crate::api::manual::ManualLocks;
use crate::api::service_builder::LockServiceBuilder;
use crate::backend::this_process::describe;
use crate::backend::{AnyBackend, Capabilities, LockBackend};
use crate::engine::acquire_all::SetPlan;
use crate::engine::held::{ServiceContext, ServiceHandle, SharedLease};
use crate::engine::metrics::Metrics;
use crate::engine::plan::{self, Plan};
use crate::engine::schedule::Schedule;
use crate::engine::store::Store;
use crate::engine::{inspect, renew, shutdown, telemetry, tell};
use crate::memory::MemoryBackend;
use crate::types::error::{LockError, Result};
use crate::types::name::LockName;
use crate::types::options::LockOptions;
use crate::types::status::{LockStatus, ShutdownReport};

/// Distributed locks on one store.
///
/// One service is enough for a program. It is cheap to clone, and all clones share the connections
/// and the default options. It can be created without an async runtime.
///
/// The first operation of a process starts two threads, which all services share and which run
/// until the process ends: `distlock`, the *background*, renews leases and finishes what its
/// callers have abandoned, and `distlock-timer` runs the timers.
///
/// **At the end of a program**, dropping the last handle of a service waits for the releases that
/// are under way, for 500 ms at most; if there are none, it does not wait. The handles are the
/// service and its clones, its plans ([`Lock`]), its guards, and operations under way. The wait
/// blocks the thread, inside a runtime too. A service in a `static` is never dropped: call
/// [`shutdown`](Self::shutdown) there, and wherever a program ends by [`exit`](std::process::exit).
///
/// ```
/// # use lock_core as distlock;
/// use std::time::Duration;
/// use distlock::LockService;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let locks = LockService::memory();
///
/// // Run a body under a lock. The result is `None` if somebody else holds the lock.
/// let done = locks.lock("order:42").execute(async |_lease| "charged").await.unwrap();
/// assert_eq!(done, Some("charged"));
///
/// // Hold the lock in a guard.
/// if let Some(guard) = locks.lock("report").try_acquire().await.unwrap() {
///     assert!(guard.is_held());
///     guard.release().await;
/// }
///
/// // Wait up to 5 s for the lock.
/// let guard = locks.lock("payment").wait(Duration::from_secs(5)).acquire().await.unwrap();
/// drop(guard);
/// # });
/// ```
#[derive(Clone)]
pub struct LockService(Arc<Shared>);

/// What all clones of a service share.
struct Shared {
    context: ServiceHandle,
    namespace: Arc<str>,
    defaults: LockOptions,
    manual: ManualLocks,
}

impl LockService {
    /// A service on this backend, with default settings. It does no I/O.
    ///
    /// An `Arc` of a backend is a backend too: services that are given clones of one `Arc` share
    /// it. For a backend that is chosen at run time, see [`AnyBackend`].
    pub fn new(backend: impl LockBackend) -> Self {
        Self::builder(backend).build()
    }

    /// A service on a new store in memory: for tests, first steps, and programs of one process.
    ///
    /// Each call creates a separate store, so two such services do not exclude each other; see
    /// [`MemoryBackend`] for how to share one.
    #[must_use]
    pub fn memory() -> Self {
        Self::new(MemoryBackend::new())
    }

    /// Starts to build a service with a namespace, default options, or other settings.
    ///
    /// ```
    /// # use lock_core as distlock;
    /// use std::time::Duration;
    /// use distlock::{LockOptions, LockService, memory::MemoryBackend};
    ///
    /// let locks = LockService::builder(MemoryBackend::new())
    ///     .namespace("shop:")
    ///     .defaults(LockOptions::new().ttl(Duration::from_secs(30)).keep_alive())
    ///     .build();
    /// locks.check().unwrap();
    /// ```
    pub fn builder(backend: impl LockBackend) -> LockServiceBuilder {
        LockServiceBuilder::new(AnyBackend::new(backend))
    }

    /// Names a lock, and returns **a plan, not a lock that is held**; see [`Lock`].
    ///
    /// `name` is anything that can be converted into a [`LockName`]: a `&str`, a `String`,
    /// `format_args!(…)`, or a [`LockName`]. It does no I/O and cannot fail: a name that is not
    /// valid is reported by [`Lock::check`] and by every operation, with
    /// [`InvalidName`](crate::LockErrorKind::InvalidName).
    ///
    /// `locks.lock("x").await` does not compile. rustc suggests removing the `.await`, but then
    /// nothing is locked: call `execute`, `try_acquire` or `acquire`.
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
        Lock::new(context.clone(), Arc::new(plan))
    }

    /// Names several locks that are to be held together, all or none, and returns **a plan, not
    /// locks that are held**; see [`LockSet`].
    ///
    /// The order of the names does not matter, and a name that is given twice is one lock. It does
    /// no I/O and cannot fail: names that are not valid are reported by [`LockSet::check`] and by
    /// every operation.
    pub fn lock_all<N>(&self, names: impl IntoIterator<Item = N>) -> LockSet
    where
        N: TryInto<LockName, Error: Into<LockError>>,
    {
        let Shared { context, namespace, defaults, .. } = &*self.0;
        let names = names.into_iter().map(LockName::new);
        LockSet::new(context.clone(), SetPlan::new(namespace, names, defaults.clone()))
    }

    /// Acquires a lock that is released by [`release_lock`](Self::release_lock). Returns `false` if
    /// somebody else holds it.
    ///
    /// It does not wait, unless the service's default options set a [`wait`](LockOptions::wait).
    ///
    /// Prefer [`execute_with_lock`](Self::execute_with_lock) or a guard: if a `?` or a panic skips
    /// the second call, the lock stays taken until its `ttl` is over. The lock belongs to the
    /// service: any clone of it, in any task, can release it. It is released when the last clone is
    /// dropped.
    ///
    /// ```
    /// # use lock_core as distlock;
    /// # use std::time::Duration;
    /// # use distlock::LockService;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// # let locks = LockService::memory();
    /// if locks.try_acquire_lock("order:42", Duration::from_secs(60)).await.unwrap() {
    ///     // … work …
    ///     locks.release_lock("order:42").await.unwrap();
    /// }
    /// # });
    /// ```
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

    /// Releases a lock that [`try_acquire_lock`](Self::try_acquire_lock) acquired.
    ///
    /// Returns `true` if this service held the lock until now: the store confirmed the release, or
    /// the lock was handed over to the next waiting task of this service. Returns `false` if this
    /// service did not hold it, or no longer.
    ///
    /// # Errors
    ///
    /// - [`Unknown`](crate::LockErrorKind::Unknown) if the store did not answer. The release is
    ///   repeated in the background until the lease is over.
    /// - [`InvalidName`](crate::LockErrorKind::InvalidName) if the name is not valid.
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

    /// Runs `f` under a lock with this `ttl`; the same as `lock(resource_id).ttl(ttl).execute(f)`.
    ///
    /// See [`Lock::execute`].
    ///
    /// # Errors
    ///
    /// As [`Lock::execute`].
    ///
    /// # Cancel safety
    ///
    /// As [`Lock::execute`].
    ///
    /// # Panics
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

    /// Asks the store for the state of a lock; the same as `lock(name).status()`.
    ///
    /// See [`Lock::status`].
    ///
    /// # Errors
    ///
    /// As [`Lock::status`].
    ///
    /// # Cancel safety
    ///
    /// As [`Lock::status`].
    pub async fn status<N>(&self, name: N) -> Result<Option<LockStatus>>
    where
        N: TryInto<LockName, Error: Into<LockError>>,
    {
        self.lock(name).status().await
    }

    /// What the backend can do. A Redis backend may learn more when it connects.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.0.context.store().capabilities()
    }

    /// Checks the service's default options against each other and against what the backend can do.
    ///
    /// It does no I/O: call it at start-up.
    ///
    /// # Errors
    ///
    /// - [`InvalidConfig`](crate::LockErrorKind::InvalidConfig) if an option is not allowed.
    /// - [`Unsupported`](crate::LockErrorKind::Unsupported) if an option asks for what the backend
    ///   cannot do.
    ///
    /// The message names the option, its value, and what is accepted.
    pub fn check(&self) -> Result<()> {
        plan::check_options(&self.0.defaults, self.0.context.store())
    }

    /// Asks the store whether it answers; for a readiness probe.
    ///
    /// # Errors
    ///
    /// - [`Unavailable`](crate::LockErrorKind::Unavailable) if it does not answer within the
    ///   backend's response timeout.
    /// - [`Denied`](crate::LockErrorKind::Denied) if it refuses the credentials.
    /// - [`ShutDown`](crate::LockErrorKind::ShutDown) if the service was shut down.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn ping(&self) -> Result<()> {
        inspect::ping(&self.0.context).await.map_err(|error| error.with_operation("ping"))
    }

    /// What its tools need.
    fn parts(&self) -> (ServiceHandle, Arc<str>) {
        (self.0.context.clone(), Arc::clone(&self.0.namespace))
    }

    /// Logs which store the service uses. For `distlock::connect`.
    #[doc(hidden)]
    pub fn log_store(&self) {
        telemetry::store_chosen(self.0.context.store(), &self.0.namespace);
    }

    /// Shuts the service down, and returns how its locks ended.
    ///
    /// 1. New work is refused, and all waits end, with
    ///    [`ShutDown`](crate::LockErrorKind::ShutDown).
    /// 2. Holders have the time `grace` to finish; their leases are still renewed. As soon as no
    ///    lock is held, the rest of the time is skipped.
    /// 3. Leases that are still held are lost, with the reason
    ///    [`LossReason::ShutDown`](crate::LossReason::ShutDown), and the service releases them.
    /// 4. It waits for the answers to the releases that are still on their way, as long as the
    ///    backend's timeouts allow.
    /// 5. It closes the connections, unless another service still uses the same backend: the last
    ///    one that is shut down closes them. Services use the same backend if they were given
    ///    clones of one `Arc` or of one [`AnyBackend`]; a type of your own that wraps a backend
    ///    counts as another backend.
    ///
    /// Bodies are not notified when a shutdown begins. To notify them, use a signal such as a
    /// `CancellationToken`, and a `grace` that is long enough for them to finish.
    ///
    /// ```
    /// # use lock_core as distlock;
    /// # use std::time::Duration;
    /// # use distlock::LockService;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// # let locks = LockService::memory();
    /// drop(locks.lock("x").acquire().await.unwrap());
    /// let report = locks.shutdown(Duration::from_secs(5)).await;
    /// assert_eq!((report.lost, report.unknown), (0, 0));
    /// # });
    /// ```
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, new work is still refused. Call it again to do the rest.
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

impl LockServiceBuilder {
    /// Builds the service. It does no I/O; [`LockService::check`] checks the default options.
    #[must_use]
    pub fn build(self) -> LockService {
        let Self { backend, namespace, defaults, clock, handover, process, metrics_label, .. } =
            self;
        describe(&process);
        let metrics = Metrics::new(&backend, metrics_label);
        let store = Store::new(backend, clock, metrics);
        let context = ServiceContext::new(store, handover, background_jobs);
        let context = ServiceHandle::new(Arc::new(context));
        #[cfg(feature = "testing")]
        if let Some(noted_in) = self.noted_in {
            let mut services = noted_in.lock().unwrap_or_else(PoisonError::into_inner);
            services.push(Arc::downgrade(&context));
        }
        LockService(Arc::new(Shared {
            context,
            namespace,
            defaults,
            manual: ManualLocks::default(),
        }))
    }
}

/// What the background does for as long as a service lives.
async fn background_jobs(schedule: Arc<Schedule<SharedLease>>, store: Store) {
    tokio::join!(renew::run(Arc::clone(&schedule), store.clone()), tell::run(schedule, store));
}
