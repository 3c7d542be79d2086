//! Locks that are taken by one service and finished by another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lock_core::{Handover, LockErrorKind, LockGuard, LockService, LockToken, LossReason};
use tokio::task::yield_now;

use crate::faulty::{Fault, Faulty};

const SECOND: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(60);

fn paused(backend: &Arc<Faulty>) -> LockService {
    LockService::builder(Arc::clone(backend)).tokio_time().build()
}

async fn hold(locks: &LockService) -> LockGuard {
    locks.lock("x").ttl(TTL).acquire().await.unwrap()
}

/// As another process gets it.
async fn sent(guard: LockGuard) -> LockToken {
    guard.into_token().await.unwrap().to_string().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn whoever_adopts_the_token_holds_the_lock_and_whoever_made_it_is_told() {
    let backend = Faulty::new();
    let (web, worker) = (paused(&backend), paused(&backend));
    let guard = hold(&web).await;
    let (kept, number) = (guard.lease(), guard.fencing_token().unwrap());
    let told = tokio::spawn(kept.lost());
    let token = sent(guard).await;
    assert_eq!(told.await.unwrap(), Some(LossReason::PassedOn));
    assert!(!kept.is_held() && kept.remaining().is_zero());
    for error in [kept.ensure_held().unwrap_err(), kept.verify().await.unwrap_err()] {
        assert_eq!(error.loss_reason(), Some(LossReason::PassedOn));
    }
    assert!(web.lock("x").try_acquire().await.unwrap().is_none(), "it stays taken");

    let guard = worker.lock("x").ttl(TTL).adopt(&token).await.unwrap();
    assert!(guard.fencing_token().unwrap() > number);
    guard.verify().await.unwrap();
    assert!(web.lock("x").try_acquire().await.unwrap().is_none());
    assert!(guard.release().await.is_released());
    let next = hold(&web).await;
    assert!(next.fencing_token().unwrap() > token.fencing_token().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_token_takes_no_lock_that_is_free_or_anothers() {
    let backend = Faulty::new();
    let (web, worker) = (paused(&backend), paused(&backend));
    let token = sent(hold(&web).await).await;
    let lock = worker.lock("x").ttl(TTL).wait(TTL);
    lock.adopt(&token).await.unwrap().release().await;
    let refused = async |reason| {
        let error = lock.adopt(&token).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (LockErrorKind::Lost, Some("adopt")));
        assert_eq!(error.loss_reason(), Some(reason), "{error}");
    };
    refused(LossReason::Removed).await;
    assert!(backend.is_free("x").await);
    let other = hold(&web).await;
    refused(LossReason::HeldByOther).await;
    other.verify().await.unwrap();
    let error = worker.lock("y").adopt(&token).await.unwrap_err();
    assert_eq!(error.loss_reason(), Some(LossReason::Removed), "the name of another lock");
}

#[tokio::test(start_paused = true)]
async fn two_who_adopt_the_same_token_both_hold_until_one_of_them_releases() {
    let backend = Faulty::new();
    let (web, one, other) = (paused(&backend), paused(&backend), paused(&backend));
    let token = sent(hold(&web).await).await;
    let first = one.lock("x").ttl(TTL).adopt(&token).await.unwrap();
    let second = other.lock("x").ttl(SECOND * 9).keep_alive().adopt(&token).await.unwrap();
    first.verify().await.unwrap();
    assert!(first.release().await.is_released());
    assert!(second.is_held(), "it does not know yet");
    assert_eq!(second.lost().await, Some(LossReason::Removed), "its next renewal tells");
    assert!(backend.is_free("x").await);
}

#[tokio::test(start_paused = true)]
async fn fencing_tokens_of_adoptions_never_reach_those_of_the_next_grant() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let lock = locks.lock("x").ttl(TTL);
    let mut guard = lock.acquire().await.unwrap();
    let first = guard.fencing_token().unwrap().get();
    for passed_on in 1..1_030 {
        let token = guard.into_token().await.unwrap();
        guard = lock.adopt(&token).await.unwrap();
        let number = guard.fencing_token().unwrap().get();
        assert_eq!(number, first + passed_on.min(1_023));
    }
    guard.release().await;
    let next = lock.acquire().await.unwrap().fencing_token().unwrap().get();
    assert!(next >= first + 1_024);
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_may_still_arrive_is_waited_for() {
    let late_after = SECOND * 3;
    let backend = Faulty::with(|all| all.with_late_after(late_after));
    let locks = paused(&backend);
    let guard = hold(&locks).await;
    backend.renewals([Fault::RequestLost]);
    assert!(guard.extend(SECOND * 5).await.is_err());
    let began = tokio::time::Instant::now();
    let token = sent(guard).await;
    assert_eq!(began.elapsed(), late_after);
    let guard = locks.lock("x").ttl(TTL).adopt(&token).await.unwrap();
    tokio::time::sleep(TTL / 2).await;
    guard.verify().await.unwrap();

    // And one that another task has under way.
    backend.renewals([Fault::Gated]);
    let extending = tokio::spawn(guard.extend(SECOND * 5));
    yield_now().await;
    let passing_on = tokio::spawn(guard.into_token());
    tokio::time::sleep(SECOND).await;
    assert!(!passing_on.is_finished());
    backend.gate.add_permits(1);
    extending.await.unwrap().unwrap();
    passing_on.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_token_that_nobody_adopts_keeps_the_lock_for_a_ttl_and_is_not_renewed() {
    let backend = Faulty::new();
    let web = paused(&backend);
    let guard = web.lock("x").ttl(TTL).keep_alive().acquire().await.unwrap();
    tokio::time::sleep(TTL / 4).await;
    let token = sent(guard).await;
    tokio::time::sleep(TTL - SECOND).await;
    assert!(!backend.is_free("x").await);
    tokio::time::sleep(SECOND * 2).await;
    assert!(backend.is_free("x").await);
    let error = paused(&backend).lock("x").adopt(&token).await.unwrap_err();
    assert_eq!(error.loss_reason(), Some(LossReason::Removed));
}

#[tokio::test(start_paused = true)]
async fn the_options_of_whoever_adopts_count_from_then_on() {
    let backend = Faulty::new();
    let (web, worker) = (paused(&backend), paused(&backend));
    let lock = web.lock("x").ttl(TTL).keep_alive().min_hold(TTL).max_hold(TTL * 2);
    let first = lock.acquire().await.unwrap();
    tokio::time::sleep(TTL).await;
    let token = sent(first).await;
    let adopting = worker.lock("x").ttl(SECOND * 9).keep_alive().max_hold(TTL * 3);
    let guard = adopting.adopt(&token).await.unwrap();
    assert!(guard.remaining() <= SECOND * 9);
    tokio::time::sleep(TTL * 3 - SECOND).await;
    assert!(guard.is_held());
    tokio::time::sleep(SECOND).await;
    assert_eq!(guard.lost().await, Some(LossReason::MaxHold));
    drop(guard);

    // min_hold is forgotten with the guard, and set anew with the adoption.
    let token = sent(lock.acquire().await.unwrap()).await;
    worker.lock("x").ttl(TTL).adopt(&token).await.unwrap().release().await;
    let token = sent(hold(&web).await).await;
    let guard = worker.lock("x").ttl(TTL).min_hold(SECOND * 10).adopt(&token).await.unwrap();
    guard.release().await;
    tokio::time::sleep(SECOND * 10 - Duration::from_millis(1)).await;
    assert!(!backend.is_free("x").await);
    tokio::time::sleep(SECOND).await;
    assert!(backend.is_free("x").await);
}

#[tokio::test(start_paused = true)]
async fn a_window_is_claimed_before_it_is_passed_on() {
    let backend = Faulty::with_window(SECOND);
    let (web, worker) = (paused(&backend), paused(&backend));
    let token = sent(hold(&web).await).await;
    tokio::time::sleep(TTL / 2).await;
    worker.lock("x").ttl(TTL).adopt(&token).await.unwrap().verify().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_fixed_lease_that_was_adopted_for_less_is_freed_when_it_is_over() {
    let backend = Faulty::new();
    let (web, worker) = (paused(&backend), paused(&backend));
    let token = sent(hold(&web).await).await;
    let guard = worker.lock("x").ttl(SECOND).adopt(&token).await.unwrap();
    assert!(guard.remaining() <= SECOND);
    assert_eq!(guard.lost().await, Some(LossReason::Expired));
    // The store's lease runs on; the background gives it back, while the guard is still there.
    tokio::time::sleep(SECOND).await;
    assert!(backend.is_free("x").await);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_in_the_first_service_go_on_waiting_at_the_store() {
    let backend = Faulty::new();
    let (web, worker) = (paused(&backend), paused(&backend));
    let guard = hold(&web).await;
    let waiting = tokio::spawn(web.lock("x").ttl(TTL).wait_forever().acquire());
    yield_now().await;
    let token = sent(guard).await;
    let guard = worker.lock("x").ttl(TTL).keep_alive().adopt(&token).await.unwrap();
    tokio::time::sleep(TTL).await;
    assert!(!waiting.is_finished());
    guard.release().await;
    assert!(waiting.await.unwrap().unwrap().is_held());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_handed_over_locally_is_passed_on_with_its_own_fencing_token() {
    let backend = Faulty::new();
    let handover = Handover::new(64, TTL);
    let web = LockService::builder(Arc::clone(&backend)).tokio_time().handover(handover).build();
    let first = hold(&web).await;
    let (number, stale) = (first.fencing_token().unwrap(), first.lease());
    let waiting = tokio::spawn(web.lock("x").ttl(TTL).wait_forever().acquire());
    yield_now().await;
    drop(first);
    let second = waiting.await.unwrap().unwrap();
    assert_eq!(backend.attempts_made.load(Ordering::SeqCst), 1, "it was handed over");
    let token = sent(second).await;
    assert!(token.fencing_token().unwrap() > number);
    let adopted = paused(&backend).lock("x").ttl(TTL).adopt(&token).await.unwrap();
    assert!(adopted.fencing_token().unwrap() > token.fencing_token().unwrap());
    assert_eq!(stale.lost().await, None, "the first guard was released, not passed on");
    assert!(adopted.release().await.is_released());
}

#[tokio::test(start_paused = true)]
async fn an_adopted_lock_is_no_business_of_the_service_that_took_it() {
    let backend = Faulty::new();
    let (web, worker) = (paused(&backend), paused(&backend));
    let token = sent(hold(&web).await).await;
    let guard = worker.lock("x").ttl(TTL).keep_alive().adopt(&token).await.unwrap();
    let report = web.shutdown(Duration::ZERO).await;
    assert_eq!((report.released, report.lost, report.unknown), (0, 0, 0));
    tokio::time::sleep(TTL * 3).await;
    guard.verify().await.unwrap();
    let report = worker.shutdown(Duration::ZERO).await;
    assert_eq!((report.released, report.lost, report.unknown), (0, 1, 0));
    assert_eq!(guard.lost().await, Some(LossReason::ShutDown));
    assert!(backend.is_free("x").await);
}

#[tokio::test(start_paused = true)]
async fn a_lock_can_be_passed_on_during_the_grace_and_not_be_adopted_after_a_shutdown() {
    let backend = Faulty::new();
    let (old, new) = (paused(&backend), paused(&backend));
    let guard = hold(&old).await;
    let closing = tokio::spawn({
        let old = old.clone();
        async move { old.shutdown(TTL).await }
    });
    yield_now().await;
    let token = sent(guard).await;
    let report = closing.await.unwrap();
    assert_eq!((report.released, report.lost, report.unknown), (1, 0, 0));
    let error = old.lock("x").adopt(&token).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::ShutDown);
    new.lock("x").ttl(TTL).adopt(&token).await.unwrap().verify().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_shut_down_while_it_adopts_leaves_the_lock_to_the_token() {
    let backend = Faulty::new();
    let (web, worker) = (paused(&backend), paused(&backend));
    let token = sent(hold(&web).await).await;
    backend.renewals([Fault::Gated]);
    let adopting = tokio::spawn(worker.lock("x").ttl(TTL).adopt(&token));
    yield_now().await;
    let closing = tokio::spawn(async move { worker.shutdown(Duration::ZERO).await });
    yield_now().await;
    backend.gate.add_permits(1);
    let error = adopting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::ShutDown);
    closing.await.unwrap();
    web.lock("x").ttl(TTL).adopt(&token).await.unwrap().verify().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_cannot_be_passed_on_is_released() {
    let backend = Faulty::new();
    let locks = paused(&backend);
    let guard = hold(&locks).await;
    backend.renewals([Fault::NotSent]);
    let error = guard.into_token().await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (LockErrorKind::Unknown, Some("into_token")));
    assert!(backend.is_free("x").await);

    let guard = hold(&locks).await;
    backend.forget("x").await;
    let error = guard.into_token().await.unwrap_err();
    assert_eq!(error.loss_reason(), Some(LossReason::Removed));

    let guard = hold(&locks).await;
    backend.renewals([Fault::Gated]);
    let mut making = Box::pin(guard.into_token());
    assert!(futures_util::poll!(&mut making).is_pending());
    drop(making);
    assert!(backend.is_free("x").await, "the future was dropped, and the guard with it");
}

#[tokio::test(start_paused = true)]
async fn an_adoption_without_an_answer_is_unknown_and_can_be_repeated() {
    let backend = Faulty::new();
    let (web, worker) = (paused(&backend), paused(&backend));
    let token = sent(hold(&web).await).await;
    let lock = worker.lock("x").ttl(TTL);
    for fault in [Fault::NotSent, Fault::AnswerLost, Fault::RequestLost] {
        backend.renewals([fault]);
        let error = lock.adopt(&token).await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unknown);
        assert!(error.is_retryable());
    }
    backend.renewals([Fault::AnswerTakes(SECOND * 2)]);
    let error = worker.lock("x").ttl(SECOND).adopt(&token).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable, "{error}");
    assert!(lock.adopt(&token).await.unwrap().release().await.is_released());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_renew_passes_nothing_on() {
    let token = sent(hold(&paused(&Faulty::new())).await).await;
    let backend = Faulty::with(|all| all.with_renew(false));
    let locks = paused(&backend);
    let error = hold(&locks).await.into_token().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unsupported);
    assert!(error.to_string().contains("cannot be passed on to another process"), "{error}");
    assert!(backend.is_free("x").await);
    let error = locks.lock("x").adopt(&token).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unsupported);
    assert_eq!(backend.renewals_made.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn what_has_to_be_fenced_is_not_adopted_without_a_fencing_token() {
    let backend = Faulty::new();
    let token = sent(hold(&paused(&backend)).await).await.to_string();
    let (unfenced, _fencing) = token.rsplit_once('.').unwrap();
    let unfenced = unfenced.parse().unwrap();
    let lock = paused(&backend).lock("x").ttl(TTL);
    let error = lock.clone().require_fencing().adopt(&unfenced).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unsupported, "{error}");
    assert_eq!(lock.adopt(&unfenced).await.unwrap().fencing_token(), None);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_still_arrive_is_waited_for() {
    let late_after = SECOND * 3;
    let backend = Faulty::with(|all| all.with_late_after(late_after));
    let locks = paused(&backend);
    // The answer to the first step is lost; the second one is granted.
    backend.attempts([Fault::RequestLost]);
    let guard = locks.lock("x").ttl(TTL).acquire().await.unwrap();
    let began = tokio::time::Instant::now();
    let token = sent(guard).await;
    let waited = began.elapsed();
    assert!(waited > late_after / 2 && waited <= late_after, "{waited:?}");
    // Without such a request, nothing is waited for.
    let began = tokio::time::Instant::now();
    let guard = locks.lock("x").ttl(TTL).adopt(&token).await.unwrap();
    sent(guard).await;
    assert!(began.elapsed().is_zero());
}
