//! Asking the store whether a lock is still held: by its holder, and by the background for the tasks
//! of the same service that want it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lock_core::{LockErrorKind, LockGuard, LockService, LossReason};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::faulty::{Fault, Faulty};

const SECOND: Duration = Duration::from_secs(1);
/// Far longer than anything here takes, and never renewed.
const TTL: Duration = Duration::from_secs(600);
/// What the documentation promises.
const NOTICED: Duration = Duration::from_secs(10);

fn paused(backend: &Arc<Faulty>) -> LockService {
    LockService::builder(Arc::clone(backend)).tokio_time().build()
}

async fn hold(locks: &LockService) -> LockGuard {
    locks.lock("x").ttl(TTL).acquire().await.unwrap()
}

fn renewals(backend: &Faulty) -> usize {
    backend.renewals_made.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_stands_in_the_store_is_verified_and_its_lease_is_as_it_was() {
    let backend = Faulty::new();
    let guard = hold(&paused(&backend)).await;
    tokio::time::sleep(TTL - SECOND).await;
    guard.verify().await.unwrap();
    guard.lease().verify().await.unwrap();
    assert_eq!(guard.remaining(), SECOND);
    tokio::time::sleep(SECOND).await;
    assert_eq!(guard.lost().await, Some(LossReason::Expired));
    tokio::time::sleep(SECOND).await;
    assert!(backend.is_free("x").await, "the store's lease is not longer either");
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_gone_in_the_store_is_lost_and_its_holder_is_told_why() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let guard = hold(&locks).await;
    let told = tokio::spawn(guard.lost());
    backend.forget("x").await;
    let error = guard.verify().await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (LockErrorKind::Lost, Some("verify")));
    assert_eq!(error.loss_reason(), Some(LossReason::Removed));
    assert_eq!(told.await.unwrap(), Some(LossReason::Removed));
    assert!(!guard.is_held());
    // The reason stays what it was, also when somebody else has the lock by then.
    let other = hold(&paused(&backend)).await;
    assert_eq!(guard.verify().await.unwrap_err().loss_reason(), Some(LossReason::Removed));
    drop(guard);
    assert!(other.is_held() && !backend.is_free("x").await);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_another_holds_by_now_is_lost_to_it() {
    let backend = Faulty::new();
    let (mine, theirs) = (paused(&backend), paused(&backend));
    let guard = hold(&mine).await;
    backend.forget("x").await;
    let other = hold(&theirs).await;
    let error = guard.verify().await.unwrap_err();
    assert_eq!(error.loss_reason(), Some(LossReason::HeldByOther));
    drop(guard);
    other.verify().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_question_without_an_answer_is_unknown_and_changes_nothing() {
    let backend = Faulty::new();
    let guard = hold(&paused(&backend)).await;
    for fault in [Fault::NotSent, Fault::AnswerLost, Fault::RequestLost] {
        backend.renewals([fault]);
        let error = guard.verify().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unknown, "{error}");
        assert!(error.is_retryable() && guard.is_held());
    }
    guard.verify().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_during_the_question_stays_lost() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(SECOND).acquire().await.unwrap();
    backend.renewals([Fault::AnswerTakes(SECOND * 2)]);
    let error = guard.verify().await.unwrap_err();
    assert_eq!(error.loss_reason(), Some(LossReason::Expired));
}

#[tokio::test(start_paused = true)]
async fn a_released_lock_is_not_asked_about() {
    let backend = Faulty::new();
    let guard = hold(&paused(&backend)).await;
    let lease = guard.lease();
    guard.release().await;
    let error = lease.verify().await.unwrap_err();
    assert_eq!((error.kind(), error.loss_reason()), (LockErrorKind::Lost, None));
    assert_eq!(renewals(&backend), 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_renew_is_not_asked_and_the_error_says_so() {
    let backend = Faulty::with(|all| all.with_renew(false));
    let guard = hold(&paused(&backend)).await;
    let error = guard.verify().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unsupported);
    assert!(error.to_string().contains("cannot be asked whether a lock is still held"), "{error}");
    assert!(guard.is_held());
    assert_eq!(renewals(&backend), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_in_the_same_service_gets_a_lock_that_was_deleted_in_time() {
    for deleted_after in [0, 1, 4, 5, 6, 100] {
        let backend = Faulty::new();
        let locks = paused(&backend);
        let guard = hold(&locks).await;
        tokio::time::sleep(SECOND * deleted_after).await;
        backend.forget("x").await;
        let began = Instant::now();
        let next = locks.lock("x").ttl(TTL).wait(SECOND * 15).acquire().await.unwrap();
        assert!(began.elapsed() <= NOTICED, "after {:?}", began.elapsed());
        assert_eq!(guard.lost().await, Some(LossReason::Removed));
        drop(guard);
        next.verify().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_noticed_in_time_by_those_who_wait_already() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let _guard = hold(&locks).await;
    let waiting = tokio::spawn(locks.lock("x").ttl(TTL).wait(TTL / 2).acquire());
    tokio::time::sleep(SECOND * 33).await;
    backend.forget("x").await;
    let began = Instant::now();
    let _next = waiting.await.unwrap().unwrap();
    assert!(began.elapsed() <= NOTICED, "after {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_wait_in_the_same_service_gets_a_lock_that_was_deleted_in_time() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let guard = hold(&locks).await;
    backend.forget("x").await;
    let began = Instant::now();
    let next = loop {
        match locks.lock("x").ttl(TTL).try_acquire().await.unwrap() {
            Some(next) => break next,
            None => tokio::time::sleep(SECOND / 10).await,
        }
    };
    assert!(began.elapsed() <= NOTICED, "after {:?}", began.elapsed());
    assert_eq!(guard.lost().await, Some(LossReason::Removed));
    drop(guard);
    next.verify().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_verified_every_five_seconds_while_it_is_wanted_and_not_otherwise() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let guard = hold(&locks).await;
    tokio::time::sleep(SECOND * 60).await;
    assert_eq!(renewals(&backend), 0, "nobody wants it");
    // However many wait.
    let wait = || locks.lock("x").ttl(TTL).wait(SECOND * 60 + SECOND / 2).try_acquire();
    let waiting: Vec<_> = (0..20).map(|_| tokio::spawn(wait())).collect();
    for waiting in waiting {
        assert!(waiting.await.unwrap().unwrap().is_none());
    }
    let made = renewals(&backend);
    // The waiters look once a second.
    assert!((10..=13).contains(&made), "{made} in 60 s");
    tokio::time::sleep(SECOND * 60).await;
    assert_eq!(renewals(&backend), made);
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_renewed_often_is_not_verified_besides() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let _guard = locks.lock("x").ttl(SECOND * 9).keep_alive().acquire().await.unwrap();
    let wait = locks.lock("x").ttl(TTL).wait(SECOND * 60 + SECOND / 2);
    assert!(wait.try_acquire().await.unwrap().is_none());
    assert_eq!(renewals(&backend), 20);
}

#[tokio::test(start_paused = true)]
async fn one_question_is_under_way_for_a_lease_at_a_time() {
    let backend = Faulty::new();
    backend.renewals([Fault::Gated]);
    let locks = paused(&backend);
    let _guard = hold(&locks).await;
    tokio::time::sleep(SECOND * 5).await;
    for _ in 0..100 {
        assert!(locks.lock("x").try_acquire().await.unwrap().is_none());
    }
    yield_now().await;
    tokio::time::sleep(SECOND * 60).await;
    assert!(locks.lock("x").try_acquire().await.unwrap().is_none());
    yield_now().await;
    assert_eq!(renewals(&backend), 1);
    backend.gate.add_permits(1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_asked_about_a_lease_once_a_second_at_most() {
    let backend = Faulty::new();
    backend.renewals([Fault::NotSent; 1_000]);
    let locks = paused(&backend);
    let guard = hold(&locks).await;
    tokio::time::sleep(SECOND * 5).await;
    for _ in 0..1_000 {
        assert!(locks.lock("x").try_acquire().await.unwrap().is_none());
        tokio::time::sleep(SECOND / 100).await;
    }
    let made = renewals(&backend);
    assert!((9..=11).contains(&made), "{made} in 10 s");
    assert!(guard.is_held());
}

#[tokio::test(start_paused = true)]
async fn the_doubt_about_a_lease_goes_with_it_from_task_to_task() {
    let backend = Faulty::new();
    let handover = lock_core::Handover::new(64, TTL);
    let locks = LockService::builder(Arc::clone(&backend)).tokio_time().handover(handover).build();
    let guard = hold(&locks).await;
    let waiting = tokio::spawn(locks.lock("x").ttl(TTL).wait_forever().acquire());
    tokio::time::sleep(SECOND * 4).await;
    assert_eq!(renewals(&backend), 0);
    drop(guard);
    let _guard = waiting.await.unwrap().unwrap();
    assert_eq!(backend.attempts_made.load(Ordering::SeqCst), 1, "it was handed over");
    tokio::time::sleep(SECOND).await;
    assert!(locks.lock("x").try_acquire().await.unwrap().is_none());
    yield_now().await;
    assert_eq!(renewals(&backend), 1, "5 s after the store's grant");
}
