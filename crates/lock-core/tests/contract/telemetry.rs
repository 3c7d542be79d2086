//! What is told to a subscriber, and what may happen meanwhile.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_executor::block_on;
use lock_core::LockService;
use lock_core::backend::LockKey;
use lock_core::memory::MemoryBackend;

use crate::listener::{listen, record};

#[test]
fn what_became_of_an_acquisition_is_told_within_its_span() {
    let told = record();
    let locks = LockService::memory();
    let _guard = block_on(locks.lock("x").try_acquire()).unwrap().unwrap();
    assert!(block_on(locks.lock("x").try_acquire()).unwrap().is_none());
    block_on(locks.lock("").try_acquire()).unwrap_err();
    let told = told.borrow();
    let events: Vec<_> = told.iter().map(|told| (told.event(), told.depth)).collect();
    assert_eq!(events, [("acquired", 1), ("contended", 1), ("failed", 1)]);
    for told in &*told {
        // The span may be filtered out.
        assert_eq!(told.field("backend"), "memory", "{told:?}");
        assert!(told.fields.contains_key("lock") && !told.message().is_empty(), "{told:?}");
    }
}

#[test]
fn a_task_that_stood_still_since_its_grant_takes_no_lock_from_its_new_holder() {
    let (acquire, locks) = (LockService::try_acquire_lock, LockService::memory());
    let (short, long) = (Duration::from_secs(1), Duration::from_secs(60));
    let (granted, is_granted) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let first = std::thread::spawn({
        let locks = locks.clone();
        move || {
            listen(move |told| {
                if told.event() == "acquired" {
                    granted.send(()).unwrap();
                    goes_on.recv().unwrap();
                }
            });
            block_on(acquire(&locks, "x", short)).unwrap()
        }
    });
    is_granted.recv().unwrap();
    while !block_on(acquire(&locks, "x", long)).unwrap() {
        std::thread::yield_now();
    }
    go_on.send(()).unwrap();
    first.join().unwrap();
    assert!(!block_on(acquire(&locks, "x", long)).unwrap());
    assert!(block_on(locks.release_lock("x")).unwrap());
}

/// The background runs in the test's own thread here, so it meets the test's own subscriber.
#[tokio::test(start_paused = true)]
async fn a_subscriber_that_panics_costs_no_other_lease() {
    let ttl = Duration::from_secs(9);
    listen(|told| assert_ne!(told.event(), "lost", "on command"));
    let store = Arc::new(MemoryBackend::new());
    let locks = LockService::builder(Arc::clone(&store)).tokio_time().build();
    let kept = locks.lock("kept").ttl(ttl).keep_alive().acquire().await.unwrap();
    let ended = locks.lock("ended").ttl(ttl).max_hold(ttl).acquire().await.unwrap();
    // So the background is to look at its end.
    ended.extend(ttl * 9).await.unwrap();
    tokio::time::sleep(ttl * 3).await;
    assert!(kept.is_held());
    assert!(locks.lock("ended").try_acquire().await.unwrap().is_some());

    let removed = locks.lock("a").ttl(ttl).keep_alive().acquire().await.unwrap();
    let in_same_batch = locks.lock("b").ttl(ttl).keep_alive().acquire().await.unwrap();
    store.forget(&LockKey::new("", "a").unwrap());
    tokio::time::sleep(ttl * 3).await;
    assert!(kept.is_held() && in_same_batch.is_held() && !removed.is_held());
}
