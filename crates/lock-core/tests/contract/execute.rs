//! `execute`: whose value comes back, and what is dropped when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use lock_core::memory::MemoryBackend;
use lock_core::{LockErrorKind, LockService, LossReason, OnLost};

use crate::faulty::{Fault, Faulty};

const TTL: Duration = Duration::from_secs(10);

fn paused() -> LockService {
    LockService::builder(MemoryBackend::new()).tokio_time().build()
}

#[tokio::test]
async fn the_value_comes_back_whatever_the_release_did() {
    for fault in [Fault::None, Fault::AnswerLost, Fault::RequestLost, Fault::NotSent, Fault::Panics]
    {
        let backend = Faulty::new();
        backend.releases([fault]);
        let locks = LockService::new(Arc::clone(&backend));
        assert_eq!(locks.lock("x").execute(async |_| 7).await.unwrap(), Some(7), "{fault:?}");
    }
}

/// As programs have it: their own errors, and those of the lock.
#[derive(Debug)]
enum ShopError {
    Lock(LockErrorKind),
    SoldOut,
}

impl From<lock_core::LockError> for ShopError {
    fn from(error: lock_core::LockError) -> Self {
        Self::Lock(error.kind())
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_returns_a_result_needs_one_question_mark() {
    async fn sell(locks: &LockService, left: u32) -> Result<u32, ShopError> {
        let lock = locks.lock("stock").ttl(TTL);
        let sold = lock
            .try_execute(async |lease| -> Result<_, ShopError> {
                lease.ensure_held()?;
                left.checked_sub(1).ok_or(ShopError::SoldOut)
            })
            .await?;
        Ok(sold.unwrap_or(left))
    }
    let locks = paused();
    assert_eq!(sell(&locks, 3).await.unwrap(), 2);
    assert!(matches!(sell(&locks, 0).await, Err(ShopError::SoldOut)));
    let guard = locks.lock("stock").ttl(TTL).acquire().await.unwrap();
    assert_eq!(sell(&locks, 3).await.unwrap(), 3, "somebody else holds it: the body is not run");
    drop(guard);
    locks.shutdown(Duration::ZERO).await;
    assert!(matches!(sell(&locks, 3).await, Err(ShopError::Lock(LockErrorKind::ShutDown))));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_rest_keeps_nobody_waiting_for_the_end_of_min_hold() {
    let backend = Faulty::with(|capabilities| capabilities.with_min_hold(false));
    let locks = LockService::builder(Arc::clone(&backend)).tokio_time().build();
    let lock = locks.lock("x").ttl(TTL).min_hold(TTL / 2);
    let began = tokio::time::Instant::now();
    assert_eq!(lock.execute(async |_| 7).await.unwrap(), Some(7));
    assert!(began.elapsed() < TTL / 2, "it took {:?}", began.elapsed());
    assert!(!backend.is_free("x").await);
    let guard = lock.wait(TTL).acquire().await.unwrap();
    assert!((TTL / 2..TTL).contains(&began.elapsed()), "it took {:?}", began.elapsed());
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_outlives_its_lease_is_dropped_at_the_deadline() {
    let began = tokio::time::Instant::now();
    let error = paused()
        .lock("x")
        .ttl(TTL)
        .execute(async |_| std::future::pending::<()>().await)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Lost);
    assert_eq!(error.loss_reason(), Some(LossReason::Expired));
    assert_eq!(began.elapsed().as_secs(), TTL.as_secs());
}

/// A process that was stopped for longer than its lease finds the end of its lease and the next step
/// of its body in the same instant.
#[tokio::test(start_paused = true)]
async fn a_body_does_not_run_one_step_more_after_a_stop_that_outlasted_its_lease() {
    let locks = paused();
    let steps = AtomicUsize::new(0);
    let body = async || loop {
        steps.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(TTL / 2).await;
    };
    let lock = locks.lock("x").ttl(TTL);
    let (executed, ()) = tokio::join!(
        lock.execute(async |_| -> () { body().await }),
        tokio::time::advance(TTL * 3),
    );
    assert_eq!(executed.unwrap_err().loss_reason(), Some(LossReason::Expired));
    assert_eq!(steps.swap(0, Ordering::SeqCst), 1);

    let (executed, ()) = tokio::join!(
        lock.try_execute(async |_| -> lock_core::Result<()> {
            body().await;
            Ok(())
        }),
        tokio::time::advance(TTL * 3),
    );
    assert_eq!(executed.unwrap_err().loss_reason(), Some(LossReason::Expired));
    assert_eq!(steps.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_may_continue_finishes_after_the_loss() {
    let lock = paused().lock("x").ttl(TTL).on_lost(OnLost::Continue);
    let value = lock
        .execute(async |lease| {
            tokio::time::sleep(TTL * 2).await;
            (lease.is_held(), lease.ensure_held().unwrap_err().loss_reason())
        })
        .await
        .unwrap();
    assert_eq!(value, Some((false, Some(LossReason::Expired))));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_watches_the_loss_itself_sees_it_if_it_may_continue() {
    let body = async |lease: lock_core::Lease| lease.lost().await;
    let lock = paused().lock("x").ttl(TTL);
    let reason = lock.clone().on_lost(OnLost::Continue).execute(body).await.unwrap();
    assert_eq!(reason, Some(Some(LossReason::Expired)));
    let error = lock.execute(body).await.unwrap_err();
    assert_eq!(error.loss_reason(), Some(LossReason::Expired));
}

struct NotesDrop(LockService, Arc<AtomicBool>);

impl Drop for NotesDrop {
    fn drop(&mut self) {
        // The lock must still be taken while the body goes away.
        let asked = self.0.lock("x").try_acquire();
        let is_taken = futures_executor::block_on(asked).unwrap().is_none();
        self.1.store(is_taken, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn the_body_is_dropped_before_the_lock_is_given_back() {
    let locks = LockService::memory();
    let was_taken = Arc::new(AtomicBool::new(false));
    let note = NotesDrop(locks.clone(), Arc::clone(&was_taken));
    let lock = locks.lock("x");
    let mut running = Box::pin(lock.execute(async move |_| {
        let _note = note;
        std::future::pending::<()>().await;
    }));
    assert!(futures_util::poll!(&mut running).is_pending());
    drop(running);
    assert!(was_taken.load(Ordering::SeqCst));
    assert!(lock.try_acquire().await.unwrap().is_some());
}

#[tokio::test]
async fn a_body_that_panics_releases() {
    let locks = LockService::memory();
    let lock = locks.lock("x");
    let spawned = tokio::spawn(lock.execute(async |_| panic!("the body's own")));
    assert!(spawned.await.unwrap_err().is_panic());
    assert!(lock.try_acquire().await.unwrap().is_some());
}

#[tokio::test]
async fn a_lease_kept_beyond_its_body_says_that_it_is_over() {
    let locks = LockService::memory();
    let lease = locks.lock("x").execute(async |lease| lease).await.unwrap().unwrap();
    assert!(!lease.is_held());
    assert_eq!(lease.remaining(), Duration::ZERO);
    assert_eq!(lease.lost().await, None);
    let error = lease.extend(TTL).await.unwrap_err();
    assert_eq!(error.loss_reason(), None);
}
