//! Releases under way, so that the attempts behind them do not overtake them.
//!
//! A sidecar serves the requests of one connection at once and in no order.
//! Without this, whoever drops a guard and asks for the same lock anew would now and then be
//! refused by their own lock.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::select;
use lock_core::backend::{Clock, LockKey};
use tokio::sync::Notify;

/// A release that takes longer may never be answered, and is not waited for.
const PATIENCE: Duration = Duration::from_millis(250);

/// The releases that a backend has under way.
#[derive(Default)]
pub(crate) struct Departures(Mutex<HashMap<LockKey, Leaving>>);

#[derive(Default)]
struct Leaving {
    count: usize,
    gone: Arc<Notify>,
}

/// One release under way; it is over when this is dropped.
pub(crate) struct Departure<'a> {
    all: &'a Departures,
    key: &'a LockKey,
}

impl Departures {
    /// A release of this lock begins.
    pub(crate) fn begin<'a>(&'a self, key: &'a LockKey) -> Departure<'a> {
        self.lock().entry(key.clone()).or_default().count += 1;
        Departure { all: self, key }
    }

    /// Ends when no release of this lock is under way, or after a short time.
    pub(crate) async fn passed(&self, key: &LockKey) {
        // Made under the lock, so that it notices the last of them whenever that ends.
        let gone = self.lock().get(key).map(|leaving| Arc::clone(&leaving.gone).notified_owned());
        if let Some(gone) = gone {
            select(pin!(gone), Clock::SYSTEM.sleep(PATIENCE)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LockKey, Leaving>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Departure<'_> {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        let Some(leaving) = all.get_mut(self.key) else { return };
        leaving.count -= 1;
        if leaving.count == 0
            && let Some(leaving) = all.remove(self.key)
        {
            leaving.gone.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use lock_core::LockName;

    use super::*;

    fn key(name: &str) -> LockKey {
        LockKey::new("", &LockName::from(name)).unwrap()
    }

    #[test]
    fn an_attempt_waits_for_all_releases_of_its_own_lock_only() {
        let departures = Departures::default();
        let (mine, other) = (key("mine"), key("other"));
        let mut cx = Context::from_waker(Waker::noop());
        let (first, second) = (departures.begin(&mine), departures.begin(&mine));
        let mut passed = Box::pin(departures.passed(&mine));
        assert_eq!(passed.as_mut().poll(&mut cx), Poll::Pending);
        assert_eq!(pin!(departures.passed(&other)).poll(&mut cx), Poll::Ready(()));
        drop(first);
        assert_eq!(passed.as_mut().poll(&mut cx), Poll::Pending);
        drop(second);
        assert_eq!(passed.as_mut().poll(&mut cx), Poll::Ready(()));
        assert!(departures.lock().is_empty());
    }

    #[tokio::test]
    async fn a_release_without_an_end_is_not_waited_for() {
        let departures = Departures::default();
        let mine = key("mine");
        let _release = departures.begin(&mine);
        departures.passed(&mine).await;
    }
}
