//! How many warnings of one kind are logged: a pure decision, without a clock and without a log.

use std::time::Duration;

use crate::time::instant::Instant;

/// So many of one kind are logged as warnings in one window of [`WINDOW`].
const LIMIT: u32 = 5;

/// How long a window is.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// Paces the warnings of one kind, and counts those that are left out.
#[derive(Debug)]
pub(crate) struct Pace {
    window_end: Instant,
    told: u32,
    left_out: u64,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { window_end: Instant::ORIGIN, told: 0, left_out: 0 }
    }

    /// Whether a warning may be logged now.
    pub(crate) fn allows(&mut self, now: Instant) -> bool {
        if now >= self.window_end {
            self.window_end = now + WINDOW;
            self.told = 0;
        }
        if self.told < LIMIT {
            self.told += 1;
            return true;
        }
        self.left_out += 1;
        false
    }

    /// When it has to be said how many were left out.
    pub(crate) fn due(&self) -> Option<Instant> {
        (self.left_out > 0).then_some(self.window_end)
    }

    /// How many were left out, if that has to be said now.
    pub(crate) fn left_out(&mut self, now: Instant) -> Option<u64> {
        let is_due = self.due().is_some_and(|due| now >= due);
        is_due.then(|| std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_five_hundred_warnings_five_are_logged_and_the_rest_is_counted_once() {
        let (mut pace, began) = (Pace::new(), Instant::ORIGIN);
        assert_eq!((0..500).filter(|_| pace.allows(began)).count(), 5);
        assert_eq!(pace.due(), Some(began + WINDOW));
        assert_eq!(pace.left_out(began + WINDOW / 2), None);
        assert_eq!(pace.left_out(began + WINDOW), Some(495));
        assert_eq!(pace.left_out(began + WINDOW * 2), None);
        assert_eq!(pace.due(), None);
        assert!(pace.allows(began + WINDOW));
    }

    #[test]
    fn what_was_left_out_before_a_new_window_is_still_counted() {
        let (mut pace, began) = (Pace::new(), Instant::ORIGIN);
        assert_eq!((0..6).filter(|_| pace.allows(began)).count(), 5);
        assert!(pace.allows(began + WINDOW));
        assert_eq!(pace.left_out(began + WINDOW * 2), Some(1));
    }
}
