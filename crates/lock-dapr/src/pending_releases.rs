//! The releases that have been sent and not answered, so that no later attempt overtakes them.
//!
//! A sidecar serves the requests of one connection concurrently, in no particular order.
//! Without this, a program that drops a guard and asks for the same lock again would now and then
//! be refused because of its own lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lock_core::backend::{Clock, LockKey, in_time};
use tokio::sync::Notify;

/// How long an attempt waits for them: a release that takes longer may never be answered.
const MAX_WAIT: Duration = Duration::from_millis(250);

/// The pending releases of a backend, by lock.
#[derive(Default)]
pub(crate) struct PendingReleases(Mutex<HashMap<LockKey, Pending>>);

#[derive(Default)]
struct Pending {
    count: usize,
    all_done: Arc<Notify>,
}

/// One pending release; dropping this ends it.
pub(crate) struct PendingRelease<'a> {
    all: &'a PendingReleases,
    key: &'a LockKey,
}

impl PendingReleases {
    /// A release of this lock begins.
    pub(crate) fn begin<'a>(&'a self, key: &'a LockKey) -> PendingRelease<'a> {
        self.lock().entry(key.clone()).or_default().count += 1;
        PendingRelease { all: self, key }
    }

    /// Waits until no release of this lock is pending, but only for a short time.
    pub(crate) async fn wait(&self, key: &LockKey) {
        // Made while the map is locked, so that it cannot miss the notification.
        let done =
            self.lock().get(key).map(|pending| Arc::clone(&pending.all_done).notified_owned());
        if let Some(done) = done {
            in_time(Clock::SYSTEM.now() + MAX_WAIT, done).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LockKey, Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PendingRelease<'_> {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        let Some(pending) = all.get_mut(self.key) else { return };
        pending.count -= 1;
        if pending.count == 0
            && let Some(pending) = all.remove(self.key)
        {
            pending.all_done.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn key(name: &str) -> LockKey {
        LockKey::new("", name).unwrap()
    }

    #[test]
    fn an_attempt_waits_for_all_releases_of_its_own_lock_only() {
        let releases = PendingReleases::default();
        let (mine, other) = (key("mine"), key("other"));
        let mut cx = Context::from_waker(Waker::noop());
        let (first, second) = (releases.begin(&mine), releases.begin(&mine));
        let mut waiting = Box::pin(releases.wait(&mine));
        assert_eq!(waiting.as_mut().poll(&mut cx), Poll::Pending);
        assert_eq!(pin!(releases.wait(&other)).poll(&mut cx), Poll::Ready(()));
        drop(first);
        assert_eq!(waiting.as_mut().poll(&mut cx), Poll::Pending);
        drop(second);
        assert_eq!(waiting.as_mut().poll(&mut cx), Poll::Ready(()));
        assert!(releases.lock().is_empty());
    }

    #[tokio::test]
    async fn a_release_that_never_ends_is_not_waited_for() {
        let releases = PendingReleases::default();
        let mine = key("mine");
        let _release = releases.begin(&mine);
        releases.wait(&mine).await;
    }
}
