//! Tells all who wait that something has changed; costs next to nothing while nobody waits.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use tokio::sync::Notify;

use crate::sync::panics;

/// What somebody may wait for changes far more often than somebody waits, and telling nobody with
/// a [`Notify`] takes its mutex all the same.
#[derive(Debug, Default)]
pub(crate) struct LazyNotify {
    listening: AtomicUsize,
    changed: Notify,
}

impl LazyNotify {
    /// Tells all who wait to look again.
    ///
    /// What they look at was changed before, by a sequentially consistent write or under a mutex
    /// under which they look: so whoever is not counted here yet will see the change.
    pub(crate) fn notify(&self) {
        if self.listening.load(Ordering::SeqCst) > 0 {
            // A waker of the user's that panics must not stop whoever has changed something.
            panics::contained(|| self.changed.notify_waiters());
        }
    }

    /// Looks at once, and after each ring, until there is something to see.
    pub(crate) async fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let _listener = Listener::new(self);
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(seen) = look() {
                return seen;
            }
            changed.await;
        }
    }
}

/// One who waits, until it is dropped.
struct Listener<'a>(&'a LazyNotify);

impl<'a> Listener<'a> {
    fn new(notify: &'a LazyNotify) -> Self {
        notify.listening.fetch_add(1, Ordering::SeqCst);
        // The looks that follow need no ordering of their own: whoever has counted this listener
        // out has made the change before, for all to see.
        fence(Ordering::SeqCst);
        Self(notify)
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        self.0.listening.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_who_waits_misses_the_last_change() {
        for _ in 0..2_000 {
            let shared = Arc::new((AtomicUsize::new(0), LazyNotify::default()));
            let other = Arc::clone(&shared);
            let waiting = tokio::spawn(async move {
                let (count, notify) = &*other;
                notify.until(|| (count.load(Ordering::SeqCst) == 1).then_some(())).await;
            });
            tokio::task::yield_now().await;
            shared.0.store(1, Ordering::SeqCst);
            shared.1.notify();
            waiting.await.unwrap();
        }
    }

    #[tokio::test]
    async fn whoever_stops_waiting_is_not_counted_any_more() {
        let notify = LazyNotify::default();
        let mut waiting = Box::pin(notify.until(|| None::<()>));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_eq!(notify.listening.load(Ordering::SeqCst), 1);
        drop(waiting);
        assert_eq!(notify.listening.load(Ordering::SeqCst), 0);
    }
}
