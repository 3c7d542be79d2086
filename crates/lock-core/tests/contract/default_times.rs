//! The times that hold where nobody has set others, as they are documented.

use std::sync::Arc;
use std::time::Duration;

use lock_core::backend::LockBackend;
use lock_core::memory::MemoryBackend;
use lock_core::{Handover, LockErrorKind, LockService, Result};
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

fn services() -> [LockService; 2] {
    let store = Arc::new(MemoryBackend::new());
    [(); 2].map(|()| LockService::builder(Arc::clone(&store)).tokio_time().build())
}

#[tokio::test(start_paused = true)]
async fn a_lease_lasts_a_minute_and_is_not_renewed() {
    let [locks, _] = services();
    let guard = locks.lock("x").acquire().await.unwrap();
    assert_eq!(guard.remaining(), MINUTE);
    let began = Instant::now();
    guard.lost().await;
    assert_eq!(began.elapsed().as_secs(), MINUTE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn acquire_waits_for_a_minute_and_the_others_do_not_wait() {
    let [holder, locks] = services();
    let _guard = holder.lock("x").ttl(MINUTE * 60).acquire().await.unwrap();
    let (lock, began) = (locks.lock("x"), Instant::now());
    assert!(lock.try_acquire().await.unwrap().is_none());
    assert!(lock.execute(async |_| ()).await.unwrap().is_none());
    let tried: Result<Option<()>> = lock.try_execute(async |_| Ok(())).await;
    assert!(tried.unwrap().is_none());
    assert!(!locks.try_acquire_lock("x", MINUTE).await.unwrap());
    assert_eq!(began.elapsed(), Duration::ZERO);
    let error = lock.acquire().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Timeout);
    assert_eq!(began.elapsed().as_secs(), MINUTE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn wait_forever_has_no_end() {
    let [holder, locks] = services();
    let guard = holder.lock("x").ttl(MINUTE * 60 * 24 * 365).acquire().await.unwrap();
    let waiting = tokio::spawn(locks.lock("x").wait_forever().acquire());
    tokio::time::sleep(MINUTE * 60 * 24 * 364).await;
    assert!(!waiting.is_finished());
    drop(guard);
    assert!(waiting.await.unwrap().unwrap().is_held());
}

#[test]
fn the_memory_store_accepts_a_millisecond_to_a_century() {
    let capabilities = MemoryBackend::new().capabilities();
    assert_eq!(capabilities.ttl_min, Duration::from_millis(1));
    assert_eq!(capabilities.ttl_max, MINUTE * 60 * 24 * 365 * 100);
}

#[test]
fn a_lease_is_handed_over_64_times_within_5_milliseconds() {
    let handover = Handover::default();
    assert_eq!((handover.grants(), handover.time()), (64, Duration::from_millis(5)));
}
