//! The line of a service: what is passed on between its tasks, and what goes back to the store.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use lock_core::{Handover, LockGuard, LockService, LossReason, ReleaseOutcome, Result};
use tokio::task::{JoinHandle, yield_now};

use crate::faulty::{Fault, Faulty};

pub(crate) const TTL: Duration = Duration::from_secs(60);

/// More than any test of these lets pass.
pub(crate) const LONG: Duration = Duration::from_secs(3_600);

pub(crate) fn service(backend: &Arc<Faulty>, handover: Handover) -> LockService {
    LockService::builder(Arc::clone(backend)).tokio_time().handover(handover).build()
}

pub(crate) fn waiter(locks: &LockService) -> JoinHandle<Result<LockGuard>> {
    tokio::spawn(locks.lock("x").ttl(TTL).wait_forever().acquire())
}

/// Waiters that are in the line, in this order.
pub(crate) async fn waiters(
    locks: &LockService,
    count: usize,
) -> Vec<JoinHandle<Result<LockGuard>>> {
    let mut waiters = Vec::new();
    for _ in 0..count {
        waiters.push(waiter(locks));
        yield_now().await;
    }
    waiters
}

pub(crate) fn attempts(backend: &Faulty) -> usize {
    backend.attempts_made.load(Ordering::SeqCst)
}

pub(crate) fn releases(backend: &Faulty) -> usize {
    backend.releases_made.load(Ordering::SeqCst)
}

/// Polls a future once and keeps it.
pub(crate) async fn poll_once<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[tokio::test(start_paused = true)]
async fn a_lease_goes_through_the_whole_line_by_one_exchange_with_the_store() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::default());
    let mut guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let mut numbers = vec![guard.fencing_token().unwrap().get()];
    for waiter in waiters(&locks, 10).await {
        let lease = guard.lease();
        assert_eq!(guard.release().await, ReleaseOutcome::Released);
        guard = waiter.await.unwrap().unwrap();
        assert_eq!(lease.lost().await, None);
        numbers.push(guard.fencing_token().unwrap().get());
    }
    assert_eq!((attempts(&backend), releases(&backend)), (1, 0));
    guard.release().await;
    assert_eq!((attempts(&backend), releases(&backend)), (1, 1));
    assert!(backend.is_free("x").await);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    let next = locks.lock("x").acquire().await.unwrap().fencing_token().unwrap().get();
    assert!(next > *numbers.last().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_guard_passes_its_lease_on_too() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::default());
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let waiter = waiters(&locks, 1).await.remove(0);
    drop(guard);
    assert!(waiter.await.unwrap().unwrap().is_held());
    assert_eq!(attempts(&backend), 1);
}

/// How many guards of one service come before that of another one, which began to wait after the
/// first of them was granted.
async fn overtaken(handover: Handover, section: Duration) -> usize {
    let backend = Faulty::new();
    let (mine, other) = (service(&backend, handover), service(&backend, handover));
    let guard = mine.lock("x").ttl(TTL).acquire().await.unwrap();
    let waiting = waiters(&mine, 200).await;
    let other = waiter(&other);
    yield_now().await;
    let grants = Arc::new(AtomicUsize::new(0));
    for waiter in waiting {
        let grants = Arc::clone(&grants);
        drop(tokio::spawn(async move {
            let guard = waiter.await.unwrap().unwrap();
            grants.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(section).await;
            guard.release().await;
        }));
    }
    guard.release().await;
    let guard = other.await.unwrap().unwrap();
    let overtaken = grants.load(Ordering::SeqCst);
    drop(guard);
    overtaken
}

#[tokio::test(start_paused = true)]
async fn another_service_waits_for_a_bounded_batch() {
    assert_eq!(overtaken(Handover::new(64, LONG), Duration::ZERO).await, 64);
    assert_eq!(overtaken(Handover::new(3, LONG), Duration::ZERO).await, 3);
    let by_time = Handover::new(64, Duration::from_millis(5));
    // Passed on after 0, 2 and 4 ms, and not after 6.
    assert_eq!(overtaken(by_time, Duration::from_millis(2)).await, 3);
}

#[tokio::test(start_paused = true)]
async fn without_hand_over_each_task_stands_in_the_line_of_the_store() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::OFF);
    let other = service(&backend, Handover::OFF);
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let first = waiters(&locks, 1).await.remove(0);
    let foreign = waiters(&other, 1).await.remove(0);
    let last = waiters(&locks, 1).await.remove(0);
    guard.release().await;
    let guard = first.await.unwrap().unwrap();
    yield_now().await;
    assert!(!foreign.is_finished() && !last.is_finished());
    guard.release().await;
    let guard = foreign.await.unwrap().unwrap();
    yield_now().await;
    assert!(!last.is_finished());
    guard.release().await;
    last.await.unwrap().unwrap().release().await;
    assert_eq!((attempts(&backend), releases(&backend)), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_renew_gets_every_lease_back() {
    let backend = Faulty::with(|all| all.with_renew(false));
    let locks = service(&backend, Handover::default());
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let waiter = waiters(&locks, 1).await.remove(0);
    guard.release().await;
    waiter.await.unwrap().unwrap().release().await;
    assert_eq!((attempts(&backend), releases(&backend)), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn one_who_does_not_wait_is_refused_by_a_holder_of_its_service_without_asking() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::default());
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    assert!(locks.lock("x").try_acquire().await.unwrap().is_none());
    assert_eq!(attempts(&backend), 1);
    drop(guard);
    assert!(locks.lock("x").try_acquire().await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn one_who_does_not_wait_asks_beside_one_who_has_no_answer_yet() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::default());
    backend.attempts([Fault::Gated]);
    let first = waiters(&locks, 1).await.remove(0);
    let guard = locks.lock("x").ttl(TTL).try_acquire().await.unwrap().unwrap();
    backend.gate.add_permits(1);
    yield_now().await;
    assert!(!first.is_finished());
    drop(guard);
    assert!(first.await.unwrap().unwrap().is_held());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_lost_is_not_passed_on() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::new(64, LONG));
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let number = guard.fencing_token().unwrap().get();
    let waiter = waiters(&locks, 1).await.remove(0);
    // Nobody touches the guard: whoever waits finds out.
    let next = waiter.await.unwrap().unwrap();
    assert!(next.fencing_token().unwrap().get() >= number + 1_024, "a grant of the store's own");
    assert_eq!(guard.lost().await, Some(LossReason::Expired));
    drop(guard);
    assert!(next.is_held());
    assert_eq!(attempts(&backend), 2);
}

#[tokio::test(start_paused = true)]
async fn too_little_of_a_lease_is_not_passed_on() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::new(64, LONG));
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let waiter = waiters(&locks, 1).await.remove(0);
    tokio::time::sleep(TTL - Duration::from_millis(900)).await;
    guard.release().await;
    assert!(waiter.await.unwrap().unwrap().remaining() > TTL / 2);
    assert_eq!(attempts(&backend), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_lease_is_not_longer_than_asked_and_is_freed_when_it_is_over() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::default());
    let short = Duration::from_secs(10);
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let waiting = tokio::spawn(locks.lock("x").ttl(short).wait_forever().acquire());
    yield_now().await;
    guard.release().await;
    let hung = waiting.await.unwrap().unwrap();
    assert_eq!(attempts(&backend), 1, "it was passed on");
    assert!(hung.remaining() <= short);
    assert_eq!(hung.lost().await, Some(LossReason::Expired));
    // The store's lease runs on for 50 s; the background gives it back.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(backend.is_free("x").await);
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_longer_lease_is_claimed() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::default());
    let short = Duration::from_secs(10);
    let guard = locks.lock("x").ttl(short).acquire().await.unwrap();
    let waiter = waiters(&locks, 1).await.remove(0);
    guard.release().await;
    let guard = waiter.await.unwrap().unwrap();
    tokio::time::sleep(TTL - Duration::from_secs(1)).await;
    assert!(guard.is_held());
    assert_eq!(attempts(&backend), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_renewal_is_under_way_goes_back_to_the_store() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::new(64, LONG));
    let guard = locks.lock("x").ttl(TTL).keep_alive().acquire().await.unwrap();
    let waiter = waiters(&locks, 1).await.remove(0);
    // The verification that the waiting task asks for, and the renewal.
    backend.renewals([Fault::Gated, Fault::Gated]);
    tokio::time::sleep(TTL / 2).await;
    drop(guard);
    let guard = waiter.await.unwrap().unwrap();
    assert_eq!(attempts(&backend), 2);
    drop(guard);
    backend.gate.add_permits(2);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_has_to_rest_is_not_passed_on() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::new(64, LONG));
    let rest = Duration::from_secs(10);
    let guard = locks.lock("x").ttl(TTL).min_hold(rest).acquire().await.unwrap();
    let began = tokio::time::Instant::now();
    let waiter = waiters(&locks, 1).await.remove(0);
    drop(guard);
    let _guard = waiter.await.unwrap().unwrap();
    assert!(began.elapsed() >= rest);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_closing_passes_nothing_on() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::default());
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let mut frozen: Pin<Box<_>> = Box::pin(locks.lock("x").ttl(TTL).wait_forever().acquire());
    assert!(poll_once(&mut frozen).await.is_pending());
    let closing = tokio::spawn({
        let locks = locks.clone();
        async move { locks.shutdown(LONG).await }
    });
    yield_now().await;
    drop(guard);
    assert!(backend.is_free("x").await, "nobody takes it up any more");
    assert_eq!(closing.await.unwrap().released, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_several_threads_at_most_one_holds_and_all_are_served() {
    let backend = Faulty::new();
    let locks = LockService::new(Arc::clone(&backend));
    let inside = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (locks, inside) = (locks.clone(), Arc::clone(&inside));
            tokio::spawn(async move {
                let mut last = 0;
                for _ in 0..500 {
                    let guard = locks.lock("x").wait(TTL).acquire().await.unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    let number = guard.fencing_token().unwrap().get();
                    assert!(number > last);
                    last = number;
                    yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    guard.release().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(backend.is_free("x").await);
    assert!(attempts(&backend) < 4_000, "{}", attempts(&backend));
}
