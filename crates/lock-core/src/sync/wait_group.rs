//! Counts what is under way, so that its end can be waited for.

use std::sync::Arc;
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

    /// Counts something for as long as the result lives.
    pub(crate) fn count(self: &Arc<Self>) -> Counted {
        self.add();
        Counted(Arc::clone(self))
    }

    /// How much is under way.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends when nothing is under way.
    pub(crate) async fn emptied(&self) {
        self.none.until(|| self.is_empty().then_some(())).await;
    }
}

/// Something under way.
pub(crate) struct Counted(Arc<WaitGroup>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.remove();
    }
}
