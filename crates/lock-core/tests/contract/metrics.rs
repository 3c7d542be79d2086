//! What is counted and measured, and what is not.
//!
//! Each test looks at everything that moves, so a metric that moves when it should not fails it. The
//! clock is paused and tokio's, so that the background runs in the test's own thread and its recorder
//! is the test's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::{LocalRecorderGuard, set_default_local_recorder};
use lock_core::memory::MemoryBackend;
use lock_core::{Handover, LockService};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::task::yield_now;

use crate::faulty::{Fault, Faulty};
use crate::handing_over::poll_once;

const S: fn(u64) -> Duration = Duration::from_secs;

/// Records what this thread does.
struct Recording {
    snapshotter: Snapshotter,
    _recorder: LocalRecorderGuard<'static>,
}

impl Recording {
    fn new() -> Self {
        let recorder = Box::leak(Box::new(DebuggingRecorder::new()));
        let snapshotter = recorder.snapshotter();
        Self { snapshotter, _recorder: set_default_local_recorder(recorder) }
    }

    /// What has moved since the last time, with all labels but those of the store: of a gauge, by how
    /// much; of a histogram, each value.
    fn moved(&self) -> BTreeMap<String, Vec<f64>> {
        let mut moved = BTreeMap::new();
        for (key, _, _, value) in self.snapshotter.snapshot().into_vec() {
            let values: Vec<f64> = match value {
                DebugValue::Counter(count) => vec![f64::from(u32::try_from(count).unwrap())],
                DebugValue::Gauge(level) => vec![level.into_inner()],
                DebugValue::Histogram(values) => values.into_iter().map(|v| *v + 0.0).collect(),
            };
            let is_histogram = key.kind() == metrics_util::MetricKind::Histogram;
            if values.is_empty() || (!is_histogram && values == [0.0]) {
                continue;
            }
            let labels =
                key.key().labels().filter(|label| !["backend", "store"].contains(&label.key()));
            let labels: Vec<_> =
                labels.map(|label| format!("{}={}", label.key(), label.value())).collect();
            let name = key.key().name().strip_prefix("distlock_").unwrap();
            moved.insert(format!("{name} {}", labels.join(" ")).trim_end().to_owned(), values);
        }
        moved
    }

    /// The counters of this name, by their labels.
    fn counters(&self, name: &str) -> BTreeMap<String, u64> {
        let all = self.snapshotter.snapshot().into_vec().into_iter();
        let counters = all.filter_map(|(key, _, _, value)| match value {
            DebugValue::Counter(count) => Some((key.key().clone(), count)),
            _ => None,
        });
        let of_name = counters.filter(|(key, _)| key.name() == name);
        of_name.map(|(key, count)| (format!("{key}"), count)).collect()
    }

    /// Exactly this has moved since the last time.
    #[track_caller]
    fn expect<const N: usize>(&self, expected: [(&str, &[f64]); N]) {
        let expected: BTreeMap<String, Vec<f64>> =
            expected.into_iter().map(|(name, values)| (name.to_owned(), values.to_vec())).collect();
        assert_eq!(self.moved(), expected);
    }
}

fn service(backend: &Arc<Faulty>) -> LockService {
    LockService::builder(Arc::clone(backend)).tokio_time().build()
}

const ACQUIRED: (&str, &[f64]) = ("acquisitions_total outcome=acquired", &[1.0]);
const AT_ONCE: (&str, &[f64]) = ("wait_seconds outcome=acquired", &[0.0]);
const HELD: (&str, &[f64]) = ("leases_held", &[1.0]);
const GIVEN_BACK: (&str, &[f64]) = ("leases_held", &[-1.0]);

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_free_is_acquired_held_and_given_back() {
    let (recording, locks) = (Recording::new(), service(&Faulty::new()));
    recording.expect([]);
    let guard = locks.lock("x").ttl(S(10)).acquire().await.unwrap();
    recording.expect([ACQUIRED, AT_ONCE, HELD, ("store_up", &[1.0])]);
    tokio::time::sleep(S(4)).await;
    recording.expect([]);
    guard.release().await;
    recording.expect([
        GIVEN_BACK,
        ("hold_seconds", &[4.0]),
        ("lease_used_ratio lease=fixed", &[0.4]),
    ]);
    drop(locks.lock("x").ttl(S(10)).acquire().await.unwrap());
    recording.expect([
        ACQUIRED,
        AT_ONCE,
        ("hold_seconds", &[0.0]),
        ("lease_used_ratio lease=fixed", &[0.0]),
    ]);
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_the_lock_taken_is_contended_and_waits_or_is_refused() {
    let recording = Recording::new();
    let backend = Faulty::new();
    // Of two services, so that the store is asked; and of one, so that it is not.
    let (holder, other) = (service(&backend), service(&backend));
    let guard = holder.lock("x").acquire().await.unwrap();
    recording.moved();
    for locks in [&holder, &other] {
        assert!(locks.lock("x").try_acquire().await.unwrap().is_none());
        recording.moved_is_refused(locks);
        let waiting = tokio::spawn(locks.lock("x").wait(S(3)).try_acquire());
        yield_now().await;
        recording.expect([("contended_total", &[1.0]), ("waiters", &[1.0])]);
        assert!(waiting.await.unwrap().unwrap().is_none());
        recording.expect([
            ("waiters", &[-1.0]),
            ("acquisitions_total outcome=timed_out", &[1.0]),
            ("wait_seconds outcome=timed_out", &[3.0]),
        ]);
        let waiting = tokio::spawn(locks.lock("x").wait_forever().acquire());
        yield_now().await;
        recording.expect([("contended_total", &[1.0]), ("waiters", &[1.0])]);
        waiting.abort();
        waiting.await.unwrap_err();
        recording.expect([("waiters", &[-1.0]), ("acquisitions_total outcome=given_up", &[1.0])]);
    }
    drop(guard);
}

impl Recording {
    #[track_caller]
    fn moved_is_refused(&self, locks: &LockService) {
        let moved = self.moved();
        let expected = ["acquisitions_total outcome=refused", "contended_total"];
        let names: Vec<_> = moved.keys().filter(|name| *name != "store_up").collect();
        assert_eq!(names, expected, "{locks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_handed_over_is_acquired_and_held_by_each() {
    let recording = Recording::new();
    let backend = Faulty::new();
    let handover = Handover::new(9, S(100));
    let locks = LockService::builder(Arc::clone(&backend)).tokio_time().handover(handover).build();
    let guard = locks.lock("x").ttl(S(60)).acquire().await.unwrap();
    let waiting = tokio::spawn(locks.lock("x").ttl(S(60)).wait_forever().acquire());
    yield_now().await;
    recording.moved();
    tokio::time::sleep(S(6)).await;
    guard.release().await;
    let guard = waiting.await.unwrap().unwrap();
    recording.expect([
        ACQUIRED,
        ("wait_seconds outcome=acquired", &[6.0]),
        ("waiters", &[-1.0]),
        ("hold_seconds", &[6.0]),
        ("lease_used_ratio lease=fixed", &[0.1]),
    ]);
    drop(guard);
    recording.expect([
        GIVEN_BACK,
        ("hold_seconds", &[0.0]),
        ("lease_used_ratio lease=fixed", &[0.0]),
    ]);
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_over_to_a_task_that_stands_still_was_held_by_nobody() {
    let (recording, locks) = (Recording::new(), service(&Faulty::new()));
    let guard = locks.lock("x").ttl(S(60)).acquire().await.unwrap();
    let mut waiting = Box::pin(locks.lock("x").ttl(S(60)).wait_forever().acquire());
    assert!(poll_once(&mut waiting).await.is_pending());
    recording.moved();
    guard.release().await;
    recording.expect([
        GIVEN_BACK,
        ("hold_seconds", &[0.0]),
        ("lease_used_ratio lease=fixed", &[0.0]),
    ]);
    // The offer is over.
    tokio::time::sleep(S(5)).await;
    recording.expect([]);
    drop(waiting);
    recording.expect([("waiters", &[-1.0]), ("acquisitions_total outcome=given_up", &[1.0])]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_for_has_failed() {
    let (recording, backend) = (Recording::new(), Faulty::new());
    let locks = service(&backend);
    locks.lock("").try_acquire().await.unwrap_err();
    locks.lock("x").ttl(Duration::ZERO).try_acquire().await.unwrap_err();
    recording.expect([("acquisitions_total outcome=failed", &[2.0]), ("store_up", &[1.0])]);
    backend.attempts([Fault::Refused]);
    locks.lock("x").acquire().await.unwrap_err();
    // A refusal says nothing of the store.
    recording.expect([("acquisitions_total outcome=failed", &[1.0])]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_down_until_it_answers() {
    let (recording, backend) = (Recording::new(), Faulty::new());
    let locks = service(&backend);
    backend.attempts([Fault::NotSent, Fault::RequestLost]);
    locks.lock("x").try_acquire().await.unwrap_err();
    // It was set to 1 at first, and then to 0.
    recording
        .expect([("acquisitions_total outcome=failed", &[1.0]), ("store_failures_total", &[1.0])]);
    let waiting = tokio::spawn(locks.lock("x").wait(S(60)).acquire());
    yield_now().await;
    recording.expect([("store_failures_total", &[1.0]), ("waiters", &[1.0])]);
    let guard = waiting.await.unwrap().unwrap();
    let moved = recording.moved();
    assert_eq!((&moved["store_up"], &moved["waiters"]), (&vec![1.0], &vec![-1.0]));
    assert!(
        moved["wait_seconds outcome=acquired"][0] > 0.0 && !moved.contains_key("contended_total")
    );
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_is_counted_once_by_its_reason() {
    let (recording, backend) = (Recording::new(), Faulty::new());
    let locks = service(&backend);
    let lost = |reason| format!("lost_total reason={reason}");
    let moved = |recording: &Recording, reason| {
        let moved = recording.moved();
        assert_eq!(moved.get(&lost(reason)), Some(&vec![1.0]), "{moved:?}");
        assert_eq!(moved.keys().filter(|name| name.starts_with("lost_total")).count(), 1);
        assert_eq!(moved.get("leases_held"), None, "{moved:?}");
        moved
    };

    let guard = locks.lock("x").ttl(S(10)).acquire().await.unwrap();
    guard.lost().await;
    drop(guard);
    let expired = moved(&recording, "expired");
    assert_eq!(expired["lease_used_ratio lease=fixed"], [1.0]);

    let kept = locks.lock("x").ttl(S(10)).keep_alive();
    let guard = kept.clone().max_hold(S(15)).acquire().await.unwrap();
    guard.lost().await;
    drop(guard);
    let capped = moved(&recording, "max_hold");
    assert_eq!(capped["hold_seconds"], [15.0]);
    assert!(!capped.contains_key("lease_used_ratio lease=kept"), "{capped:?}");

    let guard = kept.acquire().await.unwrap();
    backend.forget("x").await;
    guard.lost().await;
    drop(guard);
    let removed = moved(&recording, "removed");
    assert_eq!(removed["renewals_total outcome=not_held"], [1.0]);

    let guard = kept.acquire().await.unwrap();
    backend.forget("x").await;
    let other = service(&backend);
    let thief = other.lock("x").acquire().await.unwrap();
    guard.lost().await;
    drop(guard);
    drop(thief);
    moved(&recording, "held_by_other");

    let guard = kept.acquire().await.unwrap();
    locks.shutdown(S(1)).await;
    drop(guard);
    moved(&recording, "shut_down");
}

#[tokio::test(start_paused = true)]
async fn renewals_are_counted_by_their_answers_and_late_ones_as_late() {
    let (recording, backend) = (Recording::new(), Faulty::new());
    let locks = service(&backend);
    let guard = locks.lock("x").ttl(S(60)).keep_alive().acquire().await.unwrap();
    recording.moved();
    tokio::time::sleep(S(21)).await;
    recording.expect([("renewals_total outcome=renewed", &[1.0])]);

    // The next one is due at 40 s, and the one after it at 41 s.
    backend.renewals([Fault::RequestLost]);
    tokio::time::sleep(S(21)).await;
    recording.expect([
        ("renewals_total outcome=renewed", &[1.0]),
        ("renewals_total outcome=unanswered", &[1.0]),
        ("store_failures_total", &[1.0]),
        ("store_up", &[1.0]),
    ]);

    // From 61 s on, one in a second; the twelfth is answered after more than half of the ttl.
    backend.renewals([Fault::Refused; 11]);
    tokio::time::sleep(S(32)).await;
    recording.expect([
        ("renewals_total outcome=renewed", &[1.0]),
        ("renewals_total outcome=refused", &[11.0]),
        ("renewals_late_total", &[1.0]),
    ]);
    guard.release().await;
    let moved = recording.moved();
    let used = moved["lease_used_ratio lease=kept"][0];
    assert!(used > 0.5 && used < 0.55, "{moved:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_extended_has_not_used_the_time_before() {
    let (recording, locks) = (Recording::new(), service(&Faulty::new()));
    let guard = locks.lock("x").ttl(S(10)).acquire().await.unwrap();
    for _ in 0..5 {
        tokio::time::sleep(S(6)).await;
        guard.extend(S(10)).await.unwrap();
    }
    guard.extend(S(2)).await.unwrap();
    tokio::time::sleep(S(1)).await;
    guard.release().await;
    let moved = recording.moved();
    assert_eq!(moved["lease_used_ratio lease=fixed"], [0.6]);
    assert_eq!(moved["hold_seconds"], [31.0]);
}

#[tokio::test(start_paused = true)]
async fn releases_that_fail_are_counted_by_the_cause() {
    let (recording, backend) = (Recording::new(), Faulty::new());
    let locks = service(&backend);
    let lock = locks.lock("x").ttl(S(10));
    let guard = lock.acquire().await.unwrap();
    recording.moved();
    backend.releases([Fault::RequestLost]);
    guard.release().await;
    let moved = recording.moved();
    assert_eq!(moved["release_failures_total cause=unanswered"], [1.0]);
    tokio::time::sleep(S(20)).await;
    let guard = lock.acquire().await.unwrap();
    backend.releases([Fault::Denied]);
    guard.release().await;
    let moved = recording.moved();
    assert_eq!(moved["release_failures_total cause=refused"], [1.0]);
    assert!(!moved.contains_key("release_failures_total cause=unanswered"), "{moved:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_passed_on_is_adopted_and_not_lost() {
    let (recording, backend) = (Recording::new(), Faulty::new());
    let (web, worker) = (service(&backend), service(&backend));
    let guard = web.lock("x").acquire().await.unwrap();
    recording.moved();
    let token = guard.into_token().await.unwrap();
    recording.expect([GIVEN_BACK, ("hold_seconds", &[0.0])]);
    let guard = worker.lock("x").adopt(&token).await.unwrap();
    recording.expect([HELD, ("acquisitions_total outcome=adopted", &[1.0]), ("store_up", &[1.0])]);
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn names_are_no_labels_unless_they_are_asked_for() {
    let recording = Recording::new();
    let plain = service(&Faulty::new());
    plain.lock("order:42").execute(async |_| ()).await.unwrap();
    assert!(recording.moved().keys().all(|name| !name.contains("order")));

    let labelled = LockService::builder(MemoryBackend::new())
        .tokio_time()
        .metrics_label(|name| name.as_str().split(':').next().unwrap())
        .build();
    for number in 0..3 {
        labelled.lock(format!("order:{number}")).execute(async |_| ()).await.unwrap();
    }
    labelled.lock("report").execute(async |_| ()).await.unwrap();
    let moved = recording.moved();
    assert_eq!(moved["acquisitions_total lock=order outcome=acquired"], [3.0]);
    assert_eq!(moved["acquisitions_total lock=report outcome=acquired"], [1.0]);
    assert_eq!(moved["hold_seconds lock=order"], [0.0; 3]);
    assert!(!moved.contains_key("acquisitions_total outcome=acquired"), "{moved:?}");
}

/// A counter that is first seen with the value one has not risen, for those who look at it now and
/// then.
#[tokio::test(start_paused = true)]
async fn a_label_counts_from_zero_so_that_its_first_loss_is_a_rise() {
    let recording = Recording::new();
    let locks = LockService::builder(MemoryBackend::new())
        .tokio_time()
        .metrics_label(|name| name.as_str())
        .build();
    let guard = locks.lock("report").ttl(S(1)).acquire().await.unwrap();
    let losses = recording.counters("distlock_lost_total");
    assert_eq!(losses.len(), 5, "{losses:?}");
    assert!(losses.iter().all(|(labels, value)| labels.contains("report") && *value == 0));
    assert_eq!(recording.counters("distlock_store_failures_total").len(), 1);
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_names_are_told_apart_and_the_rest_is_counted_together() {
    let recording = Recording::new();
    let locks = LockService::builder(MemoryBackend::new())
        .tokio_time()
        .metrics_label(|name| name.as_str())
        .build();
    for number in 0..1_050 {
        locks.lock(format!("order:{number}")).execute(async |_| ()).await.unwrap();
    }
    let moved = recording.moved();
    let acquired = moved.iter().filter(|(name, _)| name.starts_with("acquisitions_total"));
    assert_eq!(acquired.count(), 1_001);
    assert_eq!(moved["acquisitions_total lock=(others) outcome=acquired"], [50.0]);
}

#[tokio::test(start_paused = true)]
async fn a_label_that_panics_costs_its_own_metric() {
    let recording = Recording::new();
    let locks = LockService::builder(MemoryBackend::new())
        .tokio_time()
        .metrics_label(
            |name| if name.as_str() == "x" { panic!("on command") } else { name.as_str() },
        )
        .build();
    assert_eq!(locks.lock("x").execute(async |_| 7).await.unwrap(), Some(7));
    assert_eq!(locks.lock("y").execute(async |_| 8).await.unwrap(), Some(8));
    let moved = recording.moved();
    assert_eq!(moved["acquisitions_total lock=y outcome=acquired"], [1.0]);
}
