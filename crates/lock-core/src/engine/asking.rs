//! One acquisition that is under way, for its span and for the metrics: what came of it, whether it had
//! to wait, and for whom.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::Span;

use crate::backend::holder_of;
use crate::engine::held::{Held, SharedLease};
use crate::engine::metrics::{Count, Level, Metrics, Spread};
use crate::engine::spans;
use crate::engine::store::Store;
use crate::sync::panics;
use crate::time::instant::Instant;
use crate::types::error::Result;
use crate::types::name::LockName;

/// An acquisition that was let in. Dropped before it has ended, it was given up.
pub(crate) struct Asking<'a> {
    store: &'a Store,
    lock: &'a LockName,
    span: &'a Span,
    began: Instant,
    /// Whether it is ready to wait.
    may_wait: bool,
    is_contended: AtomicBool,
    is_waiting: AtomicBool,
    is_over: bool,
    /// Whether the span says who holds the lock.
    is_holder_known: AtomicBool,
}

impl<'a> Asking<'a> {
    pub(crate) const fn new(
        store: &'a Store,
        lock: &'a LockName,
        span: &'a Span,
        began: Instant,
        may_wait: bool,
    ) -> Self {
        Self {
            store,
            lock,
            span,
            began,
            may_wait,
            is_contended: AtomicBool::new(false),
            is_waiting: AtomicBool::new(false),
            is_over: false,
            is_holder_known: AtomicBool::new(false),
        }
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

    /// A guard of the same service holds the lock.
    pub(crate) fn waits_for(&self, holder: &SharedLease) {
        if !self.span.is_disabled() && !self.is_holder_known.swap(true, Ordering::Relaxed) {
            spans::record_holder(self.span, &holder_of(holder.token(), None));
        }
    }

    pub(crate) const fn span(&self) -> &Span {
        self.span
    }

    /// It has ended with this.
    pub(crate) fn ended(mut self, outcome: &Result<Option<Held>>) {
        self.is_over = true;
        let fencing = outcome.as_ref().ok().and_then(|held| held.as_ref()?.lease().fencing());
        let (what, name, wait) = match outcome {
            Ok(Some(_)) => (Count::Acquired, "acquired", Some(Spread::WaitAcquired)),
            Ok(None) if self.may_wait => (Count::TimedOut, "timed_out", Some(Spread::WaitTimedOut)),
            Ok(None) => (Count::Refused, "refused", None),
            Err(_) => (Count::Failed, "failed", None),
        };
        spans::record_outcome(self.span, name, fencing);
        if !Metrics::ON {
            return;
        }
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
        if !self.is_over {
            // A subscriber that panics must not end a program whose task unwinds.
            panics::contained(|| spans::record_outcome(self.span, "given_up", None));
            self.count(Count::GivenUp);
        }
        if Metrics::ON && self.is_waiting.load(Ordering::Relaxed) {
            self.store.metrics().lower(Level::Waiting, Some(self.lock));
        }
    }
}
