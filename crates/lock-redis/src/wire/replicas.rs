//! How many replicas have to confirm what was written.
//!
//! As many as were asked for.
//! Where fewer have answered for ten seconds, those that did are enough until there are more: a
//! replica that is gone for good must not keep everybody from every lock.
//! It is longer than a failover takes, in which the old master loses its replicas to the new one and
//! still accepts writes.

use std::time::Duration;

use lock_core::Instant;

/// Fewer are enough when so many were not reached for so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Where fewer are enough, it is asked this often whether there are more, and waited this long.
const LOOKS_EVERY: Duration = Duration::from_secs(5);
const LOOKS_FOR: Duration = Duration::from_millis(100);

/// See the [module's documentation](self).
pub(super) struct Replicas {
    asked: u32,
    enough: u32,
    /// How long the server waits for them.
    bound: Duration,
    /// Since when there were too few.
    short_since: Option<Instant>,
    look_at: Instant,
}

/// What `WAIT` is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) count: u32,
    pub(super) bound: Duration,
}

/// What its answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Confirmed,
    /// From now on, fewer are enough.
    ConfirmedByFewer,
    /// As many as were asked for are there again.
    ConfirmedByAllAgain,
    TooFew {
        enough: u32,
    },
}

impl Replicas {
    pub(super) fn new(asked: u32, bound: Duration) -> Self {
        let never = Instant::from_nanos(0);
        Self { asked, enough: asked, bound, short_since: None, look_at: never }
    }

    pub(super) fn question(&self, now: Instant) -> Question {
        if self.enough < self.asked && now >= self.look_at {
            return Question { count: self.asked, bound: self.bound.min(LOOKS_FOR) };
        }
        Question { count: self.enough, bound: self.bound }
    }

    pub(super) fn answered(&mut self, now: Instant, acknowledged: u32) -> Verdict {
        if acknowledged >= self.asked {
            let were_fewer = self.enough < self.asked;
            (self.enough, self.short_since) = (self.asked, None);
            return if were_fewer { Verdict::ConfirmedByAllAgain } else { Verdict::Confirmed };
        }
        if now >= self.look_at {
            self.look_at = now + LOOKS_EVERY;
        }
        if acknowledged >= self.enough {
            (self.enough, self.short_since) = (acknowledged, None);
            return Verdict::Confirmed;
        }
        let since = *self.short_since.get_or_insert(now);
        if now.saturating_duration_since(since) < PATIENCE {
            return Verdict::TooFew { enough: self.enough };
        }
        (self.enough, self.short_since) = (acknowledged, None);
        Verdict::ConfirmedByFewer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_millis(500);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn as_many_as_were_asked_for_confirm() {
        let mut replicas = Replicas::new(2, BOUND);
        assert_eq!(replicas.question(at(0)), Question { count: 2, bound: BOUND });
        assert_eq!(replicas.answered(at(1), 2), Verdict::Confirmed);
        assert_eq!(replicas.answered(at(2), 1), Verdict::TooFew { enough: 2 });
        assert_eq!(replicas.answered(at(3), 3), Verdict::Confirmed);
    }

    #[test]
    fn fewer_are_enough_when_more_were_not_reached_for_ten_seconds() {
        let mut replicas = Replicas::new(2, BOUND);
        assert_eq!(replicas.answered(at(1_000), 1), Verdict::TooFew { enough: 2 });
        assert_eq!(replicas.answered(at(10_999), 1), Verdict::TooFew { enough: 2 });
        // One that confirms in between begins the time anew.
        assert_eq!(replicas.answered(at(10_999), 2), Verdict::Confirmed);
        assert_eq!(replicas.answered(at(11_000), 1), Verdict::TooFew { enough: 2 });
        assert_eq!(replicas.answered(at(20_999), 1), Verdict::TooFew { enough: 2 });
        assert_eq!(replicas.answered(at(21_000), 1), Verdict::ConfirmedByFewer);

        // The other one goes as well.
        assert_eq!(replicas.answered(at(22_000), 0), Verdict::TooFew { enough: 1 });
        assert_eq!(replicas.answered(at(31_999), 0), Verdict::TooFew { enough: 1 });
        assert_eq!(replicas.answered(at(32_000), 0), Verdict::ConfirmedByFewer);
        assert_eq!(replicas.answered(at(32_001), 0), Verdict::Confirmed);
        // What comes back is waited for.
        assert_eq!(replicas.answered(at(32_002), 1), Verdict::Confirmed);
        assert_eq!(replicas.answered(at(32_003), 0), Verdict::TooFew { enough: 1 });
    }

    #[test]
    fn it_is_asked_every_five_seconds_whether_all_are_there_again() {
        let mut replicas = Replicas::new(1, BOUND);
        replicas.answered(at(0), 0);
        assert_eq!(replicas.answered(at(10_000), 0), Verdict::ConfirmedByFewer);
        assert_eq!(replicas.question(at(10_001)), Question { count: 0, bound: BOUND });
        let look = Question { count: 1, bound: LOOKS_FOR };
        assert_eq!(replicas.question(at(15_000)), look);
        assert_eq!(replicas.answered(at(15_100), 0), Verdict::Confirmed);
        assert_eq!(replicas.question(at(20_099)), Question { count: 0, bound: BOUND });
        assert_eq!(replicas.question(at(20_100)), look);
        assert_eq!(replicas.answered(at(20_100), 1), Verdict::ConfirmedByAllAgain);
        assert_eq!(replicas.question(at(20_101)), Question { count: 1, bound: BOUND });
    }
}
