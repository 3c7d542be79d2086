//! A lock as a plan: a name and options, finished by `try_acquire`, `acquire` or `execute`.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::api::execute;
use crate::api::guard::LockGuard;
use crate::api::lease::Lease;
use crate::backend::LockBackend;
use crate::engine::acquire::acquire;
use crate::engine::held::ServiceContext;
use crate::engine::plan::Plan;
use crate::sync::panics;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::options::{DEFAULT_ACQUIRE_WAIT, LockOptions, option_setters};
use crate::types::status::LockStatus;

/// A lock's name and options: **a plan, not a lock**. It holds nothing until
/// [`try_acquire`](Self::try_acquire), [`acquire`](Self::acquire) or [`execute`](Self::execute) is
/// called and awaited.
///
/// It is made by [`LockService::lock`](crate::LockService::lock), can be used again and again, and
/// the futures that it makes borrow nothing, so they can be spawned and selected over.
///
/// A lock is not re-entrant: asking for the same name inside its own body is refused, or waits
/// until its own lease is over.
///
/// ```
/// # use lock_core as distlock;
/// use std::time::Duration;
/// use distlock::LockService;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let locks = LockService::memory();
/// let nightly = locks.lock("report:nightly").ttl(Duration::from_secs(5 * 60)).keep_alive();
/// nightly.check().unwrap(); // at start-up: name and options are fine
///
/// let spawned = tokio::spawn(nightly.acquire());
/// let guard = spawned.await.unwrap().unwrap();
/// assert!(nightly.try_acquire().await.unwrap().is_none());
/// guard.release().await;
/// # });
/// ```
#[derive(Clone)]
#[must_use = "a `Lock` holds nothing until `try_acquire`, `acquire` or `execute` is awaited"]
pub struct Lock {
    context: Arc<ServiceContext>,
    plan: Arc<Plan>,
}

option_setters!(Lock, |this| Arc::make_mut(&mut this.plan).options);

impl Lock {
    pub(crate) const fn new(context: Arc<ServiceContext>, plan: Arc<Plan>) -> Self {
        Self { context, plan }
    }

    /// Replaces all options at once.
    pub fn options(mut self, options: LockOptions) -> Self {
        Arc::make_mut(&mut self.plan).options = options;
        self
    }

    /// The lock's name, as it was given: [`check`](Self::check) says whether it is allowed.
    #[must_use]
    pub fn name(&self) -> &str {
        self.plan.name()
    }

    /// Checks name, options and the backend's capabilities, without I/O: call it at start-up.
    /// Every operation does the same before it sends anything.
    ///
    /// # Errors
    ///
    /// [`InvalidName`](LockErrorKind::InvalidName), [`InvalidConfig`](LockErrorKind::InvalidConfig)
    /// or [`Unsupported`](LockErrorKind::Unsupported), naming the option, its value, and what is
    /// accepted.
    pub fn check(&self) -> Result<()> {
        self.plan
            .check(self.context.store())
            .map(drop)
            .map_err(|error| error.with_operation("check").with_name(self.name()))
    }

    /// Whether the name is allowed, whatever the options are.
    pub(crate) fn check_name(&self) -> Result<()> {
        self.plan.check_name(self.context.store()).map(drop)
    }

    /// Takes the lock if it is free, or becomes free within [`wait`](Self::wait) (default: no
    /// wait). `None`: somebody else held it for the whole wait.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](LockErrorKind::Unavailable) if the store gave no usable answer: then the
    /// caller holds nothing, and a grant that happened all the same is being undone.
    /// [`ShutDown`](LockErrorKind::ShutDown) after [`shutdown`](crate::LockService::shutdown), and
    /// the errors of [`check`](Self::check).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up: the background finishes an exchange that is under way,
    /// and releases what it granted.
    ///
    /// Waits and tasks that end it from outside, such as a cancellation token's
    /// `run_until_cancelled(lock.try_acquire())`, thus leave nothing behind.
    pub fn try_acquire(
        &self,
    ) -> impl Future<Output = Result<Option<LockGuard>>> + Send + 'static + use<> {
        let (context, plan) = (Arc::clone(&self.context), Arc::clone(&self.plan));
        async move {
            let held = acquire(context, plan, Duration::ZERO, "try_acquire").await?;
            Ok(held.map(LockGuard::new))
        }
    }

    /// Takes the lock, waiting for it up to [`wait`](Self::wait) (default: 60 s).
    ///
    /// # Errors
    ///
    /// [`Timeout`](LockErrorKind::Timeout) if somebody else held it for the whole wait; otherwise
    /// as [`try_acquire`](Self::try_acquire).
    /// A wait also covers an outage of the store: it ends with `Unavailable` if the store does not
    /// come back in time.
    ///
    /// # Cancel safety
    ///
    /// As [`try_acquire`](Self::try_acquire); the place in line is given up.
    pub fn acquire(&self) -> impl Future<Output = Result<LockGuard>> + Send + 'static + use<> {
        let (context, plan) = (Arc::clone(&self.context), Arc::clone(&self.plan));
        async move {
            let asked = Arc::clone(&plan);
            let clock = context.store().clock();
            let began = clock.now();
            match acquire(context, plan, DEFAULT_ACQUIRE_WAIT, "acquire").await? {
                Some(held) => Ok(LockGuard::new(held)),
                None => Err(timed_out(clock.now().saturating_duration_since(began))
                    .with_operation("acquire")
                    .with_name(asked.name())),
            }
        }
    }

    /// Runs `f` under the lock, and returns its value.
    /// `None`: it was not run, because somebody else held the lock for the whole
    /// [`wait`](Self::wait) (default: no wait).
    ///
    /// The body gets the [`Lease`]: its fencing token, and whether it still holds.
    /// If the lease is lost, the body is dropped at its next `.await`, unless
    /// [`on_lost`](Self::on_lost) says otherwise; tasks that it spawned and blocking work go on.
    /// A value that the body has returned is never thrown away: not because the lease ended
    /// meanwhile (end critical bodies with [`Lease::ensure_held`], and fence the write), and not
    /// because the release failed.
    ///
    /// For a body that returns a `Result` there is [`try_execute`](Self::try_execute).
    ///
    /// A body must be a closure, not a future: `execute(async { … })` does not compile; write
    /// `execute(async |_| { … })`.
    ///
    /// # Errors
    ///
    /// [`Lost`](LockErrorKind::Lost) if the body was dropped unfinished because the lease was
    /// lost; otherwise as [`try_acquire`](Self::try_acquire).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the body first, and then releases the lock.
    ///
    /// # Panics
    ///
    /// Only if the body does; the lock is released.
    pub fn execute<F, Fut, T>(
        &self,
        f: F,
    ) -> impl Future<Output = Result<Option<T>>> + use<F, Fut, T>
    where
        F: FnOnce(Lease) -> Fut,
        Fut: Future<Output = T>,
    {
        let (context, plan) = (Arc::clone(&self.context), Arc::clone(&self.plan));
        let on_lost = plan.options.on_lost;
        let acquiring = acquire(context, plan, Duration::ZERO, "execute");
        async move {
            match acquiring.await? {
                None => Ok(None),
                Some(held) => execute::run(LockGuard::new(held), f, on_lost).await.map(Some),
            }
        }
    }

    /// As [`execute`](Self::execute), for a body that returns a `Result`: one `?` unpacks both.
    ///
    /// The error is the body's own; errors of the lock are converted into it.
    /// `LockError` converts into [`io::Error`](std::io::Error), `Box<dyn Error + Send + Sync>`, and
    /// every error type with `From<LockError>`.
    ///
    /// ```
    /// # use lock_core as distlock;
    /// # use distlock::LockService;
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// # async fn charge(_token: Option<distlock::FencingToken>) -> Result<u32, std::io::Error> { Ok(7) }
    /// # async fn run(locks: LockService) -> Result<(), std::io::Error> {
    /// let receipt: Option<u32> = locks
    ///     .lock("order:42")
    ///     .try_execute(async |lease| charge(lease.fencing_token()).await)
    ///     .await?;
    /// # assert_eq!(receipt, Some(7)); Ok(()) }
    /// # run(LockService::memory()).await.unwrap();
    /// # });
    /// ```
    ///
    /// A body that uses `?` itself does not say which error it means; its type names it:
    /// `async |lease| -> Result<_, MyError> { … }`.
    ///
    /// # Errors
    ///
    /// The body's error, or one of [`execute`](Self::execute), converted.
    ///
    /// # Cancel safety
    ///
    /// As [`execute`](Self::execute).
    pub fn try_execute<F, Fut, T, E>(
        &self,
        f: F,
    ) -> impl Future<Output = Result<Option<T>, E>> + use<F, Fut, T, E>
    where
        F: FnOnce(Lease) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<LockError>,
    {
        let executing = self.execute(f);
        async move { executing.await?.transpose() }
    }

    /// Looks at the lock without touching it; `None` if nobody holds it.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](LockErrorKind::Unsupported) where the backend cannot see it;
    /// [`Unavailable`](LockErrorKind::Unavailable) if it did not answer.
    pub fn status(
        &self,
    ) -> impl Future<Output = Result<Option<LockStatus>>> + Send + 'static + use<> {
        let (context, plan) = (Arc::clone(&self.context), Arc::clone(&self.plan));
        async move {
            let asked = async {
                let key = context.admit(&plan)?.key;
                let backend = context.store().backend().clone();
                let status = panics::caught(async { backend.status(key.clone()).await });
                let mut status = context.background().in_runtime(status).await?;
                if let Some(LockStatus { waiters: Some(waiters), .. }) = &mut status {
                    // One of this service's tasks stands in the store's queue for the others.
                    *waiters += context.queues().waiting(&key) as u64;
                }
                Ok(status)
            };
            let asked: Result<_> = asked.await;
            asked.map_err(|error| error.with_operation("status").with_name(plan.name()))
        }
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("backend", &self.context.store().kind())
            .field("name", &self.name())
            .field("options", &self.plan.options)
            .finish_non_exhaustive()
    }
}

fn timed_out(waited: Duration) -> LockError {
    let message = format!("somebody else held the lock for the whole wait of {waited:.1?}");
    LockError::new(LockErrorKind::Timeout, message)
}
