//! Waiting in the line of the memory store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lock_core::memory::MemoryBackend;
use lock_core::{Handover, LockErrorKind, LockService};

const TTL: Duration = Duration::from_secs(60);

fn paused() -> LockService {
    LockService::builder(MemoryBackend::new()).tokio_time().build()
}

#[tokio::test(start_paused = true)]
async fn waiters_are_served_in_order_also_when_the_lease_before_them_expires() {
    let locks = paused();
    let _guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let served = Arc::new(Mutex::new(Vec::new()));
    let mut waiters = Vec::new();
    for i in 0..4 {
        let (lock, served) = (locks.lock("x").wait_forever(), Arc::clone(&served));
        waiters.push(tokio::spawn(async move {
            let guard = lock.acquire().await.unwrap();
            served.lock().unwrap().push(i);
            guard.release().await;
        }));
        tokio::task::yield_now().await;
    }
    for waiter in waiters {
        waiter.await.unwrap();
    }
    assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_is_shorter_than_the_lease_is_not_waited_out_longer() {
    let locks = paused();
    let rest = TTL / 10;
    let guard = locks.lock("x").ttl(TTL).min_hold(rest).acquire().await.unwrap();
    let began = tokio::time::Instant::now();
    let waiter = tokio::spawn(locks.lock("x").wait_forever().acquire());
    tokio::task::yield_now().await;
    guard.release().await;
    waiter.await.unwrap().unwrap().release().await;
    assert_eq!(began.elapsed().as_secs(), rest.as_secs());
}

/// Two mistakes look alike from outside: a guard that was forgotten, and a nested call.
#[tokio::test(start_paused = true)]
async fn whoever_waits_for_its_own_service_in_vain_is_told_so() {
    for handover in [Handover::default(), Handover::OFF] {
        let store = Arc::new(MemoryBackend::new());
        let service = || {
            let builder = LockService::builder(Arc::clone(&store)).tokio_time();
            builder.handover(handover).build()
        };
        let (mine, other) = (service(), service());
        let guard = mine.lock("x").acquire().await.unwrap();
        let in_vain = |locks: &LockService| locks.lock("x").wait(TTL / 10).acquire();
        let error = in_vain(&mine).await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Timeout);
        let text = error.to_string();
        assert!(text.contains("this service holds the lock itself"), "{text}");
        assert!(text.contains("use its guard"), "{text}");

        let text = in_vain(&other).await.unwrap_err().to_string();
        assert!(text.contains("somebody else held the lock"), "{text}");
        drop(guard);
        let _others = other.lock("x").acquire().await.unwrap();
        let text = in_vain(&mine).await.unwrap_err().to_string();
        assert!(text.contains("somebody else held the lock"), "{text}");
    }
}
