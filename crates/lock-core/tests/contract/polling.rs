//! Waiting for a lock of a store that has no line: how often it is asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lock_core::LockService;
use lock_core::backend::Backoff;

use crate::faulty::Faulty;

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
