//! Dropping an operation at any point leaves nothing behind.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;

use lock_core::LockService;

use crate::faulty::{Fault, Faulty};

/// So long that no test can mistake an expiry for a release.
const TTL: Duration = Duration::from_secs(3_600);

/// Polls so many times at most, then drops.
fn poll_and_drop(future: impl Future, polls: usize) {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if future.as_mut().poll(&mut cx).is_ready() {
            return;
        }
    }
}

const FAULTS: [Fault; 8] = [
    Fault::None,
    Fault::Slow(1),
    Fault::Slow(3),
    Fault::NotSent,
    Fault::AnswerLost,
    Fault::RequestLost,
    Fault::Panics,
    Fault::TokioSleep(Duration::from_millis(1)),
];

/// Every await point × every way in which an exchange can end.
#[tokio::test]
async fn an_acquire_dropped_at_any_await_leaves_nothing_behind() {
    for fault in FAULTS {
        for polls in 0..10 {
            for waits in [false, true] {
                let backend = Faulty::new();
                backend.attempts([fault]);
                let locks = LockService::new(Arc::clone(&backend));
                let lock = locks.lock("x").ttl(TTL);
                let lock = if waits { lock.wait_forever() } else { lock };
                poll_and_drop(lock.try_acquire(), polls);
                locks.shutdown(Duration::ZERO).await;
                assert!(backend.is_free("x").await, "{fault:?}, {polls} polls, waits: {waits}");
            }
        }
    }
}

#[tokio::test]
async fn a_waiter_dropped_while_it_waits_gives_its_place_up() {
    for polls in 1..4 {
        let backend = Faulty::new();
        let locks = LockService::new(Arc::clone(&backend));
        let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
        poll_and_drop(locks.lock("x").ttl(TTL).wait_forever().acquire(), polls);
        let waiters = locks.status("x").await.unwrap().unwrap().waiters;
        assert_eq!(waiters, Some(0), "after {polls} polls");
        guard.release().await;
        assert!(backend.is_free("x").await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_pushed_to_a_waiter_that_is_dropped_is_released_however_long_it_waited() {
    let backend = Faulty::new();
    let shared = Arc::clone(&backend);
    let locks = LockService::builder(shared).tokio_time().build();
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    // Its own lease is much shorter than the holder's.
    let lock = locks.lock("x").ttl(Duration::from_secs(10)).wait_forever();
    let mut waiting = Box::pin(lock.acquire());
    assert!(futures_util::poll!(&mut waiting).is_pending());
    tokio::time::sleep(Duration::from_secs(100)).await;
    guard.release().await;
    drop(waiting);
    assert!(backend.is_free("x").await);
}

#[tokio::test]
async fn a_release_dropped_at_any_await_still_happens() {
    for fault in
        [Fault::None, Fault::Slow(1), Fault::AnswerLost, Fault::RequestLost, Fault::NotSent]
    {
        for polls in 0..6 {
            let backend = Faulty::new();
            backend.releases([fault]);
            let locks = LockService::new(Arc::clone(&backend));
            let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
            poll_and_drop(guard.release(), polls);
            locks.shutdown(Duration::ZERO).await;
            assert!(backend.is_free("x").await, "{fault:?}, {polls} polls");
        }
    }
}

#[tokio::test]
async fn an_execute_dropped_at_any_await_releases() {
    for fault in [Fault::None, Fault::Slow(1), Fault::AnswerLost] {
        for polls in 0..10 {
            let backend = Faulty::new();
            backend.attempts([fault]);
            backend.releases([fault]);
            let locks = LockService::new(Arc::clone(&backend));
            let body = async |_| tokio::task::yield_now().await;
            poll_and_drop(locks.lock("x").ttl(TTL).execute(body), polls);
            locks.shutdown(Duration::ZERO).await;
            assert!(backend.is_free("x").await, "{fault:?}, {polls} polls");
        }
    }
}

#[tokio::test]
async fn the_droppers_own_next_call_finds_the_lock_free() {
    let locks = LockService::memory();
    for _ in 0..1_000 {
        drop(locks.lock("x").ttl(TTL).try_acquire().await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn an_attempt_whose_answer_was_lost_is_released_until_no_late_copy_can_run() {
    let late_after = Duration::from_secs(1);
    let backend = Faulty::with(|capabilities| capabilities.with_late_after(late_after));
    backend.attempts([Fault::AnswerLost]);
    let locks = LockService::new(Arc::clone(&backend));
    locks.lock("x").ttl(TTL).try_acquire().await.unwrap_err();
    locks.shutdown(Duration::ZERO).await;
    assert!(backend.is_free("x").await);
    // One as soon as possible, and a final one after the last moment.
    assert_eq!(backend.releases_made.load(Ordering::SeqCst), 2);
}
