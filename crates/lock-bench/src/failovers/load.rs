//! 64 tasks that want 16 locks all the time, and some that take locks and keep them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, future, stream};
use lock_core::{LockGuard, LockService};
use lock_testkit::history::{Claims, Ended, Held, Recorder, Told, Violation};
use tokio::sync::Notify;
use tokio::task::JoinSet;

const TASKS: usize = 64;
const NAMES: usize = 16;
/// Short enough that a release that was lost holds a name up for less than a failover takes.
const TTL: Duration = Duration::from_secs(3);
const WAIT: Duration = Duration::from_secs(20);
/// How long a lock is held.
const SECTION: Duration = Duration::from_millis(1);
/// Tasks that keep what they take, how long, and how long they rest in between.
const KEEPERS: usize = 8;
const KEPT: Duration = Duration::from_secs(120);
const REST: Duration = Duration::from_millis(2);
/// Who asks for what is kept, and for how many at a time.
const ASKER: u64 = 1_000;
const ASKED_AT_ONCE: usize = 64;

/// The tasks, and what they have seen so far.
pub(crate) struct Load {
    shared: Arc<Shared>,
    services: Vec<LockService>,
    tasks: JoinSet<()>,
}

struct Shared {
    recorder: Recorder,
    /// With what names begin, in turn.
    prefixes: Vec<String>,
    ends: AtomicBool,
    keeps: Notify,
    grants: Mutex<Vec<(Instant, usize)>>,
    /// When an attempt failed, and whether it had time to wait.
    failures: Mutex<Vec<(Instant, bool)>>,
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    at: Instant,
    name: String,
    guard: LockGuard,
    held: Held,
}

/// What a round has shown.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Locks granted in a second, before anything failed.
    pub(crate) rate: f64,
    /// The longest time without a grant, and without one of some name; if it was mended, since then.
    pub(crate) paused: Duration,
    pub(crate) name_paused: Duration,
    /// Attempts that failed: of those that wait, and of those that do not.
    pub(crate) failed: usize,
    pub(crate) failed_at_once: usize,
    pub(crate) kept: usize,
    /// Of them, those that somebody else was granted while they were held.
    pub(crate) lost: usize,
    pub(crate) overlaps: usize,
    pub(crate) falling: usize,
    pub(crate) other: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Load {
    /// There is a prefix, at least.
    pub(crate) fn start(services: Vec<LockService>, prefixes: Vec<String>) -> Self {
        let shared = Arc::new(Shared {
            recorder: Recorder::new("load"),
            prefixes,
            ends: AtomicBool::new(false),
            keeps: Notify::new(),
            grants: Mutex::default(),
            failures: Mutex::default(),
            kept: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        for (number, service) in services.iter().cycle().take(TASKS).enumerate() {
            tasks.spawn(Arc::clone(&shared).want(number, service.clone()));
        }
        for (number, service) in services.iter().cycle().take(KEEPERS).enumerate() {
            tasks.spawn(Arc::clone(&shared).keep(number, service.clone()));
        }
        Self { shared, services, tasks }
    }

    /// From now on, some take locks and keep them.
    pub(crate) fn keep_locks(&self) {
        self.shared.keeps.notify_waiters();
    }

    /// Waits until each name was granted to somebody after this.
    pub(crate) async fn until_served(&self, after: Instant, limit: Duration) -> bool {
        // What was granted before is noted by then.
        let after = after + Duration::from_millis(200);
        let served = async {
            while self.shared.first_after(after).len() < NAMES {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(limit, served).await.is_ok()
    }

    /// Ends the tasks, and looks at what they have recorded. To fail took this time.
    pub(crate) async fn end(mut self, failing: Range<Instant>, mended: Option<Instant>) -> Seen {
        let Range { start: failed, end: failed_for_good } = failing;
        self.shared.ends.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        let (paused, name_paused) = match mended {
            Some(mended) => {
                let first = self.shared.first_after(mended);
                let since = |at: Option<&Instant>| at.map_or(Duration::MAX, |at| *at - mended);
                (since(first.values().min()), since(first.values().max()))
            }
            None => self.shared.pauses(failed),
        };
        let before: Vec<Instant> =
            lock(&self.shared.grants).iter().map(|(at, _)| *at).filter(|at| *at < failed).collect();
        let time = before.first().map_or(0.0, |first| (failed - *first).as_secs_f64());
        let failures = std::mem::take(&mut *lock(&self.shared.failures));
        let failed_with =
            |waits| failures.iter().filter(|(at, with)| *at >= failed && *with == waits).count();
        let (kept, lost) = self.ask_for_kept(failed_for_good).await;
        let claims = Claims::new().tolerate_late_use(WAIT);
        let report = self.shared.recorder.history().check(&claims);
        let count =
            |is: fn(&Violation) -> bool| report.violations.iter().filter(|it| is(it)).count();
        let overlaps = count(|it| matches!(it, Violation::Overlap { .. }));
        let falling =
            count(|it| matches!(it, Violation::TokenFalls { .. } | Violation::TokenRepeats { .. }));
        for service in &self.services {
            service.shutdown(Duration::ZERO).await;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate to be read")]
        let rate = before.len() as f64 / time.max(f64::MIN_POSITIVE);
        Seen {
            rate,
            paused,
            name_paused,
            failed: failed_with(true),
            failed_at_once: failed_with(false),
            kept,
            lost,
            overlaps,
            falling,
            other: report.violations.len() - overlaps - falling,
        }
    }

    /// Asks for what is kept, as somebody else would. Returns how much that was, and how much of it
    /// was granted.
    async fn ask_for_kept(&self, failed: Instant) -> (usize, usize) {
        let kept = std::mem::take(&mut *lock(&self.shared.kept));
        // What was granted afterwards is nobody's loss.
        let (kept, later): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|kept| kept.at < failed + Duration::from_millis(250));
        drop(later);
        let count = kept.len();
        let asked = kept.into_iter().enumerate().map(|(place, kept)| {
            // Not the one that has it, which would know it for its own.
            let service = self.services[(place + 1) % self.services.len()].clone();
            self.is_lost(service, kept)
        });
        let lost = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE);
        (count, lost.filter(|is_lost| future::ready(*is_lost)).count().await)
    }

    async fn is_lost(&self, service: LockService, kept: Kept) -> bool {
        let Kept { name, guard, held, .. } = kept;
        let asked = self.shared.recorder.ask(ASKER, name.as_str());
        let answer = service.lock(&name).ttl(TTL).wait(Duration::ZERO).try_acquire().await;
        let is_lost = matches!(answer, Ok(Some(_)));
        match answer {
            Ok(Some(other)) => {
                let token = other.fencing_token().map(u64::from);
                asked.granted(token, || other.remaining()).ended(Ended::Released);
            }
            Ok(None) => asked.told(Told::TimedOut),
            Err(error) => asked.told(Told::Failed(error.to_string())),
        }
        held.ended(if guard.is_held() { Ended::Released } else { Ended::Lost });
        is_lost
    }
}

impl Shared {
    async fn want(self: Arc<Self>, number: usize, service: LockService) {
        let place = number % NAMES;
        let plan = service.lock(self.name(place, format_args!("name-{place}"))).ttl(TTL).wait(WAIT);
        while !self.ends.load(Ordering::Relaxed) {
            let asked = self.recorder.ask(number as u64, plan.name());
            match plan.acquire().await {
                Ok(guard) => {
                    let token = guard.fencing_token().map(u64::from);
                    let held = asked.granted(token, || guard.remaining());
                    lock(&self.grants).push((Instant::now(), place));
                    tokio::time::sleep(SECTION).await;
                    held.ended(if guard.is_held() { Ended::Released } else { Ended::Lost });
                    guard.release().await;
                }
                Err(error) => {
                    lock(&self.failures).push((Instant::now(), true));
                    asked.told(Told::Failed(error.to_string()));
                }
            }
        }
    }

    async fn keep(self: Arc<Self>, number: usize, service: LockService) {
        self.keeps.notified().await;
        for count in 0.. {
            if self.ends.load(Ordering::Relaxed) {
                return;
            }
            let name = self.name(number, format_args!("kept-{number}-{count}"));
            let asked = self.recorder.ask((TASKS + number) as u64, name.as_str());
            match service.lock(name.as_str()).ttl(KEPT).try_acquire().await {
                Ok(Some(guard)) => {
                    let token = guard.fencing_token().map(u64::from);
                    let held = asked.granted(token, || guard.remaining());
                    lock(&self.kept).push(Kept { at: Instant::now(), name, guard, held });
                }
                Ok(None) => asked.told(Told::TimedOut),
                Err(error) => {
                    lock(&self.failures).push((Instant::now(), false));
                    asked.told(Told::Failed(error.to_string()));
                }
            }
            tokio::time::sleep(REST).await;
        }
    }

    fn name(&self, place: usize, rest: impl Display) -> String {
        format!("{}{rest}", self.prefixes[place % self.prefixes.len()])
    }

    /// The longest time between two grants that ended after this, and that between two of one name.
    fn pauses(&self, after: Instant) -> (Duration, Duration) {
        let mut last: BTreeMap<usize, Instant> = BTreeMap::new();
        let (mut paused, mut name_paused) = (Duration::ZERO, Duration::ZERO);
        let mut before = None;
        for (at, place) in lock(&self.grants).iter() {
            let before = before.replace(*at);
            let before_of_name = last.insert(*place, *at);
            if *at > after {
                paused = paused.max(before.map_or(Duration::ZERO, |before| *at - before));
                let pause = before_of_name.map_or(Duration::ZERO, |before| *at - before);
                name_paused = name_paused.max(pause);
            }
        }
        (paused, name_paused)
    }

    /// The first grant of each name after this.
    fn first_after(&self, after: Instant) -> BTreeMap<usize, Instant> {
        let mut first = BTreeMap::new();
        for (at, place) in lock(&self.grants).iter().filter(|(at, _)| *at > after) {
            first.entry(*place).or_insert(*at);
        }
        first
    }
}
