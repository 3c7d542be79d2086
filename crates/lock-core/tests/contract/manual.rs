//! The manual pair: `try_acquire_lock` and `release_lock`.

use std::sync::Arc;
use std::time::Duration;

use lock_core::memory::MemoryBackend;
use lock_core::{LockErrorKind, LockService};

use crate::faulty::{Fault, Faulty};

const TTL: Duration = Duration::from_secs(10);

#[tokio::test]
async fn any_clone_releases_what_one_has_taken() {
    let locks = LockService::memory();
    assert!(locks.try_acquire_lock("x", TTL).await.unwrap());
    assert!(!locks.try_acquire_lock("x", TTL).await.unwrap());
    let clone = locks.clone();
    assert!(tokio::spawn(async move { clone.release_lock("x").await }).await.unwrap().unwrap());
    assert!(!locks.release_lock("x").await.unwrap());
}

#[tokio::test]
async fn another_service_cannot_release_it() {
    let store = Arc::new(MemoryBackend::new());
    let (mine, yours) = (LockService::new(Arc::clone(&store)), LockService::new(store));
    assert!(mine.try_acquire_lock("x", TTL).await.unwrap());
    assert!(!yours.release_lock("x").await.unwrap());
    assert!(!yours.try_acquire_lock("x", TTL).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_expired_lock_is_not_released_and_can_be_taken_again() {
    let locks = LockService::builder(MemoryBackend::new()).tokio_time().build();
    assert!(locks.try_acquire_lock("x", TTL).await.unwrap());
    tokio::time::sleep(TTL).await;
    assert!(locks.try_acquire_lock("x", TTL).await.unwrap());
    assert!(locks.release_lock("x").await.unwrap());
    assert!(!locks.release_lock("x").await.unwrap());
}

#[tokio::test]
async fn a_release_without_an_answer_is_unknown() {
    let backend = Faulty::new();
    backend.releases([Fault::AnswerLost]);
    let locks = LockService::new(backend);
    assert!(locks.try_acquire_lock("x", TTL).await.unwrap());
    let error = locks.release_lock("x").await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unknown);
    assert_eq!(error.operation(), Some("release_lock"));
}

#[tokio::test]
async fn a_release_that_the_store_refuses_says_why_and_is_tried_again() {
    let backend = Faulty::new();
    backend.releases([Fault::Denied]);
    let locks = LockService::new(Arc::clone(&backend));
    assert!(locks.try_acquire_lock("x", TTL).await.unwrap());
    let error = locks.release_lock("x").await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Denied);
    assert!(error.to_string().contains("allow it with +del"), "{error}");
    while !backend.is_free("x").await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_name_that_cannot_be_taken_cannot_be_released_either() {
    let locks = LockService::builder(MemoryBackend::new()).namespace("n".repeat(1_000)).build();
    for name in [String::new(), "a\0b".to_owned(), "x".repeat(25)] {
        let taken = locks.try_acquire_lock(&name, TTL).await.unwrap_err();
        let released = locks.release_lock(&name).await.unwrap_err();
        assert_eq!(taken.kind(), LockErrorKind::InvalidName, "{taken}");
        assert_eq!(released.kind(), LockErrorKind::InvalidName, "{released}");
        assert_eq!(released.operation(), Some("release_lock"));
    }
}

#[tokio::test]
async fn the_last_clone_takes_its_locks_along() {
    let store = Arc::new(MemoryBackend::new());
    let locks = LockService::new(Arc::clone(&store));
    assert!(locks.try_acquire_lock("x", TTL).await.unwrap());
    drop(locks);
    assert!(LockService::new(store).try_acquire_lock("x", TTL).await.unwrap());
}

#[tokio::test]
async fn a_body_runs_under_the_lock_or_not_at_all() {
    let locks = LockService::memory();
    let inner = locks.clone();
    let outcome = locks
        .execute_with_lock("x", TTL, async |_| {
            inner.execute_with_lock("x", TTL, async |_| "twice").await.unwrap()
        })
        .await
        .unwrap();
    assert_eq!(outcome, Some(None));
}
