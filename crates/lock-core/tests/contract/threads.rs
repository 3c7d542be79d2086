//! Callers that block their thread: `lock_core::blocking`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use lock_core::blocking::LockService;
use lock_core::{LockError, LockErrorKind, LossReason, ReleaseOutcome};

use crate::faulty::{Fault, Faulty};

const SECOND: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(60);

#[test]
fn threads_hold_one_after_the_other() {
    let locks = LockService::memory();
    let (inside, sections) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let guard = locks.lock("x").ttl(TTL).acquire().unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    sections.fetch_add(1, Ordering::SeqCst);
                    guard.release();
                }
            });
        }
    });
    assert_eq!(sections.into_inner(), 800);
}

#[test]
fn every_operation_works_without_a_runtime() {
    let backend = Faulty::new();
    // A backend whose exchanges need one finds that of the background.
    backend.attempts([Fault::TokioSleep(Duration::from_millis(1))]);
    backend.renewals([Fault::TokioSleep(Duration::from_millis(1))]);
    let locks = LockService::new(Arc::clone(&backend));
    locks.ping().unwrap();
    locks.check().unwrap();
    let lock = locks.lock("x").ttl(TTL);
    let guard = lock.try_acquire().unwrap().unwrap();
    guard.extend(TTL * 2).unwrap();
    guard.verify().unwrap();
    guard.lease().verify().unwrap();
    assert!(guard.remaining() > TTL && guard.fencing_token().is_some());
    assert!(lock.try_acquire().unwrap().is_none());
    assert!(locks.status("x").unwrap().is_some());
    let error = lock.clone().wait(SECOND / 100).acquire().unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Timeout);
    assert_eq!(guard.release(), ReleaseOutcome::Released);

    let set = locks.lock_all(["b", "a"]).ttl(TTL);
    set.check().unwrap();
    assert_eq!(set.execute(|leases| leases.leases().count()).unwrap(), Some(2));
    let held = set.acquire().unwrap();
    held.leases().verify().unwrap();
    held.leases().extend(TTL * 2).unwrap();
    assert!(held.is_held() && held.leases().get("a").is_some_and(|lease| lease.is_held()));
    assert!(set.try_acquire().unwrap().is_none());
    assert_eq!(held.release(), ReleaseOutcome::Released);

    let token = lock.acquire().unwrap().into_token().unwrap();
    let guard = lock.adopt(&token).unwrap();
    drop(guard);
    assert_eq!(lock.execute(|lease| lease.is_held()).unwrap(), Some(true));
    let report = locks.shutdown(SECOND);
    assert_eq!((report.lost, report.unknown), (0, 0));
    for error in [lock.execute(|_| ()).unwrap_err(), set.execute(|_| ()).unwrap_err()] {
        assert_eq!((error.kind(), error.operation()), (LockErrorKind::ShutDown, Some("execute")));
    }
}

#[test]
fn a_body_sees_the_loss_and_its_value_comes_back_all_the_same() {
    let locks = LockService::memory();
    let lock = locks.lock("x").ttl(SECOND * 2);
    let seen = lock.execute(|lease| {
        let watched = lease.clone();
        let watcher = thread::spawn(move || watched.lost());
        let reason = watcher.join().unwrap();
        (reason, lease.is_held(), lease.ensure_held().map_err(|error| error.kind()))
    });
    let expected = (Some(LossReason::Expired), false, Err(LockErrorKind::Lost));
    assert_eq!(seen.unwrap(), Some(expected));
}

#[test]
fn a_lease_that_is_kept_alive_outlasts_a_body_that_blocks() {
    let locks = LockService::memory();
    let lock = locks.lock("x").ttl(SECOND * 3).keep_alive();
    let held = lock.execute(|lease| {
        thread::sleep(SECOND * 4);
        lease.is_held()
    });
    assert_eq!(held.unwrap(), Some(true));
}

#[test]
fn a_body_that_returns_a_result_needs_one_question_mark_here_too() {
    let lock = LockService::memory().lock("x").ttl(TTL);
    let own = |_| Err::<(), _>(std::io::Error::other("the body's own"));
    assert_eq!(lock.try_execute(own).unwrap_err().to_string(), "the body's own");
    let converted = lock.clone().ttl(Duration::ZERO).try_execute(own).unwrap_err();
    assert_eq!(converted.kind(), std::io::ErrorKind::InvalidInput);
    let fine = lock.try_execute(|_| Ok::<_, LockError>(7));
    assert_eq!(fine.unwrap(), Some(7));
}

#[test]
fn a_body_that_panics_releases_here_too() {
    let lock = LockService::memory().lock("x").ttl(TTL);
    let panicking = AssertUnwindSafe(|| lock.execute(|_| panic!("on purpose")).map(drop));
    assert!(catch_unwind(panicking).is_err());
    assert!(lock.try_acquire().unwrap().is_some());
}

#[tokio::test]
async fn asynchronous_code_is_told_by_a_panic_before_anything_is_sent() {
    let backend = Faulty::new();
    let locks = LockService::new(Arc::clone(&backend));
    let lock = locks.lock("x");
    let guard = locks.as_async().lock("held").ttl(TTL).acquire().await.unwrap();
    let guard = lock_core::blocking::LockGuard::from(guard);
    let (attempts, renewals) = (&backend.attempts_made, &backend.renewals_made);
    let before = (attempts.load(Ordering::SeqCst), renewals.load(Ordering::SeqCst));
    let panics = |blocks: &dyn Fn()| {
        let panic = catch_unwind(AssertUnwindSafe(blocks)).unwrap_err();
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.unwrap_or_else(|| (*panic.downcast_ref::<&str>().unwrap()).to_owned());
        assert!(text.contains("used to drive asynchronous tasks"), "{text}");
    };
    panics(&|| drop(lock.acquire()));
    panics(&|| drop(lock.try_acquire()));
    panics(&|| drop(lock.execute(|_| ())));
    panics(&|| drop(lock.status()));
    panics(&|| drop(locks.lock_all(["a", "b"]).acquire()));
    panics(&|| drop(guard.verify()));
    panics(&|| drop(guard.extend(TTL)));
    panics(&|| {
        guard.lost();
    });
    panics(&|| drop(locks.ping()));
    panics(&|| {
        locks.shutdown(Duration::ZERO);
    });
    assert_eq!(
        (attempts.load(Ordering::SeqCst), renewals.load(Ordering::SeqCst)),
        before,
        "nothing was sent"
    );
    assert!(guard.is_held());
    // Threads that may block may use it, and the service is the same one.
    let held = tokio::task::spawn_blocking(move || lock.try_acquire().unwrap().is_some());
    assert!(held.await.unwrap());
    drop(guard);
}
