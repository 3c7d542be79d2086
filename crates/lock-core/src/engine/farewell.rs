//! The moment that whoever drops the last handle of a service waits for its releases.
//!
//! A release that a drop has begun is finished by the background, for which a program that ends just
//! then does not wait: the lock would stay taken for the rest of its ttl.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::sync::lazy_notify::LazyNotify;
use crate::sync::wait_group::{Counted, WaitGroup};
use crate::sync::{blocking, own_thread};

/// Whoever drops the last handle waits so long at most. A connection is made and a release answered
/// in about five round trips, so it is enough for a store that is 80 ms away; and nobody who ends a
/// program while its store is dead takes half a second for a hang.
pub(crate) const MOMENT: Duration = Duration::from_millis(500);

/// Releases that are not answered within this part of it are sent once more: the connection that
/// carries them may belong to a runtime that does not run while this thread waits.
const PATIENCE: Duration = Duration::from_millis(10);

/// One job, as far as whoever waits is concerned.
pub(crate) struct Errand {
    farewell: Arc<Farewell>,
    counted: Option<Counted>,
    // Before `awaited`, here and wherever both are given up: a shutdown that waits for it reads this
    // count as soon as it waits no more, on another thread.
    /// A shutdown that does not see its end reports it.
    unreported: Option<Counted>,
    /// A shutdown waits for it.
    awaited: Option<Counted>,
}

impl Errand {
    /// A job that may be over soon; `is_reported`: somebody else reports what becomes of it.
    pub(crate) fn new(farewell: &Arc<Farewell>, is_reported: bool) -> Self {
        let counted = Some(farewell.busy.count());
        let awaited = Some(farewell.awaited.count());
        let unreported = (!is_reported).then(|| farewell.unreported.count());
        Self { farewell: Arc::clone(farewell), counted, unreported, awaited }
    }

    pub(crate) const fn farewell(&self) -> &Arc<Farewell> {
        &self.farewell
    }

    /// Something happens soon, or not: then nobody has to wait for it.
    pub(crate) fn goes_on(&mut self, soon: bool) {
        if soon != self.counted.is_some() {
            self.counted = soon.then(|| self.farewell.busy.count());
        }
    }

    /// It goes on, and no shutdown has to wait for it.
    pub(crate) fn is_awaited_no_more(&mut self) {
        self.unreported = None;
        self.awaited = None;
    }
}

/// What the jobs of a service share with whoever drops its last handle.
#[derive(Default)]
pub(crate) struct Farewell {
    /// Jobs that may be over within the moment.
    busy: Arc<WaitGroup>,
    /// Jobs that a shutdown waits for.
    awaited: Arc<WaitGroup>,
    /// Those of them that nobody else reports.
    unreported: Arc<WaitGroup>,
    is_urgent: AtomicBool,
    urged: LazyNotify,
}

impl Farewell {
    /// How many jobs there are that a shutdown waits for, and that nobody else reports.
    pub(crate) fn unreported(&self) -> usize {
        self.unreported.len()
    }

    /// Ends when no job is left that a shutdown waits for.
    pub(crate) async fn settled(&self) {
        self.awaited.emptied().await;
    }

    /// Ends when somebody waits whose own runtime may be what an exchange needs.
    pub(crate) async fn urged(&self) {
        self.urged.until(|| self.is_urgent.load(Ordering::SeqCst).then_some(())).await;
    }

    /// Blocks the thread until no job is left that may be over soon, but only for a moment.
    pub(crate) fn wait(&self) {
        // The library's own threads serve all services, and do what would be waited for.
        if self.busy.is_empty() || own_thread::is_current() {
            return;
        }
        if blocking::wait_for(self.busy.emptied(), PATIENCE).is_none() {
            self.is_urgent.store(true, Ordering::SeqCst);
            self.urged.notify();
            blocking::wait_for(self.busy.emptied(), MOMENT.saturating_sub(PATIENCE));
            self.is_urgent.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Wake, Waker};

    use super::*;

    /// Reads, as soon as nothing is waited for any more, what a shutdown would report.
    struct Reader {
        farewell: Arc<Farewell>,
        reported: AtomicUsize,
    }

    impl Wake for Reader {
        fn wake(self: Arc<Self>) {
            self.reported.store(self.farewell.unreported(), Ordering::SeqCst);
        }
    }

    #[test]
    fn what_is_waited_for_no_more_is_not_reported() {
        for end in [drop, |mut errand: Errand| errand.is_awaited_no_more()] {
            let farewell = Arc::default();
            let errand = Errand::new(&farewell, false);
            let reported = AtomicUsize::new(usize::MAX);
            let reader = Arc::new(Reader { farewell: Arc::clone(&farewell), reported });
            let waker = Waker::from(Arc::clone(&reader));
            let mut settled = pin!(farewell.settled());
            let polled = settled.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            assert_eq!(farewell.unreported(), 1);
            end(errand);
            assert_eq!(reader.reported.load(Ordering::SeqCst), 0);
        }
    }
}
