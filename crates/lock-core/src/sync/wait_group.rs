//! Counts what is under way, so that a shutdown can wait for its end.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sync::lazy_notify::LazyNotify;

/// A count that can be waited for to become zero.
#[derive(Debug, Default)]
pub(crate) struct WaitGroup {
    count: AtomicUsize,
    none: LazyNotify,
}

impl WaitGroup {
    pub(crate) fn add(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn remove(&self) {
        if self.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.none.notify();
        }
    }

    /// Ends when nothing is under way.
    pub(crate) async fn emptied(&self) {
        self.none.until(|| (self.count.load(Ordering::SeqCst) == 0).then_some(())).await;
    }
}
