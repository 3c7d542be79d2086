//! What surprises those who come from other locks, each as it is.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use distlock::memory::MemoryBackend;
use distlock::{LockErrorKind, LockService, LossReason, OnLost, Result};
use futures_util::FutureExt;

const SECOND: Duration = Duration::from_secs(1);

/// A service whose time stands still until everybody waits.
fn paused() -> LockService {
    LockService::builder(MemoryBackend::new()).tokio_time().build()
}

#[tokio::test]
async fn a_guard_that_is_bound_to_nothing_holds_nothing() -> Result<()> {
    let lock = LockService::memory().lock("x");
    if lock.try_acquire().await?.is_some() {
        assert!(lock.try_acquire().await?.is_some(), "the guard is gone before the block");
    }
    let Some(_) = lock.try_acquire().await? else { return Ok(()) };
    assert!(lock.try_acquire().await?.is_some(), "`_` binds nothing");

    if let Some(_guard) = lock.try_acquire().await? {
        assert!(lock.try_acquire().await?.is_none());
    }
    let Some(_guard) = lock.try_acquire().await? else { return Ok(()) };
    assert!(lock.try_acquire().await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_dropped_guard_is_free_for_the_next_call_of_its_dropper() -> Result<()> {
    let lock = LockService::memory().lock("x");
    for _ in 0..100 {
        drop(lock.acquire().await?);
        assert!(lock.try_acquire().await?.is_some());
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_blocks_past_its_lease_still_returns_its_value() -> Result<()> {
    let lock = LockService::memory().lock("x").ttl(SECOND);
    let value = lock
        .execute(async |lease| {
            // It never awaits, so nobody can end it.
            while lease.is_held() {
                std::hint::spin_loop();
            }
            lease.ensure_held().map_err(|error| error.kind())
        })
        .await?;
    assert_eq!(value, Some(Err(LockErrorKind::Lost)), "and it can know");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_body_has_spawned_goes_on() -> Result<()> {
    let lock = paused().lock("x").ttl(SECOND);
    let (sender, spawned) = tokio::sync::oneshot::channel();
    let result = lock
        .execute(async |_| {
            tokio::spawn(async move {
                tokio::time::sleep(SECOND * 5).await;
                sender.send("went on").ok();
            });
            std::future::pending::<()>().await;
        })
        .await;
    assert_eq!(result.map_err(|error| error.kind()), Err(LockErrorKind::Lost));
    assert_eq!(spawned.await, Ok("went on"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_watches_its_lease_may_finish_when_it_is_lost() -> Result<()> {
    let lock = paused().lock("x").ttl(SECOND).on_lost(OnLost::Continue);
    let reason = lock.execute(async |lease| lease.lost().await).await?;
    assert_eq!(reason, Some(Some(LossReason::Expired)));
    Ok(())
}

#[tokio::test]
async fn a_manual_lock_belongs_to_every_clone_of_its_service() -> Result<()> {
    let locks = LockService::memory();
    assert!(locks.try_acquire_lock("x", SECOND * 60).await?);
    let clone = locks.clone();
    let released = tokio::spawn(async move { clone.release_lock("x").await }).await;
    assert!(released.is_ok_and(|released| released.is_ok_and(|released| released)));
    assert!(!locks.release_lock("x").await?);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn with_a_wait_try_acquire_waits() -> Result<()> {
    let locks = paused();
    let holder = locks.lock("x").acquire().await?;
    let began = tokio::time::Instant::now();
    assert!(locks.lock("x").wait(SECOND).try_acquire().await?.is_none());
    assert!(began.elapsed() >= SECOND);
    let error = locks.lock("x").wait(SECOND).acquire().await.map(drop);
    assert_eq!(error.map_err(|error| error.kind()), Err(LockErrorKind::Timeout));
    holder.release().await;
    Ok(())
}

#[tokio::test]
async fn a_lock_inside_its_own_body_is_held_by_somebody() -> Result<()> {
    let lock = LockService::memory().lock("x");
    let inner = lock.execute(async |_| lock.execute(async |_| {}).await).await?;
    assert_eq!(inner.transpose()?, Some(None));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn extend_sets_the_lease_and_does_not_add_to_it() -> Result<()> {
    let guard = paused().lock("x").ttl(SECOND * 60).acquire().await?;
    guard.extend(SECOND * 10).await?;
    assert_eq!(guard.remaining(), SECOND * 10);
    guard.extend(SECOND * 20).await?;
    assert_eq!(guard.remaining(), SECOND * 20);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn only_max_hold_ends_a_lock_that_is_kept_alive() -> Result<()> {
    let locks = paused();
    let bounded = locks.lock("a").ttl(SECOND).keep_alive().max_hold(SECOND * 5).acquire().await?;
    let boundless = locks.lock("b").ttl(SECOND).keep_alive().acquire().await?;
    tokio::time::sleep(SECOND * 3_600).await;
    assert_eq!(bounded.lost().await, Some(LossReason::MaxHold));
    assert!(boundless.is_held());
    Ok(())
}

#[tokio::test]
async fn catching_a_panic_around_a_guard_needs_assert_unwind_safe() -> Result<()> {
    let lock = LockService::memory().lock("x");
    let guard = lock.acquire().await?;
    let panicking = AssertUnwindSafe(async move {
        let _guard = guard;
        panic!("on purpose");
    });
    assert!(panicking.catch_unwind().await.is_err());
    assert!(lock.try_acquire().await?.is_some());
    Ok(())
}
