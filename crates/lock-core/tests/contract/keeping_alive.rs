//! Renewals, their failures, and what bounds them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use lock_core::memory::MemoryBackend;
use lock_core::{Lease, LockErrorKind, LockService, LossReason};

use crate::faulty::{Fault, Faulty};

const SECOND: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(9);

fn paused(backend: &Arc<Faulty>) -> LockService {
    LockService::builder(Arc::clone(backend)).tokio_time().build()
}

#[tokio::test(start_paused = true)]
async fn a_kept_lease_is_renewed_at_a_third_of_its_ttl() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(TTL).keep_alive().acquire().await.unwrap();
    tokio::time::sleep(TTL * 10 + TTL / 6).await;
    assert!(guard.is_held());
    assert_eq!(backend.renewals_made.load(Ordering::SeqCst), 30);
}

#[tokio::test(start_paused = true)]
async fn a_kept_lease_whose_grant_came_late_is_renewed_before_it_ends() {
    let backend = Faulty::new();
    backend.attempts([Fault::TokioSleep(TTL * 7 / 9)]);
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(TTL).keep_alive().acquire().await.unwrap();
    // Less is left than a third of the ttl.
    assert_eq!(guard.remaining(), TTL * 2 / 9);
    tokio::time::sleep(TTL * 3).await;
    assert!(guard.is_held());
}

#[tokio::test(start_paused = true)]
async fn many_leases_are_renewed_by_one_call() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let mut guards = Vec::new();
    for i in 0..1_000 {
        let lock = locks.lock(format!("x{i}")).ttl(TTL).keep_alive();
        guards.push(lock.acquire().await.unwrap());
    }
    tokio::time::sleep(TTL + TTL / 6).await;
    assert!(guards.iter().all(lock_core::LockGuard::is_held));
    assert_eq!(backend.renewals_made.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn renewals_that_fail_are_repeated_in_time() {
    let backend = Faulty::new();
    backend.renewals([Fault::NotSent, Fault::AnswerLost, Fault::Panics, Fault::RequestLost]);
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(TTL).keep_alive().acquire().await.unwrap();
    tokio::time::sleep(TTL * 3).await;
    assert!(guard.is_held());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_renewals_costs_the_lease_at_its_deadline() {
    let backend = Faulty::new();
    backend.renewals(vec![Fault::NotSent; 1_000]);
    let locks = paused(&backend);
    let began = tokio::time::Instant::now();
    let guard = locks.lock("x").ttl(TTL).keep_alive().acquire().await.unwrap();
    assert_eq!(guard.lost().await, Some(LossReason::Expired));
    assert_eq!(began.elapsed().as_secs(), TTL.as_secs());
    assert_eq!(guard.ensure_held().unwrap_err().kind(), LockErrorKind::Lost);
}

#[tokio::test(start_paused = true)]
async fn max_hold_ends_a_kept_lease() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let began = tokio::time::Instant::now();
    let lock = locks.lock("x").ttl(TTL).keep_alive().max_hold(TTL * 4);
    let guard = lock.acquire().await.unwrap();
    assert_eq!(guard.lost().await, Some(LossReason::MaxHold));
    assert_eq!(began.elapsed().as_secs(), (TTL * 4).as_secs());
    // A holder that does not react does not keep the others out for another ttl.
    assert!(lock.clone().wait(Duration::from_secs(1)).try_acquire().await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_the_store_does_not_know_is_lost_at_its_next_renewal() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(TTL).keep_alive().acquire().await.unwrap();
    let began = tokio::time::Instant::now();
    backend.forget("x").await;
    assert_eq!(guard.lost().await, Some(LossReason::Removed));
    assert_eq!(began.elapsed().as_secs(), (TTL / 3).as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_guard_outlives_its_service_and_is_renewed() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(TTL).keep_alive().acquire().await.unwrap();
    drop(locks);
    tokio::time::sleep(TTL * 3).await;
    guard.verify().await.unwrap();
    assert!(guard.release().await.is_released());
}

#[tokio::test(start_paused = true)]
async fn extend_sets_the_lease_and_does_not_add() {
    let locks = paused(&Faulty::new());
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    guard.extend(TTL * 2).await.unwrap();
    assert_eq!(guard.remaining(), TTL * 2);
    guard.extend(TTL).await.unwrap();
    assert_eq!(guard.remaining(), TTL);
}

#[tokio::test(start_paused = true)]
async fn an_extension_without_an_answer_is_unknown_and_keeps_the_old_deadline() {
    let backend = Faulty::new();
    backend.renewals([Fault::AnswerLost, Fault::AnswerLost]);
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    assert_eq!(guard.extend(TTL * 2).await.unwrap_err().kind(), LockErrorKind::Unknown);
    assert_eq!(guard.remaining(), TTL);
    // A shorter lease needs no answer to be in force.
    assert_eq!(guard.extend(TTL / 3).await.unwrap_err().kind(), LockErrorKind::Unknown);
    assert_eq!(guard.remaining(), TTL / 3);
}

#[tokio::test(start_paused = true)]
async fn a_missing_answer_is_not_taken_for_a_loss() {
    let backend = Faulty::new();
    backend.renewals([Fault::NoAnswers, Fault::NoAnswers]);
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(TTL).keep_alive().acquire().await.unwrap();
    let error = guard.extend(TTL).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Backend);
    tokio::time::sleep(TTL * 2).await;
    assert!(guard.is_held());
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_is_confirmed_after_the_deadline_revives_nothing() {
    let backend = Faulty::new();
    backend.renewals([Fault::TokioSleep(TTL * 2)]);
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let error = guard.extend(TTL * 4).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Lost);
    assert!(!guard.is_held());
}

/// A holder that does not react to its loss does not keep the others out for what it asked for.
#[tokio::test(start_paused = true)]
async fn a_lease_that_the_store_set_for_longer_than_the_guard_has_it_is_freed_at_the_guards_end() {
    let long = TTL * 100;
    let lock_of = |backend: &Arc<Faulty>| paused(backend).lock("x").ttl(TTL);

    let lock = lock_of(&Faulty::new()).max_hold(TTL);
    let guard = lock.acquire().await.unwrap();
    guard.extend(long).await.unwrap();
    assert_eq!(guard.lost().await, Some(LossReason::MaxHold));
    assert!(lock.clone().wait(TTL / 9).try_acquire().await.unwrap().is_some());

    for fault in [Fault::AnswerLost, Fault::TokioSleep(TTL * 2)] {
        for window in [None, Some(WINDOW)] {
            let backend = window.map_or_else(Faulty::new, Faulty::with_window);
            let lock = lock_of(&backend);
            let guard = lock.acquire().await.unwrap();
            backend.renewals([fault]);
            guard.extend(long).await.unwrap_err();
            assert_eq!(guard.lost().await, Some(LossReason::Expired));
            let next = lock.clone().wait(TTL / 9).try_acquire().await.unwrap();
            assert!(next.is_some(), "{fault:?}, {window:?}");
        }
    }
}

const WINDOW: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn a_window_is_claimed_once_and_lasts_as_long_as_was_asked() {
    let backend = Faulty::with_window(WINDOW);
    let locks = paused(&backend);
    let began = tokio::time::Instant::now();
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    assert!(guard.remaining() <= WINDOW);
    assert_eq!(guard.lost().await, Some(LossReason::Expired));
    assert_eq!(began.elapsed().as_secs(), TTL.as_secs());
    assert_eq!(backend.renewals_made.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn work_that_is_over_within_the_window_claims_nothing() {
    let backend = Faulty::with_window(WINDOW);
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    tokio::time::sleep(WINDOW / 4).await;
    assert!(guard.release().await.is_released());
    tokio::time::sleep(TTL).await;
    assert_eq!(backend.renewals_made.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_cannot_be_claimed_ends_as_one() {
    let backend = Faulty::with_window(WINDOW);
    backend.renewals(vec![Fault::NotSent; 100]);
    let locks = paused(&backend);
    let began = tokio::time::Instant::now();
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    assert_eq!(guard.lost().await, Some(LossReason::Expired));
    assert_eq!(began.elapsed().as_secs(), WINDOW.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_kept_window_is_claimed_and_then_renewed_at_its_own_pace() {
    let backend = Faulty::with_window(WINDOW);
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(TTL).keep_alive().acquire().await.unwrap();
    tokio::time::sleep(TTL * 2 + TTL / 6).await;
    assert!(guard.is_held());
    // The claim, and then one every third of the ttl.
    assert_eq!(backend.renewals_made.load(Ordering::SeqCst), 7);
}

#[tokio::test(start_paused = true)]
async fn a_claim_does_not_raise_what_extend_has_lowered() {
    // Before the claim, and while it is under way.
    for passed in [Duration::ZERO, Duration::from_millis(800)] {
        let backend = Faulty::with_window(WINDOW);
        if !passed.is_zero() {
            backend.renewals([Fault::TokioSleep(WINDOW / 4)]);
        }
        let locks = paused(&backend);
        let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
        tokio::time::sleep(passed).await;
        guard.extend(WINDOW / 2).await.unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(guard.lost().await, Some(LossReason::Expired));
        assert_eq!(began.elapsed().as_secs(), (WINDOW / 2).as_secs(), "{passed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_set_to_less_is_still_kept_alive() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(60 * SECOND).keep_alive().acquire().await.unwrap();
    guard.extend(5 * SECOND).await.unwrap();
    assert!(guard.remaining() <= 5 * SECOND);
    tokio::time::sleep(600 * SECOND).await;
    guard.ensure_held().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_is_answered_after_the_loss_says_why_the_lease_was_lost() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(SECOND).acquire().await.unwrap();
    backend.renewals([Fault::AnswerTakes(3 * SECOND)]);
    let error = guard.extend(60 * SECOND).await.unwrap_err();
    assert_eq!(error.loss_reason(), Some(LossReason::Expired), "{error}");
}

/// Sets a lease to a millisecond at the very moment at which another call has changed it.
struct Shortens(Lease, AtomicBool);

impl Wake for Shortens {
    fn wake(self: Arc<Self>) {
        if !self.1.swap(true, Ordering::SeqCst) {
            let mut shortening = Box::pin(self.0.extend(Duration::from_millis(1)));
            drop(shortening.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_earlier_end_of_two_extensions_at_once_is_not_forgotten() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(60 * SECOND).acquire().await.unwrap();
    let waker = Waker::from(Arc::new(Shortens(guard.lease(), AtomicBool::new(false))));
    let mut lost = Box::pin(guard.lost());
    assert!(lost.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(guard.extend(30 * SECOND).await);
    assert!(guard.remaining() < SECOND);
    // The background frees the store shortly after the loss, while the guard is still there.
    tokio::time::sleep(SECOND).await;
    assert!(backend.is_free("x").await);
}

/// How much the store has of a lease.
async fn left(locks: &LockService) -> Duration {
    locks.status("x").await.unwrap().unwrap().remaining.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_last_extension_is_what_is_kept_up_here_and_in_the_store() {
    let locks = LockService::builder(MemoryBackend::new()).tokio_time().build();
    let guard = locks.lock("x").ttl(30 * SECOND).keep_alive().acquire().await.unwrap();
    guard.extend(60 * SECOND).await.unwrap();
    assert!(left(&locks).await > 59 * SECOND);
    tokio::time::sleep(25 * SECOND).await;
    // Renewed after a third of the ttl of before, and from then on after a third of this.
    assert!(guard.remaining() > 40 * SECOND && left(&locks).await > 40 * SECOND);

    guard.extend(SECOND).await.unwrap();
    assert!(guard.remaining() <= SECOND && left(&locks).await <= SECOND);
    for _ in 0..100 {
        tokio::time::sleep(SECOND / 7).await;
        assert!(guard.remaining() <= SECOND && left(&locks).await <= SECOND);
        guard.ensure_held().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_is_too_short_to_be_renewed_is_refused_before_it_changes_anything() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(30 * SECOND).keep_alive().acquire().await.unwrap();
    let error = guard.extend(SECOND / 4).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
    assert!(error.to_string().contains("at least 300ms"), "{error}");
    assert!(guard.remaining() > 29 * SECOND);
    assert_eq!(backend.renewals_made.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shorter_extension_without_an_answer_counts_until_the_store_refuses_it() {
    let late_after = 2 * SECOND;
    let backend = Faulty::with(|capabilities| capabilities.with_late_after(late_after));
    let locks = paused(&backend);
    let guard = locks.lock("x").ttl(60 * SECOND).acquire().await.unwrap();
    // Dropped, which is no answer either.
    backend.renewals([Fault::RequestLost, Fault::Gated]);
    let unknown = guard.extend(20 * SECOND).await.unwrap_err();
    assert_eq!(unknown.kind(), LockErrorKind::Unknown);
    assert!(futures_util::poll!(Box::pin(guard.extend(10 * SECOND))).is_pending());
    let unknown = guard.extend(60 * SECOND).await.unwrap_err();
    assert_eq!(unknown.kind(), LockErrorKind::Unknown);
    assert!(unknown.to_string().contains("earlier"), "{unknown}");
    assert!(guard.remaining() <= 10 * SECOND);
    tokio::time::sleep(late_after).await;
    guard.extend(60 * SECOND).await.unwrap();
    assert!(guard.remaining() > 59 * SECOND);
}
