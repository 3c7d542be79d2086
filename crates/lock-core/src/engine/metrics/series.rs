//! The metrics by their names, and the handles of those that have the same labels.

use std::array;
use std::sync::OnceLock;

use metrics::{
    Counter, Gauge, Histogram, Key, Label, Level as Importance, Metadata, Recorder, Unit,
};

use super::{Count, Level, Spread};

const METADATA: Metadata<'static> = Metadata::new("distlock", Importance::INFO, None);

/// A name, and the label that only some of its series have.
type Name = (&'static str, Option<(&'static str, &'static str)>);

const COUNTS: [Count; 20] = [
    Count::Acquired,
    Count::Adopted,
    Count::Refused,
    Count::TimedOut,
    Count::Failed,
    Count::GivenUp,
    Count::Contended,
    Count::LostExpired,
    Count::LostHeldByOther,
    Count::LostRemoved,
    Count::LostMaxHold,
    Count::LostShutDown,
    Count::Renewed,
    Count::RenewalUnanswered,
    Count::RenewalRefused,
    Count::RenewalNotHeld,
    Count::RenewedLate,
    Count::ReleaseUnanswered,
    Count::ReleaseRefused,
    Count::StoreFailed,
];
/// Those that belong to no lock.
const OF_THE_STORE: [Count; 3] =
    [Count::ReleaseUnanswered, Count::ReleaseRefused, Count::StoreFailed];
const LEVELS: [Level; 3] = [Level::Held, Level::Waiting, Level::StoreUp];
const SPREADS: [Spread; 5] =
    [Spread::WaitAcquired, Spread::WaitTimedOut, Spread::Hold, Spread::UsedFixed, Spread::UsedKept];

const ACQUISITIONS: &str = "distlock_acquisitions_total";
const CONTENDED: &str = "distlock_contended_total";
const LOST: &str = "distlock_lost_total";
const RENEWALS: &str = "distlock_renewals_total";
const RENEWALS_LATE: &str = "distlock_renewals_late_total";
const RELEASE_FAILURES: &str = "distlock_release_failures_total";
const STORE_FAILURES: &str = "distlock_store_failures_total";
const HELD: &str = "distlock_leases_held";
const WAITING: &str = "distlock_waiters";
const STORE_UP: &str = "distlock_store_up";
const WAIT: &str = "distlock_wait_seconds";
const HOLD: &str = "distlock_hold_seconds";
const USED: &str = "distlock_lease_used_ratio";

/// Tells the recorder what the metrics are.
pub(super) fn describe() {
    metrics::with_recorder(|recorder| {
        for (name, text) in [
            (ACQUISITIONS, "Acquisitions that have ended, by their outcome"),
            (CONTENDED, "Acquisitions that found the lock taken, whatever came of them"),
            (LOST, "Leases that were lost while they were held, by the reason"),
            (RENEWALS, "Renewals by the background, by what the store answered"),
            (RENEWALS_LATE, "Renewals that were confirmed after more than half of the ttl"),
            (RELEASE_FAILURES, "Releases that were not answered or were refused; each is repeated"),
            (STORE_FAILURES, "Requests to the store that got no usable answer"),
        ] {
            recorder.describe_counter(name.into(), Some(Unit::Count), text.into());
        }
        for (name, text) in [
            (HELD, "Leases that are held now"),
            (WAITING, "Acquisitions that wait now, for the lock or for the store"),
            (STORE_UP, "1 if the store answered the last request, 0 if it did not"),
        ] {
            recorder.describe_gauge(name.into(), Some(Unit::Count), text.into());
        }
        for (name, unit, text) in [
            (WAIT, Some(Unit::Seconds), "Time from asking for a lock until the outcome"),
            (HOLD, Some(Unit::Seconds), "Time from the acquisition of a lock until its end"),
            (USED, None, "The longest time without a confirmation, as a part of the ttl"),
        ] {
            recorder.describe_histogram(name.into(), unit, text.into());
        }
    });
}

/// The handles of all metrics with the same labels; each is asked for when it is first needed.
pub(super) struct Series {
    labels: Vec<Label>,
    counts: [OnceLock<Counter>; COUNTS.len()],
    levels: [OnceLock<Gauge>; LEVELS.len()],
    spreads: [OnceLock<Histogram>; SPREADS.len()],
}

impl Series {
    pub(super) fn new(labels: Vec<Label>) -> Self {
        Self {
            labels,
            counts: array::from_fn(|_| OnceLock::new()),
            levels: array::from_fn(|_| OnceLock::new()),
            spreads: array::from_fn(|_| OnceLock::new()),
        }
    }

    /// Asks for the handles of what belongs to no lock.
    pub(super) fn register_store(&self) {
        OF_THE_STORE.iter().for_each(|&what| {
            self.count(what);
        });
        self.level(Level::StoreUp);
    }

    /// Asks for the handles of what belongs to locks, so that all of them are zero at first: a
    /// counter that is first seen with the value one has not risen, to Prometheus.
    pub(super) fn register_locks(&self) {
        let counts = COUNTS.iter().filter(|what| !OF_THE_STORE.contains(what));
        counts.for_each(|&what| {
            self.count(what);
        });
        self.level(Level::Held);
        self.level(Level::Waiting);
    }

    /// Asks for the handles of all histograms.
    pub(super) fn register_spreads(&self) {
        SPREADS.iter().for_each(|&what| {
            self.spread(what);
        });
    }

    pub(super) fn count(&self, what: Count) -> &Counter {
        let register =
            |recorder: &dyn Recorder, key: &Key| recorder.register_counter(key, &METADATA);
        self.counts[what as usize].get_or_init(|| self.registered(what.name(), register))
    }

    pub(super) fn level(&self, what: Level) -> &Gauge {
        let register = |recorder: &dyn Recorder, key: &Key| recorder.register_gauge(key, &METADATA);
        self.levels[what as usize].get_or_init(|| self.registered(what.name(), register))
    }

    pub(super) fn spread(&self, what: Spread) -> &Histogram {
        let register =
            |recorder: &dyn Recorder, key: &Key| recorder.register_histogram(key, &METADATA);
        self.spreads[what as usize].get_or_init(|| self.registered(what.name(), register))
    }

    fn registered<H>(
        &self,
        (name, label): Name,
        register: impl FnOnce(&dyn Recorder, &Key) -> H,
    ) -> H {
        let mut labels = self.labels.clone();
        labels.extend(label.map(|(key, value)| Label::from_static_parts(key, value)));
        let key = Key::from_parts(name, labels);
        metrics::with_recorder(|recorder| register(recorder, &key))
    }
}

impl Count {
    const fn name(self) -> Name {
        match self {
            Self::Acquired => (ACQUISITIONS, Some(("outcome", "acquired"))),
            Self::Adopted => (ACQUISITIONS, Some(("outcome", "adopted"))),
            Self::Refused => (ACQUISITIONS, Some(("outcome", "refused"))),
            Self::TimedOut => (ACQUISITIONS, Some(("outcome", "timed_out"))),
            Self::Failed => (ACQUISITIONS, Some(("outcome", "failed"))),
            Self::GivenUp => (ACQUISITIONS, Some(("outcome", "given_up"))),
            Self::Contended => (CONTENDED, None),
            Self::LostExpired => (LOST, Some(("reason", "expired"))),
            Self::LostHeldByOther => (LOST, Some(("reason", "held_by_other"))),
            Self::LostRemoved => (LOST, Some(("reason", "removed"))),
            Self::LostMaxHold => (LOST, Some(("reason", "max_hold"))),
            Self::LostShutDown => (LOST, Some(("reason", "shut_down"))),
            Self::Renewed => (RENEWALS, Some(("outcome", "renewed"))),
            Self::RenewalUnanswered => (RENEWALS, Some(("outcome", "unanswered"))),
            Self::RenewalRefused => (RENEWALS, Some(("outcome", "refused"))),
            Self::RenewalNotHeld => (RENEWALS, Some(("outcome", "not_held"))),
            Self::RenewedLate => (RENEWALS_LATE, None),
            Self::ReleaseUnanswered => (RELEASE_FAILURES, Some(("cause", "unanswered"))),
            Self::ReleaseRefused => (RELEASE_FAILURES, Some(("cause", "refused"))),
            Self::StoreFailed => (STORE_FAILURES, None),
        }
    }
}

impl Level {
    const fn name(self) -> Name {
        match self {
            Self::Held => (HELD, None),
            Self::Waiting => (WAITING, None),
            Self::StoreUp => (STORE_UP, None),
        }
    }
}

impl Spread {
    const fn name(self) -> Name {
        match self {
            Self::WaitAcquired => (WAIT, Some(("outcome", "acquired"))),
            Self::WaitTimedOut => (WAIT, Some(("outcome", "timed_out"))),
            Self::Hold => (HOLD, None),
            Self::UsedFixed => (USED, Some(("lease", "fixed"))),
            Self::UsedKept => (USED, Some(("lease", "kept"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Their numbers are their places, so none is missing.
    #[test]
    fn every_metric_is_in_the_list_of_its_kind() {
        assert!(COUNTS.iter().enumerate().all(|(at, what)| at == *what as usize));
        assert_eq!(COUNTS.len(), Count::StoreFailed as usize + 1);
        assert!(LEVELS.iter().enumerate().all(|(at, what)| at == *what as usize));
        assert_eq!(LEVELS.len(), Level::StoreUp as usize + 1);
        assert!(SPREADS.iter().enumerate().all(|(at, what)| at == *what as usize));
        assert_eq!(SPREADS.len(), Spread::UsedKept as usize + 1);
    }
}
