//! What a test can do to a store, and what the code that uses locks sees of it.
#![cfg(feature = "testing")]

use std::time::Duration;

use lock_core::testing::TestStore;
use lock_core::{LockErrorKind, LockService, LossReason, ReleaseOutcome};
use tokio::time::{Instant, sleep, timeout};

const S: fn(u64) -> Duration = Duration::from_secs;
const MS: fn(u64) -> Duration = Duration::from_millis;

fn both() -> (TestStore, LockService) {
    let store = TestStore::new();
    let locks = store.service();
    (store, locks)
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_taken_away_is_lost_at_once_kept_or_not() {
    let (store, locks) = both();
    for lock in [locks.lock("x"), locks.lock("x").keep_alive()] {
        let guard = lock.acquire().await.unwrap();
        assert!(store.is_held("x"));
        let began = Instant::now();
        store.lose("x");
        assert_eq!(guard.lost().await, Some(LossReason::Removed));
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(!store.is_held("x"));
        drop(guard);
    }
    // Of a lock that nobody holds.
    store.lose("y");
}

#[tokio::test(start_paused = true)]
async fn a_loss_ends_the_body_and_only_that_of_the_lock() {
    let (store, locks) = both();
    let body = |name: &str| {
        let lock = locks.lock(name).keep_alive();
        tokio::spawn(async move { lock.execute(async |_| sleep(S(100)).await).await })
    };
    let (lost, other) = (body("x"), body("y"));
    sleep(MS(1)).await;
    store.lose("x");
    assert_eq!(lost.await.unwrap().unwrap_err().kind(), LockErrorKind::Lost);
    assert_eq!(other.await.unwrap().unwrap(), Some(()));
}

#[tokio::test(start_paused = true)]
async fn what_the_test_holds_is_taken_until_it_frees_it() {
    let (store, locks) = both();
    store.hold("x");
    assert!(store.is_held("x"));
    assert!(locks.lock("x").try_acquire().await.unwrap().is_none());
    let error = locks.lock("x").wait(S(5)).acquire().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Timeout);
    assert!(!error.holder().unwrap().is_this_process);

    let waiting = tokio::spawn(locks.lock("x").wait_forever().acquire());
    sleep(S(24 * 60 * 60)).await;
    assert!(!waiting.is_finished());
    store.free("x");
    assert!(waiting.await.unwrap().unwrap().is_held());
    // It holds nothing any more.
    store.free("x");
}

#[tokio::test(start_paused = true)]
async fn the_test_takes_a_lock_from_its_holder_and_before_those_who_wait() {
    let (store, locks) = both();
    let other = store.service();
    let guard = locks.lock("x").acquire().await.unwrap();
    let waiting = tokio::spawn(other.lock("x").wait(S(20)).acquire());
    sleep(MS(1)).await;
    store.hold("x");
    assert_eq!(guard.lost().await, Some(LossReason::HeldByOther));
    assert_eq!(guard.release().await, ReleaseOutcome::HeldByOther);
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), LockErrorKind::Timeout);
    store.hold("x");
    store.lose("x");
    assert!(!store.is_held("x") && locks.lock("x").try_acquire().await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_refused_is_denied_and_ends_with_its_lease() {
    let (store, locks) = both();
    let guard = locks.lock("x").ttl(S(30)).keep_alive().acquire().await.unwrap();
    store.refuse("x");
    let error = locks.lock("x").wait(S(5)).acquire().await.unwrap_err();
    // The service holds it itself, so the store is not asked.
    assert_eq!(error.kind(), LockErrorKind::Timeout);
    let denied = store.service().lock("x").acquire().await.unwrap_err();
    assert_eq!(denied.kind(), LockErrorKind::Denied);
    assert!(denied.to_string().contains("told to refuse this lock"), "{denied}");
    assert!(locks.lock("y").try_acquire().await.unwrap().is_some());
    assert_eq!(guard.lost().await, Some(LossReason::Expired));
    drop(guard);
    store.restore("x");
    assert!(locks.lock("x").wait(S(5)).acquire().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_waited_for_and_one_beyond_the_timeout_is_an_outage() {
    let (store, locks) = both();
    store.delay("x", MS(1_500));
    let began = Instant::now();
    let guard = locks.lock("x").ttl(S(60)).acquire().await.unwrap();
    assert_eq!(began.elapsed(), MS(1_500));
    // It counts from the asking.
    assert_eq!(guard.remaining(), MS(58_500));
    assert_eq!(store.status("x").unwrap().remaining, Some(S(60)), "from when the store was asked");
    guard.release().await;
    assert_eq!(began.elapsed(), S(3));
    store.delay("x", S(3));
    let error = locks.lock("x").try_acquire().await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed()), (LockErrorKind::Unavailable, S(5)));
    assert!(!store.is_held("x"));
}

#[tokio::test(start_paused = true)]
async fn a_frozen_lock_gets_no_answer_and_the_others_are_renewed() {
    let (store, locks) = both();
    // So short that the answer to both of them would come too late.
    let lock = |name: &str| locks.lock(name).ttl(S(3)).keep_alive().acquire();
    let (frozen, other) = tokio::try_join!(lock("x"), lock("y")).unwrap();
    store.freeze_lock("x");
    let began = Instant::now();
    assert_eq!(frozen.lost().await, Some(LossReason::Expired));
    assert_eq!(began.elapsed(), S(3));
    assert!(other.is_held());
    let error = locks.lock("x").try_acquire().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_an_error_and_never_a_refusal() {
    let (store, locks) = both();
    store.fail();
    let error = locks.lock("x").try_acquire().await.unwrap_err();
    assert!(error.is_retryable() && error.kind() == LockErrorKind::Unavailable, "{error}");
    assert!(locks.ping().await.is_err());
    // A wait covers it.
    let waiting = tokio::spawn(locks.lock("x").wait(S(60)).acquire());
    sleep(S(10)).await;
    store.recover();
    assert!(waiting.await.unwrap().unwrap().is_held());
}

#[tokio::test(start_paused = true)]
async fn a_frozen_store_answers_when_it_goes_on() {
    let (store, locks) = both();
    store.freeze();
    let began = Instant::now();
    let error = locks.lock("x").try_acquire().await.unwrap_err();
    assert_eq!(
        (error.kind(), began.elapsed()),
        (LockErrorKind::Unavailable, TestStore::RESPONSE_TIMEOUT)
    );
    let hanging = tokio::spawn(locks.lock("x").try_acquire());
    sleep(S(1)).await;
    assert!(!hanging.is_finished() && !store.is_held("x"));
    store.recover();
    let guard = timeout(MS(1), hanging).await.unwrap().unwrap().unwrap();
    assert!(guard.unwrap().is_held());
}

#[tokio::test(start_paused = true)]
async fn all_tasks_that_wait_are_counted() {
    let (store, locks) = both();
    let other = store.builder().namespace("").build();
    let guard = locks.lock("x").acquire().await.unwrap();
    assert_eq!(store.waiters("x"), 0);
    // Three at its own service, and two at another one, of which one stands in the store's queue.
    let services = [&locks, &locks, &locks, &other, &other];
    let waiting = services.map(|locks| tokio::spawn(locks.lock("x").wait_forever().acquire()));
    sleep(MS(1)).await;
    assert_eq!((store.waiters("x"), store.waiters("y")), (5, 0));
    drop(guard);
    for task in waiting {
        task.abort();
    }
    sleep(S(60)).await;
    assert_eq!((store.waiters("x"), store.is_held("x")), (0, false));
}

#[tokio::test(start_paused = true)]
async fn the_namespace_is_a_part_of_the_name() {
    let store = TestStore::new();
    let locks = store.builder().namespace("shop:").build();
    let guard = locks.lock("x").acquire().await.unwrap();
    assert!(store.is_held("shop:x") && !store.is_held("x"));
    store.lose("x");
    assert!(guard.is_held());
    store.lose("shop:x");
    assert!(!guard.is_held());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_built_of_the_backend_learns_of_a_loss_by_its_next_renewal() {
    let store = TestStore::new();
    let locks = LockService::builder(store.backend()).tokio_time().build();
    let guard = locks.lock("x").ttl(S(30)).keep_alive().acquire().await.unwrap();
    store.lose("x");
    let began = Instant::now();
    assert_eq!(guard.lost().await, Some(LossReason::Removed));
    assert_eq!(began.elapsed(), S(10));
    let machine = LockService::new(store.backend());
    let error = machine.lock("x").try_acquire().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
    assert!(error.to_string().contains("TestStore::service"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_held_for_its_rest_is_taken_and_held_by_nobody() {
    let (store, locks) = both();
    let lock = locks.lock("x").ttl(S(60)).min_hold(S(30));
    lock.acquire().await.unwrap().release().await;
    assert!(!store.is_held("x") && store.status("x").is_some());
    sleep(S(31)).await;
    assert!(store.status("x").is_none());
}

#[test]
#[should_panic(expected = "no lock can have this name")]
fn a_name_that_no_lock_can_have_fails_the_test() {
    TestStore::new().hold("");
}

#[tokio::test(start_paused = true)]
async fn the_store_keeps_no_service_alive() {
    let (store, locks) = both();
    let guard = locks.lock("x").acquire().await.unwrap();
    drop(locks);
    drop(guard);
    sleep(MS(1)).await;
    assert!(!store.is_held("x"));
    store.lose("x");
    assert_eq!(store.waiters("x"), 0);
}
