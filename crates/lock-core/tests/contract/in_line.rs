//! The line of a service: who leads it, who is not polled any more, who gives up, and what those
//! who wait are told.

use std::pin::Pin;
use std::time::Duration;

use lock_core::{Handover, LockErrorKind, LossReason};
use tokio::task::yield_now;

use crate::faulty::{Fault, Faulty};
use crate::handing_over::{LONG, TTL, attempts, poll_once, releases, service, waiters};

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
async fn a_leader_that_does_not_begin_is_replaced_after_a_second() {
    let backend = Faulty::new();
    let locks = service(&backend, Handover::default());
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let mut frozen: Pin<Box<_>> = Box::pin(locks.lock("x").ttl(TTL).wait_forever().acquire());
    assert!(poll_once(&mut frozen).await.is_pending());
    let waiter = waiters(&locks, 1).await.remove(0);
    // Too long after the grant for passing it on: the next one leads.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let began = tokio::time::Instant::now();
    drop(guard);
    let next = waiter.await.unwrap().unwrap();
    let took = began.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_millis(1_100)).contains(&took), "{took:?}");
    drop(next);
    assert!(frozen.await.unwrap().is_held());
}

#[tokio::test(start_paused = true)]
async fn a_silent_leader_is_replaced_twice_late_after_and_a_second_after_it_should_have_asked() {
    let pause = Duration::from_millis(10);
    let late_after = Duration::from_secs(5);
    let backend = Faulty::with(|all| {
        let poll = lock_core::backend::Backoff::new(pause, pause);
        all.with_late_after(late_after).with_queueing(false).with_poll(poll)
    });
    let (locks, other) =
        (service(&backend, Handover::default()), service(&backend, Handover::default()));
    let _guard = other.lock("x").ttl(LONG).acquire().await.unwrap();
    let mut frozen: Pin<Box<_>> = Box::pin(locks.lock("x").ttl(TTL).wait_forever().acquire());
    assert!(poll_once(&mut frozen).await.is_pending());
    let began = tokio::time::Instant::now();
    let _waiter = waiters(&locks, 1).await;
    assert_eq!(attempts(&backend), 2);
    while attempts(&backend) == 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The leader's pause is shortened at random by up to a half.
    let bound = 2 * late_after + Duration::from_secs(1);
    let took = began.elapsed();
    assert!(took >= pause / 2 + bound, "{took:?}");
    assert!(took < pause + bound + Duration::from_millis(100), "{took:?}");
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
    assert_eq!(guard.lost().await, Some(LossReason::ShutDown));
    assert!(backend.is_free("x").await);
}
