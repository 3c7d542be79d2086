//! What becomes of locks when the server does.

use std::time::Duration;

use lock_core::{LockErrorKind, LossReason, ReleaseOutcome};
use testbed::ServerKind;

use super::{LONG, direct, in_time, left_behind};
use crate::common::{LIMIT, Store, soon};
use crate::on_every_server;

on_every_server!(
    a_server_that_lost_its_data_tells_the_holder,
    a_server_that_comes_back_with_its_data_has_the_leases,
    a_frozen_server_is_an_error_in_time_and_leaves_no_orphan,
    a_frozen_server_costs_a_kept_lease_at_its_deadline,
    a_flush_costs_the_lease_and_tokens_still_rise,
    a_forgotten_script_is_not_noticed,
    a_server_that_comes_later_is_found,
    a_shutdown_does_not_wait_for_a_dead_server_if_nothing_matters,
);

const KEPT: Duration = Duration::from_millis(1_500);

async fn a_server_that_lost_its_data_tells_the_holder(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = direct(&store);
    let lock = locks.lock("x").ttl(KEPT).keep_alive();
    let guard = lock.acquire().await.unwrap();
    store.server.kill();
    store.server.restart().unwrap();
    let reason = soon(LIMIT, guard.lost()).await;
    // At the next renewal, or at the deadline if the renewals before it failed.
    assert!(matches!(reason, Some(LossReason::Removed | LossReason::Expired)), "{reason:?}");
    let other = soon(LIMIT, lock.acquire()).await.unwrap();
    let outcome = guard.release().await;
    assert!(!outcome.is_released(), "{outcome:?}");
    assert!(other.is_held());
}

async fn a_server_that_comes_back_with_its_data_has_the_leases(kind: &ServerKind) {
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().to_str().unwrap();
    let arguments = ["--appendonly", "yes", "--appendfsync", "always", "--dir", directory];
    let mut store = Store::start_with(kind, &arguments);
    let (locks, other) = (direct(&store), direct(&store));
    let guard = locks.lock("x").ttl(LONG).acquire().await.unwrap();
    store.server.kill();
    store.server.restart().unwrap();
    assert!(in_time(other.lock("x").try_acquire()).await.unwrap().is_none());
    // The connection that was lost may be met once more.
    while let Err(error) = in_time(guard.verify()).await {
        assert_eq!(error.kind(), LockErrorKind::Unknown, "{error}");
    }
    let token = guard.fencing_token();
    assert!(in_time(guard.release()).await.is_released());
    let next = soon(LIMIT, other.lock("x").wait(LIMIT).acquire()).await.unwrap();
    assert!(next.fencing_token() > token);
}

async fn a_frozen_server_is_an_error_in_time_and_leaves_no_orphan(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = direct(&store);
    drop(locks.lock("before").acquire().await.unwrap());
    store.server.freeze().unwrap();
    let lock = locks.lock("x").ttl(LONG);
    let error = in_time(lock.try_acquire()).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
    assert!(error.is_retryable());
    store.server.thaw().unwrap();
    assert_eq!(left_behind(&locks, &mut store).await, Vec::<String>::new());
}

async fn a_frozen_server_costs_a_kept_lease_at_its_deadline(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = direct(&store);
    let guard = locks.lock("x").ttl(KEPT).keep_alive().acquire().await.unwrap();
    store.server.freeze().unwrap();
    assert_eq!(soon(LIMIT, guard.lost()).await, Some(LossReason::Expired));
    assert_eq!(in_time(guard.release()).await, ReleaseOutcome::Unknown);
    store.server.thaw().unwrap();
    assert_eq!(left_behind(&locks, &mut store).await, Vec::<String>::new());
}

async fn a_flush_costs_the_lease_and_tokens_still_rise(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = direct(&store);
    let lock = locks.lock("x").ttl(KEPT).keep_alive();
    let guard = lock.acquire().await.unwrap();
    store.run::<()>(&["FLUSHALL"]);
    assert_eq!(soon(LIMIT, guard.lost()).await, Some(LossReason::Removed));
    let next = lock.acquire().await.unwrap();
    assert!(next.fencing_token() > guard.fencing_token());
}

async fn a_forgotten_script_is_not_noticed(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = direct(&store);
    let guard = locks.lock("x").acquire().await.unwrap();
    store.run::<()>(&["SCRIPT", "FLUSH"]);
    guard.extend(LONG).await.unwrap();
    assert!(guard.release().await.is_released());
    assert!(locks.lock("x").try_acquire().await.unwrap().is_some());
}

async fn a_server_that_comes_later_is_found(kind: &ServerKind) {
    let mut store = Store::start(kind);
    store.server.kill();
    let locks = direct(&store);
    let error = in_time(locks.lock("x").try_acquire()).await.unwrap_err();
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
    let waiting = tokio::spawn(locks.lock("x").wait(LIMIT).acquire());
    store.server.restart().unwrap();
    assert!(waiting.await.unwrap().unwrap().is_held());
}

async fn a_shutdown_does_not_wait_for_a_dead_server_if_nothing_matters(kind: &ServerKind) {
    for is_lost in [false, true] {
        let mut store = Store::start(kind);
        let locks = direct(&store);
        let lock = locks.lock("x").ttl(KEPT).keep_alive();
        let guard = lock.acquire().await.unwrap();
        if is_lost {
            store.server.kill();
            soon(LIMIT, guard.lost()).await;
        } else {
            assert!(guard.release().await.is_released());
            store.server.kill();
            // The first request may have been sent over the connection that was lost.
            while !lock.try_acquire().await.unwrap_err().is_not_applied() {}
            tokio::time::sleep(KEPT * 4).await;
            lock.try_acquire().await.unwrap_err();
        }
        let began = std::time::Instant::now();
        let report = locks.shutdown(Duration::ZERO).await;
        let took = began.elapsed();
        // It would take 2 s and more otherwise.
        assert!(took < Duration::from_secs(1), "{is_lost}: {took:?}");
        assert_eq!((report.unknown, report.unsettled), (0, 0));
    }
}
