//! Asking a store again and again: for a lock of a store that has no line, and when it gave no answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lock_core::backend::Backoff;
use lock_core::{LockErrorKind, LockService};

use crate::faulty::{Fault, Faulty};

const WAIT: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn a_held_lock_is_asked_for_at_the_pace_of_its_backend() {
    let pause = Duration::from_secs(1);
    let backend =
        Faulty::with(|all| all.with_queueing(false).with_poll(Backoff::new(pause, pause)));
    let service = || LockService::builder(Arc::clone(&backend)).tokio_time().build();
    let (holder, locks) = (service(), service());
    let _guard = holder.lock("x").ttl(WAIT * 2).acquire().await.unwrap();
    let before = backend.attempts_made.load(Ordering::SeqCst);
    assert!(locks.lock("x").wait(WAIT).try_acquire().await.unwrap().is_none());
    let asked = backend.attempts_made.load(Ordering::SeqCst) - before;
    // Each pause is shortened at random by up to a half, and the end of the wait asks once more.
    assert!((10..=22).contains(&asked), "asked {asked} times");
}

#[tokio::test(start_paused = true)]
async fn a_held_lock_is_asked_for_a_millisecond_after_its_lease_if_the_store_tells_when_that_ends()
{
    let pause = WAIT * 1_000;
    let backend =
        Faulty::with(|all| all.with_queueing(false).with_poll(Backoff::new(pause, pause)));
    let service = || LockService::builder(Arc::clone(&backend)).tokio_time().build();
    let (holder, locks) = (service(), service());
    let _guard = holder.lock("x").ttl(WAIT).acquire().await.unwrap();
    let began = tokio::time::Instant::now();
    assert!(locks.lock("x").wait(pause).acquire().await.unwrap().is_held());
    // The timers of paused time count whole milliseconds.
    let took = began.elapsed();
    assert!((WAIT..=WAIT + Duration::from_millis(2)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_asked_at_growing_pauses() {
    // The pauses are 50 ms, 100 ms and so on up to 1 s, each shortened by up to a half, and the end
    // of the wait asks once more.
    for (wait, at_least, at_most) in [(24, 2, 2), (151, 4, 5), (10_000, 14, 24)] {
        let backend = Faulty::new();
        backend.attempts([Fault::NotSent; 1_000]);
        let locks = LockService::builder(Arc::clone(&backend)).tokio_time().build();
        let lock = locks.lock("x").wait(Duration::from_millis(wait));
        let error = lock.acquire().await.unwrap_err();
        assert_eq!(error.kind(), LockErrorKind::Unavailable);
        let asked = backend.attempts_made.load(Ordering::SeqCst);
        assert!((at_least..=at_most).contains(&asked), "asked {asked} times in {wait} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_begun_is_finished_after_the_end_of_the_wait() {
    let backend = Faulty::new();
    backend.attempts([Fault::AnswerTakes(WAIT * 2)]);
    let locks = LockService::builder(Arc::clone(&backend)).tokio_time().build();
    let began = tokio::time::Instant::now();
    let guard = locks.lock("x").ttl(WAIT * 9).wait(WAIT).acquire().await.unwrap();
    assert_eq!(began.elapsed(), WAIT * 2);
    assert!(guard.is_held());
}
