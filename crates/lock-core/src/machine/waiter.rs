//! A wait in a store's queue as a pure state machine: which push to believe, and when to ask again
//! if none comes. No clock, no network, no runtime.
//!
//! A store with a queue grants a free lock *directly* to the first token in it and tells that token's
//! process by a push. Pushes can be late, lost, or from before the newest answer, so three rules
//! decide:
//!
//! - Every grant has a number from a counter that only rises, and every answer that says "queued"
//!   states the counter. A push is believed only if its number is above the counter of the newest
//!   answer: then the grant was made after that request was sent, and the sending is a lower bound
//!   of the lease's beginning. No server clock enters a deadline.
//! - A believed grant with less than half of its window left is asked for once more: the answer is
//!   authoritative.
//! - The time to ask again is only ever lowered, except by asking: an old answer that arrives
//!   behind a newer hint must not put it off.

use std::time::Duration;

use crate::machine::margins::{AFTER_EXPIRY, drift};
use crate::time::instant::Instant;

/// So many at the front of the queue look at the holder's expiry; the others ask slowly.
const WATCHING_RANKS: u64 = 3;

/// Those who watch do not all ask in the same millisecond.
const RANK_STEP: Duration = Duration::from_millis(5);

/// Those who do not watch ask this often: the first, more for each rank, and at most the last.
/// Those who watch ask no less often: a push may be lost however long the lease is, and a queue
/// that nobody asks about is forgotten by its store.
const SLOW: (Duration, Duration, Duration) =
    (Duration::from_secs(1), Duration::from_millis(10), Duration::from_secs(10));

/// What a pushed grant means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Push {
    /// The lock is held; the store made the grant not before this instant.
    Granted {
        /// A lower bound of the lease's beginning.
        since: Instant,
    },
    /// It may be held: ask.
    AskAgain,
    /// It tells nothing that is not known already.
    Ignored,
}

/// See the [module's documentation](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Waiter {
    /// The store's counter when it last said "queued".
    counter: u64,
    /// When the request was sent that this counter is the answer of; before any answer, the first
    /// request of all.
    since: Instant,
    ask_at: Instant,
}

impl Waiter {
    /// A wait whose first request is sent at `asked`.
    #[must_use]
    pub const fn new(asked: Instant) -> Self {
        Self { counter: 0, since: asked, ask_at: Instant::FAR_FUTURE }
    }

    /// A request is about to be sent: no timer runs until it is answered.
    pub fn asked(&mut self) {
        self.ask_at = Instant::FAR_FUTURE;
    }

    /// The request sent at `sent` was answered: queued behind `rank` others; the holder's lease
    /// has `holder_left`, if it has an end.
    /// A holder that will tell nobody when it releases is looked at after `look_after`.
    pub fn queued(
        &mut self,
        sent: Instant,
        now: Instant,
        counter: u64,
        rank: u64,
        holder_left: Option<Duration>,
        look_after: Option<Duration>,
    ) {
        if sent >= self.since {
            self.since = sent;
            self.counter = self.counter.max(counter);
        }
        let slowly = SLOW.0 + times(SLOW.1, rank);
        let at_expiry = holder_left
            .filter(|_| rank < WATCHING_RANKS)
            .map(|left| left + AFTER_EXPIRY + times(RANK_STEP, rank));
        let pause = match look_after {
            None => at_expiry.unwrap_or(slowly),
            Some(look_after) => {
                let look_after = if rank == 0 { look_after } else { slowly };
                at_expiry.map_or(look_after, |pause| pause.min(look_after))
            }
        };
        self.ask_at = self.ask_at.min(now + pause.min(SLOW.2));
    }

    /// The store said: you are the next, and the holder's lease has this much left.
    pub fn hinted(&mut self, now: Instant, holder_left: Duration) {
        self.ask_at = self.ask_at.min(now + holder_left + AFTER_EXPIRY);
    }

    /// The store said: granted, under this number, for this window.
    pub fn pushed(&mut self, now: Instant, number: u64, window: Duration) -> Push {
        if number <= self.counter {
            return Push::Ignored;
        }
        let valid_until = self.since + window.saturating_sub(drift(window));
        if valid_until.saturating_duration_since(now) >= window / 2 {
            return Push::Granted { since: self.since };
        }
        self.ask_at = self.ask_at.min(now);
        Push::AskAgain
    }

    /// The way of the pushes was lost and made anew: what came meanwhile is not known.
    pub fn push_lost(&mut self, now: Instant) {
        self.ask_at = self.ask_at.min(now);
    }

    /// When to ask again, if nothing comes before.
    #[must_use]
    pub const fn ask_at(&self) -> Instant {
        self.ask_at
    }
}

fn times(step: Duration, count: u64) -> Duration {
    step.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(2);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_push_after_the_newest_answer_counts_from_its_sending() {
        let mut waiter = Waiter::new(at(0));
        waiter.queued(at(100), at(110), 7, 0, Some(WINDOW), None);
        assert_eq!(waiter.pushed(at(500), 8, WINDOW), Push::Granted { since: at(100) });
    }

    #[test]
    fn a_push_from_before_the_newest_answer_is_ignored() {
        let mut waiter = Waiter::new(at(0));
        waiter.queued(at(100), at(110), 7, 0, Some(WINDOW), None);
        assert_eq!(waiter.pushed(at(120), 7, WINDOW), Push::Ignored);
    }

    #[test]
    fn a_push_before_any_answer_counts_from_the_first_request() {
        let mut waiter = Waiter::new(at(0));
        assert_eq!(waiter.pushed(at(5), 1, WINDOW), Push::Granted { since: at(0) });
    }

    #[test]
    fn a_grant_with_less_than_half_of_its_window_left_is_asked_for() {
        let mut waiter = Waiter::new(at(0));
        waiter.queued(at(0), at(1), 1, 5, None, None);
        assert_eq!(waiter.pushed(at(1_000), 2, WINDOW), Push::AskAgain);
        assert_eq!(waiter.ask_at(), at(1_000));
    }

    #[test]
    fn the_front_of_the_line_watches_the_holder_and_the_rest_asks_slowly() {
        let ask_at = |rank, left| {
            let mut waiter = Waiter::new(at(0));
            waiter.queued(at(0), at(0), 1, rank, left, None);
            waiter.ask_at()
        };
        let five = Some(Duration::from_secs(5));
        assert_eq!(ask_at(0, five), at(5_001));
        assert_eq!(ask_at(2, five), at(5_011));
        assert_eq!(ask_at(3, five), at(1_030));
        assert_eq!(ask_at(0, None), at(1_000));
        assert_eq!(ask_at(u64::MAX, None), at(10_000));
    }

    #[test]
    fn the_first_looks_often_at_a_holder_that_tells_nobody_and_the_others_slowly() {
        let ask_at = |rank, left| {
            let mut waiter = Waiter::new(at(0));
            let look_after = Some(Duration::from_millis(100));
            waiter.queued(at(0), at(0), 1, rank, left, look_after);
            waiter.ask_at()
        };
        let nine = Some(Duration::from_secs(9));
        assert_eq!(ask_at(0, nine), at(100));
        assert_eq!(ask_at(0, Some(Duration::from_millis(20))), at(21));
        assert_eq!(ask_at(0, None), at(100));
        // The first may have died.
        assert_eq!(ask_at(1, nine), at(1_010));
        assert_eq!(ask_at(2, nine), at(1_020));
        assert_eq!(ask_at(3, nine), at(1_030));
    }

    #[test]
    fn nobody_in_line_is_silent_for_longer_than_ten_seconds() {
        let mut waiter = Waiter::new(at(0));
        waiter.queued(at(0), at(0), 1, 0, Some(Duration::from_secs(60)), None);
        assert_eq!(waiter.ask_at(), at(10_000));
    }

    #[test]
    fn an_old_answer_does_not_put_a_newer_hint_off() {
        let mut waiter = Waiter::new(at(0));
        waiter.hinted(at(10), Duration::from_millis(100));
        waiter.queued(at(0), at(20), 1, 0, Some(Duration::from_secs(60)), None);
        assert_eq!(waiter.ask_at(), at(111));
        waiter.asked();
        assert_eq!(waiter.ask_at(), Instant::FAR_FUTURE);
    }
}
