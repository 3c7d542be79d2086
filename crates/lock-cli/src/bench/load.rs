//! The load: tasks that take locks and release them.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use distlock::{LockError, LockErrorKind, LockService};
use tokio::sync::Notify;

use super::figures::Figures;
use crate::store;

/// A lock that is left because this program was killed is free after this time.
const TTL: Duration = Duration::from_secs(10);

/// What all tasks share. Cheap to clone.
#[derive(Clone)]
pub(super) struct Load(Arc<Shared>);

struct Shared {
    locks: Vec<OneLock>,
    pairs: AtomicU64,
    violations: AtomicU64,
    is_over: AtomicBool,
    over: Notify,
    failure: Mutex<Option<LockError>>,
}

struct OneLock {
    name: String,
    /// How many hold it now.
    inside: AtomicU32,
    /// When it was released last, unless it was taken since.
    released: Mutex<Option<Instant>>,
}

impl Load {
    pub(super) fn new(prefix: &str, names: usize) -> Self {
        let lock = |number| OneLock {
            // What is in braces decides the slot on Redis: so the counters of fencing tokens, which
            // stay, are those of the last load.
            name: format!("{prefix}:{{{number}}}"),
            inside: AtomicU32::new(0),
            released: Mutex::new(None),
        };
        Self(Arc::new(Shared {
            locks: (0..names).map(lock).collect(),
            pairs: AtomicU64::new(0),
            violations: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            over: Notify::new(),
            failure: Mutex::new(None),
        }))
    }

    /// Takes and releases one lock after the other until the load is over.
    pub(super) fn task(
        &self,
        locks: LockService,
        task: usize,
    ) -> impl Future<Output = Figures> + Send + use<> {
        let shared = Arc::clone(&self.0);
        async move {
            let mut figures = Figures::default();
            let mut turn = task;
            while !shared.is_over.load(Ordering::Relaxed) {
                let lock = &shared.locks[turn % shared.locks.len()];
                turn += 1;
                tokio::select! {
                    biased;
                    paired = pair(&locks, lock, &shared, &mut figures) => {
                        if let Err(error) = paired {
                            shared.failed(error);
                        }
                    }
                    // What has begun is undone by the library.
                    () = shared.over.notified() => {}
                }
            }
            figures
        }
    }

    /// How many times a lock was taken and released.
    pub(super) fn pairs(&self) -> u64 {
        self.0.pairs.load(Ordering::Relaxed)
    }

    /// How often a lock was held twice.
    pub(super) fn violations(&self) -> u64 {
        self.0.violations.load(Ordering::Relaxed)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.0.is_over.load(Ordering::Relaxed)
    }

    /// Why the load ended by itself.
    pub(super) fn failure(&self) -> Option<LockError> {
        self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the load. Whoever waits for a lock stops.
    pub(super) fn stop(&self) {
        self.0.stop();
    }
}

impl Shared {
    fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.over.notify_waiters();
    }

    fn failed(&self, error: LockError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.stop();
    }
}

async fn pair(
    locks: &LockService,
    lock: &OneLock,
    shared: &Shared,
    figures: &mut Figures,
) -> Result<(), LockError> {
    let asked = Instant::now();
    let plan = store::own_lock(locks, &lock.name, TTL).wait_forever();
    let guard = plan.acquire().await?;
    let got = Instant::now();
    figures.acquired(got - asked);
    let released = lock.released.lock().unwrap_or_else(PoisonError::into_inner).take();
    // Whoever asked before the release has waited for it.
    if let Some(released) = released.filter(|released| asked < *released) {
        figures.handed_over(got.saturating_duration_since(released));
    }
    let inside = Counted::new(&lock.inside);
    let is_alone = inside.before == 0;
    // Gives another one the opportunity to hold the lock as well.
    tokio::task::yield_now().await;
    let is_still_alone = lock.inside.load(Ordering::SeqCst) == 1;
    // A lease that has ended because this machine stood still excludes nobody any more.
    if !(is_alone && is_still_alone) && guard.is_held() {
        shared.violations.fetch_add(1, Ordering::Relaxed);
        figures.violated();
    }
    drop(inside);
    let began = Instant::now();
    *lock.released.lock().unwrap_or_else(PoisonError::into_inner) = Some(began);
    let outcome = guard.release().await;
    if !outcome.is_released() {
        let message = format!("a release was not confirmed: {outcome}");
        return Err(LockError::new(LockErrorKind::Unknown, message));
    }
    figures.released(began.elapsed());
    shared.pairs.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// One more for as long as it lives, also if its task is dropped.
struct Counted<'a> {
    count: &'a AtomicU32,
    before: u32,
}

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        Self { count, before: count.fetch_add(1, Ordering::SeqCst) }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}
