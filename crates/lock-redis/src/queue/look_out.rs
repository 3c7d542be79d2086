//! Looking out for programs that take locks by asking again and again, called pollers.
//!
//! A queue hands a lock over without ever leaving its key absent, so a poller beside a queue that is
//! never empty gets nothing, and nobody notices it: a `SET NX` that fails leaves no trace on the
//! server.
//! So whoever waits for locks leaves one free now and then, for a hundredth of the time that it has
//! held locks; each backend counts that for itself.
//! At first, when it cannot know who else is about, it looks out more: for a sixth of the time.
//! As soon as a poller is seen, the server remembers it, and longer gaps take the place of these.

use std::collections::HashMap;
use std::time::Duration;

use lock_core::Instant;
use lock_core::backend::OwnerToken;

/// A gap is this part of the time in which locks were held.
const PART: u32 = 100;
/// On average, a gap comes after locks were held for so long.
const EVERY: Duration = Duration::from_millis(200);
/// At first, a gap is a larger part of the time, and comes more often.
const PART_AT_FIRST: u32 = 5;
const EVERY_AT_FIRST: Duration = Duration::from_millis(40);
/// Until locks were held for so long. A poller that asks every 100 ms has asked 60 times by then, and
/// finds a gap each sixth time: it has missed all of them for 3 s in one of 250 cases.
const AT_FIRST: Duration = Duration::from_secs(5);
/// Whoever asks this often finds a gap of this length, so a longer one finds no more.
const GAP_MAX: Duration = Duration::from_millis(100);
/// Tokens whose release never comes are forgotten when there are so many more.
const SWEEP_EVERY: usize = 1_024;
/// A lock that is held for longer counts as held for so long.
const HELD_MAX: Duration = Duration::from_secs(10);

/// The first in a queue asks about this often while the holder tells nobody of its release.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// See the [module's documentation](self).
pub(super) struct LookOut {
    /// Since when the tokens that waited hold their locks.
    held: HashMap<OwnerToken, Instant>,
    sweep_at: usize,
    /// For how long locks were held in all, and since the last gap.
    held_for: Duration,
    used: Duration,
    due_at: Duration,
}

impl Default for LookOut {
    fn default() -> Self {
        let (held_for, used) = (Duration::ZERO, Duration::ZERO);
        let due_at = jittered(EVERY_AT_FIRST);
        Self { held: HashMap::new(), sweep_at: 0, held_for, used, due_at }
    }
}

impl LookOut {
    /// A token that waits, or was ready to, holds its lock.
    pub(super) fn granted(&mut self, token: OwnerToken, now: Instant) {
        if self.held.len() >= self.sweep_at.max(SWEEP_EVERY) {
            self.held.retain(|_, since| now < *since + HELD_MAX);
            self.sweep_at = self.held.len() * 2;
        }
        self.held.insert(token, now);
    }

    /// A token is released. Returns for how long its lock is to be left free; zero, as a rule.
    pub(super) fn released(&mut self, token: OwnerToken, now: Instant) -> Duration {
        let Some(since) = self.held.remove(&token) else { return Duration::ZERO };
        let held = now.saturating_duration_since(since).min(HELD_MAX);
        self.held_for = self.held_for.saturating_add(held);
        self.used += held;
        if self.used < self.due_at {
            return Duration::ZERO;
        }
        let is_at_first = self.held_for < AT_FIRST;
        let (part, every) =
            if is_at_first { (PART_AT_FIRST, EVERY_AT_FIRST) } else { (PART, EVERY) };
        let gap = (self.used / part).min(GAP_MAX);
        self.used = Duration::ZERO;
        self.due_at = jittered(every);
        gap
    }
}

/// Those who are the first in several queues do not ask in step, and neither do they with a holder
/// that works in a steady rhythm.
pub(super) fn look_again() -> Duration {
    LOOK_EVERY.mul_f64(0.75 + fastrand::f64() / 2.0)
}

/// Whoever asks in a steady rhythm must not miss every gap.
fn jittered(every: Duration) -> Duration {
    every.mul_f64(0.5 + fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// Holds a lock for so long, once; returns the gap in microseconds.
    fn section(look_out: &mut LookOut, millis: u64) -> u128 {
        let token = OwnerToken::random().unwrap();
        look_out.granted(token, at(0));
        look_out.released(token, at(millis)).as_micros()
    }

    /// One that has held locks for long enough to know who is about.
    fn experienced() -> LookOut {
        let mut look_out = LookOut::default();
        section(&mut look_out, 60_000);
        look_out
    }

    #[test]
    fn at_first_a_sixth_of_the_time_is_left_free_in_gaps_of_a_few_milliseconds() {
        let mut look_out = LookOut::default();
        let gaps: Vec<u128> = (0..2_000).map(|_| section(&mut look_out, 1)).collect();
        let free: u128 = gaps.iter().sum();
        assert!((380_000..=400_000).contains(&free), "{free}");
        assert!(gaps.iter().all(|gap| *gap <= 12_200), "{gaps:?}");
        assert!(gaps.iter().filter(|gap| **gap > 0).count() >= 30);
    }

    #[test]
    fn a_hundredth_of_the_time_is_left_free() {
        for millis in [1, 5, 50, 150, 1_000, 5_000] {
            let mut look_out = experienced();
            let sections = 120_000 / millis;
            let free: u128 = (0..sections).map(|_| section(&mut look_out, millis)).sum();
            assert!((1_195_000..=1_200_000).contains(&free), "{free} of {millis}");
        }
    }

    #[test]
    fn the_first_looks_at_a_foreign_holder_every_75_to_125_ms() {
        let millis: Vec<_> = (0..1_000).map(|_| look_again().as_millis()).collect();
        assert!(millis.iter().all(|millis| (75..=125).contains(millis)));
        assert!(millis.iter().any(|millis| *millis < 85) && millis.iter().any(|m| *m > 115));
    }

    #[test]
    fn no_gap_comes_before_locks_were_held_for_a_tenth_of_a_second() {
        let mut look_out = experienced();
        assert!((0..99).all(|_| section(&mut look_out, 1) == 0));
    }

    #[test]
    fn no_gap_is_longer_than_a_tenth_of_a_second() {
        assert_eq!(section(&mut LookOut::default(), 60_000), 100_000);
    }

    #[test]
    fn a_token_that_did_not_wait_counts_for_nothing() {
        let mut look_out = LookOut::default();
        let token = OwnerToken::random().unwrap();
        assert_eq!(look_out.released(token, at(60_000)), Duration::ZERO);
    }

    #[test]
    fn tokens_that_are_never_released_are_forgotten() {
        let mut look_out = LookOut::default();
        for millis in 0..100_000 {
            look_out.granted(OwnerToken::random().unwrap(), at(millis));
        }
        assert!(look_out.held.len() <= 21_000, "{}", look_out.held.len());
    }
}
