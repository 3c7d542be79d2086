//! Asking a real server whether a lock is still held, after an operator deleted its key.

use std::time::{Duration, Instant};

use lock_core::{LockErrorKind, LockService, LossReason};
use lock_testkit::proxy::{Fault, Scope};
use testbed::ServerKind;

use crate::common::*;

/// What the documentation promises.
const NOTICED: Duration = Duration::from_secs(10);

/// Longer than the test, and not renewed within it.
const LEASE: Duration = Duration::from_secs(600);

crate::on_every_server! {
    a_lock_is_verified_as_held_as_deleted_and_as_anothers,
    a_deleted_lock_is_had_by_a_waiter_of_its_own_service_in_time,
    a_deleted_lock_is_had_by_those_who_do_not_wait_in_time,
    a_server_that_does_not_answer_leaves_it_unknown,
}

async fn a_lock_is_verified_as_held_as_deleted_and_as_anothers(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = LockService::new(store.backend());
    let guard = locks.lock("x").ttl(LEASE).acquire().await.unwrap();
    let before: u64 = store.run(&["PTTL", "lock:x"]);
    guard.verify().await.unwrap();
    let after: u64 = store.run(&["PTTL", "lock:x"]);
    assert!(after <= before, "the lease was not set anew: {before} ms, then {after} ms");
    assert_eq!(store.run::<u64>(&["DEL", "lock:x"]), 1);
    let error = guard.verify().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.loss_reason()),
        (LockErrorKind::Lost, Some(LossReason::Removed))
    );
    assert_eq!(guard.lost().await, Some(LossReason::Removed));
    drop(guard);

    let guard = locks.lock("y").ttl(LEASE).acquire().await.unwrap();
    store.run::<String>(&["SET", "lock:y", "somebody else", "PX", "600000"]);
    let error = guard.verify().await.unwrap_err();
    assert_eq!(error.loss_reason(), Some(LossReason::HeldByOther));
    drop(guard);
    assert_eq!(store.run::<String>(&["GET", "lock:y"]), "somebody else");
}

async fn a_deleted_lock_is_had_by_a_waiter_of_its_own_service_in_time(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = LockService::new(store.backend());
    let guard = locks.lock("x").ttl(LEASE).acquire().await.unwrap();
    store.run::<u64>(&["DEL", "lock:x"]);
    let began = Instant::now();
    assert!(locks.status("x").await.unwrap().is_none());
    let next = locks.lock("x").ttl(LEASE).wait(Duration::from_secs(15)).acquire().await.unwrap();
    assert!(began.elapsed() < NOTICED, "after {:?}", began.elapsed());
    assert_eq!(guard.lost().await, Some(LossReason::Removed));
    drop(guard);
    next.verify().await.unwrap();
}

async fn a_deleted_lock_is_had_by_those_who_do_not_wait_in_time(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = LockService::new(store.backend());
    let guard = locks.lock("x").ttl(LEASE).acquire().await.unwrap();
    store.run::<u64>(&["DEL", "lock:x"]);
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let next = loop {
        ticks.tick().await;
        if let Some(next) = locks.lock("x").ttl(LEASE).try_acquire().await.unwrap() {
            break next;
        }
    };
    assert!(began.elapsed() < NOTICED, "after {:?}", began.elapsed());
    assert_eq!(guard.lost().await, Some(LossReason::Removed));
    next.verify().await.unwrap();
}

async fn a_server_that_does_not_answer_leaves_it_unknown(kind: &ServerKind) {
    let store = Store::start(kind);
    let locks = LockService::new(store.backend_behind_proxy(Duration::from_secs(2)));
    let guard = locks.lock("x").ttl(LEASE).acquire().await.unwrap();
    store.proxy.set_both(Scope::All, Fault::Swallow);
    let error = guard.verify().await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unknown, "{error}");
    assert!(guard.is_held());
}
