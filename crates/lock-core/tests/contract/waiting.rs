//! Waiting in the line of the memory store.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lock_core::memory::MemoryBackend;
use lock_core::{Handover, LockErrorKind, LockService};

use crate::faulty::{Fault, Faulty};

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
        assert!(text.contains("another task of this process held the lock"), "{text}");
        drop(guard);
        let _others = other.lock("x").acquire().await.unwrap();
        let text = in_vain(&mine).await.unwrap_err().to_string();
        assert!(text.contains("another task of this process held the lock"), "{text}");
    }
}

/// Each gets its turn, so nobody has held the lock for as long as the last ones have waited.
#[tokio::test(start_paused = true)]
async fn whoever_waits_in_vain_behind_its_own_service_is_not_told_that_it_never_let_go() {
    for handover in [Handover::default(), Handover::OFF] {
        let locks = LockService::builder(MemoryBackend::new()).tokio_time();
        let locks = locks.handover(handover).build();
        let mut tasks = tokio::task::JoinSet::<lock_core::Result<()>>::new();
        for _ in 0..20 {
            let lock = locks.lock("x").wait(Duration::from_secs(1));
            tasks.spawn(async move {
                let guard = lock.acquire().await?;
                tokio::time::sleep(Duration::from_millis(101)).await;
                guard.release().await;
                Ok(())
            });
        }
        let errors: Vec<_> = tasks.join_all().await.into_iter().filter_map(Result::err).collect();
        assert!(errors.len() > 5, "{errors:?}");
        for error in errors {
            let text = error.to_string();
            assert!(text.contains("one of its tasks acquired it during the wait of 1s"), "{text}");
            assert!(!text.contains("did not release it"), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_wait_is_told_of_no_wait() {
    let locks = LockService::memory();
    let _guard = locks.lock("x").acquire().await.unwrap();
    let error = locks.lock("x").wait(Duration::ZERO).acquire().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("holds the lock itself; a lock is not re-entrant"), "{text}");
    assert!(!text.contains("the wait of"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_store_that_cannot_be_reached_ends_in_time() {
    let backend = Faulty::new();
    let locks = LockService::builder(Arc::clone(&backend)).tokio_time().build();
    // The second try is on its way when the wait is over; if the wait is short, it is the last one.
    for wait in [Duration::from_millis(10), Duration::from_secs(3)] {
        backend.attempts([Fault::NotSent, Fault::Gated]);
        let began = tokio::time::Instant::now();
        let error = locks.lock("x").wait(wait).acquire().await.unwrap_err();
        let late = began.elapsed() - wait;
        // The timers of paused time count whole milliseconds.
        assert!((100..=102).contains(&late.as_millis()), "{late:?}");
        assert!(error.to_string().contains("not sent"), "{error}");
    }
    assert_eq!(backend.attempts_made.load(Ordering::SeqCst), 4);
    // What was left to the background is undone.
    backend.gate.add_permits(2);
    locks.shutdown(Duration::ZERO).await;
    assert!(backend.is_free("x").await);
}
