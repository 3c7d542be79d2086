//! One acquisition that is under way, for the metrics: what came of it, and whether it had to wait.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::engine::held::Held;
use crate::engine::metrics::{Count, Level, Metrics, Spread};
use crate::engine::store::Store;
use crate::time::instant::Instant;
use crate::types::error::Result;
use crate::types::name::LockName;

/// An acquisition that was let in. Dropped before it has ended, it was given up.
pub(crate) struct Asking<'a> {
    store: &'a Store,
    lock: &'a LockName,
    began: Instant,
    /// Whether it is ready to wait.
    may_wait: bool,
    is_contended: AtomicBool,
    is_waiting: AtomicBool,
    is_over: bool,
}

impl<'a> Asking<'a> {
    pub(crate) const fn new(
        store: &'a Store,
        lock: &'a LockName,
        began: Instant,
        may_wait: bool,
    ) -> Self {
        let (is_contended, is_waiting) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { store, lock, began, may_wait, is_contended, is_waiting, is_over: false }
    }

    /// It found the lock taken.
    pub(crate) fn is_contended(&self) {
        if Metrics::ON && !self.is_contended.swap(true, Ordering::Relaxed) {
            self.count(Count::Contended);
        }
    }

    /// It has to wait, for the lock or for the store.
    pub(crate) fn is_waiting(&self) {
        if Metrics::ON && !self.is_waiting.swap(true, Ordering::Relaxed) {
            self.store.metrics().raise(Level::Waiting, Some(self.lock));
        }
    }

    /// It has ended with this.
    pub(crate) fn ended(mut self, outcome: &Result<Option<Held>>) {
        self.is_over = true;
        if !Metrics::ON {
            return;
        }
        let (what, wait) = match outcome {
            Ok(Some(_)) => (Count::Acquired, Some(Spread::WaitAcquired)),
            Ok(None) if self.may_wait => (Count::TimedOut, Some(Spread::WaitTimedOut)),
            Ok(None) => (Count::Refused, None),
            Err(_) => (Count::Failed, None),
        };
        self.count(what);
        if let Some(wait) = wait {
            let waited = self.store.now().saturating_duration_since(self.began);
            self.store.metrics().measure(wait, Some(self.lock), waited.as_secs_f64());
        }
    }

    fn count(&self, what: Count) {
        self.store.metrics().count(what, Some(self.lock));
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !Metrics::ON {
            return;
        }
        if !self.is_over {
            self.count(Count::GivenUp);
        }
        if self.is_waiting.load(Ordering::Relaxed) {
            self.store.metrics().lower(Level::Waiting, Some(self.lock));
        }
    }
}
