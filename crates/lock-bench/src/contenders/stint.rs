//! One worker's turns in a contended cell: holding for an exact time, and seeing whether anybody
//! else is inside.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lock_core::Instant;
use lock_core::backend::Clock;
use lock_testkit::history::{Asked, Ended, Recorder, Told};
use rustix::fs::{FlockOperation, flock};

use crate::failure::Failure;

/// A sleep wakes this much too early, and the rest is spun: a thread that was woken by a timer is
/// late by up to 100 µs here.
const SPUN: Duration = Duration::from_micros(150);

/// What a recorded lease has left at least when it is granted: half of the shortest.
const RECORDED_LEASE: Duration = Duration::from_secs(1);

/// What a worker does while it holds the lock, and what it has seen.
pub(crate) struct Stint {
    hold: Duration,
    /// A hold is this much longer at most, at random.
    hold_more: Duration,
    record: Option<Record>,
    /// If there is one, only whoever finds it empty stays inside for that time, and fills it.
    cache: Option<Cache>,
    /// Locked by whoever is inside. Each worker opens the file by itself, which makes it a lock
    /// between them, also in several processes; the kernel keeps it.
    inside: File,
    granted_at: AtomicU64,
    ended_at: AtomicU64,
    violations: AtomicU64,
}

impl Stint {
    pub(crate) fn new(hold: Duration, exclusion: &Path) -> Result<Self, Failure> {
        let inside = File::options().read(true).write(true).open(exclusion)?;
        let never = || AtomicU64::new(0);
        Ok(Self {
            hold,
            hold_more: Duration::ZERO,
            record: None,
            cache: None,
            inside,
            granted_at: never(),
            ended_at: never(),
            violations: AtomicU64::new(0),
        })
    }

    /// The shape of a stampede: the first who is inside loads something, the others find it loaded.
    pub(crate) fn of_loading(time: Duration, exclusion: &Path) -> Result<Self, Failure> {
        Ok(Self { cache: Some(Cache::default()), ..Self::new(time, exclusion)? })
    }

    /// Each hold is longer by a random time of at most so much.
    pub(crate) fn with_more(mut self, hold_more: Duration) -> Self {
        self.hold_more = hold_more;
        self
    }

    /// What happens is recorded as that of this worker.
    pub(crate) fn recorded(mut self, recorder: Recorder, worker: u64) -> Self {
        self.record = Some(Record { recorder, worker, asked: Mutex::default() });
        self
    }

    /// A new turn begins: the worker asks for the lock.
    pub(crate) fn ask(&self) {
        self.granted_at.store(0, Ordering::Relaxed);
        if let Some(record) = &self.record {
            record.ask();
        }
    }

    /// The worker asks no more, whether or not it was granted the lock.
    pub(crate) fn give_up(&self) {
        if let Some(asked) = self.record.as_ref().and_then(Record::take) {
            asked.told(Told::Cancelled);
        }
    }

    /// To be called when the lock was granted; it must be held until this has returned.
    pub(crate) async fn inside(&self) {
        let granted = Clock::SYSTEM.now();
        self.granted_at.store(granted.as_nanos(), Ordering::Relaxed);
        let asked = self.record.as_ref().and_then(Record::take);
        let held = asked.map(|asked| asked.granted(None, || RECORDED_LEASE));
        if flock(&self.inside, FlockOperation::NonBlockingLockExclusive).is_err() {
            self.violations.fetch_add(1, Ordering::Relaxed);
        }
        let is_loaded = self.cache.as_ref().is_some_and(|cache| cache.is_loaded());
        if !self.hold.is_zero() && !is_loaded {
            sleep_until(granted + self.hold + self.hold_more.mul_f64(fastrand::f64())).await;
            self.cache.iter().for_each(Cache::load);
        }
        flock(&self.inside, FlockOperation::Unlock).ok();
        if let Some(held) = held {
            held.ended(Ended::Released);
        }
        self.ended_at.store(Clock::SYSTEM.now().as_nanos(), Ordering::Relaxed);
    }

    /// Since when the worker has the lock, in this turn.
    pub(crate) fn granted_at(&self) -> Option<Instant> {
        match self.granted_at.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Instant::from_nanos(nanos)),
        }
    }

    /// How much longer than it should be the last hold was.
    pub(crate) fn lateness(&self) -> Option<Duration> {
        let ended = Instant::from_nanos(self.ended_at.load(Ordering::Relaxed));
        let held = ended.saturating_duration_since(self.granted_at()?);
        Some(held.saturating_sub(self.hold))
    }

    /// How often the cache was filled.
    pub(crate) fn loads(&self) -> u64 {
        self.cache.as_ref().map_or(0, |cache| cache.0.load(Ordering::Relaxed))
    }

    /// How often somebody else was inside.
    pub(crate) fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }
}

/// Where the turns of a worker are recorded.
struct Record {
    recorder: Recorder,
    worker: u64,
    asked: Mutex<Option<Asked>>,
}

impl Record {
    fn ask(&self) {
        let asked = self.recorder.ask(self.worker, "contended");
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
    }

    fn take(&self) -> Option<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Counts how often it was filled.
#[derive(Default)]
struct Cache(AtomicU64);

impl Cache {
    fn is_loaded(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    fn load(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sleeps until `at`, exact to some microseconds; the runtime's other tasks go on meanwhile.
pub(crate) async fn sleep_until(at: Instant) {
    let clock = Clock::SYSTEM;
    if clock.now() + SPUN < at {
        clock.sleep_until(at - SPUN).await;
    }
    while clock.now() < at {
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tempfile::NamedTempFile;

    use super::*;

    fn inside_together(stints: &[Stint]) -> u64 {
        let runtime = crate::runtime::runtime(0).unwrap();
        runtime.block_on(join_all(stints.iter().map(Stint::inside)));
        stints.iter().map(Stint::violations).sum()
    }

    #[test]
    fn two_who_are_inside_at_once_are_a_violation() {
        let file = NamedTempFile::new().unwrap();
        let stint = |hold| Stint::new(Duration::from_millis(hold), file.path()).unwrap();
        assert_eq!(inside_together(&[stint(1), stint(1)]), 1);
        assert_eq!(inside_together(&[stint(0), stint(0)]), 0);
    }

    #[test]
    fn a_hold_is_never_too_short() {
        let file = NamedTempFile::new().unwrap();
        let stint = Stint::new(Duration::from_millis(2), file.path()).unwrap();
        let before = Clock::SYSTEM.now();
        inside_together(&[stint]);
        let held = Clock::SYSTEM.now().saturating_duration_since(before);
        assert!(held >= Duration::from_millis(2), "{held:?}");
    }

    #[test]
    fn only_the_first_loads_what_the_others_find_loaded() {
        let file = NamedTempFile::new().unwrap();
        let stint = Stint::of_loading(Duration::from_millis(1), file.path()).unwrap();
        let runtime = crate::runtime::runtime(0).unwrap();
        for _ in 0..3 {
            runtime.block_on(stint.inside());
        }
        assert_eq!(stint.loads(), 1);
    }
}
