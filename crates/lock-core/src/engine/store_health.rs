//! What is known of a store's health, fed by every exchange, and telling it to whoever reads the log.
//!
//! What is to be told is decided where it happens; the background tells it, so that no task of the
//! user's waits for a log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::engine::metrics::{Level, Metrics};
use crate::engine::outage::{News, Outage};
use crate::engine::pace::Pace;
use crate::time::instant::Instant;
use crate::types::error::LockError;

/// Warnings that can come in hundreds at once, and are paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paced {
    Lost,
    Released,
    RenewalRefused,
    ReleaseRefused,
    LongWait,
    LeaseTight,
}

impl Paced {
    const ALL: [Self; 6] = [
        Self::Lost,
        Self::Released,
        Self::RenewalRefused,
        Self::ReleaseRefused,
        Self::LongWait,
        Self::LeaseTight,
    ];

    /// The name of the event.
    pub(crate) const fn event(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Released => "released",
            Self::RenewalRefused => "renewal_refused",
            Self::ReleaseRefused => "release_refused",
            Self::LongWait => "long_wait",
            Self::LeaseTight => "lease_tight",
        }
    }
}

/// Something that the background has to tell.
#[derive(Debug)]
pub(crate) enum ToTell {
    Outage { news: News, cause: Option<LockError>, waits: Waits },
    LeftOut { what: Paced, count: u64 },
}

/// The tasks that wait for a lock and cannot ask the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    pub(crate) tasks: usize,
    /// How long the first of them has waited.
    pub(crate) longest: Duration,
}

/// The health of one store, as one service sees it.
pub(crate) struct StoreHealth {
    /// Whether the last request failed, to be read without the mutex.
    is_troubled: AtomicBool,
    state: Mutex<State>,
    metrics: Metrics,
    /// There is something to tell, or a time to wait for.
    changed: Notify,
}

struct State {
    outage: Outage,
    paces: [Pace; Paced::ALL.len()],
    to_tell: Vec<ToTell>,
    waits: BTreeMap<u64, Wait>,
    next_wait: u64,
}

struct Wait {
    began: Instant,
    tasks: usize,
}

impl StoreHealth {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let state = State {
            outage: Outage::none(),
            paces: [const { Pace::new() }; Paced::ALL.len()],
            to_tell: Vec::new(),
            waits: BTreeMap::new(),
            next_wait: 0,
        };
        Self {
            is_troubled: AtomicBool::new(false),
            state: Mutex::new(state),
            metrics,
            changed: Notify::new(),
        }
    }

    /// Whether the newest answer failed to come.
    pub(crate) fn is_troubled(&self) -> bool {
        self.is_troubled.load(Ordering::Relaxed)
    }

    /// The store answered.
    pub(crate) fn answered(&self, now: Instant) {
        let mut state = self.lock();
        let news = state.outage.on_answer(now);
        self.settle(state, now, news, None);
    }

    /// The store gave no usable answer.
    pub(crate) fn failed(&self, now: Instant, error: &LockError) {
        let mut state = self.lock();
        let news = state.outage.on_failure(now);
        let cause = news.map(|_| error.clone());
        self.settle(state, now, news, cause);
    }

    /// Whether a warning of this kind may be logged now; if not, the background says later how many
    /// were left out.
    pub(crate) fn allows(&self, what: Paced, now: Instant) -> bool {
        let is_allowed = self.lock().paces[what as usize].allows(now);
        if !is_allowed {
            self.changed.notify_one();
        }
        is_allowed
    }

    /// Counts these tasks, which wait since `began`, for as long as the result lives.
    pub(crate) fn count_wait(self: &Arc<Self>, began: Instant, tasks: usize) -> CountedWait {
        let mut state = self.lock();
        let number = state.next_wait;
        state.next_wait += 1;
        state.waits.insert(number, Wait { began, tasks });
        CountedWait { health: Arc::clone(self), number }
    }

    /// The tasks that wait at `now` and cannot ask the store.
    pub(crate) fn waits(&self, now: Instant) -> Waits {
        self.lock().waits(now)
    }

    /// What there is to tell at `now`.
    pub(crate) fn to_tell(&self, now: Instant) -> Vec<ToTell> {
        let mut state = self.lock();
        let mut told = std::mem::take(&mut state.to_tell);
        for (what, pace) in Paced::ALL.into_iter().zip(&mut state.paces) {
            let left_out = pace.left_out(now);
            told.extend(left_out.map(|count| ToTell::LeftOut { what, count }));
        }
        told
    }

    /// When there will be something to tell if nothing happens before.
    pub(crate) fn next_to_tell(&self) -> Instant {
        let due = self.lock().paces.iter().filter_map(Pace::due).min();
        due.unwrap_or(Instant::FAR_FUTURE)
    }

    /// Ends when there may be something new to tell, or another time to wait for.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn settle(
        &self,
        mut state: MutexGuard<'_, State>,
        now: Instant,
        news: Option<News>,
        cause: Option<LockError>,
    ) {
        let is_troubled = state.outage.lasts();
        if self.is_troubled.swap(is_troubled, Ordering::Relaxed) != is_troubled {
            // While the state is locked, so that the last to say it is right.
            self.metrics.set(Level::StoreUp, !is_troubled);
        }
        let Some(news) = news else { return };
        let waits = state.waits(now);
        state.to_tell.push(ToTell::Outage { news, cause, waits });
        drop(state);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn waits(&self, now: Instant) -> Waits {
        let began = self.waits.values().map(|wait| wait.began).min();
        Waits {
            tasks: self.waits.values().map(|wait| wait.tasks).sum(),
            longest: began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began)),
        }
    }
}

/// Tasks that wait and cannot ask the store.
pub(crate) struct CountedWait {
    health: Arc<StoreHealth>,
    number: u64,
}

impl Drop for CountedWait {
    fn drop(&mut self) {
        self.health.lock().waits.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::AnyBackend;
    use crate::memory::MemoryBackend;
    use crate::types::error::LockErrorKind;

    fn at(seconds: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(seconds)
    }

    fn metrics() -> Metrics {
        Metrics::new(&AnyBackend::new(MemoryBackend::new()), None)
    }

    fn error() -> LockError {
        LockError::new(LockErrorKind::Unavailable, "no answer")
    }

    #[test]
    fn what_waits_is_told_with_the_outage() {
        let health = Arc::new(StoreHealth::new(metrics()));
        health.failed(at(100), &error());
        let (first, second) = (health.count_wait(at(95), 3), health.count_wait(at(90), 2));
        drop(health.count_wait(at(1), 7));
        health.failed(at(130), &error());
        drop((first, second));
        assert!(health.is_troubled());
        health.answered(at(131));
        assert!(!health.is_troubled());
        let told: Vec<_> = health
            .to_tell(at(131))
            .into_iter()
            .filter_map(|told| match told {
                ToTell::Outage { waits, cause, .. } => {
                    Some((waits.tasks, waits.longest.as_secs(), cause.is_some()))
                }
                ToTell::LeftOut { .. } => None,
            })
            .collect();
        assert_eq!(told, [(0, 0, true), (5, 40, true), (0, 0, false)]);
        assert!(health.to_tell(at(999)).is_empty());
    }

    #[test]
    fn what_was_left_out_is_told_in_time() {
        let health = StoreHealth::new(metrics());
        assert_eq!(health.next_to_tell(), Instant::FAR_FUTURE);
        let logged = (0..7).filter(|_| health.allows(Paced::Lost, at(1))).count();
        assert!(health.allows(Paced::Released, at(1)));
        assert_eq!((logged, health.next_to_tell()), (5, at(11)));
        let told = health.to_tell(at(11));
        assert!(matches!(told[..], [ToTell::LeftOut { what: Paced::Lost, count: 2 }]), "{told:?}");
    }
}
