//! What becomes of locks when their holder misbehaves.

use std::time::Duration;

use futures_util::FutureExt;
use lock_core::{LockErrorKind, LossReason};
use lock_testkit::proxy::{Direction, Fault, Scope};
use testbed::ServerKind;
use tokio::runtime::Builder;

use super::{LONG, behind_proxy, direct, left_behind};
use crate::common::{LIMIT, Store, soon};
use crate::on_every_server;

on_every_server!(
    a_body_that_blocks_for_three_ttls_keeps_its_lock,
    a_runtime_that_dies_with_guards_alive_frees_them,
    a_guard_that_was_just_dropped_is_free_for_its_dropper,
    what_was_dropped_before_a_shutdown_is_gone_after_it,
    a_lease_that_is_over_here_and_stands_there_is_given_back,
);

/// Long enough for a busy machine to renew in.
const TTL: Duration = Duration::from_secs(2);

async fn a_body_that_blocks_for_three_ttls_keeps_its_lock(kind: &ServerKind) {
    let store = Store::start(kind);
    let (locks, other) = (direct(&store), direct(&store));
    // A runtime of its own with one thread, so that nothing else of it can run meanwhile.
    let blocking = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let lock = locks.lock("x").ttl(TTL);
        runtime.block_on(async {
            let kept = lock.clone().keep_alive().execute(async |lease| {
                std::thread::sleep(TTL * 3);
                let refused = other.lock("x").try_acquire().await.unwrap().is_none();
                refused && lease.is_held()
            });
            assert_eq!(kept.await.unwrap(), Some(true));
            let lost = lock.execute(async |_| {
                std::thread::sleep(TTL * 3);
                tokio::task::yield_now().await;
            });
            let error = lost.await.unwrap_err();
            assert_eq!(error.kind(), LockErrorKind::Lost);
            assert_eq!(error.loss_reason(), Some(LossReason::Expired));
        });
    });
    tokio::task::spawn_blocking(move || blocking.join().unwrap()).await.unwrap();
}

async fn a_runtime_that_dies_with_guards_alive_frees_them(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = direct(&store);
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (held, mut are_held) = tokio::sync::mpsc::unbounded_channel();
    for i in 0..50 {
        let (lock, held) = (locks.lock(format!("x{i}")).ttl(LONG), held.clone());
        drop(runtime.spawn(lock.execute(async move |_| {
            held.send(()).unwrap();
            std::future::pending::<()>().await;
        })));
    }
    for _ in 0..50 {
        are_held.recv().await.unwrap();
    }
    tokio::task::spawn_blocking(move || drop(runtime)).await.unwrap();
    assert_eq!(left_behind(&locks, &mut store).await, Vec::<String>::new());
}

async fn a_guard_that_was_just_dropped_is_free_for_its_dropper(kind: &ServerKind) {
    let store = Store::start(kind);
    let lock = direct(&store).lock("x").ttl(LONG);
    for _ in 0..200 {
        drop(lock.try_acquire().await.unwrap().unwrap());
    }
}

async fn what_was_dropped_before_a_shutdown_is_gone_after_it(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = direct(&store);
    for i in 0..100 {
        let lock = locks.lock(format!("x{i}")).ttl(LONG);
        drop(lock.acquire().await.unwrap());
        // Started, and left at once.
        drop(locks.lock(format!("y{i}")).ttl(LONG).try_acquire().now_or_never());
    }
    assert_eq!(left_behind(&locks, &mut store).await, Vec::<String>::new());
}

/// R34.
async fn a_lease_that_is_over_here_and_stands_there_is_given_back(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = behind_proxy(&store);
    let lease = Duration::from_secs(4);
    let guard = locks.lock("x").ttl(lease).acquire().await.unwrap();
    // Makes the connection of the renewals.
    guard.extend(lease).await.unwrap();
    store.proxy.set(Direction::ToClient, Scope::All, Fault::Swallow);
    let error = guard.extend(LONG).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unknown, "{error}");
    assert!(store.run::<i64>(&["PTTL", "lock:x"]) > 60_000);
    store.proxy.heal();
    assert_eq!(soon(LIMIT, guard.lost()).await, Some(LossReason::Expired));
    let next = soon(LIMIT, direct(&store).lock("x").wait(LONG).acquire()).await.unwrap();
    assert!(next.release().await.is_released());
    assert_eq!(left_behind(&locks, &mut store).await, Vec::<String>::new());
}
