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
/// Where fewer are enough, it is asked this often whether there are more, or as often as such a question
/// takes where that is longer. Nobody's grant waits for the answer, so it may take as long as any.
const LOOKS_EVERY: Duration = Duration::from_secs(5);

/// See the [module's documentation](self).
pub(super) struct Replicas {
    asked: u32,
    enough: u32,
    looks_every: Duration,
    /// Since when there were too few.
    short_since: Option<Instant>,
    look_at: Instant,
}

/// What the answer to `WAIT` means.
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
        let looks_every = LOOKS_EVERY.max(bound * 2);
        Self { asked, enough: asked, looks_every, short_since: None, look_at: never }
    }

    /// How many a grant is to wait for.
    pub(super) fn enough(&self) -> u32 {
        self.enough
    }

    /// Whether to look for more now, beside the grants; another look is due some time later.
    pub(super) fn is_to_look(&mut self, now: Instant) -> bool {
        let is_to_look = self.enough < self.asked && now >= self.look_at;
        if is_to_look {
            self.look_at = now + self.looks_every;
        }
        is_to_look
    }

    /// What a look has shown.
    pub(super) fn looked(&mut self, acknowledged: u32) -> Verdict {
        if self.enough == self.asked || acknowledged <= self.enough {
            return Verdict::Confirmed;
        }
        self.short_since = None;
        self.enough = acknowledged.min(self.asked);
        if self.enough == self.asked { Verdict::ConfirmedByAllAgain } else { Verdict::Confirmed }
    }

    /// What came of waiting for as many as are enough.
    pub(super) fn answered(&mut self, now: Instant, acknowledged: u32) -> Verdict {
        if acknowledged >= self.asked {
            let were_fewer = self.enough < self.asked;
            (self.enough, self.short_since) = (self.asked, None);
            return if were_fewer { Verdict::ConfirmedByAllAgain } else { Verdict::Confirmed };
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
        self.look_at = now + self.looks_every;
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
        assert_eq!(replicas.enough(), 2);
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
        let mut replicas = Replicas::new(2, BOUND);
        assert!(!replicas.is_to_look(at(0)));
        replicas.answered(at(0), 0);
        assert!(!replicas.is_to_look(at(9_999)));
        assert_eq!(replicas.answered(at(10_000), 0), Verdict::ConfirmedByFewer);
        assert!(!replicas.is_to_look(at(14_999)));
        assert!(replicas.is_to_look(at(15_000)));
        // One at a time, and what grants wait for is the same meanwhile.
        assert!(!replicas.is_to_look(at(15_001)));
        assert_eq!(replicas.enough(), 0);
        assert_eq!(replicas.answered(at(15_001), 0), Verdict::Confirmed);
        assert_eq!(replicas.looked(0), Verdict::Confirmed);
        assert!(!replicas.is_to_look(at(19_999)));
        assert!(replicas.is_to_look(at(20_000)));
        // What has come back is waited for, also where it is not all.
        assert_eq!((replicas.looked(1), replicas.enough()), (Verdict::Confirmed, 1));
        assert!(replicas.is_to_look(at(25_000)));
        assert_eq!((replicas.looked(3), replicas.enough()), (Verdict::ConfirmedByAllAgain, 2));
        assert!(!replicas.is_to_look(at(30_000)));
        // An answer that comes late says nothing new.
        assert_eq!((replicas.looked(0), replicas.enough()), (Verdict::Confirmed, 2));
        assert_eq!(replicas.looked(2), Verdict::Confirmed);
    }

    #[test]
    fn no_look_begins_before_the_one_before_can_have_ended() {
        let bound = Duration::from_secs(15);
        let mut replicas = Replicas::new(1, bound);
        replicas.answered(at(0), 0);
        assert_eq!(replicas.answered(at(10_000), 0), Verdict::ConfirmedByFewer);
        assert!(!replicas.is_to_look(at(39_999)));
        assert!(replicas.is_to_look(at(40_000)));
    }
}
