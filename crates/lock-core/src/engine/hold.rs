//! The time for which a user has a lease: since when, whether it has ended, and how close the lease
//! came to its end meanwhile.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use crate::time::instant::Instant;
use crate::types::loss::LeaseEnd;

/// A user got the lease.
const HANDED_OUT: u8 = 1;
/// The lease has ended.
const ENDED: u8 = 2;

/// What is known of it so far.
#[derive(Debug)]
pub(crate) struct Hold {
    /// When the lease was acquired.
    since: Instant,
    /// Which of the two has happened.
    fate: AtomicU8,
    /// From when on the newest ttl counts, in nanoseconds.
    set_at: AtomicU64,
    /// The largest part of a ttl that was over before the next one counted, as the bits of a number
    /// that is not negative: these are in the order of the numbers.
    largest: AtomicU64,
}

impl Hold {
    pub(crate) const fn new(since: Instant) -> Self {
        let (fate, set_at) = (AtomicU8::new(0), AtomicU64::new(since.as_nanos()));
        Self { since, fate, set_at, largest: AtomicU64::new(0) }
    }

    /// When the lease was acquired.
    pub(crate) const fn since(&self) -> Instant {
        self.since
    }

    /// A user gets the lease. `false`: it has ended before.
    pub(crate) fn hand_out(&self) -> bool {
        self.fate.fetch_or(HANDED_OUT, Ordering::SeqCst) & ENDED == 0
    }

    /// Whether a user has ever had the lease.
    pub(crate) fn is_handed_out(&self) -> bool {
        self.fate.load(Ordering::SeqCst) & HANDED_OUT != 0
    }

    /// The lease ends. `false`: no user has it.
    pub(crate) fn end(&self) -> bool {
        self.fate.fetch_or(ENDED, Ordering::SeqCst) == HANDED_OUT
    }

    /// The lease, of `ttl` so far, was set anew at `sent`, which was known at `now`. Returns which part
    /// of the ttl was over by then.
    pub(crate) fn set_anew(&self, sent: Instant, now: Instant, ttl: Duration) -> f64 {
        let since = Instant::from_nanos(self.set_at.swap(sent.as_nanos(), Ordering::Relaxed));
        let part = part(since, now, ttl);
        self.largest.fetch_max(part.to_bits(), Ordering::Relaxed);
        part
    }

    /// The largest part of a ttl that was over at once, for a lease that ends at `now`.
    pub(crate) fn used(&self, now: Instant, ttl: Duration) -> f64 {
        let since = Instant::from_nanos(self.set_at.load(Ordering::Relaxed));
        f64::from_bits(self.largest.load(Ordering::Relaxed)).max(part(since, now, ttl))
    }
}

/// How a lease was used that has just ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) end: LeaseEnd,
    /// How long a user had it.
    pub(crate) held: Duration,
    pub(crate) ttl: Duration,
    pub(crate) keeps_alive: bool,
    /// The largest part of its ttl that was over before it was set anew, or at its end.
    pub(crate) part: f64,
}

fn part(since: Instant, now: Instant, ttl: Duration) -> f64 {
    let over = now.saturating_duration_since(since);
    if ttl.is_zero() { 0.0 } else { over.as_secs_f64() / ttl.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_that_is_never_set_anew_has_used_what_it_was_held_for() {
        let hold = Hold::new(at(100));
        assert_eq!((hold.used(at(104), TTL), hold.used(at(112), TTL)), (0.4, 1.2));
    }

    #[test]
    fn of_a_lease_that_is_renewed_the_longest_time_between_two_confirmations_counts() {
        let hold = Hold::new(at(100));
        // The next ttl counts from the sending, and the answer took a second.
        assert_eq!(hold.set_anew(at(103), at(104), TTL), 0.4);
        assert_eq!(hold.set_anew(at(109), at(109), TTL), 0.6);
        assert_eq!(hold.set_anew(at(112), at(112), TTL), 0.3);
        assert_eq!((hold.used(at(113), TTL), hold.used(at(121), TTL)), (0.6, 0.9));
    }

    #[test]
    fn a_user_has_what_was_handed_out_and_not_ended_before() {
        let (usual, raced) = (Hold::new(at(1)), Hold::new(at(1)));
        assert!(usual.hand_out() && usual.end() && !usual.end());
        assert!(!raced.end() && !raced.hand_out());
        assert!(usual.is_handed_out() && raced.is_handed_out());
    }
}
