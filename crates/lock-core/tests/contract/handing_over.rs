//! The line of a service: what is passed on between its tasks, and what goes back to the store.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use lock_core::{
    Handover, LockErrorKind, LockGuard, LockService, LossReason, ReleaseOutcome, Result,
};
use tokio::task::{JoinHandle, yield_now};

use crate::faulty::{Fault, Faulty};

const TTL: Duration = Duration::from_secs(60);

/// More than any test of these lets pass.
const LONG: Duration = Duration::from_secs(3_600);

fn service(backend: &Arc<Faulty>, handover: Handover) -> LockService {
    LockService::builder(Arc::clone(backend)).tokio_time().handover(handover).build()
}

fn waiter(locks: &LockService) -> JoinHandle<Result<LockGuard>> {
    tokio::spawn(locks.lock("x").ttl(TTL).wait_forever().acquire())
}

/// Waiters that are in the line, in this order.
async fn waiters(locks: &LockService, count: usize) -> Vec<JoinHandle<Result<LockGuard>>> {
    let mut waiters = Vec::new();
    for _ in 0..count {
        waiters.push(waiter(locks));
        yield_now().await;
    }
    waiters
}

fn attempts(backend: &Faulty) -> usize {
    backend.attempts_made.load(Ordering::SeqCst)
}

fn releases(backend: &Faulty) -> usize {
    backend.releases_made.load(Ordering::SeqCst)
}

/// Polls a future once and keeps it.
async fn poll_once<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
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
        assert_eq!(lease.lost().await, LossReason::Released);
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
    assert_eq!(guard.lost().await, LossReason::Expired);
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
    assert_eq!(hung.lost().await, LossReason::Expired);
    // The store's lease runs on for 50 s; its keeper gives it back.
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
    backend.renewals([Fault::Gated]);
    tokio::time::sleep(TTL / 2).await;
    drop(guard);
    let guard = waiter.await.unwrap().unwrap();
    assert_eq!(attempts(&backend), 2);
    drop(guard);
    backend.gate.add_permits(1);
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
async fn a_task_that_does_not_take_its_turn_delays_the_others_by_a_short_window() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::default());
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let mut frozen: Pin<Box<_>> = Box::pin(locks.lock("x").ttl(TTL).wait_forever().acquire());
    assert!(poll_once(&mut frozen).await.is_pending());
    let waiter = waiters(&locks, 1).await.remove(0);
    let began = tokio::time::Instant::now();
    drop(guard);
    let next = waiter.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // Awake again, it waits for its turn.
    assert!(poll_once(&mut frozen).await.is_pending());
    drop(next);
    assert!(frozen.await.unwrap().is_held());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_not_polled_is_replaced() {
    let backend = Faulty::new();
    let (locks, other) =
        (service(&backend, Handover::default()), service(&backend, Handover::default()));
    let guard = other.lock("x").ttl(TTL).acquire().await.unwrap();
    let mut frozen: Pin<Box<_>> = Box::pin(locks.lock("x").ttl(TTL).wait_forever().acquire());
    assert!(poll_once(&mut frozen).await.is_pending());
    let waiter = waiters(&locks, 1).await.remove(0);
    drop(guard);
    let began = tokio::time::Instant::now();
    let next = tokio::time::timeout(LONG, waiter).await.unwrap().unwrap().unwrap();
    assert!(began.elapsed() <= TTL + Duration::from_secs(12), "{:?}", began.elapsed());
    drop(next);
    assert!(frozen.await.unwrap().is_held());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_not_polled_refuses_nobody_for_ever() {
    let backend = Faulty::new();
    let (locks, other) =
        (service(&backend, Handover::default()), service(&backend, Handover::default()));
    let guard = other.lock("x").ttl(TTL).acquire().await.unwrap();
    let mut frozen: Pin<Box<_>> = Box::pin(locks.lock("x").ttl(TTL).wait_forever().acquire());
    assert!(poll_once(&mut frozen).await.is_pending());
    assert!(locks.lock("x").try_acquire().await.unwrap().is_none());
    drop(guard);
    tokio::time::sleep(LONG).await;
    assert!(backend.is_free("x").await);
    assert!(locks.lock("x").try_acquire().await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_until_the_leader_has_no_answer_yet_asks_for_itself() {
    let backend = Faulty::with(|all| all.with_late_after(Duration::from_secs(5)));
    let locks = service(&backend, Handover::default());
    backend.attempts([Fault::Gated, Fault::RequestLost]);
    let leader = waiters(&locks, 1).await.remove(0);
    let lock = locks.lock("x").wait(Duration::from_secs(1));
    let error = lock.try_acquire().await.unwrap_err();
    assert_eq!(
        error.kind(),
        LockErrorKind::Unavailable,
        "nobody knows whether it is held: {error}"
    );
    backend.gate.add_permits(1);
    drop(leader.await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_passed_over_tells_the_line_nothing() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::default());
    backend.attempts([Fault::RequestLost]);
    let mut frozen: Pin<Box<_>> = Box::pin(locks.lock("x").ttl(TTL).wait_forever().acquire());
    assert!(poll_once(&mut frozen).await.is_pending());
    let _guard = waiters(&locks, 1).await.remove(0).await.unwrap().unwrap();
    backend.attempts([Fault::RequestLost]);
    assert!(poll_once(&mut frozen).await.is_pending());
    assert_eq!(attempts(&backend), 3, "it goes on for itself alone");
    let lock = locks.lock("x").wait(Duration::from_secs(1));
    assert!(lock.try_acquire().await.unwrap().is_none(), "it is held");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_waits_for_the_stores_answer_is_not_replaced() {
    let backend = Faulty::with(|all| all.with_late_after(Duration::from_secs(5)));
    let locks = service(&backend, Handover::default());
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let mut waiting = waiters(&locks, 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    backend.attempts([Fault::Gated]);
    // Too long after the grant for passing it on: the next one leads, and asks.
    drop(guard);
    waiting.extend(waiters(&locks, 1).await);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(attempts(&backend), 2);
    backend.gate.add_permits(1);
    for waiter in waiting {
        drop(waiter.await.unwrap().unwrap());
    }
    assert_eq!(attempts(&backend), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_before_its_leader_was_to_act_again_is_followed_in_time() {
    let backend = Faulty::with(|all| all.with_late_after(Duration::from_secs(30)));
    let locks = service(&backend, Handover::default());
    backend.attempts([Fault::Gated]);
    let short = Duration::from_secs(1);
    let leader = tokio::spawn(locks.lock("x").ttl(short).wait_forever().acquire());
    yield_now().await;
    let waiter = waiters(&locks, 1).await.remove(0);
    let began = tokio::time::Instant::now();
    backend.gate.add_permits(1);
    let hung = leader.await.unwrap().unwrap();
    drop(waiter.await.unwrap().unwrap());
    assert!(began.elapsed() <= short * 3, "{:?}", began.elapsed());
    drop(hung);
}

#[tokio::test(start_paused = true)]
async fn what_was_offered_is_claimed_also_if_it_is_taken_late() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::new(64, LONG));
    let short = Duration::from_secs(10);
    let guard = locks.lock("x").ttl(short).acquire().await.unwrap();
    let mut frozen: Pin<Box<_>> = Box::pin(locks.lock("x").ttl(TTL).wait_forever().acquire());
    assert!(poll_once(&mut frozen).await.is_pending());
    let left = Duration::from_millis(1_500);
    tokio::time::sleep(short - left).await;
    drop(guard);
    tokio::time::sleep(left * 2 / 3).await;
    let guard = frozen.await.unwrap();
    tokio::time::sleep(left).await;
    assert!(guard.is_held());
    assert_eq!(attempts(&backend), 1, "it was passed on");
}

#[tokio::test(start_paused = true)]
async fn the_next_in_line_goes_on_with_what_a_leader_has_begun() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::default());
    backend.attempts([Fault::Gated]);
    let leader = waiters(&locks, 1).await.remove(0);
    let next = waiters(&locks, 1).await.remove(0);
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    backend.gate.add_permits(1);
    let guard = next.await.unwrap().unwrap();
    assert_eq!((attempts(&backend), releases(&backend)), (1, 0));
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn tasks_that_give_up_anywhere_leave_nothing_behind() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::new(8, LONG));
    let mut tasks = Vec::new();
    for round in 0..500_u64 {
        let (lock, random) = (locks.lock("x").ttl(TTL).wait_forever(), fastrand::u64(0..40));
        tasks.push(tokio::spawn(async move {
            let patience = Duration::from_micros(random * 100);
            let body = lock.execute(async |_| tokio::time::sleep(Duration::from_micros(50)).await);
            tokio::time::timeout(patience, body).await.ok();
            round
        }));
        if round % 16 == 0 {
            yield_now().await;
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(backend.is_free("x").await);
    assert!(locks.lock("x").try_acquire().await.unwrap().is_some(), "the line is gone");
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_are_told_that_the_store_does_not_answer() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::default());
    backend.attempts([Fault::RequestLost; 1_000]);
    let lock = locks.lock("x").wait(Duration::from_secs(3));
    let waiting: Vec<_> = (0..3).map(|_| tokio::spawn(lock.acquire())).collect();
    for waiter in waiting {
        let error = waiter.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn those_in_line_time_out_each_by_itself() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::default());
    let _guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let began = tokio::time::Instant::now();
    let wait = Duration::from_secs(7);
    assert!(locks.lock("x").wait(wait).try_acquire().await.unwrap().is_none());
    assert_eq!(began.elapsed().as_secs(), wait.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_the_whole_line() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::default());
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let waiting = waiters(&locks, 5).await;
    let report = locks.shutdown(Duration::ZERO).await;
    assert_eq!(report.lost, 1);
    for waiter in waiting {
        assert_eq!(waiter.await.unwrap().unwrap_err().kind(), LockErrorKind::ShutDown);
    }
    assert_eq!(guard.lost().await, LossReason::ShutDown);
    assert!(backend.is_free("x").await);
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
