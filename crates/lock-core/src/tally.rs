//! Counts what is under way, so that a shutdown can wait for its end.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A count that can be waited for to become zero.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    count: AtomicUsize,
    /// How many wait for zero: telling nobody costs a mutex too, with every acquire and release.
    waiting: AtomicUsize,
    none: Notify,
}

impl Tally {
    pub(crate) fn add(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn remove(&self) {
        // Whoever waits has said so before it looked at the count.
        if self.count.fetch_sub(1, Ordering::SeqCst) == 1 && self.waiting.load(Ordering::SeqCst) > 0
        {
            self.none.notify_waiters();
        }
    }

    /// Ends when nothing is under way.
    pub(crate) async fn emptied(&self) {
        let _waiting = Waiting::new(self);
        loop {
            let mut none = pin!(self.none.notified());
            none.as_mut().enable();
            if self.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            none.await;
        }
    }
}

/// One who waits, until it is dropped.
struct Waiting<'a>(&'a Tally);

impl<'a> Waiting<'a> {
    fn new(tally: &'a Tally) -> Self {
        tally.waiting.fetch_add(1, Ordering::SeqCst);
        Self(tally)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
