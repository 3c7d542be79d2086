//! When a lease was last confirmed by the store, and so from when on it is worth a question.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::time::instant::Instant;

/// A lease that the store has not confirmed for so long is verified when other tasks of its service
/// want the lock.
const VERIFY_AFTER: Duration = Duration::from_secs(5);

/// A verification that got no answer is not repeated before.
const VERIFY_AGAIN: Duration = Duration::from_secs(1);

/// The instant from which a lease is verified if somebody wants it; the far future while that is under
/// way, so that a lease is asked about once at a time.
#[derive(Debug)]
pub(crate) struct Doubt(AtomicU64);

impl Doubt {
    /// The doubt about a lease that the store confirmed at `at`.
    pub(crate) fn since(at: Instant) -> Self {
        Self(AtomicU64::new((at + VERIFY_AFTER).as_nanos()))
    }

    /// The same doubt, for the next holder; an answer that is under way goes to the one before.
    pub(crate) fn hand_on(&self, now: Instant) -> Self {
        let from = Instant::from_nanos(self.0.load(Ordering::Relaxed));
        let from = if from == Instant::FAR_FUTURE { now + VERIFY_AGAIN } else { from };
        Self(AtomicU64::new(from.as_nanos()))
    }

    /// The store confirmed the lease by its answer to what was sent at `sent`.
    pub(crate) fn confirmed(&self, sent: Instant) {
        self.0.store((sent + VERIFY_AFTER).as_nanos(), Ordering::Relaxed);
    }

    /// A verification begins, if it is time for one and none is under way.
    pub(crate) fn begin(&self, now: Instant) -> bool {
        let from = self.0.load(Ordering::Relaxed);
        let busy = Instant::FAR_FUTURE.as_nanos();
        now.as_nanos() >= from
            && self.0.compare_exchange(from, busy, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The verification that was begun got no answer.
    pub(crate) fn failed(&self, now: Instant) {
        self.0.store((now + VERIFY_AGAIN).as_nanos(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lease_is_asked_about_five_seconds_after_it_was_confirmed_and_once_at_a_time() {
        let start = Instant::from_nanos(1_000_000_000_000);
        let doubt = Doubt::since(start);
        assert!(!doubt.begin(start + SECOND * 5 - Duration::from_nanos(1)));
        assert!(doubt.begin(start + SECOND * 5));
        assert!(!doubt.begin(start + SECOND * 50), "one is under way");
        doubt.failed(start + SECOND * 50);
        assert!(!doubt.begin(start + SECOND * 50) && doubt.begin(start + SECOND * 51));
        doubt.confirmed(start + SECOND * 51);
        assert!(!doubt.begin(start + SECOND * 55) && doubt.begin(start + SECOND * 56));
    }
}
