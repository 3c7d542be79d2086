//! Bodies that block their executor thread.

use std::time::Duration;

use lock_core::{LockErrorKind, LockService, LossReason};

/// Of which a third is left for a renewal on a busy machine.
const TTL: Duration = Duration::from_secs(2);

#[tokio::test]
async fn with_keep_alive_a_body_that_blocks_for_three_ttls_keeps_its_lock() {
    let locks = LockService::memory();
    let held = locks
        .lock("x")
        .ttl(TTL)
        .keep_alive()
        .execute(async |lease| {
            std::thread::sleep(TTL * 3);
            tokio::task::yield_now().await;
            lease.is_held()
        })
        .await
        .unwrap();
    assert_eq!(held, Some(true));
}

#[tokio::test]
async fn without_it_the_body_is_told_as_soon_as_it_can_be() {
    let locks = LockService::memory();
    let error = locks
        .lock("x")
        .ttl(TTL)
        .execute(async |lease| {
            std::thread::sleep(TTL * 3);
            assert!(!lease.is_held());
            tokio::task::yield_now().await;
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Lost);
    assert_eq!(error.loss_reason(), Some(LossReason::Expired));
}
