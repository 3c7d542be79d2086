//! Options that a service starts with, and that one lock takes back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lock_core::{
    DEFAULT_ACQUIRE_WAIT, DEFAULT_TTL, Lock, LockErrorKind, LockOptions, LockService, LossReason,
    OnLost,
};
use tokio::time::{Instant, sleep};

use crate::faulty::Faulty;

const SECOND: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(9);

/// A service whose locks start with these options.
fn service(backend: &Arc<Faulty>, defaults: LockOptions) -> LockService {
    LockService::builder(Arc::clone(backend)).tokio_time().defaults(defaults).build()
}

/// How long a lock with these options stays held by itself.
async fn held_for(lock: &Lock) -> Duration {
    let began = Instant::now();
    let guard = lock.acquire().await.unwrap();
    tokio::select! {
        _ = guard.lost() => {}
        () = sleep(TTL * 10) => {}
    }
    guard.release().await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_ttl_is_replaced() {
    let lock = service(&Faulty::new(), LockOptions::new().ttl(TTL)).lock("x");
    assert_eq!(held_for(&lock).await, TTL);
    assert_eq!(held_for(&lock.ttl(DEFAULT_TTL)).await, DEFAULT_TTL);
}

#[tokio::test(start_paused = true)]
async fn keep_alive_is_taken_back_by_fixed_lease() {
    for options in [LockOptions::new().keep_alive(), LockOptions::new().keep_alive_if_supported()] {
        let lock = service(&Faulty::new(), options.ttl(TTL)).lock("x");
        assert_eq!(held_for(&lock).await, TTL * 10);
        assert_eq!(held_for(&lock.fixed_lease()).await, TTL);
    }
    // And also where it is a demand that the store cannot fulfil.
    let backend = Faulty::with(|all| all.with_renew(false));
    let lock = service(&backend, LockOptions::new().keep_alive()).lock("x");
    assert_eq!(lock.check().unwrap_err().kind(), LockErrorKind::Unsupported);
    lock.clone().fixed_lease().check().unwrap();
    lock.keep_alive_if_supported().check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn max_hold_is_taken_back_by_none() {
    let defaults = LockOptions::new().ttl(TTL).keep_alive().max_hold(TTL * 2);
    let lock = service(&Faulty::new(), defaults).lock("x");
    assert_eq!(held_for(&lock).await, TTL * 2);
    assert_eq!(held_for(&lock.max_hold(None)).await, TTL * 10);
}

#[tokio::test(start_paused = true)]
async fn min_hold_is_taken_back_by_zero() {
    let backend = Faulty::new();
    let lock = service(&backend, LockOptions::new().ttl(TTL).min_hold(TTL)).lock("x");
    drop(lock.acquire().await.unwrap());
    assert!(!backend.is_free("x").await);
    sleep(TTL).await;
    drop(lock.min_hold(Duration::ZERO).acquire().await.unwrap());
    assert!(backend.is_free("x").await);
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_taken_back_by_default_wait() {
    let backend = Faulty::new();
    let _holder =
        service(&backend, LockOptions::new()).lock("x").ttl(TTL * 100).acquire().await.unwrap();
    for defaults in [LockOptions::new().wait(SECOND), LockOptions::new().wait_forever()] {
        let lock = service(&backend, defaults.clone()).lock("x");
        let began = Instant::now();
        let waited = tokio::time::timeout(SECOND * 2, lock.try_acquire()).await;
        assert_eq!(waited.is_err(), defaults == LockOptions::new().wait_forever());
        assert!(began.elapsed() >= SECOND);

        let began = Instant::now();
        assert!(lock.clone().default_wait().try_acquire().await.unwrap().is_none());
        assert!(began.elapsed().is_zero());
        let error = lock.clone().default_wait().acquire().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Timeout);
        assert_eq!(began.elapsed(), DEFAULT_ACQUIRE_WAIT);
        let began = Instant::now();
        assert!(lock.wait(Duration::ZERO).acquire().await.is_err());
        assert!(began.elapsed().is_zero());
    }
}

#[tokio::test(start_paused = true)]
async fn on_lost_is_taken_back_by_cancel() {
    let defaults = LockOptions::new().ttl(SECOND).on_lost(OnLost::Continue);
    let lock = service(&Faulty::new(), defaults).lock("x");
    let slow = async |_| sleep(SECOND * 2).await;
    assert_eq!(lock.execute(slow).await.unwrap(), Some(()));
    let error = lock.on_lost(OnLost::Cancel).execute(slow).await.unwrap_err();
    assert_eq!(error.loss_reason(), Some(LossReason::Expired));
}

#[tokio::test(start_paused = true)]
async fn require_fencing_is_taken_back_by_allow_unfenced() {
    let backend = Faulty::with(|all| all.with_fencing(false));
    let lock = service(&backend, LockOptions::new().require_fencing()).lock("x");
    let error = lock.try_acquire().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unsupported);
    assert_eq!(backend.attempts_made.load(Ordering::SeqCst), 0);
    assert!(lock.allow_unfenced().try_acquire().await.unwrap().is_some());
}

#[test]
fn each_option_that_is_taken_back_is_as_if_it_had_never_been_set() {
    let set = LockOptions::new()
        .ttl(TTL)
        .wait_forever()
        .keep_alive()
        .max_hold(TTL)
        .min_hold(TTL)
        .on_lost(OnLost::Continue)
        .require_fencing();
    let taken_back = set
        .ttl(DEFAULT_TTL)
        .default_wait()
        .fixed_lease()
        .max_hold(None)
        .min_hold(Duration::ZERO)
        .on_lost(OnLost::Cancel)
        .allow_unfenced();
    assert_eq!(taken_back, LockOptions::new());
}
