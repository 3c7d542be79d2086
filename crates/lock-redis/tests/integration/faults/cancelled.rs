//! Thousands of acquisitions that are given up at random points.

use std::time::Duration;

use lock_core::LockService;
use lock_redis::RedisBackend;
use testbed::ServerKind;

use super::{LONG, left_behind};
use crate::common::{Store, strict};
use crate::on_every_server;

on_every_server!(
    acquires_dropped_at_random_points_leave_nothing_behind,
    acquires_dropped_in_the_lines_of_a_service_leave_nothing_behind,
);

const ACQUIRES: u64 = 5_000;

async fn acquires_dropped_at_random_points_leave_nothing_behind(kind: &ServerKind) {
    let mut store = Store::start(kind);
    // Many of them must have been queued, which needs more time where the machine is slow.
    for millis in [3, 30, 300] {
        let locks = strict(patient(&store));
        leave_nothing_behind(&mut store, &locks, Duration::from_millis(millis)).await;
        if store.calls_of("zadd") > ACQUIRES / 10 {
            return;
        }
    }
    panic!("only {} of them were queued", store.calls_of("zadd"));
}

/// With hand-over: whoever leads its service's line leaves it to the next, requests under way
/// included.
async fn acquires_dropped_in_the_lines_of_a_service_leave_nothing_behind(kind: &ServerKind) {
    let mut store = Store::start(kind);
    let locks = LockService::new(patient(&store));
    leave_nothing_behind(&mut store, &locks, Duration::from_millis(3)).await;
}

/// A shutdown waits for thousands of undos, for a bound that grows with this timeout.
fn patient(store: &Store) -> RedisBackend {
    let builder = RedisBackend::builder().url(store.server.url());
    builder.response_timeout(Duration::from_secs(20)).build().unwrap()
}

/// Each acquisition is given up within `longest`.
async fn leave_nothing_behind(store: &mut Store, locks: &LockService, longest: Duration) {
    let holder = strict(patient(store));
    // Every second name is held, so that half of them are dropped while they wait.
    let mut held = Vec::new();
    for name in (0..20).step_by(2) {
        held.push(holder.lock(format!("x{name}")).ttl(LONG).acquire().await.unwrap());
    }
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..ACQUIRES {
        let lock = locks.lock(format!("x{}", i % 20)).ttl(LONG).wait(LONG);
        let given_up_after = longest.mul_f64(fastrand::f64());
        tasks.spawn(async move {
            drop(tokio::time::timeout(given_up_after, lock.acquire()).await);
        });
        if tasks.len() >= 100 {
            tasks.join_next().await;
        }
    }
    while tasks.join_next().await.is_some() {}
    for guard in held {
        assert!(guard.release().await.is_released());
    }
    left_behind(&holder, store).await;
    assert_eq!(left_behind(locks, store).await, Vec::<String>::new());
}
