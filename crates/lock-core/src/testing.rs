//! For tests of programs that use locks: a store in memory in which a test can take locks away, hold
//! them itself, and let requests fail, hang or take long.
//!
//! It follows [`tokio::time`], which a test can pause, so that hours pass at once.

mod backend;
mod trouble;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;

use crate::api::service::LockService;
use crate::api::service_builder::LockServiceBuilder;
use crate::backend::{AnyBackend, Clock, LockBackend, LockKey, OwnerToken, ReleaseRequest};
use crate::engine::held::ServiceContext;
use crate::memory::MemoryBackend;
use crate::types::loss::LossReason;
use crate::types::status::LockStatus;

use backend::TestBackend;
use trouble::{Trouble, Troubles};

/// How long the test itself holds a lock.
const FOR_LONG: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A store for tests of programs that use locks.
///
/// Give its [`service`](Self::service) to the code that is tested, and then disturb one lock by its
/// name, or the whole store. Names include the [namespace](LockServiceBuilder::namespace).
///
/// It follows [`tokio::time`]: with `#[tokio::test(start_paused = true)]`, time passes at once when
/// all tasks wait. The work of the library's background thread is done by tasks of the test's
/// runtime. To let spawned tasks run until they wait, sleep for a millisecond of paused time.
///
/// All clones are the same store.
///
/// ```
/// # use lock_core as distlock;
/// # let runtime = tokio::runtime::Builder::new_current_thread()
/// #     .enable_all().start_paused(true).build().unwrap();
/// # runtime.block_on(async {
/// // In a test: #[tokio::test(start_paused = true)]
/// use distlock::testing::TestStore;
///
/// let store = TestStore::new();
/// let locks = store.service();
/// store.hold("report"); // somebody else has it
/// assert!(locks.lock("report").try_acquire().await.unwrap().is_none());
/// store.free("report");
/// let guard = locks.lock("report").try_acquire().await.unwrap().unwrap();
/// store.lose("report");
/// assert!(!guard.is_held());
/// # });
/// ```
#[derive(Clone)]
pub struct TestStore(Arc<Shared>);

struct Shared {
    memory: Arc<MemoryBackend>,
    troubles: Arc<Troubles>,
    backend: AnyBackend,
    /// The services that were made by this store.
    services: Arc<Mutex<Vec<Weak<ServiceContext>>>>,
    /// The locks that the test holds, and as whom.
    held: Mutex<HashMap<LockKey, OwnerToken>>,
}

impl TestStore {
    /// A request that is frozen or delayed for longer fails, as one to a server that does not answer.
    pub const RESPONSE_TIMEOUT: Duration = trouble::RESPONSE_TIMEOUT;

    /// A new, empty store.
    #[must_use]
    pub fn new() -> Self {
        let (memory, troubles) = (Arc::new(MemoryBackend::new()), Arc::<Troubles>::default());
        let backend = TestBackend::new(Arc::clone(&memory), Arc::clone(&troubles));
        let backend = AnyBackend::new(backend);
        let (services, held) = (Arc::default(), Mutex::default());
        Self(Arc::new(Shared { memory, troubles, backend, services, held }))
    }

    /// A service on this store. Several services exclude each other, like those of several
    /// processes.
    #[must_use]
    pub fn service(&self) -> LockService {
        self.builder().build()
    }

    /// As [`service`](Self::service), for one with a namespace, default options, or other settings.
    pub fn builder(&self) -> LockServiceBuilder {
        let mut builder = LockService::builder(self.backend()).tokio_time();
        builder.noted_in = Some(Arc::clone(&self.0.services));
        builder
    }

    /// The store as a backend, for example as a member of a quorum. A service that is made of it has
    /// to be built with [`tokio_time`](LockServiceBuilder::tokio_time), and is told by its next request
    /// only what [`lose`](Self::lose) and [`hold`](Self::hold) do.
    #[must_use]
    pub fn backend(&self) -> AnyBackend {
        self.0.backend.clone()
    }

    /// Takes a lock away from its holder: the store no longer has it, and the lease is lost at
    /// once, as [`LossReason::Removed`].
    ///
    /// # Panics
    ///
    /// If no lock can have this name, as in all methods that are about one lock.
    #[track_caller]
    pub fn lose(&self, name: &str) {
        let key = key(name);
        self.0.held().remove(&key);
        self.0.memory.forget(&key);
        self.0.tell_loss(&key, LossReason::Removed);
    }

    /// Lets somebody else hold a lock from now on, until [`free`](Self::free). Whoever held it before
    /// loses it at once, as [`LossReason::HeldByOther`].
    #[track_caller]
    pub fn hold(&self, name: &str) {
        let key = key(name);
        let token = *self.0.held().entry(key.clone()).or_insert_with(somebody_else);
        self.0.memory.give(&key, (token, FOR_LONG), Clock::TOKIO);
        self.0.tell_loss(&key, LossReason::HeldByOther);
    }

    /// Releases a lock that [`hold`](Self::hold) holds; the first waiter gets it. It has no effect
    /// if `hold` does not hold the lock.
    #[track_caller]
    pub fn free(&self, name: &str) {
        let key = key(name);
        let Some(token) = self.0.held().remove(&key) else { return };
        let request = ReleaseRequest::new(key, token, Clock::TOKIO);
        // Memory answers at once, and it was held.
        self.0.memory.release(request).now_or_never();
    }

    /// Refuses every request about this lock, with [`Denied`](crate::LockErrorKind::Denied), as a
    /// store does if a permission is missing. A lock that is held is lost when its lease ends.
    #[track_caller]
    pub fn refuse(&self, name: &str) {
        self.0.troubles.set(key(name), Trouble::Refuse);
    }

    /// Delays every request about this lock by this time; one that takes longer than
    /// [`RESPONSE_TIMEOUT`](Self::RESPONSE_TIMEOUT) fails, with
    /// [`Unavailable`](crate::LockErrorKind::Unavailable).
    #[track_caller]
    pub fn delay(&self, name: &str, time: Duration) {
        self.0.troubles.set(key(name), Trouble::Delay(time));
    }

    /// Leaves every request about this lock without an answer, until [`restore`](Self::restore): after
    /// [`RESPONSE_TIMEOUT`](Self::RESPONSE_TIMEOUT) it fails, with
    /// [`Unavailable`](crate::LockErrorKind::Unavailable), and a renewal that is sent with others fails
    /// at once.
    #[track_caller]
    pub fn freeze_lock(&self, name: &str) {
        self.0.troubles.set(key(name), Trouble::Freeze);
    }

    /// Ends the effect of [`refuse`](Self::refuse), [`delay`](Self::delay) or
    /// [`freeze_lock`](Self::freeze_lock) on this lock. Of these, the last call counts.
    #[track_caller]
    pub fn restore(&self, name: &str) {
        self.0.troubles.end(&key(name));
    }

    /// Lets every request fail at once, with [`Unavailable`](crate::LockErrorKind::Unavailable), as if
    /// the store was down.
    pub fn fail(&self) {
        self.0.troubles.set_all(Some(Trouble::Fail));
    }

    /// Leaves every request without an answer: after [`RESPONSE_TIMEOUT`](Self::RESPONSE_TIMEOUT) it
    /// fails, with [`Unavailable`](crate::LockErrorKind::Unavailable).
    pub fn freeze(&self) {
        self.0.troubles.set_all(Some(Trouble::Freeze));
    }

    /// Ends the effect of [`fail`](Self::fail) or [`freeze`](Self::freeze). Hanging requests
    /// continue.
    pub fn recover(&self) {
        self.0.troubles.set_all(None);
    }

    /// Whether somebody holds the lock, as the store knows it: a service, or [`hold`](Self::hold).
    #[must_use]
    #[track_caller]
    pub fn is_held(&self, name: &str) -> bool {
        let holder = self.status(name).and_then(|status| status.holder);
        holder.is_some_and(|holder| !holder.has_released)
    }

    /// How many tasks wait for the lock, of all services that were made by this store.
    #[must_use]
    #[track_caller]
    pub fn waiters(&self, name: &str) -> usize {
        let (key, status) = (key(name), self.status(name));
        let at_store = status.and_then(|status| status.waiters).unwrap_or_default();
        // The first of a service's waits at the store, unless a task of its own holds the lock.
        let elsewhere =
            self.0.services().iter().map(|service| service.queues().waiting(&key)).sum();
        usize::try_from(at_store).unwrap_or(usize::MAX).saturating_add(elsewhere)
    }

    /// What the store knows of the lock; `None` if nobody holds it. It works in spite of `fail`,
    /// `freeze` and the others.
    #[must_use]
    #[track_caller]
    pub fn status(&self, name: &str) -> Option<LockStatus> {
        // Memory answers at once.
        self.0.memory.status(key(name)).now_or_never()?.ok().flatten()
    }
}

impl Shared {
    /// Tells the service that holds the lock, if one does.
    fn tell_loss(&self, key: &LockKey, reason: LossReason) {
        for service in self.services() {
            if let Some(lease) = service.own_lease(key) {
                lease.lose_in_store(reason);
            }
        }
    }

    /// Those that are still used.
    fn services(&self) -> Vec<Arc<ServiceContext>> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.retain(|service| service.strong_count() > 0);
        services.iter().filter_map(Weak::upgrade).collect()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<LockKey, OwnerToken>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TestStore {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for TestStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestStore").field("troubles", &self.0.troubles).finish_non_exhaustive()
    }
}

/// A test that misspells a name is to fail where it does.
#[track_caller]
fn key(name: &str) -> LockKey {
    LockKey::new("", name).unwrap_or_else(|error| panic!("no lock can have this name: {error}"))
}

/// A token of another process.
fn somebody_else() -> OwnerToken {
    let mut bytes = OwnerToken::fresh().map_or([0xfe; 16], |token| *token.as_bytes());
    bytes[0] = !bytes[0];
    OwnerToken::from_bytes(bytes)
}
