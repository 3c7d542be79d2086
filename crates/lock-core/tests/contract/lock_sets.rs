//! Several locks that are held together, all or none.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lock_core::{
    LeaseSet, LockError, LockErrorKind, LockService, LossReason, OnLost, ReleaseOutcome,
};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::faulty::{Fault, Faulty};

const SECOND: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(9);

fn paused(backend: &Arc<Faulty>) -> LockService {
    LockService::builder(Arc::clone(backend)).tokio_time().build()
}

async fn are_free(backend: &Faulty, names: &[&str]) -> bool {
    for name in names {
        if !backend.is_free(name).await {
            return false;
        }
    }
    true
}

#[tokio::test(start_paused = true)]
async fn all_are_held_in_one_guard_or_none() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let guard = locks.lock_all(["c", "a", "b"]).ttl(TTL).try_acquire().await.unwrap().unwrap();
    for name in ["a", "b", "c"] {
        assert!(locks.lock(name).try_acquire().await.unwrap().is_none());
    }
    assert_eq!(guard.release().await, ReleaseOutcome::Released);
    assert!(are_free(&backend, &["a", "b", "c"]).await);

    let holder = locks.lock("b").ttl(TTL).acquire().await.unwrap();
    // Those that were acquired in vain are free at once, whatever `min_hold` says.
    let set = locks.lock_all(["c", "a", "b"]).ttl(TTL).min_hold(TTL);
    assert!(set.try_acquire().await.unwrap().is_none());
    assert!(set.execute(async |_| ()).await.unwrap().is_none());
    assert!(are_free(&backend, &["a", "c"]).await);
    drop(holder);
    let guard = set.acquire().await.unwrap();
    sleep(SECOND).await;
    drop(guard);
    sleep(TTL - SECOND * 2).await;
    assert!(!are_free(&backend, &["a"]).await && !are_free(&backend, &["c"]).await);
}

#[test]
fn names_are_sorted_and_each_is_there_once() {
    let locks = LockService::memory();
    let set = locks.lock_all(["b", "a", "b", "a"]);
    assert_eq!(set.names().collect::<Vec<_>>(), ["a", "b"]);
    set.check().unwrap();
    let owned: Vec<String> = vec!["x".to_owned(), "y".to_owned()];
    locks.lock_all(&owned).check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn mistakes_are_found_before_anything_is_sent() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let none: [&str; 0] = [];
    for (set, kind, text) in [
        (locks.lock_all(none), LockErrorKind::InvalidName, "at least one"),
        (locks.lock_all(["a", ""]), LockErrorKind::InvalidName, "is empty"),
        (locks.lock_all(["a"]).ttl(Duration::ZERO), LockErrorKind::InvalidConfig, "ttl"),
        (locks.lock_all(["a"]).ttl(TTL / 900).keep_alive(), LockErrorKind::InvalidConfig, "ttl"),
    ] {
        let found = [set.check().unwrap_err(), set.try_acquire().await.unwrap_err()];
        for error in found.into_iter().chain([set.acquire().await.unwrap_err()]) {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
    assert_eq!(backend.attempts_made.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_over_all_of_them_and_the_error_names_the_one() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let holder = locks.lock("a").ttl(TTL * 9).acquire().await.unwrap();
    let _other = locks.lock("b").ttl(TTL * 9).acquire().await.unwrap();
    tokio::spawn(async move {
        sleep(SECOND * 5).await;
        drop(holder);
    });
    let began = Instant::now();
    let error = locks.lock_all(["b", "a"]).ttl(TTL).wait(SECOND * 8).acquire().await.unwrap_err();
    assert_eq!((error.kind(), error.name()), (LockErrorKind::Timeout, Some("b")));
    assert_eq!(began.elapsed(), SECOND * 8);
    assert!(are_free(&backend, &["a"]).await);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_already_is_renewed_while_the_rest_is_waited_for_and_no_longer() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let holder = locks.lock("b").ttl(TTL * 9).acquire().await.unwrap();
    let set = locks.lock_all(["a", "b"]).ttl(TTL).min_hold(SECOND * 5).max_hold(TTL * 2);
    let acquiring = tokio::spawn(set.wait(TTL * 9).acquire());
    sleep(TTL * 5).await;
    drop(holder);
    let guard = acquiring.await.unwrap().unwrap();
    let began = Instant::now();
    assert!(guard.remaining() >= TTL * 2 / 3, "{:?}", guard.remaining());
    assert_eq!(guard.lost().await, Some(LossReason::Expired), "a fixed lease");
    assert!((TTL * 2 / 3..=TTL).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn keep_alive_and_max_hold_count_from_when_all_are_held() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let holder = locks.lock("b").ttl(TTL * 9).acquire().await.unwrap();
    let set = locks.lock_all(["a", "b"]).ttl(TTL).keep_alive().max_hold(TTL * 3);
    let acquiring = tokio::spawn(set.wait(TTL * 9).acquire());
    sleep(TTL * 5).await;
    drop(holder);
    let guard = acquiring.await.unwrap().unwrap();
    let began = Instant::now();
    assert_eq!(guard.lost().await, Some(LossReason::MaxHold));
    assert_eq!(began.elapsed(), TTL * 3);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_renew_gives_all_up_when_the_first_lease_is_over() {
    let backend = Faulty::with(|all| all.with_renew(false));
    let locks = paused(&backend);
    let _holder = locks.lock("b").ttl(TTL * 9).acquire().await.unwrap();
    let began = Instant::now();
    let error = locks.lock_all(["a", "b"]).ttl(TTL).wait(TTL * 5).acquire().await.unwrap_err();
    assert_eq!((error.kind(), error.name()), (LockErrorKind::Lost, Some("a")));
    assert_eq!(
        (error.operation(), error.loss_reason()),
        (Some("acquire"), Some(LossReason::Expired))
    );
    assert_eq!(began.elapsed(), TTL);
    assert!(are_free(&backend, &["a"]).await);
}

#[tokio::test(start_paused = true)]
async fn leases_below_300_milliseconds_are_not_renewed_while_the_rest_is_waited_for() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let _holder = locks.lock("b").ttl(TTL * 9).acquire().await.unwrap();
    for (millis, is_renewed) in [(299, false), (300, true)] {
        let set = locks.lock_all(["a", "b"]).ttl(Duration::from_millis(millis)).wait(SECOND * 2);
        let error = set.acquire().await.unwrap_err();
        let expected = if is_renewed { LockErrorKind::Timeout } else { LockErrorKind::Lost };
        assert_eq!(error.kind(), expected, "{error}");
        assert!(are_free(&backend, &["a"]).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_lost_while_the_others_are_waited_for_ends_the_wait() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let _holder = locks.lock("b").ttl(TTL * 9).acquire().await.unwrap();
    let acquiring = tokio::spawn(locks.lock_all(["a", "b"]).ttl(TTL).wait(TTL * 5).acquire());
    sleep(SECOND).await;
    backend.forget("a").await;
    let error = acquiring.await.unwrap().unwrap_err();
    assert_eq!((error.name(), error.loss_reason()), (Some("a"), Some(LossReason::Removed)));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_dropped_leaves_nothing_behind() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let holder = locks.lock("b").ttl(TTL).acquire().await.unwrap();
    let mut acquiring = Box::pin(locks.lock_all(["a", "b"]).ttl(TTL).acquire());
    assert!(futures_util::poll!(&mut acquiring).is_pending());
    yield_now().await;
    assert!(!are_free(&backend, &["a"]).await);
    drop(acquiring);
    assert!(are_free(&backend, &["a"]).await);
    drop(holder);
    assert!(are_free(&backend, &["b"]).await);
}

#[tokio::test(start_paused = true)]
async fn they_are_released_in_the_reverse_order() {
    for explicit in [false, true] {
        let backend = Faulty::new();
        let locks = paused(&backend);
        let guard = locks.lock_all(["a", "b", "c"]).ttl(TTL).acquire().await.unwrap();
        // The first two releases stay under way.
        backend.releases([Fault::Gated, Fault::Gated]);
        let mut releasing = Box::pin(async move {
            if explicit {
                guard.release().await;
            } else {
                drop(guard);
            }
        });
        assert_eq!(futures_util::poll!(&mut releasing).is_pending(), explicit);
        assert!(are_free(&backend, &["a"]).await, "the last one is free");
        assert!(!backend.is_free("b").await && !backend.is_free("c").await);
        backend.gate.add_permits(2);
    }
}

#[tokio::test(start_paused = true)]
async fn the_guard_is_lost_with_any_of_its_leases() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let guard = locks.lock_all(["a", "b"]).ttl(TTL).acquire().await.unwrap();
    let told = tokio::spawn(guard.lost());
    guard.verify().await.unwrap();
    backend.forget("b").await;
    let error = guard.verify().await.unwrap_err();
    assert_eq!((error.name(), error.loss_reason()), (Some("b"), Some(LossReason::Removed)));
    assert_eq!(told.await.unwrap(), Some(LossReason::Removed));
    assert!(!guard.is_held() && guard.remaining().is_zero());
    assert_eq!(guard.ensure_held().unwrap_err().name(), Some("b"));
    assert!(guard.leases().get("a").unwrap().is_held());
    assert_eq!(guard.release().await, ReleaseOutcome::AlreadyExpired);
    assert!(are_free(&backend, &["a"]).await);
}

#[tokio::test(start_paused = true)]
async fn a_body_runs_under_all_and_is_dropped_when_one_is_lost() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let set = locks.lock_all(["b", "a"]).ttl(TTL).keep_alive();
    let numbers = set
        .execute(async |leases: LeaseSet| {
            leases.ensure_held()?;
            let number = |name| leases.fencing_token(name).map(u64::from);
            Ok::<_, LockError>((number("a"), number("b"), number("c")))
        })
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(numbers.0.is_some() && numbers.1.is_some() && numbers.2.is_none());
    assert!(are_free(&backend, &["a", "b"]).await);

    let lose = async |leases: LeaseSet| {
        backend.forget("b").await;
        sleep(TTL).await;
        leases.is_held()
    };
    let error = set.execute(lose).await.unwrap_err();
    assert_eq!((error.operation(), error.name()), (Some("execute"), Some("b")));
    assert_eq!(error.loss_reason(), Some(LossReason::Removed));
    assert!(are_free(&backend, &["a"]).await);
    assert_eq!(set.on_lost(OnLost::Continue).execute(lose).await.unwrap(), Some(false));

    let failed: Result<Option<()>, LockError> = locks
        .lock_all(["a", "b"])
        .try_execute(async |_| Err(LockError::new(LockErrorKind::Backend, "the body's own")))
        .await;
    assert_eq!(failed.unwrap_err().kind(), LockErrorKind::Backend);
}

#[tokio::test(start_paused = true)]
async fn all_leases_are_extended_together() {
    let locks = paused(&Faulty::new());
    let guard = locks.lock_all(["a", "b"]).ttl(TTL).acquire().await.unwrap();
    guard.extend(TTL * 3).await.unwrap();
    assert!(guard.leases().leases().iter().all(|lease| lease.remaining() == TTL * 3));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_the_wait_and_counts_each_lock() {
    let backend = Faulty::new();
    let (locks, other) = (paused(&backend), paused(&backend));
    let _holder = other.lock("c").ttl(TTL * 9).acquire().await.unwrap();
    let guard = locks.lock_all(["a", "b"]).ttl(TTL).acquire().await.unwrap();
    let waiting = tokio::spawn(locks.lock_all(["c", "d"]).wait_forever().acquire());
    yield_now().await;
    let report = locks.shutdown(Duration::ZERO).await;
    assert_eq!((report.lost, report.unknown), (2, 0));
    assert_eq!(guard.lost().await, Some(LossReason::ShutDown));
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), LockErrorKind::ShutDown);
    assert!(are_free(&backend, &["a", "b", "d"]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sets_that_overlap_in_any_order_never_wait_for_each_other() {
    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
    let backend = Faulty::new();
    // As two processes.
    let services = [LockService::new(Arc::clone(&backend)), LockService::new(Arc::clone(&backend))];
    let inside: HashMap<&str, AtomicUsize> =
        NAMES.map(|name| (name, AtomicUsize::new(0))).into_iter().collect();
    let inside = Arc::new(inside);
    let tasks: Vec<_> = (0..40_usize)
        .map(|task| {
            let (locks, inside) = (services[task % 2].clone(), Arc::clone(&inside));
            tokio::spawn(async move {
                for round in 0..25 {
                    // Two to four names, beginning anywhere, forwards or backwards.
                    let count = 2 + (task + round) % 3;
                    let step = if task % 4 < 2 { 1 } else { NAMES.len() - 1 };
                    let names: Vec<_> = (0..count)
                        .map(|i| NAMES[(task + round + i * step) % NAMES.len()])
                        .collect();
                    let set = locks.lock_all(&names).wait(SECOND * 60);
                    let guard = set.acquire().await.unwrap();
                    for name in &names {
                        assert_eq!(inside[name].fetch_add(1, Ordering::SeqCst), 0);
                    }
                    yield_now().await;
                    for name in &names {
                        inside[name].fetch_sub(1, Ordering::SeqCst);
                    }
                    assert!(guard.release().await.is_released());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(are_free(&backend, &NAMES).await);
}
