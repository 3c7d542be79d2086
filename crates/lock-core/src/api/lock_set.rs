//! Several locks as a plan: names and options, which `try_acquire`, `acquire` or `execute` carries out.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::api::execute;
use crate::api::lease_set::LeaseSet;
use crate::api::lock_set_guard::LockSetGuard;
use crate::engine::acquire_all::{Obtained, SetPlan, acquire_all};
use crate::engine::held::ServiceHandle;
use crate::engine::holder::{Found, after_wait};
use crate::types::error::{LockError, LockErrorKind, Result};
use crate::types::holder::held_by;
use crate::types::options::{DEFAULT_ACQUIRE_WAIT, LockOptions, option_setters};

/// The names and the options of several locks that are held together: **a plan, not locks that are
/// held**.
///
/// It is returned by [`LockService::lock_all`](crate::LockService::lock_all), and used like a
/// [`Lock`](crate::Lock): it has the same options and methods. Either all of its locks are held, or
/// none.
///
/// The locks are acquired one after the other, in the order of their names and not in the order in
/// which they were given. So two tasks or processes that want some of the same locks never wait for
/// each other, if both use `lock_all`. A name that is given twice is one lock.
///
/// The options are those of each lock; [`wait`](Self::wait) is the time for all of them. While later
/// locks are waited for, those that are held already are renewed, if the backend can renew leases
/// and the ttl is at least [`MIN_KEEP_ALIVE_TTL`](crate::MIN_KEEP_ALIVE_TTL); so each has at least
/// two thirds of its ttl left when all are held. `min_hold` and `max_hold` count from then.
///
/// It costs what the locks cost one by one: a request for each name, one after the other, and a
/// release for each name, all at once.
///
/// ```
/// # use lock_core as distlock;
/// use std::time::Duration;
/// use distlock::LockService;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let locks = LockService::memory();
/// let transfer = locks.lock_all(["account:7", "account:3"]).wait(Duration::from_secs(5));
/// let done = transfer
///     .execute(async |leases| {
///         assert!(leases.fencing_token("account:7").is_some());
///         "transferred"
///     })
///     .await
///     .unwrap();
/// assert_eq!(done, Some("transferred"));
/// # });
/// ```
#[derive(Clone)]
#[must_use = "a `LockSet` holds nothing until `try_acquire`, `acquire` or `execute` is awaited"]
pub struct LockSet {
    context: ServiceHandle,
    plan: SetPlan,
}

option_setters!(LockSet, |this| this.plan.options);

impl LockSet {
    pub(crate) const fn new(context: ServiceHandle, plan: SetPlan) -> Self {
        Self { context, plan }
    }

    pub(crate) const fn options_mut(&mut self) -> &mut LockOptions {
        &mut self.plan.options
    }

    /// Replaces all options at once.
    pub fn options(mut self, options: LockOptions) -> Self {
        self.plan.options = options;
        self
    }

    /// The names of the locks, each once, in the order in which they are acquired.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.plan.names()
    }

    /// Checks the names, and the options against each other and against what the backend can do.
    ///
    /// It does no I/O: call it at start-up. Every operation checks the same before it sends
    /// anything.
    ///
    /// # Errors
    ///
    /// As [`Lock::check`](crate::Lock::check); also [`InvalidName`](LockErrorKind::InvalidName) if
    /// there is no name at all.
    pub fn check(&self) -> Result<()> {
        self.plan.check(&self.context).map_err(|error| error.with_operation("check"))
    }

    /// Acquires all locks if they are free, or become free within [`wait`](Self::wait) (default: no
    /// wait). Returns `None` if somebody else held one of them for the whole wait: then none is
    /// held.
    ///
    /// # Errors
    ///
    /// - [`Lost`](LockErrorKind::Lost) if one of the locks was lost while the others were waited
    ///   for.
    /// - As [`Lock::try_acquire`](crate::Lock::try_acquire).
    ///
    /// The error has the name of the lock that failed. None of the locks is held then.
    ///
    /// # Cancel safety
    ///
    /// As [`Lock::try_acquire`](crate::Lock::try_acquire): dropping the future releases what was
    /// acquired by then.
    pub fn try_acquire(
        &self,
    ) -> impl Future<Output = Result<Option<LockSetGuard>>> + Send + 'static + use<> {
        self.try_acquire_for("try_acquire")
    }

    /// As [`try_acquire`](Self::try_acquire), for an operation of this name.
    pub(crate) fn try_acquire_for(
        &self,
        operation: &'static str,
    ) -> impl Future<Output = Result<Option<LockSetGuard>>> + Send + 'static + use<> {
        let (context, plan) = (Arc::clone(&self.context), self.plan.clone());
        async move {
            match acquire_all(context, plan, Duration::ZERO, operation).await? {
                Obtained::All(held) => Ok(Some(LockSetGuard::new(held))),
                Obtained::Refused(..) => Ok(None),
            }
        }
    }

    /// Acquires all locks, and waits for them up to [`wait`](Self::wait) (default: 60 s).
    ///
    /// # Errors
    ///
    /// [`Timeout`](LockErrorKind::Timeout) if somebody else held one of them for the whole wait,
    /// with the name of that one; otherwise as [`try_acquire`](Self::try_acquire).
    ///
    /// # Cancel safety
    ///
    /// As [`try_acquire`](Self::try_acquire).
    pub fn acquire(&self) -> impl Future<Output = Result<LockSetGuard>> + Send + 'static + use<> {
        let (context, plan) = (Arc::clone(&self.context), self.plan.clone());
        async move {
            let asking = Arc::clone(&context);
            match acquire_all(context, plan, DEFAULT_ACQUIRE_WAIT, "acquire").await? {
                Obtained::All(held) => Ok(LockSetGuard::new(held)),
                Obtained::Refused(refused, deadline) => {
                    let found = match refused.key() {
                        Some(key) => after_wait(&asking, key, deadline).await,
                        None => Found::Other(None),
                    };
                    Err(timed_out(found).with_operation("acquire").with_name(refused.name()))
                }
            }
        }
    }

    /// Runs `f`, the body, under all locks, and returns its value. Returns `None` if somebody else
    /// held one of them for the whole [`wait`](Self::wait) (default: no wait): then the body was not
    /// run.
    ///
    /// The body gets the [`LeaseSet`]. If any of the leases is lost, the body is dropped at its next
    /// `.await`, unless [`on_lost`](Self::on_lost) is set to let it finish. Otherwise as
    /// [`Lock::execute`](crate::Lock::execute).
    ///
    /// # Errors
    ///
    /// [`Lost`](LockErrorKind::Lost) if a lease was lost and the body was dropped before its end;
    /// otherwise as [`try_acquire`](Self::try_acquire).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the body first, and then releases the locks.
    ///
    /// # Panics
    ///
    /// Only if the body panics. The locks are released.
    pub fn execute<F, Fut, T>(
        &self,
        f: F,
    ) -> impl Future<Output = Result<Option<T>>> + use<F, Fut, T>
    where
        F: FnOnce(LeaseSet) -> Fut,
        Fut: Future<Output = T>,
    {
        let (context, plan) = (Arc::clone(&self.context), self.plan.clone());
        let on_lost = plan.options.on_lost;
        let acquiring = acquire_all(context, plan, Duration::ZERO, "execute");
        async move {
            match acquiring.await? {
                Obtained::Refused(..) => Ok(None),
                Obtained::All(held) => {
                    execute::run(LockSetGuard::new(held), f, on_lost).await.map(Some)
                }
            }
        }
    }

    /// As [`execute`](Self::execute), for a body that returns a `Result`; see
    /// [`Lock::try_execute`](crate::Lock::try_execute).
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
        F: FnOnce(LeaseSet) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<LockError>,
    {
        let executing = self.execute(f);
        async move { executing.await?.transpose() }
    }
}

impl fmt::Debug for LockSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockSet")
            .field("backend", &self.context.store().kind())
            .field("names", &self.names().collect::<Vec<_>>())
            .field("options", &self.plan.options)
            .finish_non_exhaustive()
    }
}

fn timed_out(found: Found) -> LockError {
    let (who, holder) = match found {
        Found::Own(holder) => ("this service itself", Some(holder)),
        Found::Other(holder) => ("somebody else", holder),
    };
    let held_by =
        holder.as_ref().filter(|_| who == "somebody else").map(held_by).unwrap_or_default();
    let message =
        format!("{who} held the lock for the whole wait{held_by}; none of the set is held");
    LockError::new(LockErrorKind::Timeout, message).with_holder(holder)
}
