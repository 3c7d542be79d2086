//! Callers without a runtime, and runtimes that go away.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_executor::block_on;
use lock_core::{LockService, LossReason};
use tokio::runtime::Builder;

use crate::faulty::{Fault, Faulty, soon};

const SECOND: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(3_600);

#[test]
fn acquire_wait_lost_and_release_work_on_any_executor() {
    let locks = LockService::memory();
    let lock = locks.lock("x").ttl(SECOND);
    let guard = block_on(lock.acquire()).unwrap();
    assert_eq!(block_on(guard.lost()), Some(LossReason::Expired));
    let second = block_on(lock.acquire()).unwrap();
    let third = block_on(lock.clone().wait(Duration::from_secs(60)).acquire()).unwrap();
    assert_eq!(block_on(second.lost()), Some(LossReason::Expired));
    block_on(third.release());
}

#[test]
fn a_backend_that_needs_a_runtime_finds_that_of_the_background() {
    let backend = Faulty::new();
    backend.attempts([Fault::TokioSleep(Duration::from_millis(1))]);
    backend.renewals([Fault::TokioSleep(Duration::from_millis(1))]);
    let locks = LockService::new(backend);
    let guard = block_on(locks.lock("x").try_acquire()).unwrap().unwrap();
    block_on(guard.extend(TTL)).unwrap();
}

#[test]
fn a_background_that_could_not_be_started_is_started_by_the_next_operation() {
    let locks = LockService::builder(Faulty::new()).tokio_time().build();
    // It wants to be a task of the current runtime, and there is none.
    let error = block_on(locks.lock("x").try_acquire()).unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(locks.lock("x").try_acquire()).unwrap().is_some());
}

struct Panics(AtomicUsize);

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("on command");
    }
}

#[test]
fn a_waker_that_panics_on_the_background_thread_costs_nobody_a_renewal() {
    let good = Faulty::new();
    let kept = LockService::new(Arc::clone(&good)).lock("x").ttl(3 * SECOND).keep_alive();
    let kept = block_on(kept.acquire()).unwrap();
    let bad = Faulty::new();
    bad.attempts([Fault::TokioSleep(Duration::from_millis(1))]);
    let mut asking = Box::pin(LockService::new(bad).lock("x").acquire());
    let panics = Arc::new(Panics(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&panics));
    assert!(asking.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    soon(|| panics.0.load(Ordering::SeqCst) > 0);
    let before = good.renewals_made.load(Ordering::SeqCst);
    soon(|| good.renewals_made.load(Ordering::SeqCst) > before);
    assert!(kept.is_held());
}

#[test]
fn a_runtime_that_dies_with_an_attempt_under_way_leaves_nothing_behind() {
    for sleep in [Duration::from_millis(1), Duration::from_millis(50)] {
        let backend = Faulty::new();
        backend.attempts([Fault::TokioSleep(sleep)]);
        let locks = LockService::new(Arc::clone(&backend));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let asking = runtime.spawn(locks.lock("x").ttl(TTL).try_acquire());
        while backend.attempts_made.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        drop(runtime);
        drop(asking);
        block_on(locks.shutdown(Duration::ZERO));
        assert!(block_on(backend.is_free("x")));
    }
}

#[test]
fn a_runtime_that_dies_with_guards_alive_releases_them() {
    let backend = Faulty::new();
    let locks = LockService::new(Arc::clone(&backend));
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (ready, readied) = std::sync::mpsc::channel();
    for i in 0..20 {
        let (lock, ready) = (locks.lock(format!("x{i}")).ttl(TTL), ready.clone());
        drop(runtime.spawn(lock.execute(async move |_| {
            ready.send(()).unwrap();
            std::future::pending::<()>().await;
        })));
    }
    (0..20).for_each(|_| readied.recv().unwrap());
    drop(runtime);
    block_on(locks.shutdown(Duration::ZERO));
    for i in 0..20 {
        assert!(block_on(backend.is_free(&format!("x{i}"))), "x{i}");
    }
}

#[test]
fn a_guard_may_be_dropped_on_a_thread_that_knows_no_runtime() {
    let locks = LockService::memory();
    let guard = block_on(locks.lock("x").ttl(TTL).acquire()).unwrap();
    std::thread::spawn(move || drop(guard)).join().unwrap();
    assert!(block_on(locks.lock("x").try_acquire()).unwrap().is_some());
}

#[test]
fn nothing_keeps_a_backend_when_nobody_needs_it_any_more() {
    let backend = Faulty::new();
    let locks = LockService::new(Arc::clone(&backend));
    let guard = block_on(locks.lock("x").ttl(TTL).keep_alive().acquire()).unwrap();
    drop(locks);
    assert!(guard.is_held());
    drop(guard);
    // The background's thread drops what it has of the service.
    soon(|| Arc::strong_count(&backend) == 1);
}
