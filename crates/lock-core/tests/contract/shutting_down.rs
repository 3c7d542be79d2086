//! The end of a service.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lock_core::memory::MemoryBackend;
use lock_core::{LockErrorKind, LockService, LossReason, ReleaseOutcome};

use crate::faulty::{Fault, Faulty};

const TTL: Duration = Duration::from_secs(60);

fn paused() -> LockService {
    LockService::builder(MemoryBackend::new()).tokio_time().build()
}

#[tokio::test(start_paused = true)]
async fn new_work_is_refused_and_waits_end() {
    let locks = paused();
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let waiter = tokio::spawn(locks.lock("x").wait_forever().acquire());
    tokio::task::yield_now().await;
    let ending = tokio::spawn({
        let locks = locks.clone();
        async move { locks.shutdown(TTL).await }
    });
    assert_eq!(waiter.await.unwrap().unwrap_err().kind(), LockErrorKind::ShutDown);
    let refused = locks.lock("y").try_acquire().await.unwrap_err();
    assert_eq!(refused.kind(), LockErrorKind::ShutDown);
    assert!(guard.is_held());
    guard.release().await;
    let report = ending.await.unwrap();
    assert_eq!((report.released, report.lost, report.unknown), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn holders_have_the_grace_and_then_lose_their_locks() {
    let store = Arc::new(MemoryBackend::new());
    let locks = LockService::builder(Arc::clone(&store)).tokio_time().build();
    let other = LockService::builder(store).tokio_time().build();
    let grace = Duration::from_secs(200);
    let guard = locks.lock("x").ttl(TTL).keep_alive().acquire().await.unwrap();
    let began = tokio::time::Instant::now();
    let (report, ()) = tokio::join!(locks.shutdown(grace), async {
        tokio::time::sleep(grace - Duration::from_secs(1)).await;
        // Still renewed.
        assert!(guard.is_held());
        assert_eq!(guard.lost().await, Some(LossReason::ShutDown));
        assert_eq!(began.elapsed(), grace);
    });
    assert_eq!((report.released, report.lost, report.unknown), (0, 1, 0));
    assert!(other.lock("x").try_acquire().await.unwrap().is_some());
}

#[tokio::test]
async fn what_the_store_does_not_confirm_is_reported_as_unknown() {
    let backend = Faulty::new();
    let locks = LockService::new(Arc::clone(&backend));
    let _guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    backend.releases([Fault::RequestLost]);
    let report = locks.shutdown(Duration::ZERO).await;
    assert_eq!((report.released, report.lost, report.unknown), (0, 0, 1));
}

#[tokio::test]
async fn an_exchange_that_is_under_way_is_finished_and_undone() {
    let backend = Faulty::new();
    backend.attempts([Fault::Gated]);
    let locks = LockService::new(Arc::clone(&backend));
    let asking = tokio::spawn(locks.lock("x").ttl(TTL).try_acquire());
    while backend.attempts_made.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let ending = locks.shutdown(Duration::ZERO);
    let mut ending = std::pin::pin!(ending);
    assert!(futures_util::poll!(&mut ending).is_pending());
    assert_eq!(asking.await.unwrap().unwrap_err().kind(), LockErrorKind::ShutDown);
    backend.gate.add_permits(1);
    ending.await;
    assert!(backend.is_free("x").await);
}

#[tokio::test]
async fn a_release_that_is_under_way_is_answered_before_the_backend_is_closed() {
    let backend = Faulty::new();
    backend.releases([Fault::Gated]);
    let locks = LockService::new(Arc::clone(&backend));
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let mut releasing = Box::pin(guard.release());
    assert!(futures_util::poll!(&mut releasing).is_pending());
    let mut ending = Box::pin(locks.shutdown(TTL));
    assert!(futures_util::poll!(&mut ending).is_pending());
    assert_eq!(backend.times_closed.load(Ordering::SeqCst), 0);
    backend.gate.add_permits(1);
    assert!(releasing.await.is_released());
    ending.await;
    locks.shutdown(TTL).await;
    assert_eq!(backend.times_closed.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_the_end_of_min_hold_where_the_store_cannot_keep_it() {
    let backend = Faulty::with(|capabilities| capabilities.with_min_hold(false));
    let shared = Arc::clone(&backend);
    let locks = LockService::builder(shared).tokio_time().build();
    let began = tokio::time::Instant::now();
    let guard = locks.lock("x").ttl(TTL).min_hold(TTL / 2).acquire().await.unwrap();
    let _other = locks.lock("y").ttl(TTL).min_hold(TTL / 2).acquire().await.unwrap();
    assert_eq!(guard.release().await, ReleaseOutcome::Unknown);
    assert_eq!(began.elapsed(), Duration::ZERO);
    let report = locks.shutdown(Duration::ZERO).await;
    assert_eq!((report.released, report.lost, report.unknown), (0, 0, 1));
    assert!(began.elapsed() < TTL / 4, "{:?}", began.elapsed());
    assert!(!backend.is_free("x").await);
    tokio::time::sleep(TTL / 2).await;
    assert!(backend.is_free("x").await && backend.is_free("y").await);
}

#[tokio::test(start_paused = true)]
async fn min_hold_outlives_the_shutdown() {
    let store = Arc::new(MemoryBackend::new());
    let locks = LockService::builder(Arc::clone(&store)).tokio_time().build();
    let other = LockService::builder(store).tokio_time().build();
    let guard = locks.lock("x").ttl(TTL).min_hold(TTL).acquire().await.unwrap();
    locks.shutdown(Duration::ZERO).await;
    drop(guard);
    assert!(other.lock("x").try_acquire().await.unwrap().is_none());
    tokio::time::sleep(TTL).await;
    assert!(other.lock("x").try_acquire().await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ended_within_the_grace_is_not_reported_as_released() {
    let locks = paused();
    let kept = locks.lock("x").ttl(TTL).keep_alive().max_hold(TTL).acquire().await.unwrap();
    let fixed = locks.lock("y").ttl(TTL).acquire().await.unwrap();
    let report = locks.shutdown(TTL * 2).await;
    assert_eq!((report.released, report.lost, report.unknown), (0, 2, 0));
    assert_eq!(kept.lost().await, Some(LossReason::MaxHold));
    assert_eq!(fixed.lost().await, Some(LossReason::Expired));
}

#[tokio::test(start_paused = true)]
async fn a_second_shutdown_cuts_the_grace_short_and_counts_what_it_took() {
    let locks = paused();
    let released = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let taken = locks.lock("y").ttl(TTL).acquire().await.unwrap();
    let mut first = Box::pin(locks.shutdown(TTL));
    assert!(futures_util::poll!(&mut first).is_pending());
    released.release().await;
    let second = locks.shutdown(Duration::ZERO).await;
    assert_eq!(taken.lost().await, Some(LossReason::ShutDown));
    let first = first.await;
    assert_eq!((first.released, first.lost, first.unknown), (1, 0, 0));
    assert_eq!((second.released, second.lost, second.unknown), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_was_dropped_is_ended_by_the_next() {
    let store = Arc::new(MemoryBackend::new());
    let locks = LockService::builder(Arc::clone(&store)).tokio_time().build();
    let other = LockService::builder(store).tokio_time().build();
    let _guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    assert!(locks.try_acquire_lock("y", TTL).await.unwrap());
    assert!(futures_util::poll!(Box::pin(locks.shutdown(TTL))).is_pending());
    let report = locks.shutdown(Duration::ZERO).await;
    assert_eq!((report.released, report.lost, report.unknown), (0, 2, 0));
    for name in ["x", "y"] {
        assert!(other.lock(name).try_acquire().await.unwrap().is_some());
    }
}

/// The holder learns of its loss on another thread, and drops its guard at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_counted_by_who_ended_it_whoever_releases_it() {
    for _ in 0..200 {
        let locks = LockService::memory();
        let lock = locks.lock("x").ttl(TTL);
        let (begin, begun) = tokio::sync::oneshot::channel();
        let executing = tokio::spawn(lock.execute(async |_| {
            begin.send(()).unwrap();
            std::future::pending::<()>().await;
        }));
        begun.await.unwrap();
        let report = locks.shutdown(Duration::from_millis(1)).await;
        assert_eq!((report.released, report.lost, report.unknown), (0, 1, 0));
        let error = executing.await.unwrap().unwrap_err();
        assert_eq!(error.loss_reason(), Some(LossReason::ShutDown));
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_store_is_waited_for_no_longer_than_what_is_documented() {
    let late_after = Duration::from_secs(2);
    let backend = Faulty::with(|capabilities| capabilities.with_late_after(late_after));
    let locks = LockService::builder(Arc::clone(&backend)).tokio_time().build();
    // Each answer takes as long as a response timeout, and is none.
    backend.releases([Fault::AnswerTakes(TTL); 20]);
    let (lock, names) = (locks.lock("x").ttl(TTL), ["y", "z"]);
    let executing = tokio::spawn(lock.execute(async |_| std::future::pending::<()>().await));
    tokio::task::yield_now().await;
    for name in names {
        assert!(locks.try_acquire_lock(name, TTL).await.unwrap());
    }
    let (began, grace) = (tokio::time::Instant::now(), Duration::from_secs(1));
    let report = locks.shutdown(grace).await;
    assert_eq!((report.released, report.lost, report.unknown), (0, 0, 3));
    let bound = grace + 2 * late_after + Duration::from_secs(1);
    assert_eq!(began.elapsed().as_millis(), bound.as_millis());
    assert_eq!(executing.await.unwrap().unwrap_err().loss_reason(), Some(LossReason::ShutDown));
}

#[tokio::test(start_paused = true)]
async fn what_was_granted_and_never_given_out_or_lost_before_is_not_counted() {
    let backend = Faulty::new();
    let locks = LockService::builder(Arc::clone(&backend)).tokio_time().build();
    let lost = locks.lock("lost").ttl(TTL).acquire().await.unwrap();
    tokio::time::sleep(TTL).await;
    assert!(!lost.is_held());
    // Its leader is told of the grant when the service is closed already.
    let holder = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let next = tokio::spawn(locks.lock("x").ttl(TTL).wait_forever().acquire());
    tokio::task::yield_now().await;
    drop(holder);
    let report = locks.shutdown(Duration::ZERO).await;
    assert_eq!((report.released, report.lost, report.unknown), (0, 0, 0));
    assert_eq!(next.await.unwrap().unwrap_err().kind(), LockErrorKind::ShutDown);
    assert!(backend.is_free("x").await && backend.is_free("lost").await);
}

/// A service whose store forgets requests that are late after 2 s, and its store.
fn with_late_requests() -> (Arc<Faulty>, LockService) {
    let backend = Faulty::with(|capabilities| capabilities.with_late_after(LATE_AFTER));
    let locks = LockService::builder(Arc::clone(&backend)).tokio_time().build();
    (backend, locks)
}

const LATE_AFTER: Duration = Duration::from_secs(2);
const GRACE: Duration = Duration::from_secs(1);
const BOUND: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn a_request_that_was_never_sent_is_not_waited_for() {
    let (backend, locks) = with_late_requests();
    backend.attempts([Fault::NotSent]);
    backend.releases([Fault::NotSent; 100]);
    locks.lock("x").ttl(TTL).try_acquire().await.unwrap_err();
    let began = tokio::time::Instant::now();
    let report = locks.shutdown(GRACE).await;
    assert_eq!((report.unsettled, began.elapsed()), (0, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_request_in_doubt_is_waited_for_as_long_as_its_lease_may_last_and_is_reported() {
    let ttl = Duration::from_secs(3);
    for (age, unsettled, wait) in [(0, 1, BOUND), (12, 0, Duration::ZERO)] {
        let (backend, locks) = with_late_requests();
        backend.attempts([Fault::RequestLost]);
        backend.releases([Fault::NotSent; 1_000]);
        locks.lock("x").ttl(ttl).try_acquire().await.unwrap_err();
        tokio::time::sleep(Duration::from_secs(age)).await;
        let began = tokio::time::Instant::now();
        let report = locks.shutdown(GRACE).await;
        assert_eq!((report.unsettled, began.elapsed().as_secs()), (unsettled, wait.as_secs()));
        assert_eq!((report.released, report.lost, report.unknown), (0, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_was_not_confirmed_before_the_shutdown_is_reported() {
    let (backend, locks) = with_late_requests();
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let _held = locks.lock("y").ttl(TTL).acquire().await.unwrap();
    backend.releases([Fault::NotSent; 1_000]);
    assert_eq!(guard.release().await, ReleaseOutcome::Unknown);
    let report = locks.shutdown(Duration::ZERO).await;
    assert_eq!((report.lost, report.unknown, report.unsettled), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_lost_while_the_store_was_dead_is_not_waited_for() {
    let ttl = Duration::from_secs(3);
    for (is_kept, is_dropped) in [(false, false), (false, true), (true, false), (true, true)] {
        let (backend, locks) = with_late_requests();
        let lock = locks.lock("x").ttl(ttl);
        let lock = if is_kept { lock.keep_alive() } else { lock };
        let guard = lock.acquire().await.unwrap();
        backend.releases([Fault::RequestLost; 1_000]);
        backend.renewals([Fault::RequestLost; 1_000]);
        guard.lost().await;
        let kept = (!is_dropped).then_some(guard);
        let began = tokio::time::Instant::now();
        let report = locks.shutdown(GRACE).await;
        assert!(began.elapsed() <= GRACE, "{is_kept} {is_dropped}: {:?}", began.elapsed());
        assert_eq!((report.released, report.lost, report.unknown), (0, 0, 0));
        assert_eq!(report.unsettled, 0);
        drop(kept);
    }
}

/// The store answers, so the undo is worth to be waited for.
#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_lost_lease_is_undone_before_a_shutdown_ends() {
    let (backend, locks) = with_late_requests();
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    backend.releases([Fault::AnswerTakes(GRACE)]);
    guard.lost().await;
    drop(guard);
    locks.shutdown(Duration::ZERO).await;
    assert!(backend.is_free("x").await);
}
