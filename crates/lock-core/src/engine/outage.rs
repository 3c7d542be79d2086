//! When to say that a store cannot be used: pure decisions, without a clock and without a log.

use std::time::Duration;

use crate::time::instant::Instant;

/// For as long as an outage lasts, it is told again after this time.
const REPEAT: Duration = Duration::from_secs(30);

/// An outage that begins sooner after the last one is told when this time is over, if it lasts
/// until then: a connection that breaks every second must not fill the log.
const AGAIN: Duration = Duration::from_secs(10);

/// Whether the store can be used, as far as its answers show, and what was told of that.
#[derive(Debug)]
pub(crate) struct Outage {
    /// When the first request failed, unless one was answered since.
    since: Option<Instant>,
    /// How many requests have failed since.
    failures: u64,
    /// Whether this outage was told.
    is_told: bool,
    /// No failure is told before.
    quiet_until: Instant,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The store cannot be used.
    Lost,
    /// It still cannot be used.
    StillLost { lasts: Duration, failures: u64 },
    /// It can be used again.
    Back { lasted: Duration, failures: u64 },
}

impl Outage {
    /// Nothing is known to be wrong.
    pub(crate) const fn none() -> Self {
        Self { since: None, failures: 0, is_told: false, quiet_until: Instant::ORIGIN }
    }

    /// A request got no usable answer.
    pub(crate) fn on_failure(&mut self, now: Instant) -> Option<News> {
        let since = *self.since.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        if now < self.quiet_until {
            return None;
        }
        self.quiet_until = now + REPEAT;
        let (lasts, failures) = (now.saturating_duration_since(since), self.failures);
        let was_told = std::mem::replace(&mut self.is_told, true);
        Some(if was_told { News::StillLost { lasts, failures } } else { News::Lost })
    }

    /// The store answered.
    pub(crate) fn on_answer(&mut self, now: Instant) -> Option<News> {
        let since = self.since.take()?;
        let failures = std::mem::take(&mut self.failures);
        if !std::mem::take(&mut self.is_told) {
            return None;
        }
        self.quiet_until = now + AGAIN;
        Some(News::Back { lasted: now.saturating_duration_since(since), failures })
    }

    /// Whether no request was answered since the last one that failed.
    pub(crate) const fn lasts(&self) -> bool {
        self.since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(seconds)
    }

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn an_outage_is_told_when_it_begins_every_half_minute_and_when_it_ends() {
        let mut outage = Outage::none();
        assert_eq!(outage.on_answer(at(99)), None);
        let mut told = Vec::new();
        for second in 100..165 {
            // Fifty requests fail in each second.
            told.extend((0..50).filter_map(|_| outage.on_failure(at(second))));
        }
        assert_eq!(
            told,
            [
                News::Lost,
                News::StillLost { lasts: S(30), failures: 1_501 },
                News::StillLost { lasts: S(60), failures: 3_001 },
            ]
        );
        let back = News::Back { lasted: S(65), failures: 3_250 };
        assert_eq!(outage.on_answer(at(165)), Some(back));
        assert_eq!(outage.on_answer(at(166)), None);
    }

    #[test]
    fn a_store_that_comes_and_goes_is_told_of_twice_in_ten_seconds() {
        let mut outage = Outage::none();
        let mut told = 0;
        for second in 0..60 {
            told += usize::from(outage.on_failure(at(second)).is_some());
            told += usize::from(outage.on_answer(at(second)).is_some());
        }
        assert_eq!(told, 12);
    }

    #[test]
    fn an_outage_soon_after_another_is_told_if_it_lasts() {
        let mut outage = Outage::none();
        outage.on_failure(at(0));
        outage.on_answer(at(1));
        assert_eq!(outage.on_failure(at(2)), None);
        assert!(outage.lasts());
        assert_eq!(outage.on_failure(at(11)), Some(News::Lost));
        assert_eq!(outage.on_failure(at(40)), None);
        let still = News::StillLost { lasts: S(39), failures: 4 };
        assert_eq!(outage.on_failure(at(41)), Some(still));
    }
}
