//! A lock as a plan: a name and options, which `try_acquire`, `acquire` or `execute` carries out.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::api::execute;
use crate::api::guard::LockGuard;
use crate::api::lease::Lease;
use crate::api::lock_token::LockToken;
use crate::engine::acquire::{acquire, acquire_or_find};
use crate::engine::held::ServiceHandle;
use crate::engine::holder::Found;
use crate::engine::inspect;
use crate::engine::pass_on;
use crate::engine::plan::Plan;
use crate::types::duration_text::rounded;
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::holder::held_by;
use crate::types::options::{DEFAULT_ACQUIRE_WAIT, LockOptions, option_setters};
use crate::types::status::{LockStatus, ReleaseOutcome};

/// The name and the options of a lock: **a plan, not a lock that is held**.
///
/// It holds nothing until one of these methods is called and awaited:
///
/// - [`execute`](Self::execute) runs a closure under the lock;
///   [`try_execute`](Self::try_execute) is for closures that return a `Result`;
/// - [`try_acquire`](Self::try_acquire) returns a guard, or `None` if somebody else holds the lock;
/// - [`acquire`](Self::acquire) waits for the lock and returns a guard.
///
/// It is returned by [`LockService::lock`](crate::LockService::lock), is cheap to clone, and can be
/// used any number of times. The futures of its methods borrow nothing, so they can be spawned.
///
/// A lock is not re-entrant: if this service already holds the name, the answer is the same as if
/// somebody else held it: `None`, or an error of the same kind. The error of
/// [`acquire`](Self::acquire) says that it is this service that holds the lock.
///
/// ```
/// # use lock_core as distlock;
/// use std::time::Duration;
/// use distlock::LockService;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let locks = LockService::memory();
/// let nightly = locks.lock("report:nightly").ttl(Duration::from_secs(5 * 60)).keep_alive();
/// nightly.check().unwrap(); // at start-up: finds mistakes in the name and the options
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
    context: ServiceHandle,
    plan: Arc<Plan>,
}

option_setters!(Lock, |this| this.options_mut());

impl Lock {
    pub(crate) const fn new(context: ServiceHandle, plan: Arc<Plan>) -> Self {
        Self { context, plan }
    }

    pub(crate) fn options_mut(&mut self) -> &mut LockOptions {
        &mut Arc::make_mut(&mut self.plan).options
    }

    /// Replaces all options at once.
    pub fn options(mut self, options: LockOptions) -> Self {
        *self.options_mut() = options;
        self
    }

    /// The lock's name as it was given. [`check`](Self::check) says whether it is a valid name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.plan.name()
    }

    /// Checks the name, and the options against each other and against what the backend can do.
    ///
    /// It does no I/O: call it at start-up. Every operation checks the same before it sends
    /// anything.
    ///
    /// # Errors
    ///
    /// - [`InvalidName`](LockErrorKind::InvalidName) if the name is not valid.
    /// - [`InvalidConfig`](LockErrorKind::InvalidConfig) if an option is not allowed.
    /// - [`Unsupported`](LockErrorKind::Unsupported) if an option asks for what the backend cannot
    ///   do.
    ///
    /// The message names the option, its value, and what is accepted.
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

    /// Acquires the lock if it is free, or becomes free within [`wait`](Self::wait) (default: no
    /// wait). Returns `None` if somebody else held it for the whole wait.
    ///
    /// # Errors
    ///
    /// - [`Unavailable`](LockErrorKind::Unavailable) if the store gave no usable answer in time.
    ///   The caller then holds nothing; if the store granted the lock all the same, it is released
    ///   in the background.
    /// - [`Denied`](LockErrorKind::Denied) if the store refuses the credentials.
    /// - [`Backend`](LockErrorKind::Backend) if the library does not understand the store's answer.
    /// - [`ShutDown`](LockErrorKind::ShutDown) if the service was
    ///   [shut down](crate::LockService::shutdown).
    /// - The errors of [`check`](Self::check).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up, and leaves nothing behind: if a request is under way, the
    /// background awaits its answer, and releases the lock if it was granted. So a caller can end
    /// the wait from outside, for example with `tokio::time::timeout`.
    pub fn try_acquire(
        &self,
    ) -> impl Future<Output = Result<Option<LockGuard>>> + Send + 'static + use<> {
        self.try_acquire_for("try_acquire")
    }

    /// As [`try_acquire`](Self::try_acquire), for an operation of this name.
    pub(crate) fn try_acquire_for(
        &self,
        operation: &'static str,
    ) -> impl Future<Output = Result<Option<LockGuard>>> + Send + 'static + use<> {
        let (context, plan) = (Arc::clone(&self.context), Arc::clone(&self.plan));
        async move {
            let held = acquire(context, plan, Duration::ZERO, operation).await?;
            Ok(held.map(LockGuard::new))
        }
    }

    /// Acquires the lock, and waits for it up to [`wait`](Self::wait) (default: 60 s).
    ///
    /// # Errors
    ///
    /// [`Timeout`](LockErrorKind::Timeout) if somebody else held it for the whole wait, or another
    /// guard of this service, which the error then says; otherwise
    /// as [`try_acquire`](Self::try_acquire). The wait also covers an outage of the store: a
    /// request that got no answer is repeated until the wait is over.
    ///
    /// # Cancel safety
    ///
    /// As [`try_acquire`](Self::try_acquire). Dropping the future gives up the place in the queue.
    pub fn acquire(&self) -> impl Future<Output = Result<LockGuard>> + Send + 'static + use<> {
        let (context, plan) = (Arc::clone(&self.context), Arc::clone(&self.plan));
        async move {
            let asked = Arc::clone(&plan);
            match acquire_or_find(context, plan, DEFAULT_ACQUIRE_WAIT, "acquire").await? {
                Ok(held) => Ok(LockGuard::new(held)),
                Err((waited, found)) => {
                    let error = timed_out(waited, found);
                    Err(error.with_operation("acquire").with_name(asked.name()))
                }
            }
        }
    }

    /// Holds the lock of a token that [`into_token`](LockGuard::into_token) made, in this process or
    /// in another one: as a guard, with the options of this lock.
    ///
    /// The store is asked to renew the lease of the token. So a lock that is free is **not** taken,
    /// nor one that somebody else holds. The guard's lease is this lock's ttl from now; if the store
    /// has a longer one, that is released when the guard's is over. `min_hold` and `max_hold` count
    /// from now. The guard's fencing token is larger than that of the guard before. It does not
    /// [wait](Self::wait).
    ///
    /// **Adopt a token only once.** If several processes adopt the same token, the store cannot
    /// tell them apart, and all of them hold the lock. A queue that delivers a message twice must
    /// not let two workers adopt the token in it at the same time; after a worker has crashed, the
    /// next one may adopt it, if the lease is not over.
    ///
    /// # Errors
    ///
    /// - [`Lost`](LockErrorKind::Lost) if the token no longer owns the lock: it was released,
    ///   its lease is over, or the name is not that of the guard.
    ///   [`loss_reason`](LockError::loss_reason) says whether nobody holds the lock
    ///   ([`Removed`](crate::LossReason::Removed)) or somebody else
    ///   ([`HeldByOther`](crate::LossReason::HeldByOther)).
    /// - [`Unknown`](LockErrorKind::Unknown) if the store did not answer, and
    ///   [`Unavailable`](LockErrorKind::Unavailable) if the answer took longer than the lease. The
    ///   lock still belongs to the token, and the call can be repeated.
    /// - [`Unsupported`](LockErrorKind::Unsupported) if the backend cannot renew leases, such as
    ///   Dapr.
    /// - [`ShutDown`](LockErrorKind::ShutDown) if the service was shut down.
    /// - The errors of [`check`](Self::check).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the lock still belongs to the token; its lease may have been renewed.
    pub fn adopt(
        &self,
        token: &LockToken,
    ) -> impl Future<Output = Result<LockGuard>> + Send + 'static + use<> {
        let (context, plan, passed_on) =
            (Arc::clone(&self.context), Arc::clone(&self.plan), token.0);
        async move {
            let asked = Arc::clone(&plan);
            let adopted = pass_on::adopt(context, plan, passed_on).await;
            adopted
                .map(LockGuard::new)
                .map_err(|error| error.with_operation("adopt").with_name(asked.name()))
        }
    }

    /// Runs `f`, the body, under the lock, and returns its value. Returns `None` if somebody else
    /// held the lock for the whole [`wait`](Self::wait) (default: no wait): then the body was not
    /// run.
    ///
    /// The body gets the [`Lease`], which has the fencing token and says whether the lock is still
    /// held. The lock is released when the body has ended, however it ends.
    ///
    /// If the lease is lost, the body is dropped at its next `.await`, and is not polled again,
    /// even if the process was stopped for longer than the lease. [`on_lost`](Self::on_lost) can be
    /// set to let it finish, for example because it watches [`Lease::lost`] itself. Tasks that it
    /// spawned and blocking work go on.
    ///
    /// If the body has returned a value, that value is always returned, even if the lease ended
    /// meanwhile or the release failed. End critical bodies with [`Lease::ensure_held`], and
    /// protect what they write with the fencing token.
    ///
    /// The body is a closure, not a future: `execute(async { … })` does not compile. Write
    /// `execute(async |_lease| { … })`.
    /// For a body that returns a `Result`, see [`try_execute`](Self::try_execute).
    ///
    /// # Errors
    ///
    /// [`Lost`](LockErrorKind::Lost) if the lease was lost and the body was dropped before its end;
    /// otherwise as [`try_acquire`](Self::try_acquire).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the body first, and then releases the lock.
    ///
    /// # Panics
    ///
    /// Only if the body panics. The lock is released.
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

    /// As [`execute`](Self::execute), for a body that returns a `Result`.
    ///
    /// The error type is that of the body, and errors of the lock are converted into it, so one `?`
    /// is enough. [`LockError`] converts into [`io::Error`](std::io::Error),
    /// `Box<dyn Error + Send + Sync>`, and every type that implements `From<LockError>`.
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
    /// A body that uses `?` needs its error type written out, since the compiler cannot infer it:
    /// `async |lease| -> Result<_, MyError> { … }`.
    ///
    /// # Errors
    ///
    /// The error of the body, or an error of [`execute`](Self::execute) converted into it.
    ///
    /// # Cancel safety
    ///
    /// As [`execute`](Self::execute).
    ///
    /// # Panics
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

    /// Asks the store who holds the lock, for how long, and how many tasks wait for it, without
    /// changing anything. Returns `None` if nobody holds it.
    ///
    /// The answer can be outdated when it arrives: use it for diagnosis, not to decide whether to
    /// acquire the lock.
    ///
    /// # Errors
    ///
    /// - [`Unsupported`](LockErrorKind::Unsupported) if the backend cannot show locks.
    /// - [`Unavailable`](LockErrorKind::Unavailable) if the store did not answer.
    /// - [`ShutDown`](LockErrorKind::ShutDown) if the service was shut down.
    /// - The errors of [`check`](Self::check).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub fn status(
        &self,
    ) -> impl Future<Output = Result<Option<LockStatus>>> + Send + 'static + use<> {
        let (context, plan) = (Arc::clone(&self.context), Arc::clone(&self.plan));
        async move {
            let asked = async {
                let key = context.admit(&plan)?.key;
                inspect::status(&context, &key).await
            };
            let asked: Result<_> = asked.await;
            asked.map_err(|error| error.with_operation("status").with_name(plan.name()))
        }
    }

    /// Takes the lock from whoever holds it; see
    /// [`LockService::force_release`](crate::LockService::force_release).
    ///
    /// # Errors
    ///
    /// As [`LockService::force_release`](crate::LockService::force_release).
    ///
    /// # Cancel safety
    ///
    /// As [`LockService::force_release`](crate::LockService::force_release).
    pub fn force_release(
        &self,
        shown: &LockStatus,
    ) -> impl Future<Output = Result<ReleaseOutcome>> + Send + 'static + use<> {
        let (context, plan) = (Arc::clone(&self.context), Arc::clone(&self.plan));
        let holder = shown.holder.as_ref().and_then(|holder| holder.id.clone());
        async move {
            let forced = async {
                let key = context.admit(&plan)?.key;
                inspect::force_release(&context, key, holder).await
            };
            let forced: Result<_> = forced.await;
            forced.map_err(|error| error.with_operation("force_release").with_name(plan.name()))
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

/// The error of a wait in vain; `is_own`: for a guard of the same service.
fn timed_out(waited: Duration, found: Found) -> LockError {
    let waited = rounded(waited);
    let (message, holder) = match found {
        Found::Own(holder) => {
            let message = format!(
                "this service holds the lock itself, and did not release it during the whole wait of \
                 {waited}; a lock is not re-entrant: if this task holds it, use its guard"
            );
            (message, Some(holder))
        }
        Found::Other(holder) => {
            let held_by = holder.as_ref().map(held_by).unwrap_or_default();
            let message =
                format!("somebody else held the lock for the whole wait of {waited}{held_by}");
            (message, holder)
        }
    };
    LockError::new(LockErrorKind::Timeout, message).with_holder(holder)
}
