//! A store that does not answer, or not in time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lock_core::{LockErrorKind, LockService, LossReason, ReleaseOutcome};

use crate::faulty::{Fault, Faulty};

const TTL: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn an_acquire_that_got_no_answer_says_that_it_holds_nothing() {
    for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::NotSent] {
        let backend = Faulty::new();
        backend.attempts([fault]);
        let locks = LockService::new(backend);
        let error = locks.lock("x").try_acquire().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unavailable, "{fault:?}");
        assert!(error.is_retryable());
        assert_eq!(error.operation(), Some("try_acquire"));
        assert_eq!(error.name(), Some("x"));
    }
}

#[tokio::test]
async fn a_backend_that_panics_is_an_error_and_leaves_nothing_behind() {
    let backend = Faulty::new();
    backend.attempts([Fault::Panics]);
    let locks = LockService::new(Arc::clone(&backend));
    let error = locks.lock("x").ttl(TTL).try_acquire().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Backend);
    assert!(error.to_string().contains("on command"), "{error}");
    locks.shutdown(Duration::ZERO).await;
    assert!(backend.is_free("x").await);
}

#[tokio::test]
async fn a_wait_covers_an_outage_and_finds_its_own_grant_again() {
    let backend = Faulty::new();
    backend.attempts([Fault::AnswerLost, Fault::NotSent, Fault::RequestLost]);
    let locks = LockService::new(Arc::clone(&backend));
    let guard = locks.lock("x").ttl(TTL).wait(Duration::from_secs(60)).acquire().await.unwrap();
    assert!(guard.is_held());
    assert_eq!(backend.attempts_made.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn where_attempts_cannot_be_repeated_each_has_a_token_of_its_own() {
    let backend = Faulty::with(|capabilities| capabilities.with_repeatable(false));
    backend.attempts([Fault::AnswerLost]);
    let locks = LockService::new(Arc::clone(&backend));
    let guard = locks.lock("x").ttl(TTL).wait(Duration::from_secs(60)).acquire().await.unwrap();
    // The first one's grant was undone, or this one would not have been granted.
    assert!(guard.is_held());
    assert!(backend.releases_made.load(Ordering::SeqCst) >= 1);
}

#[tokio::test]
async fn an_outage_for_the_whole_wait_is_unavailable_and_not_a_refusal() {
    let backend = Faulty::new();
    backend.attempts(vec![Fault::NotSent; 100]);
    let locks = LockService::new(backend);
    let wait = Duration::from_millis(120);
    let error = locks.lock("x").wait(wait).try_acquire().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_took_longer_than_its_lease_is_not_handed_out() {
    let backend = Faulty::new();
    backend.attempts([Fault::TokioSleep(Duration::from_secs(11))]);
    let locks = LockService::builder(Arc::clone(&backend)).tokio_time().build();
    let ttl = Duration::from_secs(10);
    let error = locks.lock("x").ttl(ttl).try_acquire().await;
    // The memory store grants after the sleep, so the store's lease is fresh; the local bound
    // counts from the sending all the same.
    let error = error.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
    assert!(error.to_string().contains("longer than the lease"), "{error}");
    locks.shutdown(Duration::ZERO).await;
    assert!(backend.is_free("x").await);
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_came_too_late_is_asked_for_again_within_the_wait() {
    let backend = Faulty::new();
    backend.attempts([Fault::AnswerTakes(Duration::from_secs(11))]);
    let locks = LockService::builder(Arc::clone(&backend)).tokio_time().build();
    let lock = locks.lock("x").ttl(Duration::from_secs(10)).wait(Duration::from_secs(20));
    let guard = lock.acquire().await.unwrap();
    assert_eq!(backend.attempts_made.load(Ordering::SeqCst), 2);
    assert!(guard.remaining() > Duration::from_secs(9));
}

#[tokio::test]
async fn a_release_without_an_answer_is_unknown_and_goes_on() {
    for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::NotSent, Fault::Panics] {
        let backend = Faulty::new();
        backend.releases([fault]);
        let locks = LockService::new(Arc::clone(&backend));
        let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
        assert_eq!(guard.release().await, ReleaseOutcome::Unknown, "{fault:?}");
        locks.shutdown(Duration::ZERO).await;
        assert!(backend.is_free("x").await, "{fault:?}");
    }
}

/// The store's clock allows for more than the local deadline does; so it does after a step backwards.
#[tokio::test(start_paused = true)]
async fn a_fixed_lease_that_is_lost_is_released_after_the_grace_while_its_guard_lives() {
    let ttl = Duration::from_secs(100);
    let backend = Faulty::with(|capabilities| capabilities.with_local_clock(false));
    let locks = LockService::builder(Arc::clone(&backend)).tokio_time().build();
    let guard = locks.lock("x").ttl(ttl).acquire().await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(guard.lost().await, Some(LossReason::Expired));
    assert!(began.elapsed() < ttl - Duration::from_secs(1));
    let grace = Duration::from_millis(100);
    tokio::time::sleep(grace - Duration::from_millis(2)).await;
    assert!(!backend.is_free("x").await);
    tokio::time::sleep(Duration::from_millis(4)).await;
    assert!(backend.is_free("x").await && !guard.is_held());
}
